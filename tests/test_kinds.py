"""Counters, angles and codes in the closed-form detector: what must alarm and what must not.

A simulated vehicle at 1 Hz: a speed, an odometer in metres, a yaw rate, a heading, and a gear that
follows the speed. Each case changes one channel of an ordinary hour.
"""

from datetime import date
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from windows_kit import START, split_series

from amad.config import Fleet, Params
from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.report.incident_plot import unseen_codes
from amad.scores.daily import score_table
from amad.scores.job_log import JobLog
from amad.scores.partition_manifest import PartitionManifest
from amad.telemetry.schemas import TIMESTAMP
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TRAIN

MEMBERS = ["innovation", "two_sided", "relation", "window_range"]
HOUR = 3600
REGISTER = 2**16
FAULT = slice(2000, 2300)
FLEET = Fleet.model_validate(
    {
        "name": "kinds",
        "channels": [
            {"name": "speed"},
            {"name": "odometer", "kind": "counter"},
            {"name": "yaw"},
            {"name": "heading", "kind": "angle"},
            {"name": "gear", "kind": "categorical"},
        ],
        "source": {"format": "simulator"},
        "missing": {"max_gap_seconds": 10, "min_segment_rows": 30},
        "split": {"test_share": 0, "purge_rows": 0},
    }
)


def drive(hours: int, seed: int, level: float = 250_000.0) -> dict[str, np.ndarray]:
    """The channels of some hours, one after the other."""
    rng = np.random.default_rng(seed)
    time_T = np.arange(hours * HOUR)
    offset = rng.uniform(0, 1000)
    speed_T = 15 + 9 * np.sin((time_T + offset) / 70) + 4 * np.sin((time_T + offset) / 23)
    speed_T = np.maximum(speed_T, 0.0)
    yaw_T = 6 * np.sin((time_T + offset) / 31) + 3 * np.sin((time_T + offset) / 11)
    return {
        "speed": speed_T + rng.normal(0, 0.2, len(time_T)),
        "odometer": np.floor(level + np.cumsum(speed_T)),
        "yaw": yaw_T + rng.normal(0, 0.1, len(time_T)),
        "heading": np.round(np.mod(np.cumsum(yaw_T), 360), 1),
        "gear": np.array([5.0, 1.0, 12.0, 3.0])[np.digitize(speed_T, [6, 13, 20])],
    }


def table_of(values: dict[str, np.ndarray], begin: int = 0) -> pa.Table:
    """Rows of the lake; begin: seconds after START."""
    rows = len(values["speed"])
    stamp_T = START + (begin + np.arange(rows, dtype=np.int64)) * 1_000_000
    return pa.table({"timestamp": pa.array(stamp_T).view(TIMESTAMP)} | values)


@pytest.fixture(scope="module")
def detector() -> Detector:
    """Learnt from two vehicles."""
    tables = {v: table_of(drive(6, n, 1e5 * n)) for n, v in enumerate(("v-1", "v-2"), 1)}
    series = [split_series(table, FLEET, vehicle) for vehicle, table in tables.items()]
    params = Params.model_validate({"fleet": "kinds", "detect": {"members": MEMBERS}}).detect
    scaler = Scaler.fit(series, FLEET, "vehicle")
    scaled = [scaler.apply(item) for item in series]
    made = Detector(build_members(params), params, FLEET, scaler)
    return made.fit([s.part(TRAIN) for s in scaled], [s.part(CALIBRATION) for s in scaled])


def scored(detector: Detector, vehicle: str = "v-1", **changed):
    """The scores of an hour; changed: a function of the channel's values, by channel."""
    values = drive(1, 7)
    for name, change in changed.items():
        values[name] = change(values[name].copy())
    out = score_table(detector, vehicle, table_of(values, begin=10 * HOUR))
    alarm_T = np.array(out.table["alarm"].to_pylist())
    return SimpleNamespace(out=out, alarm_T=alarm_T, incidents=out.incidents)


def at_fault(change):
    """Changes the rows of the fault only."""

    def changed(value_T: np.ndarray) -> np.ndarray:
        value_T[FAULT] = change(value_T[FAULT])
        return value_T

    return changed


def found(result, channel: str) -> bool:
    """Whether an alarm in the rows of the fault blames this channel first."""
    rows = result.out.table.slice(FAULT.start, FAULT.stop - FAULT.start).to_pylist()
    return any(row["alarm"] and row["top_channels"][0] == channel for row in rows)


def test_an_ordinary_hour_raises_no_alarm(detector):
    assert not scored(detector).alarm_T.any()


def test_a_reset_of_the_odometer_raises_no_alarm(detector):
    result = scored(detector, odometer=lambda v: np.where(np.arange(HOUR) < 2000, v, v - v[2000]))
    assert not result.alarm_T.any()


def test_a_wrap_of_the_odometer_raises_no_alarm(detector):
    result = scored(detector, odometer=lambda v: np.mod(v, REGISTER))
    assert not result.alarm_T.any()


def test_another_odometer_after_a_night_raises_no_alarm(detector):
    values = drive(1, 7)
    late = table_of(drive(1, 8, level=17.0), begin=30 * HOUR)
    table = pa.concat_tables([table_of(values, begin=10 * HOUR), late])
    assert not any(score_table(detector, "v-1", table).table["alarm"].to_pylist())


def test_a_stuck_odometer_is_found_and_blamed(detector):
    result = scored(detector, odometer=at_fault(lambda v: v[:1]))
    assert found(result, "odometer")
    (incident,) = result.incidents
    # Speed and odometer say the same, so the pair is told, and either may be the one at fault.
    assert {incident.channels[0], incident.partner} == {"odometer", "speed"}
    assert incident.type == "stuck" or incident.channels[0] == "speed"


def test_an_odometer_that_runs_too_fast_is_found(detector):
    def too_fast(value_T):
        step_T = np.diff(value_T, prepend=value_T[:1])
        step_T[FAULT] *= 1.5
        return value_T[0] + np.cumsum(step_T)

    assert found(scored(detector, odometer=too_fast), "odometer")


def test_the_level_of_an_unknown_vehicle_counts_for_nothing(detector):
    new, old = (
        scored(detector, vehicle="v-9", odometer=lambda v, level=level: v + level)
        for level in (0.0, 9e6)
    )
    assert new.out.table.equals(old.out.table)
    assert not any("odometer" in incident.channels[0] for incident in old.incidents)


def test_a_heading_crosses_north_all_the_time_and_is_found_when_it_is_stuck(detector):
    ordinary = scored(detector)
    heading_T = drive(1, 7)["heading"]
    assert (np.abs(np.diff(heading_T)) > 180).sum() > 2 and not ordinary.alarm_T.any()
    assert found(scored(detector, heading=at_fault(lambda v: v[:1])), "heading")


def test_a_code_that_was_never_seen_is_told_scores_high_and_is_blamed(detector):
    rows = slice(2000, 2004)

    def with_seven(value_T):
        value_T[rows] = 7
        return value_T

    result = scored(detector, gear=with_seven)
    assert result.alarm_T[rows].all() and result.out.unseen == {"gear: code 7": 4}
    (incident,) = result.incidents
    assert (incident.channels[0], incident.type) == ("gear", "unseen_code")


def test_a_code_at_the_wrong_time_is_found(detector):
    other = {5.0: 3.0, 1.0: 12.0, 12.0: 1.0, 3.0: 5.0}  # the gears of fast and slow change places
    swapped = at_fault(lambda v: np.array([other[code] for code in v]))
    assert found(scored(detector, gear=swapped), "gear")


def test_a_day_is_scored_alike_whatever_was_read_before_its_history(detector):
    table = table_of(drive(4, 3), begin=10 * HOUR)
    start = table.num_rows - 600
    begin_us = START + (10 * HOUR + start) * 1_000_000
    first = start - detector.context_rows
    assert first > 1000
    whole, cut = (
        score_table(detector, "v-1", part, start_us=begin_us).table["score"].to_numpy()
        for part in (table, table.slice(first))
    )
    np.testing.assert_allclose(cut, whole, rtol=1e-4, atol=1e-4)


def test_a_job_adds_up_the_unseen_codes_of_its_dates():
    log = JobLog(id="j", status="running", started="2026-01-05T00:00:00Z", dates=[])
    for rows in (4, 3):
        log.add(
            PartitionManifest(
                contract=1, date=date(2026, 1, rows), model_version="1", detector="d", history_us=0,
                gap_us=0, inputs="", carried="", made_null={}, unmeasured={}, vehicle_days=0,
                unseen={"gear: code 7": rows}, vehicles=[], quarantined=[], rows=0, scored=0,
                alarms=0, incidents=0, unscored={}, files={}, sha256="",
            )
        )  # fmt: skip
    assert log.unseen == {"gear: code 7": 7}


def test_the_report_tells_an_unseen_code_beside_the_plot(detector):
    gear = FLEET.channels[4]
    told = unseen_codes(np.array([5.0, 7.0, 7.0, 2.5]), gear, detector.scaler)
    assert told == "; codes 2.5, 7 were never seen in training"
    assert unseen_codes(np.array([7.0]), gear, detector.scaler).startswith("; code 7 was never")
    assert unseen_codes(np.array([5.0, 12.0]), gear, detector.scaler) == ""
    assert unseen_codes(np.array([7.0]), FLEET.channels[0], detector.scaler) == ""
