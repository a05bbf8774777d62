"""Files as certain loggers and databases export them, from the draft to the rows of the lake."""

from datetime import UTC, datetime, timedelta

import pytest
from draft_kit import MONDAY, ROWS, stamp, wave

LABVIEW = """LabVIEW Measurement
Separator	Tab
Decimal_Separator	,
Date	2026/01/05
Time	08:00:00,0
***End_of_Header***
	
Channels	2		
Samples	240	240	
Date	2026/01/05	2026/01/05	
Time	08:00:00,0	08:00:00,0	
Y_Unit_Label	Volts	Volts	
X_Dimension	Time	Time	
X0	0,0E+0	0,0E+0	
***End_of_Header***			
X_Value	Voltage	Current	Comment"""
MOTEC = """"Format","MoTeC CSV File"
"Log Date","14/01/2026",,"Sample Rate","1.000","Hz"
"Log Time","08:00:00"

"Time","Ground Speed","Engine RPM"
"s","km/h","rpm\""""


def rows_of(field, fleet):
    """The rows of the lake's only vehicle, after an ingest that refuses nothing."""
    assert field.ingest(fleet).rows_rejected == 0
    lake = field.lake(fleet)
    (vehicle,) = lake.vehicles()
    return lake.read(vehicle).to_pylist()


def test_a_measurement_of_labview_is_read_below_the_end_of_its_header(field):
    rows = (f"{n / 10:.6f}\t{wave(n)}\t{wave(n + 5)}\t".replace(".", ",") for n in range(ROWS))
    field.write("rec_01.lvm", [*LABVIEW.split("\n"), *rows])
    fleet, _ = field.draft()
    start = MONDAY.replace(tzinfo=UTC)
    assert rows_of(field, fleet) == [
        {"timestamp": start + timedelta(seconds=n / 10), "Voltage": wave(n), "Current": wave(n + 5)}
        for n in range(ROWS)
    ]


def test_a_time_of_day_apart_from_the_date_of_the_start_is_told(field):
    rows = (f'"{n:.3f}","{wave(n)}","{30 * n}"' for n in range(ROWS))
    apart = MOTEC.replace('"Log Time"', '"Driver","K"\n"Finish"')
    field.write("a.csv", [*apart.split("\n"), *rows])
    fleet, told = field.draft()
    assert "the start's time of day apart from its date, so it is not read" in told
    assert rows_of(field, fleet)[0]["timestamp"] == datetime(2026, 1, 14, tzinfo=UTC)


@pytest.mark.parametrize(
    ("between", "behind", "time", "hour"),
    [
        ('"Driver","K"', "", "08:00:00", 8),
        ('"Lap Time","0:59"', ',,,"Origin Time","0.000","s"', "8:00:00 PM", 20),
        ('"Comment",""', ',,"End Time","24","s"', "20:00", 20),
    ],
)
def test_a_date_and_a_time_of_day_of_one_name_are_the_start(field, between, behind, time, hour):
    header = [f'"Log Date","14/01/2026"{behind}', between, f'"Log Time","{time}"{behind}', ""]
    rows = (f'"{n:.3f}","{wave(n)}"' for n in range(ROWS))
    field.write("a.csv", [*header, '"Time","Ground Speed"', '"s","km/h"', *rows])
    fleet, _ = field.draft()
    assert rows_of(field, fleet)[0]["timestamp"] == datetime(2026, 1, 14, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("measure_name,time,measure_value::double", "{name},{time}.000000000,{value}"),
        (",result,table,_time,_value,_field,host", ",_result,{at},{time}Z,{value},{name},van1"),
        ('"Series","Time","Value"', '"{name}","{time}Z",{value}'),
    ],
)
def test_the_series_of_a_database_are_channels(field, header, row):
    field.write(
        "export.csv",
        [header]
        + [
            row.format(at=at, name=name, time=stamp(n), value=wave(n + 9 * at))
            for at, name in enumerate(("speed", "rpm"))
            for n in range(ROWS)
        ],
    )
    rows = rows_of(field, field.draft()[0])
    assert [(r["speed"], r["rpm"]) for r in rows] == [(wave(n), wave(n + 9)) for n in range(ROWS)]


def test_two_columns_with_the_name_of_the_time_are_named_before_times_are_made_up(field):
    field.write("a.csv", ["time,time,speed", *(f"{stamp(n)},{n},{wave(n)}" for n in range(ROWS))])
    assert "a.csv: several columns have the name 'time', which is one of a time" in field.refusal()


def test_no_line_before_the_header_of_a_table_of_campbell_is_a_row(field):
    header = ['"TOA5","CR1000","CR1000","12345","Std.32","CPU:prog","12345","Table1"']
    header += ['"TIMESTAMP","RECORD","BattV","Temp_Avg"', '"TS","RN","Volts","Deg C"']
    rows = (f'"{stamp(n).replace("T", " ")}",{n},{wave(n)},{wave(n + 5)}' for n in range(ROWS))
    field.write("table.dat", [*header, '"","","Smp","Avg"', *rows])
    assert len(rows_of(field, field.draft()[0])) == ROWS


def test_the_name_of_a_section_below_the_header_is_no_row(field):
    rows = (f"008 {MONDAY + timedelta(seconds=n):%H%M%S.00} {wave(n)}" for n in range(ROWS))
    before = ["[header]", "satellites", "", "[column names]", "sats time velocity", "", "[data]"]
    field.write("run_20260105.vbo", [*before, *rows])
    fleet, _ = field.draft()
    assert fleet.channels[0].nulls == []
    assert [row["velocity"] for row in rows_of(field, fleet)] == list(map(wave, range(ROWS)))


def test_a_line_below_the_header_of_victron_names_the_zone(field):
    below = ["Europe/Amsterdam (+01:00),Power,Voltage", '"",W,V']
    rows = (f"{stamp(n)},{wave(n)},{wave(n + 5)}" for n in range(ROWS))
    field.write("log.csv", ["timestamp,System [0],Battery [1]", *below, *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == "Europe/Amsterdam"
    assert "taken for Europe/Amsterdam, as a line below the header names that zone" in told


def test_signals_that_each_have_a_time_are_named_before_times_are_made_up(field):
    rows = (f"{n / 10:.2f};{wave(n)};{n / 10 + 0.05:.2f};{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["time_speed;speed;time_rpm;rpm", *rows])
    assert "the columns 'time_speed', 'time_rpm' tell a time for each signal" in field.refusal()


def test_a_date_above_times_of_day_is_named_before_times_are_made_up(field):
    rows = (f"{stamp(n)[11:]},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["Date: 2026-01-05", "Time,speed", *rows])
    told = field.refusal()
    assert "column 'Time' tells the time of day, and its date stands in the lines before" in told


def test_a_start_before_the_header_has_the_order_that_the_path_shows(field):
    rows = (f"{n / 10:.1f}\t{wave(n)}" for n in range(ROWS))
    field.write("2026-01-05.txt", ["Start time:\t01/05/2026 08:00:00", "", "Time (s)\tAI 1", *rows])
    fleet, told = field.draft()
    assert rows_of(field, fleet)[0]["timestamp"] == MONDAY.replace(tzinfo=UTC)
    assert "which is the day" not in told


@pytest.mark.parametrize(
    "below", ["Europe/Amsterdam (+01:00),ESS state,Power,Voltage", ",mean,max,p99"]
)
def test_a_second_line_of_names_below_names_that_repeat_is_named(field, below):
    rows = (f"{stamp(n)},{n % 3},{wave(n)},{wave(n + 5)}" for n in range(ROWS))
    field.write("log.csv", ["timestamp,Gateway [0],Battery [1],Battery [1]", below, *rows])
    told = field.refusal()
    assert "log.csv: line 1 names several columns alike, and the line below it goes on" in told
