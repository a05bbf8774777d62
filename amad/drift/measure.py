"""Measures the drift of a fleet from its lake and from the scores of its champion."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow as pa

from amad.config import Channel, Fleet, Stage
from amad.config.console import track
from amad.detect.alarms import OperatingPoint
from amad.drift.findings import (
    BEYOND_OWN,
    LEAST_DISTANCE,
    LEAST_SHARE,
    UNCOVERED,
    ChannelDrift,
    Drift,
    UnlearntChannel,
    VehicleDrift,
    decide,
)
from amad.drift.inputs import Periods, VehicleInputs, vehicle_inputs
from amad.drift.scores import ScoreDrift, published_scores, score_drift
from amad.drift.unlearnt import unlearnt_channels
from amad.scores.daily import day_bounds
from amad.telemetry.files import read_table
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import QUARANTINE
from amad.windows.build import quarantined_days
from amad.windows.resample import to_series, without_days

DIGITS = 4  # of a figure in the artifact


def measure(
    stage: Stage,
    *,
    version: str,
    test_start: date,
    point: OperatingPoint,
    days: int,
    knows: Callable[[str, str], bool],
    unlearnt: Sequence[str] = (),
) -> Drift:
    """Compare the last ``days`` dates after training with the train days.

    version, point: of the champion. test_start: the date on which its first vehicle's test part
    starts; all before it are train days. Quarantined days do not count. knows: whether the champion
    has figures of its own for a vehicle of a class: it may have learnt from days after test_start.
    unlearnt: channels of the fleet file of which the champion has learnt nothing.

    Raises:
        DataError: there is no lake, or it or the quarantine is damaged.
    """
    lake = Lake(stage.folder / "lake", stage.fleet)
    table = read_table(stage.folder / "quarantine.parquet", QUARANTINE, "run 'amad validate'")
    quarantined = quarantined_days(table)
    dates = lake.dates()
    periods = Periods.of(dates, test_start, days)
    found = []
    for vehicle in track(lake.vehicles(), "compare vehicles"):
        rows = without_days(_rows(lake, vehicle, periods), quarantined.get(vehicle, ()))
        series = to_series(rows, stage.fleet, vehicle)
        inputs = vehicle_inputs(series, stage.fleet, periods)
        known = inputs.known or knows(vehicle, series.vehicle_class)
        found.append(replace(inputs, known=known))
    recent = [day for day in dates if periods.recent and day >= periods.recent[0]]
    scores = score_drift(published_scores(stage.runs, version, recent), point)
    return assess(
        stage.fleet,
        found,
        periods,
        version=version,
        newest=dates[-1],
        scores=scores,
        unlearnt=unlearnt_channels(lake, stage.fleet, unlearnt, quarantined),
    )


def assess(
    fleet: Fleet,
    found: Sequence[VehicleInputs],
    periods: Periods,
    *,
    version: str,
    newest: date,
    scores: ScoreDrift | None,
    unlearnt: Sequence[UnlearntChannel] = (),
) -> Drift:
    """The figures of all vehicles as one finding, with the recommendation."""
    blocks = periods.blocks
    last = blocks[-1][1] if blocks else None
    reporting = [item for item in found if item.known or not np.isnan(item.uncovered)]
    own_B = _median([item.uncovered_B for item in found])
    uncovered = _median([np.array([item.uncovered]) for item in found])[0]
    channels = _channels(fleet, found) if len(blocks) > 1 else []
    drift = Drift(
        fleet=fleet.name,
        model_version=version,
        newest=newest,
        train=(blocks[0][0], blocks[-1][1]) if blocks else None,
        recent=periods.recent,
        age_days=(newest - last).days if last else None,
        vehicles=len(reporting),
        unknown=[item.vehicle for item in reporting if not item.known],
        channels=channels,
        strayed=_strayed(fleet, found, channels),
        uncovered=_rounded(uncovered) if blocks else None,
        uncovered_limit=_rounded(max(UNCOVERED, BEYOND_OWN * _most(own_B))),
        above_usual=None if scores is None else _rounded(scores.above_usual),
        moved_threshold=None if scores is None else _rounded(scores.moved_threshold),
        unlearnt=list(unlearnt),
        retrain=False,
        reason="",
    )
    retrain, reason = decide(drift, fleet.title_of)
    return drift.model_copy(update={"retrain": retrain, "reason": reason})


def _channels(fleet: Fleet, found: Sequence[VehicleInputs]) -> list[ChannelDrift]:
    """Each channel of each class that has values on both sides, the worst first."""
    channels = []
    for name in sorted({item.vehicle_class for item in found}):
        own = [item for item in found if item.vehicle_class == name and item.known]
        if not own:
            continue
        recent_C = _median([item.recent_C for item in own])
        own_BC = _median([item.own_BC for item in own])
        for c, channel in enumerate(fleet.channels):
            if np.isnan(recent_C[c]):
                continue
            channels.append(
                ChannelDrift(
                    vehicle_class=name,
                    channel=channel.name,
                    distance=round(float(recent_C[c]), DIGITS),
                    limit=round(_limit(channel, own_BC[:, c]), DIGITS),
                )
            )
    return sorted(channels, key=lambda item: (-item.distance / item.limit, item.channel))


def _strayed(
    fleet: Fleet, found: Sequence[VehicleInputs], channels: Sequence[ChannelDrift]
) -> list[VehicleDrift]:
    """The vehicles that moved away on a channel on which their class has not, the worst first."""
    here = {(item.vehicle_class, item.channel) for item in channels if not item.drifted}
    strayed = []
    for item in found:
        for c, channel in enumerate(fleet.channels):
            own_B = item.own_BC[:, c]
            if (item.vehicle_class, channel.name) not in here or np.isnan(own_B).all():
                continue
            limit = _limit(channel, own_B)
            if item.recent_C[c] > limit:  # not so where it is NaN
                strayed.append(
                    VehicleDrift(
                        vehicle=item.vehicle,
                        channel=channel.name,
                        distance=round(float(item.recent_C[c]), DIGITS),
                        limit=round(limit, DIGITS),
                    )
                )
    return sorted(strayed, key=lambda item: (-item.distance / item.limit, item.vehicle))


def _limit(channel: Channel, own_B: np.ndarray) -> float:
    """From which distance on a channel has drifted. own_B: distances of the train days' blocks."""
    return max(LEAST_SHARE if channel.has_codes else LEAST_DISTANCE, BEYOND_OWN * _most(own_B))


def _rows(lake: Lake, vehicle: str, periods: Periods) -> pa.Table:
    """The vehicle's rows of the train days and of the recent ones."""
    stretches = [(periods.blocks[0][0], periods.blocks[-1][1])] if periods.blocks else []
    stretches += [periods.recent] if periods.recent else []
    tables = [
        lake.read(vehicle, day_bounds(first)[0], day_bounds(last)[1]) for first, last in stretches
    ]
    return pa.concat_tables([lake.schema.empty_table(), *tables])


def _median(figures: Sequence[np.ndarray]) -> np.ndarray:
    """The median over the vehicles; NaN where no vehicle has a figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # numpy warns of what is NaN everywhere
        return np.nanmedian(np.array(figures), axis=0)


def _most(figures: np.ndarray) -> float:
    """The largest figure; 0 where there is none."""
    known = figures[~np.isnan(figures)]
    return float(known.max()) if len(known) else 0.0


def _rounded(figure: float) -> float | None:
    return None if np.isnan(figure) else round(float(figure), DIGITS)
