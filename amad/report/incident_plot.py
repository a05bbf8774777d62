"""One incident as the page shows it: facts in words, and a plot of each channel to blame.

Legend: T rows of one channel.
"""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from amad.config import Channel, Fleet
from amad.config import number_text as text
from amad.config.wording import some
from amad.incidents.wording import main_channels, named_partner
from amad.notify.changes import NotifiedIncident
from amad.report.scoring_run import Incident, ScoringRun
from amad.report.svg_plots import HEIGHT, Frame, Scale, Tick, line
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler

BAND = 3.0  # half width of the normal band, in scales of the vehicle's train rows
# Channels are drawn until their contributions add up to BLAMED, at most TRACKS of them, and only if
# their contribution is at least MAIN of the largest.
BLAMED, TRACKS, MAIN = 0.8, 4, 0.25
CODES = 5  # codes that are named
WORDS = 6  # words of codes beside one plot
CONTEXT = 0.75  # share of the incident's length that is shown on each side of it
CONTEXT_ROWS = (120, 3000)  # limits of that context, in sampling periods


@dataclass(frozen=True, kw_only=True)
class Blame:
    """A channel's contribution. width: of its bar, of 100. main: large enough to look at."""

    title: str
    share: str
    width: float
    main: bool


@dataclass(frozen=True, kw_only=True)
class Track:
    """One plot over the incident's frame. Numbers are positions in the 1000 x 100 box.

    bars: (x, y, width, height) of each.
    """

    title: str
    unit: str
    share: str
    fact: str
    path: str
    ticks: list[Tick]
    band: tuple[float, float] | None = None  # y, height
    threshold: str = ""
    bars: list[tuple[float, float, float, float]] = field(default_factory=list)
    kind: str = "channel"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The plots under an incident's heading, on one time axis."""

    tracks: list[Track]
    ticks: list[Tick]
    block: tuple[float, float]  # x, width of the incident
    others: list[tuple[float, float]]  # of the vehicle's other incidents
    frame: str


def blame(incident: Incident, fleet: Fleet) -> list[Blame]:
    """The channels to blame with their contributions, the largest first."""
    return [
        Blame(
            title=fleet.title_of(name),
            share=text.share(contribution),
            width=round(100 * contribution, 1),
            main=contribution >= MAIN * incident.shares[0],
        )
        for name, contribution in zip(incident.channels, incident.shares, strict=True)
    ]


def broken_relation(incident: Incident | NotifiedIncident, fleet: Fleet) -> str:
    """``Speed no longer fits Engine speed``; empty where no relation broke."""
    channels, shares = incident.channels, incident.shares
    partner = named_partner(incident.type, channels, shares, incident.partner)
    if not partner or not channels:
        return ""
    one, other = (fleet.title_of(name) for name in (channels[0], partner))
    return f"{one} no longer fits {other}"


def about(incident: Incident | NotifiedIncident, fleet: Fleet) -> str:
    """The relation that broke, or else the channels that the incident is mostly about."""
    main = main_channels(incident.channels, incident.shares)
    return broken_relation(incident, fleet) or ", ".join(map(fleet.title_of, main))


def plot(
    incident: Incident,
    others: list[Incident],
    fleet: Fleet,
    run: ScoringRun,
    lake: Lake,
    scaler: Scaler | None,
) -> Plot:
    """The plots of one incident: its score, then the channels with the largest contributions.

    others: all incidents of the vehicle, which the plots show as lighter blocks.
    """
    frame = frame_of(incident, fleet)
    values = lake.read(incident.vehicle, frame.start, run.known(frame.end))
    tracks = [_score_track(incident, frame, fleet, run)]
    for channel, contribution in _to_draw(incident, fleet):
        track = _channel_track(incident, channel, contribution, frame, fleet, values, scaler)
        if track is not None:
            tracks.append(track)
    return Plot(
        tracks=tracks,
        ticks=frame.ticks(),
        block=frame.block(incident.start, incident.end),
        others=[
            frame.block(other.start, other.end)
            for other in others
            if other.incident_id != incident.incident_id
            and other.start < frame.end
            and other.end > frame.start
        ],
        frame=f"{text.moment(frame.start)} to {text.moment(frame.end)} UTC",
    )


def frame_of(incident: Incident, fleet: Fleet) -> Frame:
    """The incident with context on both sides."""
    low, high = (rows * fleet.period_us for rows in CONTEXT_ROWS)
    around = int(min(high, max(low, CONTEXT * (incident.end - incident.start))))
    return Frame(start=incident.start - around, end=incident.end + around)


def _to_draw(incident: Incident, fleet: Fleet) -> list[tuple[Channel, float]]:
    known = fleet.channel_by_name
    found: list[tuple[Channel, float]] = []
    carried = 0.0
    for name, contribution in zip(incident.channels, incident.shares, strict=True):
        if contribution < MAIN * incident.shares[0] or carried >= BLAMED or len(found) == TRACKS:
            break
        if name in known:
            found.append((known[name], contribution))
            carried += contribution
    return found


def _score_track(incident: Incident, frame: Frame, fleet: Fleet, run: ScoringRun) -> Track:
    us_T, score_T, threshold_T = run.scores(incident.vehicle, frame.start, frame.end)
    levels = np.concatenate([score_T, threshold_T, [incident.peak_score, incident.threshold]])
    scale = Scale.over(levels[np.isfinite(levels)])
    at = text.moment(incident.peak)
    if text.day(incident.start) == text.day(incident.end):
        at = at.removeprefix(text.day(incident.peak)).lstrip()
    fact = (
        f"peak {text.number(incident.peak_score)} at {at}, "
        f"alarm above {text.number(incident.threshold)} there"
    )
    return Track(
        title="Anomaly score",
        unit="",
        share="",
        fact=fact,
        path=line(us_T, score_T, frame, scale, 3 * fleet.period_us),
        ticks=scale.ticks(2),
        threshold=line(us_T, threshold_T, frame, scale, 3 * fleet.period_us),
        kind="score",
    )


def _channel_track(
    incident: Incident,
    channel: Channel,
    contribution: float,
    frame: Frame,
    fleet: Fleet,
    values: pa.Table,
    scaler: Scaler | None,
) -> Track | None:
    us_T = values["timestamp"].cast(pa.int64()).to_numpy()
    value_T = values[channel.name].cast(pa.float64()).to_numpy()
    known_T = np.isfinite(value_T)
    if not known_T.any():
        return None
    band = normal_band(incident, channel, scaler)
    scale = Scale.over(value_T[known_T], band)
    during_T = value_T[known_T & (us_T >= incident.start) & (us_T < incident.end)]
    gap = max(3 * fleet.period_us, round(fleet.missing.max_gap_seconds * text.SECOND))
    return Track(
        title=channel.title,
        unit=text.unit_text(channel.unit),
        share=text.share(contribution),
        fact=_fact(during_T, band, channel) + unseen_codes(during_T, channel, scaler),
        path=line(us_T, value_T, frame, scale, gap),
        ticks=_ticks(scale, channel),
        band=band_box(band, scale),
    )


def normal_band(
    incident: Incident, channel: Channel, scaler: Scaler | None
) -> tuple[float, float] | None:
    """The normal band in engineering units; None for a channel without a usual level.

    scaler: of the store, which may be of an older fleet file with other channels.
    """
    if scaler is None or channel.kind != "continuous" or channel.name not in scaler.channels:
        return None
    mean_C, scale_C = scaler.figures(incident.vehicle, incident.vehicle_class)
    at = scaler.channels.index(channel.name)
    low, high = (float(mean_C[at] + sign * BAND * scale_C[at]) for sign in (-1, 1))
    if channel.range is not None:
        low, high = max(low, channel.range[0]), min(high, channel.range[1])
    return (low, high) if low < high else None


def band_box(band: tuple[float, float] | None, scale: Scale) -> tuple[float, float] | None:
    """(y, height) of a band in the box of a plot."""
    if band is None:
        return None
    top, bottom = max(0.0, scale.y(band[1])), min(float(HEIGHT), scale.y(band[0]))
    return round(top, 1), round(max(bottom - top, 0.5), 1)


def unseen_codes(during_T: np.ndarray, channel: Channel, scaler: Scaler | None) -> str:
    """The codes during the incident that no train row had, in words."""
    codes = None if scaler is None else scaler.codes.get(channel.name)
    if codes is None:
        return ""
    strange = np.unique(during_T[~codes.known(during_T)]).tolist()
    names = ", ".join(channel.value_text(code) for code in strange[:CODES])
    one = "code {} was" if len(strange) == 1 else "codes {} were"
    return f"; {one.format(names)} never seen in training" if strange else ""


def _ticks(scale: Scale, channel: Channel) -> list[Tick]:
    """Round values, or the words of the fleet file for the codes that the plot shows, if few."""
    words = [
        Tick(at=scale.y(code), text=channel.value_text(code))
        for code in dict.fromkeys(channel.codes.values())
        if scale.low <= code <= scale.high
    ]
    return words if 0 < len(words) <= WORDS else scale.ticks()


def _fact(during_T: np.ndarray, band: tuple[float, float] | None, channel: Channel) -> str:
    """The values during the incident and the normal ones, in words."""
    if len(during_T) == 0:
        return "not measured during the incident"
    value, least, most = channel.value_text, float(during_T.min()), float(during_T.max())
    if least == most:
        fact = f"constant at {value(least)}"
    elif channel.codes:
        fact = some([value(code) for code in np.unique(during_T)], CODES)
    else:
        fact = f"{text.number(least)} to {value(most)}"
    if band is None:
        return fact
    outside = float(np.mean((during_T < band[0]) | (during_T > band[1])))
    usual = f"normal {text.number(band[0])} to {value(band[1])}"
    if outside == 0:
        return f"{fact}, within its {usual}: blamed for how it moves"
    return f"{fact}, {text.share(outside)} of the time outside its {usual}"
