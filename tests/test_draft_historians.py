"""Drafts of exports of historians, monitoring and robots: what their columns are."""

from datetime import timedelta

import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("speed_mph", "mph"),
        ("coil_c", ""),
        ("v.km_h", "km/h"),
        ("coolant_f", "fahrenheit"),
        ("oil_temp_C", "celsius"),
        ("soc pct", "percent"),
        ("phase_c", ""),
        ("temp_min", ""),
        ("avg(cpu)", ""),
        ("avg(rpm) [1/min]", "rpm"),
    ],
)
def test_a_unit_at_the_end_of_a_name_is_read_where_it_can_be_no_other_word(field, header, unit):
    field.write("a.csv", log(**{header: wave}))
    fleet, _ = field.draft()
    assert (fleet.channels[1].header, fleet.channels[1].unit or "") == (header, unit)
    assert field.ingest(fleet).rows_lake == ROWS


def test_numbers_of_frames_and_types_of_columns_are_no_values_and_no_units(field):
    lines = log(frame_index=lambda n: n)
    lines[1:1] = ["date,F8,I4"]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert "'frame_index' (it numbers the rows)" in told
    assert [channel.unit for channel in fleet.channels] == ["km/h"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_a_byte_order_mark_is_drafted(field, encoding):
    field.write("a.csv", log(), encoding)
    fleet, _ = field.draft()
    assert fleet.source.encoding == encoding
    assert field.ingest(fleet).rows_lake == ROWS


def test_what_tells_the_logger_of_a_column_is_no_unit(field):
    for serial in ("10234", "10777"):
        header = f'"#","Date Time, GMT+01:00","Temp, °C (LGR S/N: {serial})","RH (S/N: {serial})"'
        rows = [f"{n + 1},{stamp(n)},{wave(n)},{wave(n)}" for n in range(ROWS)]
        field.write(f"{serial}.csv", [f'"Plot Title: {serial}"', header, *rows])
    fleet, _ = field.draft()
    assert [(c.name, c.unit) for c in fleet.channels] == [("Temp", "celsius"), ("RH", "")]
    assert field.ingest(fleet).vehicles == {"10234": ROWS, "10777": ROWS}


@pytest.mark.parametrize(
    ("day", "clock"),
    [
        ("%d.%m.%Y", "%H%M%S"),
        ("%m/%d/%Y", "%H%M"),
        ("%Y-%m-%d", "%H%M%S"),
        ("%y%m%d", "%H%M"),
    ],
)
def test_a_date_beside_a_time_of_day_in_digits_is_read(field, day, clock):
    times = [MONDAY.replace(day=20) + timedelta(minutes=15 * n) for n in range(ROWS)]
    rows = [f"{t:{day}};{t:{clock}};{wave(n)}" for n, t in enumerate(times)]
    field.write("a.csv", ["Datum;Uhrzeit;Wert", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.column == ["Datum", "Uhrzeit"]
    field.ingest(fleet)
    told = field.lake(fleet).read("vans")["timestamp"].to_pylist()
    assert [t.replace(tzinfo=None) for t in told] == times


def test_rows_may_lack_the_comment_that_a_header_names_last(field):
    rows = [f"{n / 10:.1f}\t{wave(n)}\t{wave(n + 9)}" for n in range(ROWS)]
    head = ["LabVIEW Measurement", "Date\t2026/01/05", "Time\t08:00:00.0", "***End_of_Header***"]
    field.write("a.lvm", [*head, "X_Value\tVoltage\tCurrent\tComment", *rows])
    fleet, told = field.draft()
    assert [channel.name for channel in fleet.channels] == ["Voltage", "Current"]
    assert "fewer fields than the header" in told
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize("group", [" ", "\u202f", "\u2009", "\u2019"])
def test_a_comma_behind_groups_of_thousands_is_before_a_fraction(field, group):
    rows = [f"{stamp(60 * n)};{f'{12000 + n:,}'.replace(',', group)},5" for n in range(ROWS)]
    field.write("a.csv", ["time;energy", *rows])
    fleet, _ = field.draft()
    assert fleet.source.decimal == ","
    field.ingest(fleet)
    told = field.lake(fleet).read("vans")["energy"].to_pylist()
    assert told == [12000.5 + n for n in range(ROWS)]


@pytest.mark.parametrize(
    ("written", "read", "header", "shown"),
    [
        ("gbk", "gb18030", "时间,车速", "时间"),
        ("cp949", "cp949", "시간,엔진 속도", "시간"),
        ("cp1252", "cp1252", "Zeit,Größe außen", "Größe außen"),
        ("cp1251", "cp1252", "Time,Обороты", "Îáîðîòû"),
    ],
)
def test_an_encoding_that_is_a_guess_is_told(field, written, read, header, shown):
    field.write("a.csv", [header, *log()[1:]], encoding=written)
    fleet, told = field.draft()
    assert f"bytes that are no UTF-8 are read as {read}, as in {shown!r}" in told
    assert fleet.source.encoding == read and field.ingest(fleet).rows_lake == ROWS
