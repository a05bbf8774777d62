"""Scores the lake rows of one vehicle and day, the unit of work of every scoring job.

A day (UTC) is scored with what the days before it left (``amad.detect.day_state``), and never with
a row after its end, so the result does not depend on when it is scored. Quarantined days are not
scored, and are no history for other days.

If nothing was measured in the rows of a vehicle, they have no score and the status ``no_values``.

``top_channels`` and ``top_shares`` are filled in for alarm rows only, at most TOP of them and the
largest first. Lists for all other rows would be two thirds of the bytes.

Shape legend: R rows of the lake, A alarm rows, T rows of the series' grid, C channels.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.wording import some, whole_pipeline
from amad.incidents.channel_levels import NO_LEVELS, Levels
from amad.incidents.deviations import Deviations
from amad.incidents.incident import Incident, incidents_of, with_context
from amad.scores.vehicle_days import States, VehicleDays, day_bounds
from amad.telemetry.lake import Lake, times_of
from amad.telemetry.schemas import SCORES, check
from amad.telemetry.valid_values import measured_values
from amad.windows.resample import row_of, to_series
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.detect.detector import Detector
    from amad.detect.scorer import Scored

TOP = 3
STATUSES = pa.array(["scored", "no_history", "too_short", "no_values"])
SCORED, NO_HISTORY, TOO_SHORT, NO_VALUES = range(len(STATUSES))  # positions in it


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """The scores of some rows of a vehicle, and their incidents.

    table: of schemas.SCORES, one row per lake row. incidents: in time order.
    made_null: for each channel, how many of these cells held an impossible value and were taken for
    null, see ``amad.telemetry.valid_values``. unmeasured: channels of the vehicle's class without a
    usable value in these rows, about which the scores say nothing. unlearnt: channels that have
    values, and had none in the train rows of the vehicle: the scores say nothing of them either.
    unseen: rows of the grid with a code that no train row had, by channel and code. levels: see
    ``amad.incidents.channel_levels``.
    """

    table: pa.Table
    incidents: list[Incident]
    made_null: dict[str, int] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()
    unlearnt: tuple[str, ...] = ()
    unseen: dict[str, int] = field(default_factory=dict)
    levels: Levels = NO_LEVELS


def score_vehicle_day(
    detector: "Detector",
    fleet: Fleet,
    lake: Lake,
    vehicle: str,
    day: date,
    quarantined: Collection[date] = (),
    states: States | None = None,
) -> ScoredRows:
    """Score the lake rows of one vehicle and day.

    quarantined: quarantined days of the vehicle. states: what is known of its days. What the days
    before lack is computed and added, and so is the state of the day itself; whatever is known, the
    scores have the same bytes.

    Raises:
        DataError: the detector was made for channels that the fleet file does not name.
    """
    check_contract(detector, fleet)
    if day in quarantined:
        return ScoredRows(table=_quarantined(lake.read_day(vehicle, day), vehicle), incidents=[])
    days = VehicleDays(detector, fleet, lake, vehicle, quarantined)
    states = {} if states is None else states
    if day not in days.dates:
        return ScoredRows(table=SCORES.empty_table(), incidents=[])
    days.complete(states, day)
    found = days.judge(day, states)
    states[day] = found.state
    return _scored_rows(
        detector, _since(found.table, day_bounds(day)[0]), found.series, found.scaled, found.first,
        found.judged.scored, fleet, found.deviations,
    )  # fmt: skip


def score_table(
    detector: "Detector",
    vehicle: str,
    table: pa.Table,
    start_us: int | None = None,
) -> ScoredRows:
    """Score the rows of ``table`` (lake columns, sorted) from ``start_us`` on.

    start_us: earlier rows are history; None: every row is scored.
    """
    series = to_series(table, detector.fleet, vehicle)
    first, period = 0, detector.fleet.period_us
    if start_us is not None:
        first = int(np.searchsorted(series.timestamp_T, start_us // period * period))
        table = _since(table, start_us)
    if table.num_rows == 0:
        return ScoredRows(table=SCORES.empty_table(), incidents=[])
    scaled = detector.scaler.apply(series)
    scored = detector.find_alarms(scaled)
    return _scored_rows(detector, table, series, scaled, first, scored, detector.fleet)


def _since(table: pa.Table, start_us: int) -> pa.Table:
    time_R = times_of(table)
    return table.slice(int(np.searchsorted(time_R, start_us)))


def _scored_rows(
    detector: "Detector",
    table: pa.Table,
    series: Series,
    scaled: Series,
    first: int,
    scored: "Scored",
    present_fleet: Fleet,
    deviations: Deviations | None = None,
) -> ScoredRows:
    """The scores and incidents of these lake rows, which lie in ``series`` from ``first`` on."""
    fleet = detector.fleet.with_classes_of(present_fleet)
    now = [present_fleet.channel_by_name[name] for name in fleet.channel_names]
    time_R = times_of(table)
    row_R = row_of(series, time_R, fleet.period_us)
    assert (row_R >= first).all(), "every lake row lies in a bin of the grid"
    has_C = np.array(fleet.has_channel(series.vehicle_class))
    channels = [channel for channel, has in zip(fleet.channels, has_C, strict=True) if has]
    value_CR, null_C = measured_values(table, channels)
    seen_C = (series.valid_TC[row_R.min() :] != 0).any(axis=0)
    scored = _without(scored, has_C & ~seen_C)
    status_T = np.where(detector.too_short(series), TOO_SHORT, NO_HISTORY)
    if not seen_C[has_C].any():
        scored = _nothing_scored(scored)
        status_T = np.full(series.rows, NO_VALUES)
    status_T = np.where(np.isfinite(scored.score_T), SCORED, status_T)
    found = incidents_of(scored, scaled, detector, first_row=first, deviations=deviations)
    return ScoredRows(
        table=_scored(table, series, scored, row_R, status_T[row_R], fleet),
        incidents=[with_context(incident, series, now) for incident in found],
        made_null={c.name: int(n) for c, n in zip(channels, null_C, strict=True) if n},
        unmeasured=tuple(np.array(fleet.channel_names)[has_C & ~seen_C].tolist()),
        unlearnt=tuple(
            np.array(fleet.channel_names)[has_C & seen_C & _unlearnt(detector, series)].tolist()
        ),
        unseen=detector.scaler.unseen_codes(series.rows_between(int(row_R.min()), series.rows)),
        levels=Levels.of(channels, value_CR, time_R, found),
    )


def _unlearnt(detector: "Detector", series: Series) -> np.ndarray:
    """The channels of which the figures that serve the vehicle know nothing, bool (C,)."""
    figures = detector.figures[detector.owner_of(series)]
    known_C = np.zeros(len(detector.fleet.channels), bool)
    known_C[list(figures.constant)] = True  # their first move is told
    for calibration in figures.calibration.values():
        known_C |= np.isfinite(calibration.scale_C)
    return ~known_C


def new_channels(detector: "Detector", fleet: Fleet) -> list[str]:
    """The channels of the fleet file of which the detector has learnt nothing; it judges none."""
    known = detector.fleet.channel_by_name.keys() - set(detector.scaler.unlearnt)
    return [name for name in fleet.channel_names if name not in known]


def check_contract(detector: "Detector", fleet: Fleet) -> None:
    """Check that the fleet file has the channels that the detector was made for.

    Raises:
        DataError: it lacks some; names those that only one of the two has.
    """
    gone = [name for name in detector.fleet.channel_names if name not in fleet.channel_by_name]
    if gone:
        new = [name for name in fleet.channel_names if name not in detector.fleet.channel_by_name]
        sides = (("of the model alone", gone), ("of the fleet file alone", new))
        differing = "; ".join(f"{whose}: {some(names)}" for whose, names in sides if names)
        keep = f"put {'it' if len(gone) == 1 else 'them'} back, or "
        if new:
            keep = "keep the name of a channel whose header changed and set its 'column', or "
        raise DataError(
            f"fleet {fleet.name}: the model was made for other channels than the fleet file names "
            f"({differing}); {keep}{whole_pipeline(fleet.name)} "
            "for a model of these channels"
        )


def _scored(
    table: pa.Table,
    series: Series,
    scored: "Scored",
    row_R: np.ndarray,
    status_R: np.ndarray,
    fleet: Fleet,
) -> pa.Table:
    """The scores of these lake rows, which lie in the rows ``row_R`` of the series.

    status_R: positions in ``STATUSES``.
    """
    score_R = scored.score_T[row_R]
    known_R = np.isfinite(score_R)
    alarm_R = scored.alarm_T[row_R] & known_R
    has_C = np.array(fleet.has_channel(series.vehicle_class))
    imputed_T = (series.valid_TC[:, has_C] == 0).any(axis=1)
    channels, shares = _top(scored.contribution_TC[row_R[alarm_R]], alarm_R, fleet.channel_names)
    columns = {
        "vehicle": pa.repeat(series.vehicle, table.num_rows),
        "timestamp": table["timestamp"],
        "score": pa.array(score_R, pa.float32(), mask=~known_R),
        "threshold": pa.array(scored.threshold_T[row_R], pa.float32(), mask=~known_R),
        "alarm": alarm_R,
        "imputed": imputed_T[row_R],
        "status": STATUSES.take(pa.array(status_R)),
        "top_channels": channels,
        "top_shares": shares,
    }
    return check(pa.table(columns, schema=SCORES), SCORES, f"scores of {series.vehicle}")


def _without(scored: "Scored", unmeasured_C: np.ndarray) -> "Scored":
    """The same scores, with nothing put down to channels of which the day has no value.

    They stand at their ordinary error, and near midnight at that of the day before.
    """
    if not unmeasured_C.any():
        return scored
    return replace(scored, contribution_TC=np.where(unmeasured_C, 0, scored.contribution_TC))


def _nothing_scored(scored: "Scored") -> "Scored":
    """The same rows with no score, no alarm and no contributions."""
    return replace(
        scored,
        score_T=np.full_like(scored.score_T, np.nan),
        alarm_T=np.zeros_like(scored.alarm_T),
        open_T=np.zeros_like(scored.open_T),
        contribution_TC=np.zeros_like(scored.contribution_TC),
    )


def _top(
    contribution_AC: np.ndarray, alarm_R: np.ndarray, names: list[str]
) -> tuple[pa.ListArray, pa.ListArray]:
    """The channels with the largest positive contributions to each alarm row, and their shares."""
    contribution_AC = np.nan_to_num(contribution_AC, nan=0.0, posinf=0.0, neginf=0.0)
    top_AK = np.argsort(-contribution_AC, axis=1, kind="stable")[:, :TOP]
    total_A = contribution_AC.sum(axis=1, dtype=np.float64, keepdims=True)
    share_AK = np.take_along_axis(contribution_AC, top_AK, axis=1) / np.maximum(total_A, 1e-30)
    used_AK = share_AK > 0
    count_R = np.zeros(len(alarm_R), np.int32)
    count_R[alarm_R] = used_AK.sum(axis=1)
    offsets = pa.array(np.concatenate([[0], np.cumsum(count_R)]), pa.int32())
    channels = pa.array(names, pa.string()).take(pa.array(top_AK[used_AK]))
    shares = pa.array(share_AK[used_AK].astype(np.float32))
    return pa.ListArray.from_arrays(offsets, channels), pa.ListArray.from_arrays(offsets, shares)


def _quarantined(table: pa.Table, vehicle: str) -> pa.Table:
    """The rows of a quarantined day, none of which has a score."""
    rows = table.num_rows
    columns = {
        "vehicle": [vehicle] * rows,
        "timestamp": table["timestamp"],
        "score": pa.nulls(rows, pa.float32()),
        "threshold": pa.nulls(rows, pa.float32()),
        "alarm": np.zeros(rows, bool),
        "imputed": np.zeros(rows, bool),
        "status": ["quarantined"] * rows,
        "top_channels": [[]] * rows,
        "top_shares": [[]] * rows,
    }
    return pa.table(columns, schema=SCORES)
