"""The simulator: deterministic, independent by vehicle, physically coupled, with honest labels."""

import csv
import hashlib
import weakref
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amad.config import ConfigError, DataError, Fleet, Settings, load_fleet
from amad.simulator import catalogue as c
from amad.simulator import fleet as writer
from amad.simulator.breakdowns import SIMULATED_TYPES, VISIBLE
from amad.simulator.cycle import CHARGING, DAY_SECONDS, drive_day
from amad.simulator.daily import Readings, readings
from amad.simulator.fleet import simulate, vehicle_ids
from amad.simulator.vehicle import State, draw_vehicle, stream

ROOT = Path(__file__).resolve().parent.parent


def demo(**settings) -> Fleet:
    """The demo fleet with other simulator settings."""
    content = load_fleet("demo", Settings(home=ROOT)).model_dump()
    content["source"]["simulator"] |= {"vehicles": 3, "days": 3, "hours_per_day": 0.5} | settings
    return Fleet.model_validate(content)


def days_of(fleet: Fleet, vehicle: str, seed: int = 7) -> list[Readings]:
    """What the sensors of one vehicle show, day by day."""
    individual, state = draw_vehicle(vehicle, seed), State()
    return [readings(fleet, individual, state, n) for n in range(fleet.source.simulator.days)]


def channel(day: Readings, name: str) -> np.ndarray:
    """One channel of a day, (T,)."""
    return day.value_TC[:, day.names.index(name)]


def files(folder: Path) -> dict[str, str]:
    """Hash of each file below a folder."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*.*"))
    }


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small simulated fleet: the third day has faults."""
    out = tmp_path_factory.mktemp("simulated") / "raw"
    simulate(demo(fault_free_days=2), out)
    return out


def test_the_same_seed_writes_the_same_bytes(raw: Path, tmp_path: Path):
    simulate(demo(fault_free_days=2), tmp_path / "again")
    assert files(tmp_path / "again") == files(raw)
    simulate(demo(fault_free_days=2, seed=8), tmp_path / "other")
    other = files(tmp_path / "other")
    assert not set(other.values()) & set(files(raw).values())


def test_more_vehicles_and_days_change_no_file_that_was_there(raw: Path, tmp_path: Path):
    simulate(demo(fault_free_days=2, vehicles=5, days=4), tmp_path / "more")
    before, after = files(raw), files(tmp_path / "more")
    parquet = {name: digest for name, digest in before.items() if name.endswith(".parquet")}
    assert parquet.items() <= after.items() and len(after) > len(before)
    lines = (tmp_path / "more/faults.csv").read_text().splitlines()
    assert set((raw / "faults.csv").read_text().splitlines()) <= set(lines)


def test_state_goes_on_from_day_to_day():
    for vehicle in ("ice-01", "bev-02"):
        fleet = demo(faults=False)
        individual, state = draw_vehicle(vehicle, 7), State()
        driven = []
        for number in range(3):
            before = state.odometer
            readings(fleet, individual, state, number)
            driven.append(state.odometer - before)
        assert min(driven) > 1 and state.odometer == pytest.approx(sum(driven))
    one, two, _ = days_of(fleet, "bev-02")
    end, start = channel(one, c.CHARGE)[-1], channel(two, c.CHARGE)[0]
    assert start >= end - 0.2, "the battery does not run down over night"


def test_files_hold_what_the_contract_says(raw: Path):
    fleet = demo()
    found = sorted(str(p.relative_to(raw)) for p in raw.glob("*/*"))
    assert found == sorted(
        f"{v}/2026-01-0{d}.parquet" for v in ("ice-01", "bev-02", "van-03") for d in (5, 6, 7)
    )
    table = pq.read_table(raw / "bev-02/2026-01-06.parquet")
    assert table.column_names == ["vehicle", "timestamp", *fleet.channel_names]
    assert table.schema.field("timestamp").type == pa.timestamp("us", tz="UTC")
    assert set(table["vehicle"].to_pylist()) == {"bev-02"}
    for item, has in zip(fleet.channels, fleet.has_channel("bev"), strict=True):
        nulls = table[item.name].null_count
        assert nulls < 0.1 * table.num_rows if has else nulls == table.num_rows, item.name


def test_the_link_loses_repeats_delays_and_mistimes_rows(tmp_path: Path):
    summary = simulate(demo(vehicles=2, days=6, faults=False), tmp_path / "raw")
    seen = {"repeated": 0, "out of order": 0, "clockless": 0, "of the day before": 0, "holes": 0}
    for path in sorted(tmp_path.glob("raw/*/*.parquet")):
        table = pq.read_table(path)
        seen["clockless"] += table["timestamp"].null_count
        time = np.array([t for t in table["timestamp"].cast(pa.int64()).to_pylist() if t])
        seen["repeated"] += len(time) - len(np.unique(time))
        seen["out of order"] += int(np.sum(np.diff(time) < 0))
        midnight = datetime.fromisoformat(path.stem).replace(tzinfo=UTC).timestamp() * 1e6
        seen["of the day before"] += int(np.sum(time < midnight))
        step = np.diff(np.unique(time)) / 1e6
        seen["holes"] += int(np.sum((step > 1.5) & (step < 600)))
    assert all(count > 0 for count in seen.values()), seen
    assert seen["repeated"] + seen["clockless"] < 0.02 * summary["rows"]


def test_speed_steering_and_lateral_acceleration_obey_the_bicycle_model():
    for vehicle in ("ice-01", "bev-02", "van-03"):
        day = days_of(demo(days=1, hours_per_day=2, faults=False), vehicle)[0]
        model = c.MODELS[vehicle[:3]]
        speed = channel(day, c.SPEED) / 3.6
        wheel = np.radians(channel(day, c.STEERING) / model.steering_ratio)
        expected = speed**2 * np.tan(wheel) / (model.wheelbase + model.understeer * speed**2)
        moving = speed > 5
        lateral = channel(day, c.LATERAL)
        assert np.corrcoef(expected[moving], lateral[moving])[0, 1] > 0.9
        assert np.abs(lateral).max() < 4.5
        assert np.abs(lateral[speed == 0]).max() < 1.0, "no curve at a standstill"


def test_engine_speed_follows_speed_and_gear_and_fuel_follows_power():
    day = days_of(demo(days=1, hours_per_day=2, faults=False), "ice-01")[0]
    speed, rpm, gear = (channel(day, n) for n in (c.SPEED, c.ENGINE_SPEED, c.GEAR))
    for number in range(3, 7):
        chosen = (gear == number) & (rpm > 1300)
        if chosen.sum() > 50:
            ratio = rpm[chosen] / speed[chosen]
            assert ratio.std() < 0.03 * ratio.mean(), "one ratio a gear"
    power = channel(day, c.ENGINE_TORQUE) * rpm
    running = rpm > 0
    assert np.corrcoef(power[running], channel(day, c.FUEL)[running])[0, 1] > 0.95
    assert np.all(channel(day, c.FUEL)[~running] == 0)


def test_the_engine_warms_up_to_its_thermostat_and_cools_at_rest():
    for vehicle in ("ice-01", "van-03"):
        one, two, _ = days_of(demo(hours_per_day=2, faults=False), vehicle)
        coolant, air = channel(one, c.COOLANT), channel(one, c.AIR)
        assert abs(coolant[0] - air[0]) < 3, "starts at the temperature of the air"
        assert 84 < np.median(coolant[len(coolant) // 2 :]) < 96
        assert coolant.max() < 105
        assert channel(two, c.COOLANT)[0] < 40, "a night has passed"


def test_the_traction_battery_gives_what_the_car_takes():
    day = days_of(demo(days=1, hours_per_day=6, faults=False), "bev-02")[0]
    charge, current = channel(day, c.CHARGE), channel(day, c.TRACTION_CURRENT)
    volt = channel(day, c.TRACTION_VOLTAGE)
    plugged = day.day.mode_T == CHARGING
    assert plugged.any() and current[plugged].mean() > 20 and current[~plugged].mean() < 0
    first, last = day.day.bounds[0]
    joule = np.sum((current * volt)[first:last])
    gained = charge[last - 1] - charge[first]
    assert gained == pytest.approx(100 * joule / (62 * 3.6e6), abs=1.5)
    for name in (c.VOLTAGE, c.CHARGE):
        low, high = {c.VOLTAGE: (12.8, 14.8), c.CHARGE: (5, 100)}[name]
        assert low < channel(day, name).min() and channel(day, name).max() < high


def test_tyres_gain_pressure_as_they_warm():
    day = days_of(demo(days=1, hours_per_day=1, faults=False), "ice-01")[0]
    first, last = day.day.bounds[0]
    for name in c.TYRES:
        pressure = channel(day, name)[first:last]
        assert 1 < pressure[-20:].mean() - pressure[:20].mean() < 30


def test_the_low_voltage_side_tells_a_running_engine_from_a_resting_one():
    day = days_of(demo(days=1, hours_per_day=8, faults=False), "van-03")[0]
    rpm, volt, current = (channel(day, n) for n in (c.ENGINE_SPEED, c.VOLTAGE, c.CURRENT))
    long_off = np.convolve(rpm == 0, np.ones(60), "full")[: len(rpm)] == 60
    assert long_off.any() and volt[long_off].max() < 13 and current[long_off].mean() < -5
    running = np.convolve(rpm > 0, np.ones(60), "full")[: len(rpm)] == 60
    assert 13.6 < np.median(volt[running]) < 14.7 and volt.min() > 10.5


def test_vehicles_are_individuals():
    resting = [days_of(demo(days=1, faults=False), f"ice-{n:02d}")[0] for n in (1, 4, 7)]
    tyres = [channel(day, c.TYRES[0])[0] for day in resting]
    assert len(set(tyres)) == 3
    speeds = [channel(day, c.SPEED) for day in resting]
    assert not np.array_equal(speeds[0], speeds[1])


def test_values_keep_to_the_fleet_file_even_when_faulty():
    for vehicle in ("ice-01", "bev-02", "van-03"):
        fleet = demo(hours_per_day=2, fault_free_days=0)
        ranges = {item.name: item.range for item in fleet.channels}
        for day in days_of(fleet, vehicle):
            for name in day.names:
                low, high = ranges[name]
                assert low <= channel(day, name).min() and channel(day, name).max() <= high, name


@pytest.mark.parametrize("vehicle", ["ice-01", "bev-05", "van-09"])
def test_a_fault_changes_its_channels_in_its_interval_and_nothing_else(vehicle: str):
    broken = days_of(demo(days=6, hours_per_day=4, fault_free_days=1), vehicle)
    sound = days_of(demo(days=6, hours_per_day=4, faults=False), vehicle)
    types = set()
    assert not broken[0].faults, "the first day is free of faults"
    for bad, good in zip(broken, sound, strict=True):
        change_TC = bad.value_TC != good.value_TC
        for fault in bad.faults:
            types.add(fault.type)
            inside_NC = change_TC[fault.start : fault.end, list(fault.channels)]
            assert inside_NC.any(axis=0).all(), f"{fault.type} shows in each channel it names"
            assert inside_NC[0].any() and inside_NC[-1].any(), "the extent is the true one"
            assert fault.strength >= VISIBLE
            change_TC[fault.start : fault.end, list(fault.channels)] = False
            trips = bad.day.trip_T[[fault.start, fault.end - 1]]
            assert fault.type == "tyre_leak" or trips[0] == trips[1], "within one trip"
        assert not change_TC.any()
    assert types == set(SIMULATED_TYPES)


def test_physical_faults_go_the_way_physics_says():
    settings = {"days": 8, "hours_per_day": 4}
    seen = set()
    for vehicle in ("ice-01", "bev-02"):
        broken = days_of(demo(fault_free_days=0, **settings), vehicle)
        sound = days_of(demo(faults=False, **settings), vehicle)
        for bad, good in zip(broken, sound, strict=True):
            for fault in bad.faults:
                rows = slice(fault.start, fault.end)
                change = {
                    bad.names[i]: (bad.value_TC[rows, i] - good.value_TC[rows, i]).mean()
                    for i in fault.channels
                }
                seen.add(fault.type)
                if fault.type == "overheating":
                    assert len(change) == 2 and min(change.values()) > 0
                elif fault.type == "alternator_failure":
                    assert set(change) == {c.VOLTAGE, c.CURRENT} and max(change.values()) < 0
                elif fault.type == "tyre_leak":
                    (tyre,) = change
                    assert tyre in c.TYRES and change[tyre] < -1
                elif fault.type == "decoupling":
                    assert set(change) <= {c.STEERING, c.LATERAL}
    assert {"overheating", "alternator_failure", "tyre_leak", "decoupling"} <= seen


def test_the_list_of_faults_lies_in_reported_time(raw: Path):
    with (raw / "faults.csv").open() as file:
        faults = list(csv.DictReader(file))
    assert faults and set(faults[0]) == {
        "vehicle", "start", "end", "channels", "type", "strength",
    }  # fmt: skip
    for fault in faults:
        start, end = (datetime.fromisoformat(fault[k]) for k in ("start", "end"))
        assert start.tzinfo is not None and start < end and start.date().isoformat() == "2026-01-07"
        assert fault["type"] in SIMULATED_TYPES and float(fault["strength"]) > 0
        assert set(fault["channels"].split()) <= set(demo().channel_names)
        files_ = sorted((raw / fault["vehicle"]).glob("*.parquet"))
        time = pa.concat_tables([pq.read_table(f, columns=["timestamp"]) for f in files_])
        stamps = {t.replace(microsecond=0) for t in time["timestamp"].to_pylist() if t}
        near = [t for t in stamps if start <= t < end]
        assert len(near) > 0.5 * min((end - start).total_seconds(), 600)


def test_the_demo_fleet_learns_from_no_fault_and_has_enough_of_them():
    fleet = load_fleet("demo", Settings(home=ROOT))
    plan = fleet.source.simulator
    rows = plan.vehicles * plan.days * plan.hours_per_day * 3600
    assert rows <= 420_000
    assert 1 - fleet.split.test_share < plan.fault_free_days / plan.days
    faulty, counts = 0, []
    for vehicle in vehicle_ids(fleet):
        faults = [fault for day in days_of(fleet, vehicle, plan.seed) for fault in day.faults]
        counts.append(len(faults))
        faulty += sum(fault.end - fault.start for fault in faults)
    assert min(counts) >= 4 and max(counts) <= 7
    assert 0.03 < faulty / rows < 0.08


def test_a_day_reports_as_long_as_asked_and_fits_into_a_day():
    for hours in (0.1, 1.15, 9.5, 24):
        day = drive_day(c.MODELS["bev"], 1.0, hours, True, stream(3, hours))
        assert len(day.second_T) == round(hours * 3600) == len(day.speed_T)
        assert np.all(np.diff(day.second_T) >= 1)
        assert day.second_T[0] >= 0 and day.second_T[-1] < DAY_SECONDS
        assert day.speed_T.min() == 0 and 5 < day.speed_T.max() < 50


def test_one_vehicle_day_is_in_memory_at_a_time(tmp_path: Path, monkeypatch):
    """Each file is on disk before the next day is made, and nothing made before is kept."""
    alive: list[weakref.ref] = []
    most = 0
    made = writer.readings

    def watched(*arguments) -> Readings:
        nonlocal most
        most = max(most, sum(ref() is not None for ref in alive))
        day = made(*arguments)
        alive.append(weakref.ref(day.value_TC))
        return day

    monkeypatch.setattr(writer, "readings", watched)
    simulate(demo(vehicles=4, days=4, hours_per_day=0.1), tmp_path / "raw")
    assert len(alive) == 16 and most <= 1


def test_an_unknown_channel_is_named_with_the_known_ones(tmp_path: Path):
    content = demo().model_dump()
    content["channels"][0]["name"] = "Vehicle.Sped"
    with pytest.raises(ConfigError, match=r"'Vehicle\.Sped'; accepted: .*Vehicle\.Speed"):
        simulate(Fleet.model_validate(content), tmp_path / "raw")
    content = demo().model_dump()
    for item in content["channels"]:
        item["classes"] = None
    with pytest.raises(ConfigError, match=r"a simulated ice has no .*'classes' of bev only"):
        simulate(Fleet.model_validate(content), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


@pytest.mark.parametrize("name", [c.GEAR, c.CHARGE])
def test_a_vehicle_without_a_sensor_that_breaks_has_no_such_fault(name: str, tmp_path: Path):
    """It may have no channel at all, where all are those of other classes."""
    whole = demo(days=4, hours_per_day=1, fault_free_days=0)
    fleet = whole.model_copy(update={"channels": [whole.channel_by_name[name]]})
    assert simulate(fleet, tmp_path / "raw")["rows"] > 0
    listed = (tmp_path / "raw" / "faults.csv").read_text().splitlines()[1:]
    assert all(line.startswith("bev-") for line in listed) and bool(listed) == (name == c.CHARGE)


def test_a_fleet_without_a_simulated_class_is_refused(tmp_path: Path):
    content = demo().model_dump()
    content["vehicle_classes"] = [{"name": n, "vehicles": [f"truck-{n}-*"]} for n in c.KINDS]
    with pytest.raises(ConfigError, match=r"patterns such as ice-\*"):
        simulate(Fleet.model_validate(content), tmp_path / "raw")


def test_other_peoples_files_are_not_overwritten(raw: Path, tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="no simulation wrote"):
        simulate(demo(), tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    with pytest.raises(DataError, match="no simulation wrote"):
        simulate(demo(), tmp_path / "thesis.txt")


def test_a_failure_on_the_way_leaves_what_was_there(tmp_path: Path, monkeypatch):
    out = tmp_path / "raw"
    simulate(demo(vehicles=1, days=1), out)
    before = files(out)

    def broken(*_arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(writer, "raw_table", broken)
    with pytest.raises(OSError, match="no space"):
        simulate(demo(vehicles=1, days=2), out)
    assert files(out) == before and [p.name for p in tmp_path.iterdir()] == ["raw"]
