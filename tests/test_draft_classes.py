"""Vehicles with other sensors are drafted as vehicle classes, and none of their rows is lost."""

import json
import re
from datetime import timedelta

import pytest
from draft_kit import MONDAY, ROWS, Field, log, stamp, wave

from amad.engines.validate.quality import judge
from amad.telemetry.profile import profile

SHARED = ("Speed", "Volt", "Temp")
SENSORS = {"ice": ("Rpm", "Oil"), "bev": ("Motor", "Charge"), "van": ("Rpm", "Oil", "Door")}
FLEET = {f"{kind}-{n:02d}": (*SHARED, *own) for kind, own in SENSORS.items() for n in (1, 2)}
CLASSES = {"bev": ["bev-*"], "ice": ["ice-*"], "van": ["van-*", "*"]}
WHO = {"Rpm": ["ice", "van"], "Motor": ["bev"], "Door": ["van"], "Speed": None}


@pytest.fixture
def field(tmp_path):
    return Field(tmp_path)


def rows(vehicle, has, every=None):
    """Lines of a CSV file; ``every``: of all these columns, of which others are empty."""
    yield ",".join(["vehicle", "time", *(every or has)])
    for n in range(ROWS):
        cells = (str(wave(n + 7 * len(c))) if c in has else "" for c in every or has)
        yield ",".join([vehicle, stamp(n), *cells])


def objects(vehicle, has):
    for n in range(ROWS):
        told = {"vehicle": vehicle, "time": stamp(n)} | {c: wave(n + 7 * len(c)) for c in has}
        yield json.dumps(told)


def signals(vehicle, has):
    yield "vehicle,time,signal,value"
    for n in range(ROWS):
        yield from (f"{vehicle},{stamp(n)},{c},{wave(n + 7 * len(c))}" for c in has)


def own_columns(field, fleet=FLEET):
    for vehicle, has in fleet.items():
        field.write(f"{vehicle}.csv", rows(vehicle, has))


def empty_cells(field, fleet=FLEET):
    every = [*dict.fromkeys(c for has in fleet.values() for c in has)]
    for vehicle, has in fleet.items():
        field.write(f"{vehicle}.csv", rows(vehicle, has, every))


def one_file(field, fleet=FLEET):
    every = [*dict.fromkeys(c for has in fleet.values() for c in has)]
    told = [list(rows(vehicle, has, every)) for vehicle, has in fleet.items()]
    field.write("all.csv", [told[0][0], *(line for lines in told for line in lines[1:])])


def in_the_path(field):
    for vehicle, has in FLEET.items():
        for day in (0, 1):
            start = MONDAY + timedelta(days=day)
            columns = {c: lambda n, c=c: wave(n + 7 * len(c)) for c in has}
            field.write(f"{vehicle}/{start:%Y-%m-%d}.csv", log(start=start, **columns))


def long_rows(field):
    for vehicle, has in FLEET.items():
        field.write(f"{vehicle}.csv", signals(vehicle, has))


def lines_of_json(field):
    for vehicle, has in FLEET.items():
        field.write(f"{vehicle}.jsonl", objects(vehicle, has))


def text_of(field):
    return (field.settings.conf_dir / "fleet" / "vans.yaml").read_text()


def passes(field, fleet):
    """Ingest loses nothing, and no vehicle-day is quarantined."""
    counts = field.ingest(fleet)
    assert not counts.files_refused and not counts.rows_rejected
    verdict = judge(profile(field.lake(fleet), fleet), fleet)
    assert verdict.ok and verdict.vehicle_days and not verdict.quarantined
    return True


@pytest.mark.parametrize(
    ("write", "form"),
    [
        (own_columns, "csv"),
        (empty_cells, "csv"),
        (one_file, "csv"),
        (in_the_path, "csv"),
        (long_rows, "csv_long"),
        (lines_of_json, "json"),
    ],
)
def test_a_mixed_fleet_is_drafted_with_its_classes(field, write, form):
    write(field)
    fleet, told = field.draft()
    assert fleet.source.format == form
    assert {item.name: item.vehicles for item in fleet.vehicle_classes} == CLASSES
    assert {name: fleet.channel_by_name[name].classes for name in WHO} == WHO
    assert "guess: 3 vehicle classes, by the channels that vehicles have: bev (2 vehicles)" in told
    assert re.search(r"ice \(2 vehicles\) lacks (Charge, Door|Motor, Charge|Door, M)", told)
    assert "left out" not in told
    assert "max_null_share" not in text_of(field), "what a class does not have is no null"
    assert "# A guess: 3 vehicle classes" in text_of(field)
    assert passes(field, fleet)


def test_a_sensor_that_came_later_and_a_column_of_text_take_no_class_away(field):
    """Nor does a column that a vehicle of some class got on the way."""
    for vehicle, has in FLEET.items():
        for day in range(3):
            own = {c: lambda n, c=c: wave(n + 7 * len(c)) for c in has}
            own |= {"Humidity": wave} if day == 2 else {}
            own |= {"Cell": wave} if day and vehicle == "bev-02" else {}
            own |= {"note": lambda n: f"text {n}"} if vehicle < "c" else {}
            start = MONDAY + timedelta(days=day)
            field.write(f"{vehicle}/{start:%Y-%m-%d}.csv", log(start=start, **own))
    fleet, told = field.draft()
    assert {item.name: item.vehicles for item in fleet.vehicle_classes} == CLASSES
    assert {c.name: str(c.since) for c in fleet.channels if c.since} == {"Humidity": "2026-01-07"}
    assert "'note' (of its values 'text 0'" in told and "'Cell' (not in " in told
    assert passes(field, fleet)


def test_a_vehicle_that_alone_lacks_one_channel_has_a_broken_sensor_or_another_class(field):
    empty_cells(field, {f"van-{n}": SHARED[: 2 if n == 3 else 3] for n in range(6)})
    fleet, told = field.draft()
    assert [item.name for item in fleet.vehicle_classes] == ["all"]
    assert "guess: 'van-3' never has a value of Temp, as the others like it do: its days" in told
    assert "max_null_share" not in text_of(field), "the other vehicles are not to be judged by it"
    verdict = (field.ingest(fleet), judge(profile(field.lake(fleet), fleet), fleet))[1]
    assert verdict.quarantine.column("vehicle").to_pylist() == ["van-3"]


def test_a_file_without_a_column_is_no_broken_sensor(field):
    own_columns(field, {f"van-{n}": (*SHARED, "Oil")[: 3 if n == 3 else 4] for n in range(6)})
    fleet, _ = field.draft()
    assert {item.name: item.vehicles for item in fleet.vehicle_classes} == {
        "kind_1": ["van-3"],
        "kind_2": ["*"],
    }
    assert fleet.channel_by_name["Oil"].classes == ["kind_2"]
    assert passes(field, fleet)


def test_many_kinds_of_vehicles_are_no_classes_and_the_way_out_is_told(field):
    every = [f"s{n}" for n in range(8)]
    mixed = {f"v{n}": (*SHARED, every[n], every[n - 1]) for n in range(8)}
    empty_cells(field, mixed)
    fleet, told = field.draft()
    assert [item.name for item in fleet.vehicle_classes] == ["all"]
    assert "guess: there are 8 kinds of vehicles by s0, s7, s1, s2, s3 and 3 more, which" in told
    assert fleet.source.format == "csv"


def test_a_channel_that_is_told_seldom_is_not_taken_for_one_that_is_lacking(field):
    """One vehicle was charged in a part of its rows, and the other one never in as many rows."""
    for vehicle, charged in (("bev-1", range(100, 160)), ("bev-2", ())):
        lines = ["vehicle,time,Speed,Volt,Charge,Current"]
        for n in range(ROWS):
            plug = f"{wave(n)},{wave(n + 3)}" if n in charged else ","
            lines.append(f"{vehicle},{stamp(n)},{wave(n)},{wave(n + 9)},{plug}")
        field.write(f"{vehicle}.csv", lines)
    fleet, told = field.draft()
    assert [item.name for item in fleet.vehicle_classes] == ["all"] and "never has" not in told


def test_few_rows_are_as_those_of_the_vehicles_with_which_they_agree(field):
    """Five rows are too few to show that they lack a channel of another class."""
    empty_cells(field)
    lines = (field.raw / "bev-01.csv").read_text().splitlines()
    field.write("bev-03.csv", [line.replace("bev-01", "bev-03") for line in lines[:6]])
    fleet, _ = field.draft()
    assert fleet.class_of("bev-03") == "bev" and len(fleet.vehicle_classes) == 3


@pytest.mark.parametrize(
    ("ids", "classes"),
    [
        ("van1 van2 bus1", {"bus": ["bus*"], "van": ["van*", "*"]}),
        ("van1 bus1 van2 tram1", {"tram": ["tram*"], "bus_van": ["bus*", "van*", "*"]}),
        ("d-a-1 d-a-2 d-b-1", {"kind_1": ["d-b-1"], "d_a": ["d-a-*", "*"]}),
        ("101 102 201", {"kind_1": ["201"], "kind_2": ["*"]}),
        ("a[1]-1 a[1]-2 b-1", {"kind_1": ["b-1"], "a": ["a[[]*", "*"]}),
    ],
)
def test_patterns_are_what_ids_of_a_class_alone_begin_with(field, ids, classes):
    """The last of the ids lacks two channels of the others."""
    *most, other = ids.split()
    one_file(field, {i: (*SHARED, "Rpm", "Oil") for i in most} | {other: SHARED})
    fleet, _ = field.draft()
    assert {item.name: item.vehicles for item in fleet.vehicle_classes} == classes


def test_files_of_the_same_vehicles_with_other_columns_stay_another_table(field):
    own_columns(field)
    for vehicle in FLEET:
        trips = [*rows(vehicle, ("Speed", "Volt", "Trip", "Fee"))]
        field.write(f"trips/{vehicle}.csv", trips[:40])
    fleet, told = field.draft()
    assert "Trip" not in fleet.channel_names and "trips/" in told


def test_a_column_in_another_unit_makes_no_class(field):
    for n in range(4):
        own = ("Temp [F]" if n > 1 else "Temp [C]", "Volt", "Rpm")
        field.write(f"van-{n}.csv", rows(f"van-{n}", own))
    fleet, _ = field.draft()
    assert [item.name for item in fleet.vehicle_classes] == ["all"]
