"""Values whose meaning is a guess: units behind numbers, points that may set thousands apart."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave

from amad.config import load_fleet
from amad.ingest.ingestion import sentences


def drafted(field, lines):
    """Name of each drafted channel -> the channel, and what was said."""
    field.write("a.csv", lines)
    fleet, told = field.draft()
    return {channel.name: channel for channel in fleet.channels}, told


def test_a_unit_behind_the_numbers_is_the_unit_of_the_channel(field):
    columns = {
        "volt": lambda n: f"{wave(n, 11, 14)} V" if n % 7 else "n/a",
        "load": lambda n: f"{wave(n, 0, 100)}%",
        "wheel": lambda n: f"{n % 360}°" if n % 30 else "",
        "flags": lambda n: f"0x{n % 16:02X}",
        "mixed": lambda n: f"{n} V" if n % 2 else f"{n} mV",
    }
    channels, told = drafted(field, log(**columns))
    units = {name: channel.unit for name, channel in channels.items()}
    assert units == {"Speed": "km/h", "volt": "V", "load": "percent", "wheel": "degrees"}
    assert "'flags' (of its values '0x00' is hexadecimal, which is not read: write" in told
    assert "'mixed'" in told


def test_that_no_unit_is_converted_is_told(field):
    _, told = drafted(field, log(**{"Coolant (°F)": wave, "Oil [psi]": wave}))
    sentence = "units: km/h, fahrenheit, psi; values stay in the units of the files, and none is"
    assert sentence in told
    assert f"# U{sentence[1:]}" in (field.settings.conf_dir / "fleet" / "vans.yaml").read_text()
    field.write("a.csv", ["time,Speed", *log()[1:]])
    assert "units:" not in field.draft(force=True)[1]


def test_values_with_units_reach_the_lake_as_numbers(field):
    lines = ["time;volt"]
    lines += [f"{stamp(n)};{str(wave(n, 11, 14)).replace('.', ',')} V" for n in range(ROWS)]
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert fleet.source.decimal == "," and field.ingest(fleet).rows_lake == ROWS
    lake = field.lake(fleet)
    told = lake.read(lake.vehicles()[0])["volt"].to_pylist()
    assert told == [wave(n, 11, 14) for n in range(ROWS)]


def test_a_unit_behind_the_numbers_that_the_header_contradicts_is_left_out(field):
    channels, told = drafted(field, log(**{"v [mph]": lambda n: f"{wave(n)} km/h"}))
    assert list(channels) == ["Speed"] and "has a unit" in told


def test_a_point_that_may_be_before_a_fraction_is_not_read_as_thousands(field):
    lines = ["time;power;lat;weight"]
    lines += [
        f"{stamp(n)};{n},5;{48.137 + n / 1000:.3f};{'950' if n % 9 == 0 else '1.204'}"
        for n in range(ROWS)
    ]
    channels, told = drafted(field, lines)
    assert list(channels) == ["power", "weight"]
    assert "'lat' (of its values '48.137' has a point that may set thousands apart" in told
    assert "thousands '.'" in told and "guess: a point with three digits behind it sets" in told


def test_another_line_of_units_further_below_refuses_the_rows_below_it(field):
    rows = [f"{stamp(n)},{wave(n)}" for n in range(2 * ROWS)]
    header = ["time,speed", ",km/h"]
    lines = [*header, *rows[:ROWS], header[0], ",mph", *rows[ROWS:]]
    channels, told = drafted(field, lines)
    assert channels["speed"].unit == "km/h" and "the file tells 'mph'" in told


def test_values_of_several_signals_show_no_thousands(field):
    """Beside whole numbers of one signal stand fractions of three digits of another."""
    lines = ["time,signal,value"]
    for n in range(ROWS):
        lines += [f"{stamp(n)},load,{100 + 5 * (n % 150)}", f"{stamp(n)},volt,{1 + n / 900:.3f}"]
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert (fleet.source.decimal, fleet.source.thousands) == (".", None)
    assert field.ingest(fleet).rows_rejected == 0


@pytest.mark.parametrize(("digits", "guessed"), [(3, True), (2, False)])
def test_numbers_that_may_all_be_thousands_are_told(field, digits, guessed):
    field.write("a.csv", log(mark=";", count=lambda n: f"{12 + n / 1000:.{digits}f}")[:1] + [
        f"{stamp(n)};{n % 90};{12 + n / 1000:.{digits}f}" for n in range(ROWS)
    ])  # fmt: skip
    told = field.draft()[1]
    assert ("guess: no point in the numbers has more or less" in told) is guessed
    assert ("if it sets thousands apart in 'count' (12.000), set source.decimal" in told) is guessed


def test_the_units_of_a_long_file_are_those_of_its_signals(field):
    lines = ["time,signal,value,unit"]
    for n in range(ROWS):
        lines += [f"{stamp(n)},speed,{wave(n)},km/h", f"{stamp(n)},temp,{wave(n)},C"]
        lines += [f"{stamp(n)},level,{wave(n)},{'l' if n % 2 else 'gal'}"]
    channels, told = drafted(field, lines)
    assert {name: c.unit for name, c in channels.items()} == {"speed": "km/h", "temp": "celsius"}
    assert "'level' (its rows have several units: gal, l)" in told


def test_a_parquet_column_of_lists_is_named_as_left_out(field):
    table = {"time": [stamp(n) for n in range(ROWS)], "speed": [wave(n) for n in range(ROWS)]}
    pq.write_table(pa.table(table | {"cells": [[3.6, 3.7]] * ROWS}), field.raw / "a.parquet")
    assert "'cells' (it holds several values per row: write" in field.draft()[1]


@pytest.mark.parametrize("values", [(1, -1), (0, 2), (0, 1.5)])
def test_a_label_in_another_form_is_no_channel(field, values):
    channels, told = drafted(field, log(label=lambda n: values[n % 40 == 7]))
    assert list(channels) == ["Speed"] and "'label' (by its name it tells anomalies" in told


@pytest.mark.parametrize("other", ["changepoint", "is_outlier", "anomaly_flag", "label"])
def test_a_second_column_of_labels_is_no_channel(field, other):
    columns = {"anomaly": lambda n: int(n % 40 == 7), other: lambda n: int(n % 40 == 8)}
    field.write("a.csv", log(**dict(sorted(columns.items(), reverse=other == "changepoint"))))
    fleet, told = field.draft()
    assert fleet.labels.column == "anomaly" and [c.name for c in fleet.channels] == ["Speed"]
    assert f"'{other}' (by its name it tells anomalies, as 'anomaly' does" in told


def test_a_number_of_the_row_is_no_channel(field):
    columns = {"id": lambda n: 7_000 + n, "seq": lambda n: n // 2}
    channels, told = drafted(field, log(**columns))
    assert list(channels) == ["Speed", "seq"] and "'id' (it numbers the rows)" in told


def test_files_with_another_decimal_mark_are_left_out_and_named(field):
    for day in range(3):
        mark = "," if day == 1 else "."
        rows = [f"{stamp(86_400 * day + n)};{wave(n)};{n}".replace(".", mark) for n in range(ROWS)]
        field.write(f"{day}.csv", ["time;speed;count", *rows])
    fleet, told = field.draft()
    assert fleet.source.decimal == "." and "left out: 1.csv: it is written otherwise" in told
    assert field.ingest(fleet).rows_lake == 2 * ROWS


def test_a_file_whose_points_set_thousands_apart_is_left_out_and_named(field):
    for day in range(3):
        rpm = [f"{900 + 7 * n:,}".replace(",", ".") for n in range(99)]
        rpm = rpm if day == 1 else [f"{9 * n}.5" for n in range(99)]
        rows = [f"{stamp(86_400 * day + n)},{told}" for n, told in enumerate(rpm)]
        field.write(f"{day}.csv", ["time,rpm", *rows])
    fleet, told = field.draft()
    assert "left out: 1.csv: it is written otherwise" in told and "thousands apart" in told
    assert field.ingest(fleet).rows_lake == 2 * 99


def test_a_table_of_something_else_is_left_out_and_named(field):
    field.write("a.csv", log())
    field.write("faults.csv", ["van,start,end,kind", *(f"7,{n},{n + 1},leak" for n in range(9))])
    fleet, told = field.draft()
    assert "left out: faults.csv: it has no column of the other files" in told
    assert field.ingest(fleet).rows_rejected == 0


def test_a_file_that_lacks_columns_is_named_with_them(field):
    field.write("a.csv", log(rows=2 * ROWS, volt=wave, temp=wave, oil=wave))
    field.write("b.csv", log(start=MONDAY + timedelta(days=1), volt=wave))
    fleet, told = field.draft()
    assert "left out: b.csv: it lacks columns of the files drafted here (oil, temp)" in told
    assert told.count("list both as the channel's column; where the sensor came later, set") == 1
    (refused,) = field.ingest(fleet).files_refused
    assert "missing column: 'temp', 'oil'" in refused.reason
    assert refused.reason.endswith("leave these channels out of the fleet file, or out of some "
                                   "vehicle classes")  # fmt: skip
    empty = log(start=MONDAY + timedelta(days=1), volt=wave, temp=lambda n: "", oil=lambda n: "")
    field.write("b.csv", empty)  # sensors that are gone
    assert field.ingest(fleet).rows_lake == 3 * ROWS


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (lambda n: f"{33 + n / 1e4:.4f}S", "N, S, E or W stands behind its numbers"),
        (lambda n: f"{n} {'m' if n < 200 else 'km'}", "its cells have several units: m, km"),
        (lambda n: "1E" if n % 60 == 0 else f"{n % 10:02d}", "may be hexadecimal"),
    ],
)
def test_values_that_would_be_read_wrong_are_left_out(field, cells, why):
    channels, told = drafted(field, log(lat=cells))
    assert list(channels) == ["Speed"]
    assert f"'lat' ({why}" in told.replace("of its values '1E' ", "")


def test_words_of_rows_that_are_refused_stand_for_nothing(field):
    lines = log(press=lambda n: "#DIV/0!" if n % 50 == 7 else wave(n))
    channels, told = drafted(field, [*lines[:90], "# marker, driver pressed", *lines[90:]])
    assert channels["press"].nulls == ["#DIV/0!"] and not channels["Speed"].nulls
    assert "driver" not in told.replace("'# marker'", "")


@pytest.mark.parametrize("name", ["StatusCode", "dataintegrity"])
def test_a_code_of_quality_is_no_channel_of_a_long_file_and_is_named(field, name):
    """A history of an OPC UA server, and a table of Ignition."""
    rows = [f"{stamp(n)},{tag},{wave(n)},{192 * (n % 9 > 0)}" for n in range(ROWS) for tag in "ab"]
    channels, told = drafted(field, [f"time,tagid,value,{name}", *rows])
    assert set(channels) == {"a", "b"}
    assert f"guess: column '{name}' seems to tell which values are good" in told


def test_the_words_of_a_historian_among_its_values_are_words_for_none(field):
    words = ["No Data", "Bad Input", "I/O Timeout", "Pt Created", "Shutdown"]
    flow = {"flow": lambda n: words[n // 40 % 5] if n % 40 == 7 else wave(n)}
    channels, _ = drafted(field, log(**flow))
    assert set(channels["flow"].nulls) == set(words)


def test_positions_whose_side_stands_in_another_column_are_left_out(field):
    lat = {"lat": lambda n: f"4812.{3000 + n}", "side": lambda n: "N"}  # N is also no, or 0
    channels, told = drafted(field, log(**lat))
    assert list(channels) == ["Speed"] and "'lat' (N, S, E or W of side is not read" in told


def test_a_file_with_the_same_column_in_another_unit_is_named_by_both(field):
    field.write("v1/a.csv", log(rows=2 * ROWS))
    field.write("v2/a.csv", [line.replace("km/h", "mph") for line in log()])
    fleet, told = field.draft()
    says = "the file has 'Speed [mph]' and not '{} [km/h]'; convert it"
    assert says.format("speed") in told
    (refused,) = field.ingest(fleet).files_refused
    assert refused.path == "v2/a.csv" and says.format("Speed") in refused.reason


@pytest.mark.parametrize("long", [False, True])
def test_a_column_that_tells_which_values_are_good_is_named(field, long):
    lines = log(Quality=lambda n: "Bad" if n % 40 == 0 else "Good")
    if long:
        rows = [f"{stamp(n)},{name},{wave(n)},Good" for n in range(ROWS) for name in ("a", "b")]
        lines = ["time,tag,value,Quality", *rows]
    _, told = drafted(field, lines)
    assert "guess: column 'Quality' seems to tell which values are good" in told


def test_an_empty_label_counts_as_none(field):
    label = {"label": lambda n: "" if n < 100 else int(110 < n < 120)}
    _, told = drafted(field, log(**label))
    assert "labels: column 'label'" in told and "an empty cell of 'label' counts as 0" in told


@pytest.mark.parametrize(
    "header", ["Zeit;Messgröße;Wert;Einheit", "time;Diagnostic;Data;Unit of measure"]
)
def test_names_of_signals_and_units_in_other_words(field, header):
    rows = [f"{stamp(n)};{name};{wave(n)};{unit}" for n in range(ROWS)
            for name, unit in (("speed", "km/h"), ("press", "bar"))]  # fmt: skip
    channels, _ = drafted(field, [header, *rows])
    assert {n: c.unit for n, c in channels.items()} == {"speed": "km/h", "press": "bar"}


def test_units_of_parquet_columns_are_those_of_the_channels(field):
    speed = pa.field("speed", pa.float64(), metadata={"units": "km/h"})
    schema = pa.schema([pa.field("time", pa.timestamp("us")), speed])
    times = [MONDAY + timedelta(seconds=n) for n in range(ROWS)]
    table = pa.table([times, [wave(n) for n in range(ROWS)]], schema=schema)
    pq.write_table(table, field.raw / "a.parquet")
    assert [channel.unit for channel in field.draft()[0].channels] == ["km/h"]


@pytest.mark.parametrize(
    ("header", "absent", "low", "high"),
    [("oil [°C]", -273.15, 20, 90), ("oil [°C]", 215, 20, 90), ("rpm", 8191.875, 600, 2500)],
)
def test_what_a_bus_scales_its_missing_values_to_is_no_value(field, header, absent, low, high):
    lines = log(**{header: lambda n: absent if n % 30 == 7 else wave(n, low, high)})
    channels, _ = drafted(field, lines)
    assert [channel.nulls for channel in channels.values()] == [[], [absent]]


def test_a_column_of_several_units_beside_the_values_is_told(field):
    columns = {
        "oil": wave,
        "oil_unit": lambda n: "C" if n < 100 else "F",
        "p unit": lambda n: "bar",
    }
    _, told = drafted(field, log(**columns))
    assert "guess: column 'oil_unit' tells several units (C, F), which are not read" in told
    assert "'p unit' tells several" not in told


@pytest.mark.parametrize("cell", ["1 234 {n:03d},5", "1'234'{n:03d},25", "1,{n:03d}E+02"])
def test_a_comma_behind_thousands_or_before_an_exponent_is_a_decimal_mark(field, cell):
    field.write("a.csv", ["time;x", *(f"{stamp(n)};{cell.format(n=n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.decimal == "," and field.ingest(fleet).rows_lake == ROWS


def test_a_column_of_json_is_told(field):
    cell = '"{""speed"": 1, ""load"": 2.5}"'
    field.write("a.csv", log(payload=lambda n: cell))
    fleet, told = field.draft()
    assert [channel.name for channel in fleet.channels] == ["Speed"]
    assert "'payload' (it holds JSON such as '{\"speed\": 1" in told
    assert "write its fields as columns" in told


@pytest.mark.parametrize("header", ["Speed_Q", "Speed status", "is_valid", "stale"])
def test_a_code_beside_a_column_tells_which_of_its_values_are_good(field, header):
    field.write("a.csv", log(**{header: lambda n: 192 if n % 9 else 0}))
    assert f"column {header!r} seems to tell which values are good" in field.draft()[1]


def test_a_line_of_units_below_lines_that_look_like_rows_is_read(field):
    before = [";SN: 17", ";17", "TimeStamp;power", "dd.MM.yyyy;W"]
    field.write("a.csv", [*before, *(f"{stamp(n)};{wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.channels[0].unit == "W"


@pytest.mark.parametrize(
    "word",
    ["Bad Input", "OL", "-1.#INF", "∞", ">60.0", "3.4028235E+38", "1.7976931348623157E308"],
)
def test_ingest_tells_the_values_that_are_words_for_none(field, word):
    channels, _ = drafted(field, log(flow=lambda n: word if n % 20 == 3 else wave(n)))
    assert channels["flow"].nulls == [word]
    told = sentences(field.ingest(load_fleet("vans", field.settings)), "vans", "raw")
    assert "  values that are words for none, flow: 12" in list(told)


def test_each_file_counts_for_the_words_and_the_numbers_of_all_ones(field):
    for name, ones, words in (("a", 2**64 - 1, "1e400"), ("b", 2**63 - 1, "parked")):
        cells = {"level": lambda n, ones=ones: ones if n % 9 == 0 else n}
        field.write(f"{name}.csv", log(**cells, state=lambda n, words=words: words))
    fleet, told = field.draft()
    level = next(channel for channel in fleet.channels if channel.name == "level")
    assert sorted(level.nulls) == [2.0**63, 2.0**64]
    assert "'state' (of its values '1e400' is infinite, or beyond 3.4e38; if it stands" in told


def test_rows_with_fewer_fields_than_the_header_are_told(field):
    """Where a logger leaves out an empty cell, the values after it are in wrong columns."""
    lines = log(rpm=lambda n: 900 + n, load=wave)
    cut = [line.rsplit(",", 1)[0] if n % 20 == 7 else line for n, line in enumerate(lines)]
    field.write("a.csv", [*cut, "", "# end of the log"])
    fleet, told = field.draft()
    assert "12 rows have fewer fields than the header, such as in a.csv" in told
    result = field.ingest(fleet)
    assert result.rows_short == 12 and result.rows_lake == ROWS
    assert any("  12 rows have fewer fields than" in x for x in sentences(result, "vans", "raw"))


def test_rows_that_are_whole_are_not_told_as_short(field):
    rows = [f'{stamp(n)},"{n},5",{wave(n)}' + "," * (n % 2) for n in range(ROWS)]
    field.write("a.csv", ["time,note,speed,", *rows])
    fleet, told = field.draft()
    assert field.ingest(fleet).rows_short == 0 and "fewer fields" not in told


def test_a_truth_among_fractions_is_a_word_for_none(field):
    fuel = {"fuel": lambda n: "N" if n % 50 == 7 else wave(n)}
    channels, told = drafted(field, log(**fuel))
    assert channels["fuel"].nulls == ["N"] and "not available': fuel N" in told


def test_a_column_is_found_under_spellings_of_its_header(field):
    for day, header in enumerate(("Engine Load [%]", "engine_load", "ENGINE LOAD (%)")):
        field.write(f"d{day}.csv", log(start=MONDAY + timedelta(days=day), **{header: wave}))
    fleet, told = field.draft()
    assert "left out" not in told and fleet.channels[1].unit == "percent"
    assert field.ingest(fleet).rows_lake == 3 * ROWS


def test_files_that_are_left_out_for_one_reason_are_told_in_one_line(field):
    for day in range(9):
        lines = log(start=MONDAY + timedelta(days=day))
        field.write(f"d{day}.csv", lines if day < 6 else lines[1:])
    _, told = field.draft()
    assert "left out: d6.csv, d7.csv, d8.csv: no line looks like a header" in told


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (lambda n: f"N {48 + n / 1e4:.4f}", "N, S, E or W stands before its numbers"),
        (lambda n: f"48°{n / 100:.3f}'N", "it tells degrees and minutes"),
    ],
)
def test_a_place_in_another_form_is_left_out_with_the_way_out(field, cell, why):
    field.write("a.csv", log(lat=cell))
    assert why in field.draft()[1]
