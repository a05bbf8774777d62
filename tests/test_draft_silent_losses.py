"""What a draft must not leave out, merge or make up in silence: columns, times and vehicles."""

from datetime import UTC, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave

from amad.reading.headers import Headers

START_US = round(MONDAY.replace(tzinfo=UTC).timestamp() * 1e6)


def moments(n):
    return MONDAY.replace(tzinfo=UTC) + timedelta(seconds=n)


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M", "epoch"])
def test_a_first_column_without_a_name_tells_the_time(field, form):
    """As pandas writes the index of a table."""
    step = 60 if form == "%d.%m.%Y %H:%M" else 1
    times = [moments(n * step) for n in range(ROWS)]
    told = [t.strftime(form) if "%" in form else round(t.timestamp() * 1000) for t in times]
    field.write("a.csv", [",speed,rpm", *(f"{t},{wave(n)},{n}" for n, t in enumerate(told))])
    fleet, told = field.draft()
    assert fleet.source.timestamp.column == "column 1"
    done = field.ingest(fleet)
    assert (done.rows_lake, field.first_row(fleet)["timestamp"]) == (ROWS, moments(0))


def test_a_first_column_of_row_numbers_stays_out(field):
    rows = (f"{n},{stamp(n)},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", [",time,speed", *rows])
    fleet, told = field.draft()
    assert fleet.channel_names == ["speed"] and "'column 1' (it has no name)" in told


def test_a_column_is_found_by_its_place_only_where_it_has_no_name():
    assert Headers(["time", "speed"]).find("column 1") is None
    assert Headers(["", "Column 1"]).find("column 1") == 1


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("update_state", lambda n: "idle" if n % 30 < 20 else "busy"),
        ("Ladezeit", lambda n: str(wave(n, 1, 5)).replace(".", ",")),
        ("response_time", lambda n: f"{wave(n, 1, 5)} ms"),
    ],
)
def test_a_name_that_holds_that_of_a_time_hides_no_channel(field, header, cell):
    lines = ["time;speed;" + header]
    lines += [f"{stamp(n)};{str(wave(n)).replace('.', ',')};{cell(n)}" for n in range(ROWS)]
    if header == "response_time":
        lines = [line.replace(",", ".") for line in lines]
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    assert fleet.channel_names == ["speed", header]


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("timestamp", lambda n: moments(n).strftime("%Y-%m-%dT%H:%M:%SZ")),
        ("epoch_ms", lambda n: START_US // 1000 + n * 1000),
        ("UTC time", lambda n: moments(n).strftime("%Y-%m-%d %H:%M:%S")),
    ],
)
def test_a_sure_time_comes_before_a_local_date_and_time_of_day(field, header, cell):
    local = (moments(n + 3600).strftime("%d.%m.%Y,%H:%M:%S") for n in range(ROWS))
    rows = (f"{told},{cell(n)},{wave(n)}" for n, told in enumerate(local))
    field.write("a.csv", [f"Date,Time,{header},speed", *rows])
    fleet, told = field.draft()
    assert "'Date', 'Time' can be read as the time as well" in told
    assert fleet.channel_names == ["speed"]
    field.ingest(fleet)
    assert field.first_row(fleet)["timestamp"] == moments(0)


def test_seconds_of_unix_come_before_a_local_time(field):
    lines = log(start=MONDAY + timedelta(hours=1), unix=lambda n: START_US // 10**6 + n)
    field.write("a.csv", [lines[0].replace("time", "local_time"), *lines[1:]])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.column, fleet.channel_names) == ("unix", ["Speed"])


def test_a_time_of_day_of_its_own_is_not_cut_from_a_timestamp(field):
    """A column of whole times is no date for a column of times of day beside it."""
    table = {
        "time": pa.array([START_US + n * 10**6 for n in range(ROWS)]).cast(pa.timestamp("us")),
        "of_day": pa.array(range(ROWS), pa.time32("s")),
        "speed": [wave(n) for n in range(ROWS)],
    }
    pq.write_table(pa.table(table), field.raw / "a.parquet")
    fleet, _ = field.draft()
    field.ingest(fleet)
    assert field.first_row(fleet)["timestamp"] == moments(0)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("{}_01-05-2026.csv {}_01-25-2026.csv", "%m-%d-%Y"),
        ("05Jan2026_{}.csv 25Jan2026_{}.csv", "%d%b%Y"),
        ("{} 2026-Jan-05.csv {} 2026-Jan-25.csv", "%Y-%b-%d"),
    ],
)
def test_dates_in_paths_with_the_month_first_or_by_its_name(field, name, form):
    for vehicle, shift in (("busA", 0), ("busB", 1)):
        for path in name.format(vehicle, vehicle).split(".csv "):
            path = path.removesuffix(".csv") + ".csv"
            rows = (f"{stamp(n)[11:]},{wave(n) + shift}" for n in range(ROWS))
            field.write(path, ["Time,speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.date_format == form
    done = field.ingest(fleet)
    assert done.vehicles == {"busA": 2 * ROWS, "busB": 2 * ROWS}
    assert field.first_row(fleet)["timestamp"] == moments(0)


def test_dates_in_paths_that_may_have_the_month_first_are_a_guess(field):
    field.write(
        "bus_01-05-2026.csv", ["Time,speed", *(f"{stamp(n)[11:]},{wave(n)}" for n in range(ROWS))]
    )
    fleet, told = field.draft()
    assert fleet.source.timestamp.date_format == "%d-%m-%Y"
    assert "set date_format to '%m-%d-%Y'" in told


def test_a_date_with_spaces_in_the_path_tells_the_day_from_the_month(field):
    """As FactoryTalk names its files; its tables name the signals by numbers."""
    rows = (
        f"{moments(n):%m/%d/%Y,%H:%M:%S},{tag},{wave(n) + tag}, ,-1"
        for n in range(ROWS)
        for tag in (0, 1)
    )
    field.write("2026 01 05 0000 (Float).csv", ["Date,Time,TagIndex,Value,Status,Internal", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.format == "%m/%d/%Y %H:%M:%S"
    assert (fleet.source.format, fleet.channel_names) == ("csv_long", ["0", "1"])


def test_hours_beyond_24_go_on_into_the_next_day(field):
    rows = []
    for n in range(ROWS):
        second = 86_400 - ROWS // 2 + n
        rows.append(f"{second // 3600}:{second // 60 % 60:02d}:{second % 60:02d},{wave(n)}")
    field.write("log_2026-01-05.csv", ["Time,speed", *rows])
    done = field.ingest(field.draft()[0])
    assert (done.rows_lake, done.rows_rejected, done.days) == (ROWS, 0, 2)


@pytest.mark.parametrize(
    ("form", "zone", "hour"),
    [
        ("%b %d, %Y %I:%M:%S %p EST", "America/New_York", 13),
        ("%d.%m.%Y %H:%M:%S MEZ", "Europe/Berlin", 7),
    ],
)
def test_the_short_name_of_a_zone_behind_am_and_in_german(field, form, zone, hour):
    rows = (f'"{MONDAY + timedelta(seconds=n):{form}}",{wave(n)}' for n in range(ROWS))
    field.write("a.csv", ["time,speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.timezone == zone
    field.ingest(fleet)
    assert field.first_row(fleet)["timestamp"].hour == hour


def test_the_settings_of_a_scope_are_no_rows(field):
    """A table of settings that repeats the names stands above the header with the time."""
    settings = ["Data-Type;LREAL;LREAL", "SampleTime[ms];10;10", "VariableSize;8;8",
                "IndexGroup;0;0", "Offset;0;0", "ScaleFactor;1;1"]  # fmt: skip
    rows = (f"{n * 10};{wave(n)};{wave(n, 1, 5)}" for n in range(ROWS))
    field.write("a.csv", ["Name;fSpeed;fTorque", *settings, "", "Time;fSpeed;fTorque", *rows])
    fleet, told = field.draft()
    assert fleet.channel_names == ["fSpeed", "fTorque"]
    assert "nothing tells the unit of the whole numbers in 'Time'" in told
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize("long", [False, True])
def test_failed_readings_cost_no_channel(field, long):
    cells = ["Bad Input" if n % 5 == 3 else wave(n) for n in range(ROWS)]
    lines = log(temp=lambda n: cells[n])
    if long:
        lines = ["time,tag,value"]
        lines += [f"{stamp(n)},{t},{x}" for n, x in enumerate(cells) for t in ("Speed", "temp")]
        lines += [f"{stamp(n)},dead,No Data" for n in range(ROWS)]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert sorted(fleet.channel_names) == ["Speed", "temp"] and ("'dead'" in told) == long
    done = field.ingest(fleet)
    assert (done.rows_lake, done.rows_rejected) == (ROWS, 0)


def test_a_state_of_a_unit_is_no_column_of_units(field):
    field.write("a.csv", log(**{"UNIT1.STATE": lambda n: "Running" if n % 99 < 70 else "Stopped"}))
    fleet, told = field.draft()
    assert fleet.channel_names == ["Speed", "UNIT1.STATE"] and "tells several units" not in told


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (['"time" "speed" "rpm"', *(f'"{n}" {n} {n}.5 7' for n in range(9))], "names 3 columns"),
        (["time,speed", *(f"{stamp(n)},{n},5" for n in range(9))], "have 3 fields"),
    ],
)
def test_a_header_with_too_few_names_is_told(field, lines, told):
    field.write("a.csv", lines)
    assert told in field.refusal()


@pytest.mark.parametrize(
    ("header", "form"),
    [("Date,Hour", "%Y-%m-%d,%H"), ("Datum,Stunde", "%d.%m.%Y,%H")],
)
def test_a_date_and_an_hour_tell_the_time(field, header, form):
    rows = [f"{moments(3600 * n):{form}},{wave(n)}" for n in range(ROWS)]
    rows.insert(100, f"{moments(3600 * 99):{form[:-3]}},n/a,5")
    field.write("a.csv", [f"{header},speed", *rows])
    fleet, _ = field.draft()
    done = field.ingest(fleet)
    assert (fleet.channel_names, done.rows_lake) == (["speed"], ROWS)
    assert field.first_row(fleet)["timestamp"] == moments(0)


def test_a_date_an_hour_and_a_minute_are_refused(field):
    rows = (f"{moments(60 * n):%Y-%m-%d,%H,%M},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["date,hour,minute,speed", *rows])
    assert "the columns 'date', 'hour', 'minute' tell the time, which is read" in field.refusal()


def test_a_date_under_any_name_is_read_beside_a_time_of_day(field):
    rows = (f"{moments(n):%d.%m.%Y;%H:%M:%S};{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["Tag;Uhrzeit;speed", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.columns == ["Tag", "Uhrzeit"]


@pytest.mark.parametrize("machines", [1, 3])
def test_the_hours_that_a_machine_ran_on_a_date_are_no_hour_of_the_day(field, machines):
    dates = [moments(86_400 * (n // machines)) for n in range(ROWS)]
    rows = (
        f"{day:%Y-%m-%d},m{n % machines},{3 + n * n % 7},{n % 50}" for n, day in enumerate(dates)
    )
    field.write("a.csv", ["date,machine,hours,fuel", *rows])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.columns == ["date"]
    assert fleet.channel_names == ["hours", "fuel"]


@pytest.mark.parametrize(
    ("pair", "cells"),
    [
        ("date,hour", lambda n: f"{moments(60 * n):%Y-%m-%d,%H}"),
        ("received_date,received_time", lambda n: f"{moments(60 * n + n % 7):%Y-%m-%d,%H:%M:%S}"),
    ],
)
def test_a_whole_time_comes_before_a_coarser_or_a_later_one_in_two_columns(field, pair, cells):
    rows = (f"{cells(n)},{moments(60 * n):%Y-%m-%d %H:%M:%S},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", [f"{pair},timestamp,speed", *rows])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.columns, fleet.channel_names) == (["timestamp"], ["speed"])


def test_of_equal_times_the_two_columns_are_taken(field):
    """In a file of more rows than a rule is tried on."""
    times = map(moments, range(600))
    rows = (f"{t:%Y-%m-%d,%H:%M:%S},{t:%Y-%m-%d %H:%M:%S},{wave(n)}" for n, t in enumerate(times))
    field.write("a.csv", ["Date,Time,Last date,speed", *rows])
    assert field.draft()[0].source.timestamp.columns == ["Date", "Time"]


def test_times_as_oracle_writes_them(field):
    rows = (f"{moments(n):%d-%b-%y %I.%M.%S}.000000000 AM +00:00,{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["ts,speed", *rows])
    fleet, _ = field.draft()
    field.ingest(fleet)
    assert field.first_row(fleet)["timestamp"] == moments(0)


@pytest.mark.parametrize("mark", ["~", "^"])
def test_marks_that_part_the_columns_of_exports(field, mark):
    field.write("a.csv", log(mark=mark))
    assert field.draft()[0].source.delimiter == mark


def test_dates_that_a_spreadsheet_turned_around_are_told(field):
    """It takes what it can for month/day, and leaves 13/01/2026 as it is."""
    days = [MONDAY + timedelta(hours=6 * n) for n in range(80)]
    forms = ("%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")
    rows = (f"{day:{forms[day.day > 12]}},{wave(n)}" for n, day in enumerate(days))
    field.write("a.csv", ["time,speed", *rows])
    _, told = field.draft()
    assert "a.csv has rows of 2026-07-01; with day and month the other way round" in told


def test_months_that_begin_on_their_first_day_are_not_told_as_turned_around(field):
    days = [MONDAY.replace(month=month, day=1) for month in (1, 2, 5, 6, 9)]
    rows = [f"{day + timedelta(minutes=n):%d/%m/%Y %H:%M},{n}" for day in days for n in range(50)]
    field.write("a.csv", ["time,speed", *rows])
    assert "the other way round, of" not in field.draft()[1]


@pytest.mark.parametrize("ids", [("101", "102"), ("M-AB 123", "M-AB 124")])
@pytest.mark.parametrize("block", [False, True])
def test_a_column_that_seems_to_name_vehicles_is_told(field, ids, block):
    """Under a name that may be one of anything; as one vehicle's, its values jump."""
    rows = [
        (n * 10 + at, name, wave(n + 30 * at)) for n in range(ROWS) for at, name in enumerate(ids)
    ]
    rows = sorted(rows, key=lambda row: row[1]) if block else rows
    field.write("a.csv", ["time,bus,speed", *(f"{stamp(t)},{name},{x}" for t, name, x in rows)])
    _, told = field.draft()
    assert f"column 'bus' ({ids[0]}, {ids[1]}) seems to name vehicles".lower() in told.lower()


def test_what_changes_from_row_to_row_without_a_sense_is_no_vehicle(field):
    satellites = {"sats": lambda n: 7 + n * n % 3, "gear": lambda n: int(wave(n) // 20)}
    field.write("a.csv", log(**satellites))
    assert "seems to name vehicles" not in field.draft()[1]


@pytest.mark.parametrize(("header", "states"), [("heater", 2), ("cycle_step", 4)])
def test_a_state_that_a_channel_follows_is_no_vehicle(field, header, states):
    followed = {header: lambda n: n % states, "kPa": lambda n: 9 * (n % states) + wave(n) / 99}
    field.write("a.csv", log(**followed))
    assert "seems to name vehicles" not in field.draft()[1]


def test_a_column_that_looks_like_a_time_is_told_as_no_channel(field):
    field.write("a.csv", log(engine_run_time=lambda n: f"00:{n // 60:02d}:{n % 60:02d}"))
    _, told = field.draft()
    assert "'engine_run_time' looks like a time, too" in told


@pytest.mark.parametrize(
    ("date", "clock"),
    [
        ('"Log Date","{:%d/%m/%Y}",,,"Origin Time","0","s"', '"Log Time","{:%H:%M:%S}"'),
        ('"Date","{:%A, %B %d, %Y}"', '"Time","{:%I:%M %p}"'),
    ],
)
def test_a_start_whose_time_of_day_stands_in_the_next_line(field, date, clock):
    """As MoTeC and AiM write them, each in quotes."""
    for day in (0, 20):
        start = MONDAY + timedelta(days=day)
        rows = (f'"{n / 10}","{wave(n)}","{n}"' for n in range(ROWS))
        above = ['"Format","CSV"', date.format(start), clock.format(start), ""]
        field.write(f"run{day}.csv", [*above, '"Time","Speed","RPM"', '"s","km/h","rpm"', *rows])
    fleet, _ = field.draft()
    assert field.ingest(fleet).rows_lake == 2 * ROWS
    assert field.first_row(fleet)["timestamp"] == moments(0)


def test_a_header_with_more_names_than_its_rows_have_fields_is_a_header(field):
    field.write("a.csv", ["X,CH1,CH2,Start,Increment,", *(f"{n},{wave(n)}," for n in range(ROWS))])
    assert "begin at once" not in field.refusal()


@pytest.mark.parametrize("long", [False, True])
def test_an_error_of_what_is_switched_is_a_state(field, long):
    """Beside on and off, and not beside numbers, it is a value."""
    states = ["on", "off", "error"]
    lines = log(pump=lambda n: states[n // 20 % 3])
    if long:
        rows = [(stamp(n), states[n // 20 % 3], wave(n)) for n in range(ROWS)]
        lines = ["time,tag,value"]
        lines += [
            f"{t},{tag},{x}" for t, *cells in rows for tag, x in zip("ps", cells, strict=True)
        ]
    field.write("a.csv", lines)
    fleet, told = field.draft()
    assert not any(channel.nulls for channel in fleet.channels)
    assert ("'p' (its values are text such as 'error')" in told) == long
