"""The days before an incident: mean and spread of the sensor blamed most, on each of them.

A slow change shows here, and not in the minutes around the incident. Legend: D days.
"""

from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Channel, Fleet
from amad.config import number_text as text
from amad.notify.published import DAYS
from amad.report.incident_plot import Plot, Track, band_box, normal_band
from amad.report.scoring_run import Incident
from amad.report.svg_plots import Frame, Scale, Tick, line
from amad.telemetry.files import read_table
from amad.telemetry.health import VALIDATE
from amad.telemetry.schemas import PROFILE
from amad.windows.scaler import Scaler

LEAST = 3  # days with values; fewer show no course
COLUMNS = ["vehicle", "date", "channel", "out_of_range", "mean", "std"]
Daily = dict[tuple[str, str], list[tuple[date, float, float]]]


def read_daily(folder: Path) -> pa.Table | None:
    """The ``COLUMNS`` of the profile of the lake in ``data/<fleet>``; None where there is none.

    Raises:
        DataError: the file is damaged.
    """
    file = folder / "profile.parquet"
    return read_table(file, PROFILE, VALIDATE, columns=COLUMNS) if file.exists() else None


def daily_figures(table: pa.Table | None, incidents: Collection[Incident]) -> Daily:
    """(date, mean, standard deviation) of these vehicles and their blamed channels, by date.

    Days with values outside the limits of the channel are left out, since they move the mean.
    """
    found: Daily = {}
    if table is None:
        return found
    vehicles = pa.array({i.vehicle for i in incidents}, pa.string())
    channels = pa.array({name for i in incidents for name in i.channels[:1]}, pa.string())
    kept = table.filter(
        pc.field("vehicle").isin(vehicles)
        & pc.field("channel").isin(channels)
        & pc.field("mean").is_valid()
        & (pc.field("out_of_range") == 0)
    )
    for row in kept.sort_by("date").to_pylist():
        days = found.setdefault((row["vehicle"], row["channel"]), [])
        days.append((row["date"], row["mean"], row["std"]))
    return found


def days_before(
    incident: Incident, fleet: Fleet, scaler: Scaler | None, daily: Daily
) -> Plot | None:
    """The channel blamed most, on the date on which the incident began and on the days before.

    None where it has no usual level, or where there are too few days.
    """
    channel = fleet.channel_by_name.get(incident.channels[0]) if incident.channels else None
    if channel is None or channel.kind != "continuous":
        return None
    start = incident.start // text.DAY * text.DAY
    frame = Frame(start=start - (DAYS - 1) * text.DAY, end=start + text.DAY)
    dates = {text.utc(frame.start).date() + timedelta(days=n): n for n in range(DAYS)}
    days = [day for day in daily.get((incident.vehicle, channel.name), []) if day[0] in dates]
    if len(days) < LEAST:
        return None
    us_D = np.array([frame.start + dates[day] * text.DAY for day, _, _ in days])
    mean_D, std_D = (np.array([day[n] for day in days]) for n in (1, 2))
    band = normal_band(incident, channel, scaler)
    least, most = channel.range or (-np.inf, np.inf)  # a spread may reach beyond what can be
    low_D, high_D = np.maximum(mean_D - std_D, least), np.minimum(mean_D + std_D, most)
    scale = Scale.over(np.concatenate([low_D, high_D]), band)
    bars = []
    for us, low, high in zip(us_D.tolist(), low_D.tolist(), high_D.tolist(), strict=True):
        left, width = frame.block(us + text.DAY // 4, us + 3 * text.DAY // 4)
        top = scale.y(high)
        bars.append((left, top, width, round(max(scale.y(low) - top, 1.0), 1)))
    track = Track(
        title=channel.title,
        unit=text.unit_text(channel.unit),
        share="",
        fact=_fact(channel, us_D, mean_D, start),
        path=line(us_D + text.DAY // 2, mean_D, frame, scale, 3 * text.DAY // 2),
        ticks=scale.ticks(),
        band=band_box(band, scale),
        bars=bars,
    )
    return Plot(
        tracks=[track],
        ticks=[
            Tick(at=round(100 * (n + 0.5) / DAYS, 1), text=text.short_day(day), minor=n % 4 == 3)
            for day, n in dates.items()
            if n % 2 == (DAYS - 1) % 2  # the day of the incident has its name
        ],
        block=frame.block(start, frame.end),
        others=[],
        frame=f"{text.day(frame.start)} to {text.day(start)} UTC: mean and standard deviation of "
        "each day; shaded: the day it began.",
    )


def _fact(channel: Channel, us_D: np.ndarray, mean_D: np.ndarray, start: int) -> str:
    """The daily means before the date that begins at ``start``, and on it, in words."""
    value, before_D = channel.value_text, mean_D[us_D < start]
    from_, to = text.number(before_D.min()), text.number(before_D.max())
    usual = value(before_D.max()) if from_ == to else f"{from_} to {value(before_D.max())}"
    on = f", {value(mean_D[-1])} on {text.short_day(text.utc(start))}" if us_D[-1] == start else ""
    return f"daily mean {usual} before{on}"
