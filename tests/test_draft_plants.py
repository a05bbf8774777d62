"""Exports of plants, buildings, test benches and data centres, from the draft to the lake."""

from datetime import UTC, timedelta

import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave


def test_a_line_of_the_file_is_not_repeated_where_one_of_each_vehicle_is(field):
    """A logger of inverters tells itself once, and then each inverter above its rows."""
    lines = ["#Logger ESN:L9"]
    for n in (1, 2):
        rows = (f"{stamp(k)};{k + n};{wave(k)};" for k in range(99))
        lines += [f"#INV{n} ESN:6T{n}", "#Time;power;volt;", *rows]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert "('#INV2 ESN:6T2' after '#Logger ESN:L9'), which are not read" in told
    by_line = {"take": "preamble", "pattern": r"^#INV\d+ ESN:(.+)", "value": None}
    rule = fleet.source.vehicle.model_copy(update=by_line)
    source = fleet.source.model_copy(update={"vehicle": rule})
    vehicles = field.ingest(fleet.model_copy(update={"source": source})).vehicles
    assert vehicles == {"6T1": 99, "6T2": 99}


def test_a_cut_row_above_a_repeated_header_is_no_line_of_a_preamble(field):
    lines = ["Site: A", "Unit 1: x", *log(rows=120)]
    again = log(rows=120, start=MONDAY + timedelta(hours=1))
    field.write("a.csv", [*lines, "2026-01-05 08:0", *again])
    assert field.ingest(field.draft()[0]).rows_rejected == 1


def test_points_with_units_of_their_own_may_be_signals_of_one_vehicle(field):
    """A building writes a file for each point, whose value has the unit of the point."""
    for name, unit in {"a": " (in/wc)", "b": "", "c": " (°F)"}.items():
        rows = (f"{stamp(n)},{wave(n, high=20 + ord(name))}" for n in range(ROWS))
        field.write(f"{name}.csv", [f"time,Value{unit}", *rows])
    _, told = field.draft()
    assert "left out: a.csv: it" in told
    assert "if they are signals of one vehicle, join them" in told


def test_a_number_in_brackets_is_that_of_a_device_and_no_unit(field):
    devices = {f"Energy | Symo 8.2-3-M ({n})": wave for n in (1, 2)}
    lines = log("%d.%m.%Y %H:%M:%S", **devices)
    lines[1:1] = ["[dd.MM.yyyy HH:mm:ss],[km/h],[Wh],[Wh]"]
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert [c.unit for c in fleet.channels] == ["km/h", "Wh", "Wh"]
    assert [c.name[-1] for c in fleet.channels] == ["d", "1", "2"]
    assert field.ingest(fleet).rows_rejected == 0


def test_types_of_a_database_are_no_units_and_no_row(field):
    lines = ["ts\tspeed\trpm", "DateTime64(3)\tNullable(Float64)\tUInt16"]
    rows = (f"{stamp(n)}\t{wave(n) if n % 9 else chr(92) + 'N'}\t{n * 7 % 50}" for n in range(ROWS))
    field.write("a.tsv", [*lines, *rows])
    fleet, _ = field.draft()
    done = field.ingest(fleet)
    assert [c.unit for c in fleet.channels] == ["", ""]
    assert (done.rows_lake, done.rows_rejected) == (ROWS, 0)


def test_names_and_qualities_of_an_opc_server_are_no_vehicles_and_no_channels(field):
    names = ("Line1.Temp", "Line1.Press")
    rows = (
        f"{name},{at},{wave(n, high=50 + at)},{stamp(n)},{192 if n % 40 else 0}"
        for n in range(ROWS)
        for at, name in enumerate(names)
    )
    field.write("a.csv", ["_NAME,_NUMERICID,_VALUE,_TIMESTAMP,_QUALITY", *rows])
    fleet, told = field.draft()
    assert fleet.source.format == "csv_long" and fleet.channel_names == sorted(names)
    assert "column '_QUALITY' seems to tell which values are good" in told
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize("word", ["[N/A]", "[Not Supported]"])
def test_a_word_in_brackets_for_no_value_costs_no_channel(field, word):
    power = {"power.draw [W]": lambda n: f"{wave(n)} W" if n % 9 else word}
    field.write("a.csv", log(**power))
    fleet, _ = field.draft()
    assert [c.unit for c in fleet.channels] == ["km/h", "W"]
    assert field.ingest(fleet).rows_rejected == 0
    assert field.lake(fleet).read("vans")["power.draw"].null_count == -(-ROWS // 9)


def test_a_test_bench_tells_seconds_since_its_start_as_time_per_s(field):
    for name in ("a_C01", "b_C02"):
        lines = ["EC-Lab ASCII FILE", "Acquisition started on : 01/13/2026 08:00:00", ""]
        rows = (f"1\t{n * 10 + 0.5}\t{wave(n, 3, 4 + len(name))}" for n in range(ROWS))
        field.write(f"{name}.mpt", [*lines, "mode\ttime/s\tEwe/V", *rows])
    fleet, _ = field.draft()
    rule = fleet.source.timestamp
    assert (rule.take, rule.unit, rule.start_from) == ("elapsed", "s", "preamble")
    done = field.ingest(fleet)
    assert len(done.vehicles) == 2 and done.rows_lake == 2 * ROWS
    first = field.first_row(fleet)["timestamp"]
    assert first == MONDAY.replace(day=13, tzinfo=UTC) + timedelta(seconds=0.5)


def test_an_id_and_a_name_of_each_signal_are_read_as_one(field):
    """A machine tool tells numbers and states in one column, under an id and a name."""
    items = {"x1": "Xpos", "s1": "Srpm", "e1": "execution"}
    rows = (
        f"{stamp(n)},{key},{name},{'ACTIVE' if key == 'e1' else wave(n, high=99 + len(name))}"
        for n in range(ROWS)
        for key, name in items.items()
    )
    field.write("a.csv", ["timestamp,dataItemId,name,value", *rows])
    fleet, told = field.draft()
    assert fleet.source.format == "csv_long" and fleet.channel_names == ["Srpm", "Xpos"]
    assert "execution" in told and field.ingest(fleet).rows_lake == ROWS
