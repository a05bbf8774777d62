"""Long files: which column names the signals, whatever it is called, and which holds values."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, stamp, wave
from pydantic import ValidationError

from amad.config.source import LongRule

SIGNALS = ("speed", "rpm", "load")


def long_lines(signal, value, names=SIGNALS, apart=0.0):
    rows = (
        f"{stamp(n + apart * k)},{name},{wave(n) + 100 * k:.2f}"
        for n in range(ROWS)
        for k, name in enumerate(names)
    )
    return [f"time,{signal},{value}", *rows]


@pytest.mark.parametrize(
    ("signal", "value"),
    [
        ("signal", "value_num"),
        ("_field", "_value"),
        ("topic", "payload"),
        ("measurement", "value"),
        ("Parameter Name", "Parameter Value"),
        ("code", "Wert"),
        ("VarName", "VarValue"),
        ("tagid", "floatvalue"),
    ],
)
@pytest.mark.parametrize("apart", [0, 0.25])
def test_a_column_beside_a_value_without_a_name_of_its_own_names_signals(
    field, signal, value, apart
):
    field.write("a.csv", long_lines(signal, value, apart=apart))
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and set(fleet.channel_names) == set(SIGNALS)
    assert field.ingest(fleet).rows_lake == (3 * ROWS if apart else ROWS)


@pytest.mark.parametrize("state", [lambda n: "run" if n > 99 else "idle", lambda n: f"note {n}"])
def test_a_state_or_a_note_beside_a_value_is_no_signal(field, state):
    lines = [f"{stamp(n)},{state(n)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["time,state,value", *lines])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv" and fleet.channel_names[-1] == "value"
    assert fleet.channel_names[:-1] == ["state"] * (state(0) == "idle")


def test_a_signal_that_hardly_has_a_value_is_left_out(field):
    """WinCC writes one row when its archive is closed; nearly all of that channel would be null."""
    lines = [*long_lines("VarName", "VarValue"), f"{stamp(ROWS)},$RT_OFF$,0"]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert set(fleet.channel_names) == set(SIGNALS)
    assert f"'$RT_OFF$' (it has 1 of {3 * ROWS + 1} values that were looked at)" in told


def test_numbers_name_signals(field):
    field.write("a.csv", long_lines("spn", "value", names=(84, 190, 110), apart=0.25))
    fleet, _ = field.draft()
    assert set(fleet.channel_names) == {"84", "190", "110"}
    assert field.ingest(fleet).rows_lake == 3 * ROWS


def test_a_number_that_changes_in_every_row_of_several_values_is_no_signal(field):
    lines = [f"{stamp(n)},{n % 2},{wave(n)},{n % 7}" for n in range(ROWS)]
    field.write("a.csv", ["time,tag,value,level", *lines])
    assert field.draft()[0].channel_names == ["tag", "value", "level"]


def test_a_signal_whose_values_stand_in_another_column_is_left_out(field):
    rows = [f"{line}," for line in long_lines("signal", "value_num", apart=0.25)[1:]]
    rows += [f"{stamp(n + 0.9)},gear,,D" for n in range(ROWS)]
    field.write("a.csv", ["time,signal,value_num,value_str", *rows])
    fleet, told = field.draft()
    assert set(fleet.channel_names) == set(SIGNALS) and "'gear' (it is empty)" in told


@pytest.mark.parametrize("kind", [pa.string(), pa.int32(), pa.dictionary(pa.int32(), pa.string())])
def test_a_long_parquet_file_is_read(field, kind):
    names = (84, 190, 110) if pa.types.is_integer(kind) else SIGNALS
    rows = [(n, k, name, v) for n in range(ROWS) for k, name in enumerate(names) for v in "ab"]
    table = {
        "vin": [v for *_, v in rows],
        "time": [MONDAY + timedelta(seconds=n) for n, *_ in rows],
        "signal": pa.array([name for *_, name, _ in rows], kind),
        "value": [wave(n) + 100 * k for n, k, *_ in rows],
    }
    pq.write_table(pa.table(table), field.raw / "a.parquet", row_group_size=200)
    fleet, _ = field.draft()
    assert fleet.source.format == "parquet_long" and fleet.period_seconds == 1
    counts = field.ingest(fleet)
    assert counts.vehicles == {"a": ROWS, "b": ROWS} and counts.rows_rejected == 0
    told = field.lake(fleet).read("b")
    for k, name in enumerate(names):
        assert told[str(name)].to_pylist() == [wave(n) + 100 * k for n in range(ROWS)]


def test_a_signal_that_changes_its_unit_in_a_later_file_is_refused(field):
    def lines(day, unit):
        rows = [f"{stamp(86_400 * day + n)}" for n in range(ROWS)]
        told = [(row, name, u) for row in rows for name, u in (("speed", unit), ("p", "bar"))]
        return ["time,signal,value,unit", *(f"{t},{s},{n},{u}" for n, (t, s, u) in enumerate(told))]

    field.write("1.csv", lines(1, "km/h"))
    fleet, _ = field.draft()
    field.write("2.csv", lines(2, "kph"))
    field.write("3.csv", lines(3, "mph"))
    counts = field.ingest(fleet)
    assert counts.rows_lake == 2 * ROWS
    (refused,) = counts.files_refused
    assert refused.path == "3.csv" and "the signal 'speed' tells 'mph'" in refused.reason


def test_vehicles_within_the_topics_are_told(field):
    topics = [f"fleet/{van}/{signal}" for van in ("van-2", "van-1") for signal in SIGNALS]
    field.write("a.csv", long_lines("topic", "payload", topics))
    _, told = field.draft()
    assert "guess: the same signals stand below 'van-1', 'van-2': if these are vehicles" in told


def test_topics_of_one_vehicle_are_no_vehicles(field):
    topics = ["bus/engine/speed", "bus/engine/load", "bus/brake/pressure", "bus/brake/temp"]
    field.write("a.csv", long_lines("topic", "payload", topics))
    assert "if these are vehicles" not in field.draft()[1]


def test_the_quality_of_each_value_is_no_channel(field):
    """A dump of registers, with the code 192 for a good value."""
    lines = long_lines("register", "value")
    field.write(
        "a.csv",
        [f"{lines[0]},quality", *(f"{x},{192 if n % 9 else 0}" for n, x in enumerate(lines[1:]))],
    )
    fleet, told = field.draft()
    assert fleet.source.format == "csv_long" and "which values are good" in told
    assert sorted(channel.name for channel in fleet.channels) == sorted(SIGNALS)
    assert field.ingest(fleet).rows_lake == ROWS


def test_words_that_tell_good_from_bad_are_named(field):
    lines = long_lines("Tag", "Value")
    status = (f"{x},{'Good' if n % 9 else 'Bad'}" for n, x in enumerate(lines[1:]))
    field.write("a.csv", [f"{lines[0]},Status", *status])
    assert "column 'Status' seems to tell which values are good" in field.draft()[1]


def test_units_that_are_read_are_not_told_as_left_alone(field):
    units = {"speed": "km/h", "rpm": "1/min", "load": "%"}
    lines = long_lines("signal", "value")
    field.write(
        "a.csv", [f"{lines[0]},unit", *(f"{x},{units[x.split(',')[1]]}" for x in lines[1:])]
    )
    fleet, told = field.draft()
    units = {channel.name: channel.unit for channel in fleet.channels}
    assert units["speed"] == "km/h" and "tells several units" not in told


def test_a_signal_that_is_told_seldom_does_not_fail_the_vehicle_day(field):
    """A fuel level every minute, beside a speed every second."""
    seldom = [f"{stamp(n)},fuel,{80 - n}" for n in range(0, ROWS, 60)]
    often = [f"{stamp(n)},{name},{wave(n)}" for n in range(ROWS) for name in ("speed", "rpm")]
    field.write("a.csv", ["time,signal,value", *sorted(often + seldom)])
    fleet, _ = field.draft()
    assert fleet.missing.max_gap_seconds < 60 and fleet.quality.max_null_share > 0.8


def test_signals_that_take_turns_need_no_wider_limit(field):
    field.write("a.csv", long_lines("signal", "value", apart=0.25))
    assert field.draft()[0].quality.max_null_share == 0.2


@pytest.mark.parametrize(
    "header",
    ["Device,DiagnosticName,time,Data,UnitOfMeasure", "ident,topic,received_at,payload,qos"],
)
def test_exports_of_products_with_one_value_per_row(field, header):
    rows = (
        f"{van},{name},{stamp(n)},{wave(n + 9 * at)},-1"
        for n in range(ROWS)
        for van in ("van-1", "van-2")
        for at, name in enumerate(("speed", "load"))
    )
    field.write("a.csv", [header, *rows])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and len(fleet.channels) == 2
    done = field.ingest(fleet)
    assert (done.rows_lake, done.rows_rejected, len(done.vehicles)) == (2 * ROWS, 0, 2)


def test_a_wide_file_beside_long_ones_is_left_out_and_named(field):
    field.write("a.csv", long_lines("signal", "value"))
    field.write("b.csv", ["time,speed,rpm", *(f"{stamp(n)},{n},{wave(n)}" for n in range(ROWS))])
    assert (
        "left out: b.csv: it is written otherwise than most: the others have one value per row"
        in (field.draft()[1])
    )


def test_the_entities_of_a_house_may_be_signals(field):
    rows = [
        f"sensor.{name},{wave(n)},{stamp(n)}Z" for n in range(ROWS) for name in ("speed", "rpm")
    ]
    field.write("a.csv", ["entity_id,state,last_changed", *rows])
    assert "if it names signals and no vehicles, give it the header signal" in field.draft()[1]
    field.write("a.csv", ["signal,state,last_changed", *rows])
    assert field.draft(force=True)[0].source.format == "csv_long"


def test_a_signal_of_on_and_off_beside_one_of_fractions(field):
    rows = (
        f"{stamp(n)},{name},{value}"
        for n in range(ROWS)
        for name, value in (("speed", wave(n)), ("door", "on" if n % 9 else "off"))
    )
    field.write("a.csv", ["time,signal,value", *rows])
    fleet, _ = field.draft()
    done = field.ingest(fleet)
    assert fleet.channel_names == ["door", "speed"] and (done.rows_lake, done.rows_rejected) == (
        ROWS,
        0,
    )


@pytest.mark.parametrize(
    ("signal", "columns"),
    [
        (
            "measure_name",
            ("measure_value::double", "measure_value::bigint", "measure_value::boolean"),
        ),
        ("key", ("dbl_v", "long_v", "bool_v")),
        ("property", ("doubleValue", "integerValue", "booleanValue")),
        ("tagid", ("floatvalue", "intvalue", "boolvalue")),
    ],
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_values_of_each_type_in_a_column_of_their_own(field, form, signal, columns):
    names = ("1", "2", "3") if signal == "tagid" else ("speed", "odo", "door")
    cells = [[wave(n), None, None] for n in range(ROWS)]
    cells += [[None, 5 * n, None] for n in range(ROWS)] + [
        [None, None, n % 9 == 0] for n in range(ROWS)
    ]
    times = [MONDAY + timedelta(seconds=n) for n in range(ROWS)] * 3
    kinds = (pa.float64(), pa.int64(), pa.bool_())
    typed = (pa.array(c, kind) for c, kind in zip(zip(*cells, strict=True), kinds, strict=True))
    told = [name for name in names for _ in range(ROWS)]
    order = sorted(range(3 * ROWS), key=lambda at: (at % ROWS, at))
    table = pa.table([times, told, *typed], ["time", signal, *columns]).take(order)
    write = pa_csv.write_csv if form == "csv" else pq.write_table
    write(table, field.raw / f"a.{form}")
    fleet, _ = field.draft()
    assert fleet.source.long.values == [*columns] and set(fleet.channel_names) == set(names)
    assert field.ingest(fleet).rows_rejected == 0
    lake = field.lake(fleet).read("vans")
    values = zip(*(lake[name].to_pylist() for name in names), strict=True)
    assert [*values] == [(wave(n), 5 * n, n % 9 == 0) for n in range(ROWS)]


@pytest.mark.parametrize("word", ["NULL", "\\N", "-", "nan"])
def test_a_word_for_no_value_in_the_column_of_another_type_is_none(field, word):
    cells = {"speed": f"{{wave}},{word}", "odo": f"{word},{{n}}"}
    rows = (
        f"{stamp(n)},{name},{cells[name].format(n=n, wave=wave(n))}"
        for n in range(ROWS)
        for name in cells
    )
    field.write("a.csv", ["time,key,dbl_v,long_v", *rows])
    fleet, _ = field.draft()
    assert fleet.source.long.values == ["dbl_v", "long_v"]
    assert field.ingest(fleet).rows_rejected == 0
    lake = field.lake(fleet).read("vans")
    assert lake["odo"].to_pylist() == [*range(ROWS)]
    assert lake["speed"].to_pylist() == [wave(n) for n in range(ROWS)]


def test_no_column_of_values_is_refused_by_the_fleet_file():
    assert LongRule(value="v").values == ["v"]
    with pytest.raises(ValidationError, match="at least 1 item"):
        LongRule(value=[])


def test_a_row_with_values_of_several_types_is_refused(field):
    rows = [f"{stamp(n)},{name},{cells}" for n in range(ROWS)
            for name, cells in (("speed", f"{wave(n)},"), ("odo", f",{n}"))]  # fmt: skip
    field.write("a.csv", ["time,key,dbl_v,long_v", *rows])
    fleet, _ = field.draft()
    field.write("b.csv", ["time,key,dbl_v,long_v", f"{stamp(ROWS)},speed,1.5,2"])
    counts = field.ingest(fleet)
    assert counts.rejected_by_reason == {"several columns hold a value of the signal": 1}


def test_a_column_of_any_name_may_tell_the_vehicles_of_a_long_file_apart(field):
    rows = [
        f"{key},h{v}:9100,{stamp(n)},{wave(n + v)}"
        for n in range(ROWS)
        for v in range(3)
        for key in ("load", "temp")
    ]
    field.write("a.csv", ["metric,instance,time,value", *rows])
    fleet, _ = field.draft()
    assert fleet.source.vehicle.column == "instance"
    counts = field.ingest(fleet)
    assert counts.rows_rejected == 0
    assert counts.vehicles == {f"h{v}:9100": ROWS for v in range(3)}
