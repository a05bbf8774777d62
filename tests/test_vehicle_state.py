"""The state of a vehicle saves time, and no byte of a score depends on it."""

import resource
import signal
from dataclasses import asdict
from datetime import date, timedelta

import numpy as np
import pytest
from scoring_kit import NIGHTS, START, fit_detector, make_lake

from amad.detect.day_state import DayState, context_us, figure_days
from amad.incidents.incident import SHAPE_ROWS
from amad.scores import vehicle_days
from amad.scores.daily import score_vehicle_day
from amad.scores.vehicle_state import VehicleStates
from amad.telemetry.lake import Lake

DAYS = [START + timedelta(days=n) for n in range(NIGHTS + 1)]
VEHICLE = "b-1"
NONE: frozenset[date] = frozenset()


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory):
    """(lake, detector) with members of all kinds and remembered channels; no test changes them."""
    fleet, settings = make_lake(tmp_path_factory.mktemp("state"))
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    members = ["innovation", "two_sided", "relation", "window_range"]
    detector = fit_detector(fleet, lake, members=members)
    figures = detector.figures[f"vehicle/{VEHICLE}"]
    charge, heat = 3, 2
    figures.constant[charge] = (0.0,)
    figures.nearly_constant[heat] = (80.0, 60)
    return lake, detector


@pytest.fixture(scope="module")
def alone(nights):
    """What each day gives from scratch."""
    return {day: scored(nights, day) for day in DAYS}


def scored(nights, day, states=None, quarantined=NONE):
    lake, detector = nights
    found = score_vehicle_day(detector, lake.fleet, lake, VEHICLE, day, quarantined, states)
    return found.table, [asdict(incident) for incident in found.incidents]


def assert_same(ours, theirs) -> None:
    assert ours[0].equals(theirs[0]) and ours[1] == theirs[1]


def test_with_the_states_of_the_days_before_a_day_has_the_bytes_it_has_from_scratch(nights, alone):
    lake, detector = nights
    assert any(found[1] for found in alone.values()) and figure_days(detector) == 1
    assert context_us(detector) >= SHAPE_ROWS * lake.fleet.period_us
    states: dict[date, DayState] = {}
    for day in DAYS:
        assert_same(scored(nights, day, states), alone[day])


@pytest.mark.parametrize("seed", range(2))
def test_in_any_order_through_a_file_and_twice_the_bytes_are_the_same(
    nights, alone, tmp_path, seed
):
    lake, detector = nights
    store = VehicleStates(tmp_path, detector, "digest", lake)
    order = np.random.default_rng(seed).permutation([*DAYS, *DAYS])
    for day in order:
        states = store.read(VEHICLE, NONE)
        assert_same(scored(nights, day, states), alone[day])
        store.write(VEHICLE, NONE, states, day)
    assert [file.name for file in (tmp_path / "state").iterdir()] == [f"{VEHICLE}.arrow"]


def test_a_detector_that_remembers_no_channel_leaves_a_state_too(nights, tmp_path):
    lake = nights[0]
    detector = fit_detector(lake.fleet, lake)
    assert detector.remembered_channels(VEHICLE, "b") == []
    store = kept((lake, detector), tmp_path)
    states = store.read(VEHICLE, NONE)
    assert states[DAYS[3]].figures is not None and states[DAYS[3]].records == {}


@pytest.mark.parametrize("next_day", [DAYS[-2], DAYS[-1]])
def test_what_is_kept_is_what_the_same_and_the_next_day_need(
    nights, tmp_path, monkeypatch, next_day
):
    """No earlier day is computed again, and nothing older is kept."""
    lake, detector = nights
    store = VehicleStates(tmp_path, detector, "digest", lake)
    for day in DAYS[:-1]:
        states = store.read(VEHICLE, NONE)
        scored(nights, day, states)
        store.write(VEHICLE, NONE, states, day)
    states = store.read(VEHICLE, NONE)
    assert [day for day, state in sorted(states.items()) if state.figures] == DAYS[-3:-1]
    judged, remembered = [], []
    judge, remember = type(detector).judge, vehicle_days.remember
    monkeypatch.setattr(type(detector), "judge", lambda *args: judged.append(1) or judge(*args))
    monkeypatch.setattr(
        vehicle_days, "remember", lambda *args: remembered.append(1) or remember(*args)
    )
    scored(nights, next_day, states)
    assert (len(judged), len(remembered)) == (1, 1)


def kept(nights, folder) -> VehicleStates:
    lake, detector = nights
    store = VehicleStates(folder, detector, "digest", lake)
    states: dict[date, DayState] = {}
    scored(nights, DAYS[3], states)
    store.write(VEHICLE, NONE, states, DAYS[3])
    return store


def test_a_state_of_another_detector_lake_or_verdict_is_not_used(nights, tmp_path, monkeypatch):
    lake, detector = nights
    store = kept(nights, tmp_path)
    assert DAYS[3] in store.read(VEHICLE, NONE)
    assert VehicleStates(tmp_path, detector, "other", lake).read(VEHICLE, NONE) == {}
    assert DAYS[3] not in store.read(VEHICLE, frozenset({DAYS[2]}))
    assert DAYS[3] not in store.read(VEHICLE, frozenset({DAYS[3]}))
    changed = lake._sha_of | {(VEHICLE, DAYS[2]): "late rows"}
    monkeypatch.setattr(lake, "_sha_of", changed)
    found = store.read(VEHICLE, NONE)
    assert found and max(found) == DAYS[1]


def test_a_damaged_state_is_told_and_not_used(nights, alone, tmp_path, capsys):
    store = kept(nights, tmp_path)
    file = store.file(VEHICLE)
    content = file.read_bytes()
    rng = np.random.default_rng(7)
    whole = store.read(VEHICLE, NONE)
    for at in rng.integers(0, len(content), 40):
        broken = bytearray(content)
        broken[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(broken)
        found = store.read(VEHICLE, NONE)
        assert found == {} or same_states(found, whole)
    file.write_bytes(content[: len(content) // 2])
    assert store.read(VEHICLE, NONE) == {}
    assert "state/b-1.arrow is damaged and not used" in capsys.readouterr().err
    states = store.read(VEHICLE, NONE)
    assert_same(scored(nights, DAYS[4], states), alone[DAYS[4]])
    file.unlink()
    assert store.read(VEHICLE, NONE) == {}


def test_a_state_that_cannot_be_written_is_told_and_stops_nothing(nights, tmp_path, capsys):
    (tmp_path / "state").write_text("a file where the folder should be")
    kept(nights, tmp_path)
    assert "the days of b-1 are computed again by the next job" in capsys.readouterr().err


def same_states(ours: dict, theirs: dict) -> bool:
    """A flipped bit of padding changes nothing."""
    assert ours.keys() == theirs.keys()
    for day, state in ours.items():
        one, other = state.arrays(), theirs[day].arrays()
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])
    return True


def test_a_quarantined_day_leaves_no_state_and_the_day_after_knows_none(nights):
    out = frozenset({DAYS[3]})
    states: dict[date, DayState] = {}
    for day in DAYS[:4]:
        scored(nights, day, states)
    assert DAYS[3] in states
    with_old = scored(nights, DAYS[4], states, out)
    assert_same(with_old, scored(nights, DAYS[4], None, out))
    fresh: dict[date, DayState] = {}
    scored(nights, DAYS[3], fresh, out)
    assert fresh == {}


def test_a_state_that_finds_no_room_is_told_with_its_file_and_the_way_out(nights, tmp_path, capsys):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256, before[1]))
    try:
        kept(nights, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    told = capsys.readouterr().err
    assert f"{VEHICLE}.arrow: file too large; raise the limit" in told
    assert "are computed again by the next job" in told and "Errno" not in told
