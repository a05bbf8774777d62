"""Channels that never moved in train: told once, then ordinary, and no other channel is hidden."""

from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from detect_kit import LINEAR, coupled, fleet_of, waves, with_values
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring_kit import CONTENT, START, night
from windows_kit import split_series

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.constant_channels import (
    MEASURED,
    MEMORY_DAYS,
    MEMORY_US,
    REPORTED_ROWS,
    SETTLED_ROWS,
    SWITCHED,
    Units,
    _first_moves,
    _settled_at,
    constant_channels,
)
from amad.detect.day_state import DayState, context_us, history_us
from amad.detect.detector import Detector
from amad.detect.detector_folder import detector_digest, load_detector, save_detector
from amad.detect.learnt_figures import FLEET
from amad.detect.members.build import build_members
from amad.incidents.incident import incidents_of
from amad.scores.daily import day_bounds, score_table, score_vehicle_day
from amad.windows import Scaler
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.short_history import LONG_ROWS

pytestmark = pytest.mark.slow

X = 3  # the channel that is still in train
MEMBERS = ("innovation", "two_sided", "relation")
PARAMS = LINEAR.model_copy(update={"members": list(MEMBERS), "alarm_budget": 0.01})
DAY = 86_400_000_000
T = np.arange(2000)
RNG = np.random.default_rng(5)


def drive(vehicle: str, x: float | np.ndarray, seed: int, day: int = 0, **kind: object) -> Series:
    """2,000 rows in engineering units; channel X holds (or does) what it is told."""
    series = coupled(vehicle, 2000, seed=seed, **kind)
    series = with_values(series, slice(None), X, 0.0)
    value_TC = series.value_TC.astype(float)
    value_TC[:, X] = x
    return replace(series, timestamp_T=series.timestamp_T + day * DAY, value_TC=value_TC)


def fitted(x: dict[str, float], limits: list[float] | None = None, **changes) -> Detector:
    """A detector of vehicles whose channel X holds one value each in train and calibration."""
    channels = [{"name": f"c{i}"} for i in range(X)] + [{"name": "x", "range": limits}]
    fleet = fleet_of(channels=[*channels, {"name": "c4", "classes": ["b"]}])
    train = [drive(v, value, seed=1) for v, value in x.items()]
    calibration = [drive(v, changes.get(v, x[v]), seed=2, day=1) for v in x]
    scaler = Scaler.fit(train, fleet, "vehicle")
    detector = Detector(build_members(PARAMS), PARAMS, fleet, scaler)
    return detector.fit([scaler.apply(s) for s in train], [scaler.apply(s) for s in calibration])


@cache
def usual() -> Detector:
    """Of two vehicles whose channel X is 1; no test changes it."""
    return fitted({"b-1": 1.0, "b-2": 1.0})


def told(detector: Detector, series: Series) -> tuple[np.ndarray, np.ndarray, list]:
    """(score_T, alarm_T, incidents) of a series in engineering units."""
    scaled = detector.scaler.apply(series)
    scored = detector.score(scaled)
    return scored.score_T, scored.alarm_T, incidents_of(scored, scaled, detector)


MOVES = {
    "a set point, by a little": (14.0, None, np.where(T < 700, 14.0, 14.2)),
    "the same, with a range": (14.0, [6, 18], np.where(T < 700, 14.0, 14.2)),
    "a flag in a wide range": (0.0, [0, 255], np.where(T < 700, 0.0, 1.0)),
    "a flag in a range of 32 bits": (0.0, [0, 4294967295], np.where(T < 700, 0.0, 1.0)),
    "a large step": (14.0, None, np.where(T < 700, 14.0, 9000.0)),
    "a large counter starts": (2e9, None, 2e9 + np.maximum(T - 699, 0)),
    "a signal comes alive": (0.0, None, np.where(T < 700, 0.0, 40 * RNG.normal(size=2000))),
    "one row alone": (5.0, [0, 100], np.where(T == 700, 6.0, 5.0)),
    "a flag goes on and off": (0.0, None, np.where(T < 700, 0.0, T // 50 % 2 == 0)),
}


@pytest.mark.parametrize("name", MOVES)
def test_a_first_move_is_one_incident_of_its_channel_and_hides_nothing(name: str) -> None:
    was, limits, x = MOVES[name]
    detector = fitted({"a-1": was, "a-2": was, "b-1": was}, limits)
    assert detector.remembered_channels("a-1", "a") == [X]
    fault = slice(1500, 1540)
    quiet, moved = (drive("b-1", value, seed=4, day=2) for value in (was, x))
    for series in (quiet, moved):
        series.value_TC[fault, 1] += 8.0
    score_T, _, [other] = told(detector, quiet)
    moved_T, found_T, incidents = told(detector, moved)
    first, second = incidents
    assert first.channels[0] == "x" and first.type == "first_move" and first.shares[0] >= 0.5
    rows = REPORTED_ROWS[SWITCHED if "flag" in name else MEASURED]
    assert first.start == moved.timestamp_T[700] and first.alarm_rows == rows
    assert 30 < first.severity < 50
    assert second == other and other.channels[0] == "c1"
    assert found_T[700 : 700 + rows].all() and found_T[fault].all()
    rest_T = np.delete(T, np.s_[700 : 700 + rows])
    np.testing.assert_array_equal(moved_T[rest_T], score_T[rest_T])


@pytest.mark.parametrize(
    "x",
    [np.where(T < 700, 0.0, 1.0), np.where((T < 700) | (T // 100 % 2 == 0), 0.0, 1.0)],
    ids=["for good", "on and off, for minutes each"],
)
def test_a_channel_that_hardly_ever_moved_settles_at_a_new_value(x: np.ndarray) -> None:
    """It was 1 in one row of train: the members know that, and not that it may stay."""
    detector = fitted(dict.fromkeys(("a-1", "b-1"), np.where(T == 300, 1.0, 0.0)))
    assert detector.figures["vehicle/b-1"].nearly_constant[X][1] == SETTLED_ROWS
    assert detector.remembered_channels("b-1", "b") == [X]
    series = drive("b-1", x, seed=4, day=2)
    series.value_TC[1500:1540, 1] += 8.0
    _, alarm_T, incidents = told(detector, series)
    mine = [i for i in incidents if i.channels[0] == "x"]
    assert mine and all(i.type != "first_move" for i in mine)
    assert SETTLED_ROWS <= alarm_T[690:900].sum() < 120 and not alarm_T[900:1450].any()
    assert any(i.channels[0] == "c1" for i in incidents if i.end > series.timestamp_T[1500])


def test_what_is_ordinary_is_so_for_the_memory_and_for_that_value_alone() -> None:
    minute = 60_000_000
    value_M = np.repeat([0.0, 1.0, 0.0, 1.0, 2.0, 1.0], [10, 8, 5, 3, 3, 2])
    time_M = np.arange(len(value_M)) * minute
    index_M = np.arange(len(value_M))
    ordinary_M = _settled_at(time_M, value_M, index_M, 0.0, 5, 0.0)
    assert np.flatnonzero(ordinary_M).tolist() == [15, 16, 17, 23, 24, 25, 29, 30]
    time_M[23:] += MEMORY_US
    assert np.flatnonzero(_settled_at(time_M, value_M, index_M, 0.0, 5, 0.0)).tolist() == [
        15,
        16,
        17,
    ]


def test_a_move_beside_a_fault_leaves_the_fault_its_blame() -> None:
    detector = usual()
    series = drive("b-1", np.where(T < 700, 1.0, 2.0), seed=4)
    series.value_TC[690:760, 1] += 8.0
    _, _, [incident] = told(detector, series)
    # The three coupled channels no longer fit each other, whichever of them has the fault.
    assert "c1" in incident.channels[:3] and incident.channels[3] == "x"


def test_a_channel_still_in_one_vehicle_and_lively_in_its_class() -> None:
    lively = 3 * np.random.default_rng(0).normal(size=2000)
    detector = fitted({"b-1": 0.0, "b-2": lively, "b-3": lively + 1})
    assert detector.remembered_channels("b-1", "b") == [X]
    assert (
        detector.remembered_channels("b-2", "b") == detector.remembered_channels("b-9", "b") == []
    )
    _, _, [incident] = told(detector, drive("b-1", np.where(T < 700, 0.0, 0.05), seed=4))
    assert incident.channels[0] == "x" and incident.type == "first_move"


def test_first_moves_are_not_reported_where_they_alone_would_break_the_promise() -> None:
    """Each vehicle moved for the first time on its day of calibration; one vehicle alone proves
    nothing."""
    moved = np.where(T < 1000, 14.0, 14.2)
    later = drive("b-1", 14.4, seed=4, day=2)
    assert told(fitted({"b-1": 14.0, "b-2": 14.0}, **{"b-1": moved}), later)[2] != []
    busy = fitted({"b-1": 14.0, "b-2": 14.0}, **{"b-1": moved, "b-2": moved})
    assert busy.operating_point.reported_moves == {SWITCHED}
    score_T, alarm_T, incidents = told(busy, later)
    assert incidents == [] and not alarm_T.any() and np.isfinite(score_T[100:]).all()


def test_switches_that_go_on_all_the_time_do_not_silence_a_sensor_that_moves() -> None:
    """On the day of calibration a flag of both vehicles went on; later it is no news."""
    went_on = np.where(T < 1000, 0.0, 1.0)
    busy = fitted({"b-1": 0.0, "b-2": 0.0}, **{"b-1": went_on, "b-2": went_on})
    assert busy.operating_point.reported_moves == {MEASURED}
    assert told(busy, drive("b-1", np.where(T < 700, 0.0, 1.0), seed=4, day=20))[2] == []
    _, _, [incident] = told(busy, drive("b-1", np.where(T < 700, 0.0, 0.2), seed=4, day=20))
    assert incident.channels[0] == "x" and incident.type == "first_move"


def test_a_channel_of_codes_is_switched_whatever_its_codes_are() -> None:
    no_C, yes_C, one_C = np.zeros(1), np.ones(1, bool), np.ones(1)
    values = np.array([0.0, 1.0, 3.0], np.float32)
    plain, codes = (Units(no_C, no_C, one_C, codes_C) for codes_C in (~yes_C, yes_C))
    assert plain.switched(0, (0.0,), values).tolist() == [True, True, False]
    assert plain.switched(0, (0.0, 7.0), values).tolist() == [False, False, False]
    assert codes.switched(0, (7.0,), values).all()


def test_what_moved_for_good_in_calibration_is_known() -> None:
    later = {"b-1": np.where(T < 1000, 14.0, 14.2)}
    detector = fitted({"b-1": 14.0, "b-2": 14.0}, **later)
    for value in (14.0, 14.2):
        assert told(detector, drive("b-1", value, seed=4, day=2))[2] == []
    assert told(detector, drive("b-1", 14.4, seed=4, day=2))[2][0].channels[0] == "x"


def days_of(x: dict[int, float]) -> Series:
    """Drives of one vehicle on some days, channel X at one value a day."""
    parts = [drive("b-1", value, seed=day, day=day) for day, value in x.items()]
    names = ("timestamp_T", "value_TC", "valid_TC", "split_T")
    whole = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    segment_T = np.repeat(np.arange(len(parts)), 2000).astype(np.int32)
    return Series(vehicle="b-1", vehicle_class="b", segment_T=segment_T, **whole)


@pytest.mark.parametrize(
    ("x", "told_on"),
    [
        ({2: 1, 3: 1, 4: 2, 5: 2, 9: 2, 16: 2}, [4]),  # for good, over a week without a drive
        ({2: 1, 3: 2, 4: 1, 5: 2, 6: 3, 7: 1}, [3]),  # it came alive
        ({2: 1, 3: 2, 4: 1, 12: 1, 13: 3}, [3, 13]),  # quiet for longer than the memory
        ({2: 1, 3: 2, 3 + MEMORY_DAYS + 1: 2}, [3, 3 + MEMORY_DAYS + 1]),  # parked for longer
        ({2: 1, 3: 1, 3 + MEMORY_DAYS + 1: 1}, []),
        ({2: 2, 3: 2}, [2]),  # moved before the first drive
    ],
)
def test_it_is_ordinary_from_then_on(x: dict[int, float], told_on: list[int]) -> None:
    detector = usual()
    series = days_of(x)
    _, _, incidents = told(detector, series)
    begin = series.timestamp_T[0] - 2 * DAY
    assert [(i.start - begin) // DAY for i in incidents if i.channels[0] == "x"] == told_on


def test_a_stretch_too_short_to_be_scored_does_not_swallow_the_move() -> None:
    detector = usual()
    series = drive("b-1", np.where(T < 700, 1.0, 2.0), seed=4)
    series.segment_T[690:] += 1
    series.segment_T[705:] += 1  # 15 rows, the last five at the new value
    _, alarm_T, [incident] = told(detector, series)
    assert incident.start == series.timestamp_T[705] and not alarm_T[690:705].any()


def test_a_vehicle_never_seen_is_judged_by_what_its_class_agrees_in() -> None:
    detector = fitted({f"b-{n}": 1.0 for n in range(4)})
    assert detector.figures[FLEET].constant[X] and detector.remembered_channels("b-9", "b") == [X]
    assert told(detector, drive("b-9", 1.0, seed=4))[2] == []
    _, _, [incident] = told(detector, drive("b-9", 2.0, seed=4))
    assert incident.channels[0] == "x"
    codes = fitted({f"b-{n}": float(n) for n in range(4)})
    assert codes.figures[FLEET].constant == {X: ()}
    assert told(codes, drive("b-9", 77.0, seed=4))[2] == [], "a code of its own is no news"
    _, _, [incident] = told(codes, drive("b-9", np.where(T < 700, 77.0, 78.0), seed=4))
    assert incident.channels[0] == "x" and incident.type == "first_move"


def test_a_vehicle_that_stood_still_altogether_is_scored_and_told() -> None:
    fleet = fleet_of()
    parked = [waves(v, LONG_ROWS, seed=1) for v in ("b-1", "b-2")]
    parked[0].value_TC[:] = 0.0
    detector = Detector(build_members(PARAMS), PARAMS, fleet, None).fit(parked, parked)
    series = waves("b-1", 300)
    series.value_TC[:] = 0.0
    assert np.isfinite(detector.score(series).score_T).all()
    series.value_TC[100:, 2] = 0.5
    scored = detector.score(series)
    assert np.flatnonzero(scored.alarm_T).tolist() == list(
        range(100, 100 + REPORTED_ROWS[MEASURED])
    )
    assert scored.contribution_TC[100].argmax() == 2 and scored.left_out == MEMBERS


def test_what_is_still_is_measured_and_the_same_but_for_rounding() -> None:
    one = waves("b-1", 50)
    one.value_TC[:] = [0.0, 1.0, 2.0, 3.0, 4.0]
    one.value_TC[7, 1] = 9.0
    one.value_TC[7, 2] = 9.0
    one.valid_TC[7, 2] = 0
    one.valid_TC[:, 3] = 0
    one.value_TC[7, 4] = np.nextafter(np.float32(4), np.float32(5))
    noise_C = np.zeros(5)
    assert constant_channels([one], noise_C) == {0: (0.0,), 2: (2.0,), 4: (4.0,)}


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.sampled_from([1, 3, 6, 9]))
def test_the_memory_before_a_row_is_all_that_counts(seed: int, rows: int, apart: int) -> None:
    """Batch and daily agree: whatever lies further back changes nothing."""
    rng = np.random.default_rng(seed)
    time_M = np.cumsum(rng.integers(1, apart * DAY // 2, rows))
    value_M = np.cumsum(rng.random(rows) < 0.2).astype(float) * rng.integers(0, 2, rows)
    whole_M = _first_moves(time_M, value_M, (0.0,), 0.0)
    for at in range(rows):
        first = int(np.searchsorted(time_M, time_M[at] - MEMORY_US, side="right"))
        own = slice(first, at + 1)
        assert _first_moves(time_M[own], value_M[own], (0.0,), 0.0)[-1] == whole_M[at]


class Nights:
    """The lake of a vehicle that drives by night, with a channel that moves between two drives."""

    def __init__(self, moves: dict[int, float], blip: float = 0.0) -> None:
        """moves: number of a night -> value from then on. blip: added to one row of the first."""
        channels = [c for c in CONTENT["channels"] if c["name"] != "charge"]
        self.fleet = Fleet.model_validate(CONTENT | {"channels": [*channels, {"name": "mode"}]})
        tables, value = [], 3.0
        for n in range(9):
            value = moves.get(n, value)
            table = night(START + timedelta(days=n), "a-1").select(
                ["timestamp", "speed", "torque", "heat"]
            )
            mode = [value + blip * (n == 0), *[value] * (table.num_rows - 1)]
            tables.append(table.append_column("mode", pa.array(mode)))
        self.table = pa.concat_tables(tables)
        self.reads: list[list[str] | None] = []

    def dates(self, vehicle) -> list[date]:
        return sorted(set(pc.cast(self.table["timestamp"], pa.date32()).to_pylist()))

    def read(self, vehicle, start_us=None, end_us=None, columns=None, keep_us=0) -> pa.Table:
        self.reads.append(columns)
        time_R = self.table["timestamp"].cast(pa.int64()).to_numpy()
        first = 0 if start_us is None else int(np.searchsorted(time_R, start_us))
        last = len(time_R) if end_us is None else int(np.searchsorted(time_R, end_us))
        table = self.table.slice(first, max(0, last - first))
        return table if columns is None else table.select(columns)

    def detector(self) -> Detector:
        params = DetectParams(
            members=["innovation", "relation"], baseline_rows=200, alarm_budget=1.0
        )
        series = split_series(self.table, self.fleet, "a-1")
        scaler = Scaler.fit([series], self.fleet, "vehicle")
        scaled = scaler.apply(series)
        detector = Detector(build_members(params), params, self.fleet, scaler)
        return detector.fit([scaled.part(TRAIN)], [scaled.part(CALIBRATION)])


@pytest.mark.parametrize("blip", [0.0, 1.0])
def test_day_by_day_it_is_told_once_as_in_one_go(blip: float) -> None:
    lake = Nights({7: 4.0}, blip)
    detector = lake.detector()
    figures_us = DAY if blip else 0  # they are those of the day before, as it was settled then
    assert history_us(detector) == MEMORY_US + figures_us + context_us(detector)
    days = [START + timedelta(days=n) for n in range(6, 10)]
    daily = [score_vehicle_day(detector, lake.fleet, lake, "a-1", day) for day in days]
    assert ["timestamp", "mode"] in lake.reads
    moves = [[i for i in d.incidents if i.channels[0] == "mode"] for d in daily]
    assert [len(found) for found in moves] == [0, 1, 0, 0]
    assert (moves[1][0].type == "first_move") == (blip == 0)
    for day, scored in zip(days, daily, strict=True):
        start, end = day_bounds(day)
        whole = score_table(detector, "a-1", lake.read("a-1", None, end), start_us=start)
        assert [i.incident_id for i in whole.incidents] == [i.incident_id for i in scored.incidents]
        ours, theirs = (d.table["score"].to_numpy() for d in (scored, whole))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    states: dict[date, DayState] = {}
    for day, scored in zip(days, daily, strict=True):
        found = score_vehicle_day(detector, lake.fleet, lake, "a-1", day, (), states)
        assert found.table.equals(scored.table) and found.incidents == scored.incidents


def test_a_quarantined_day_is_no_memory() -> None:
    lake = Nights({7: 4.0})
    detector = lake.detector()
    out = {START + timedelta(days=7)}
    day = START + timedelta(days=8)
    scored = score_vehicle_day(detector, lake.fleet, lake, "a-1", day, out)
    assert [i.type for i in scored.incidents if i.channels[0] == "mode"] == ["first_move"]


def test_saved_and_loaded_it_knows_the_same(tmp_path: Path) -> None:
    detector = fitted({"b-1": 1.0, "b-2": 2.0})
    detector.figures["vehicle/b-1"].nearly_constant[1] = (0.5, 60)
    save_detector(detector, tmp_path / "d")
    loaded = load_detector(tmp_path / "d")
    assert detector_digest(loaded) == detector_digest(detector) and history_us(
        loaded
    ) == history_us(detector)
    for name, figures in detector.figures.items():
        assert loaded.figures[name].constant == figures.constant and X in figures.constant
        assert loaded.figures[name].nearly_constant == figures.nearly_constant
    series = drive("b-1", np.where(T < 700, 1.0, 2.0), seed=4)
    np.testing.assert_array_equal(told(loaded, series)[0], told(detector, series)[0])
