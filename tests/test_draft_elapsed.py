"""Times since a start: their unit by any spelling, and numbers that are no such time."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, wave

NAME = "log_20260105_080000.csv"
EPOCH = int(MONDAY.replace(tzinfo=UTC).timestamp())


def drafted(field, header, cell, name=NAME):
    field.write(name, [f"{header},speed", *(f"{cell(n)},{wave(n)}" for n in range(ROWS))])
    return field.draft()


def span(field, fleet):
    """First time of the lake, and the seconds from it to the last."""
    field.ingest(fleet)
    lake = field.lake(fleet)
    told = lake.read(lake.vehicles()[0])["timestamp"].to_pylist()
    return told[0], (told[-1] - told[0]).total_seconds()


@pytest.mark.parametrize(
    ("header", "per_second"),
    [
        ("Time [msec]", 1e3), ("Time [milliseconds]", 1e3), ("TimeMs", 1e3), ("Time [µs]", 1e6),
        ("Time [us]", 1e7), ("Time [usec]", 1e6), ("time_us", 1e6), ("TimeUS", 1e7),
        ("Time [ns]", 1e9), ("time_ns", 1e9), ("Time [hrs]", 1 / 3600), ("Time [minutes]", 1 / 60),
        ("time_min", 1 / 60), ("Elapsed hours", 1 / 3600), ("Time (days)", 1 / 86400),
        ("time_d", 1 / 86400),
    ],
)  # fmt: skip
def test_the_unit_of_a_time_is_what_its_header_tells(field, header, per_second):
    fleet, _ = drafted(field, header, lambda n: f"{n * per_second:.9f}".rstrip("0").rstrip("."))
    factor = 10 if per_second == 1e7 else 1  # more microseconds than epochs have seconds
    assert fleet.channel_names == ["speed"]
    assert span(field, fleet) == (datetime(2026, 1, 5, 8, tzinfo=UTC), factor * (ROWS - 1))


@pytest.mark.parametrize(
    ("header", "seconds"), [("time_days", 86_400), ("Time [d]", 86_400), ("time [h]", 3600)]
)
def test_days_and_hours_since_1970_are_no_times_since_a_start(field, header, seconds):
    fleet, told = drafted(field, header, lambda n: f"{(EPOCH + n) / seconds:.9f}", "a.csv")
    assert "since 1970" in told and fleet.channel_names == ["speed"]
    assert span(field, fleet) == (datetime(2026, 1, 5, 8, tzinfo=UTC), ROWS - 1)


def test_microseconds_since_power_on_are_no_epochs_in_seconds(field):
    fleet, _ = drafted(field, "TimeUS", lambda n: 1_400_000_000 + n * 1_000_000)
    assert span(field, fleet) == (datetime(2026, 1, 5, 8, 23, 20, tzinfo=UTC), ROWS - 1)


@pytest.mark.parametrize("header", ["SecondsOfDay", "seconds since midnight", "ms_of_day"])
@pytest.mark.parametrize("name", ["log_20260105.csv", NAME])
def test_seconds_of_the_day_count_from_midnight(field, header, name):
    factor = 1000 if header.startswith("ms") else 1
    fleet, told = drafted(field, header, lambda n: (28_800 + n) * factor, name)
    assert span(field, fleet) == (datetime(2026, 1, 5, 8, tzinfo=UTC), ROWS - 1)
    assert "taken for midnight" not in told


@pytest.mark.parametrize("first", [0, 5_000])
def test_a_time_that_begins_long_after_the_start_is_told(field, first):
    """It may count since the device was switched on."""
    _, told = drafted(field, "Time [s]", lambda n: first + n)
    assert ("'Time [s]' begins at 5,000 s" in told) == (first > 0)


def test_a_date_alone_in_the_path_is_said_to_be_taken_for_midnight(field):
    _, told = drafted(field, "Time [s]", lambda n: n, "log_20260105.csv")
    assert "the path tells the start's date and no time of day, so it is taken for midnight" in told


@pytest.mark.parametrize(
    "cell",
    [
        lambda n: f"{2_461_045.5 + (28_800 + n) / 86_400:.8f}",  # a Julian date
        lambda n: f"{61_045 + (28_800 + 60 * n) / 86_400:.8f}",  # a modified one
        lambda n: f"{739_987 + (28_800 + 10 * n) / 86_400:.8f}",  # a serial number of MATLAB
        lambda n: f"{5 + (28_800 + n) / 86_400:.8f}",  # the day of the year
        lambda n: EPOCH // 60 + n,  # minutes since 1970
        lambda n: EPOCH - 978_307_200 + n,  # seconds since 2001
        lambda n: 112_233_445 + n * 1_000_000,  # microseconds since power-on
        lambda n: EPOCH - 978_307_200 - n,  # the newest first
        lambda n: 0,  # of a clock that was never set
    ],
)
def test_numbers_that_count_no_seconds_since_a_start_are_named(field, cell):
    field.write("a.csv", ["timestamp,speed", *(f"{cell(n)},{wave(n)}" for n in range(ROWS))])
    assert "a.csv: column 'timestamp' has the name of a time, but" in field.refusal()


@pytest.mark.parametrize("step", [1, 0.1, 0.01, 0.001, 0.0005])
def test_seconds_at_any_rate_are_a_time_since_a_start(field, step):
    fleet, _ = drafted(field, "timestamp", lambda n: f"{20_000 + n * step:.4f}")
    assert fleet.source.timestamp.take == "elapsed"
    assert span(field, fleet)[1] == pytest.approx((ROWS - 1) * step)
    assert timedelta(seconds=fleet.period_seconds) == timedelta(seconds=step)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y"])
def test_a_column_of_dates_tells_the_start_where_no_path_does(field, form):
    start = MONDAY + timedelta(hours=15, minutes=58)
    times = [start + timedelta(seconds=n) for n in range(ROWS)]
    rows = [f"{t:{form}},{(t - t.replace(hour=0, minute=0, second=0)).seconds}" for t in times]
    lines = [f"{row},{wave(n)}" for n, row in enumerate(rows)]
    field.write("a.csv", ["Date,Seconds,speed", *lines])
    fleet, told = field.draft()
    assert fleet.source.timestamp.start_column == "Date" and fleet.channel_names == ["speed"]
    assert "column 'Date' tells the start's date and no time of day, so it is taken" in told
    assert span(field, fleet) == (start.replace(tzinfo=UTC), ROWS - 1)


@pytest.mark.parametrize(
    ("form", "read"), [("%H%M", True), ("%-H%M", False)]
)  # of the second, no zero stands before the hour
def test_a_time_of_day_in_four_digits_is_no_number_of_seconds(field, form, read):
    start = datetime(2026, 1, 5, 8)
    rows = [f"2026-01-05,{start + timedelta(minutes=n):{form}},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["Date,Time,speed", *rows])
    if read:
        fleet, _ = field.draft()
        assert fleet.source.timestamp.take == "column"
        assert span(field, fleet) == (start.replace(tzinfo=UTC), 60 * (ROWS - 1))
    else:
        assert "239 of 240 rows of the sample, as of a.csv, contradict" in field.refusal()


@pytest.mark.parametrize("header", ["Date,Time,AMPM", "Time,AM/PM"])
def test_am_and_pm_in_a_column_of_their_own_are_told(field, header):
    start = datetime(2026, 1, 15, 15)
    mark = "," if "Date" in header else " "
    rows = [f"{start + timedelta(seconds=n):%Y-%m-%d{mark}%I:%M:%S,%p}" for n in range(ROWS)]
    field.write("a.csv", [f"{header},speed", *(f"{row},{wave(n)}" for n, row in enumerate(rows))])
    assert "tells AM and PM, which is not read, so that times after noon" in field.draft()[1]


@pytest.mark.parametrize(("unit", "read"), [("sec", True), ("ms", False), ("µs", False)])
def test_a_line_of_units_that_tells_another_unit_of_the_time_is_refused(field, unit, read):
    for day, told in (("05", "s"), ("06", unit)):
        rows = [f"{n},{wave(n)}" for n in range(ROWS)]
        field.write(f"log_202601{day}_080000.csv", ["Time,speed", f"{told},km/h", *rows])
        if day == "05":
            fleet, _ = field.draft()
    counts = field.ingest(fleet)
    assert counts.rows_lake == (2 if read else 1) * ROWS
    if not read:
        assert f"the file tells '{unit}' for 'Time'" in counts.files_refused[0].reason


def test_seconds_that_begin_at_the_time_of_the_path_count_from_midnight(field):
    """A phone app names the file after the time, and writes the seconds of the day into it."""
    fleet, told = drafted(field, "SECONDS", lambda n: 28_800.25 + n, "2026-01-05 08-00-00.csv")
    assert "'SECONDS' begins at the time of day that the path tells" in told
    start, seconds = span(field, fleet)
    assert (start.hour, start.minute, seconds) == (8, 0, ROWS - 1)


def test_seconds_of_long_before_the_recording_are_no_seconds_of_the_day(field):
    fleet, _ = drafted(field, "seconds", lambda n: 1_000.5 + n)
    assert span(field, fleet)[0] == MONDAY.replace(tzinfo=UTC) + timedelta(seconds=1_000.5)


def test_a_column_of_durations_is_named(field):
    times = pa.array([timedelta(seconds=n) for n in range(ROWS)], pa.duration("ns"))
    table = pa.table({"time": times, "speed": [wave(n) for n in range(ROWS)]})
    pq.write_table(table, field.raw / "a.parquet")
    assert "column 'time' has the name of a time, but holds duration[ns]" in field.refusal()


@pytest.mark.parametrize(
    ("header", "first", "step", "turn"),
    [
        ("time_ms", 40_000, 1000, 2**16), ("time_us", 2**32 - 10**8, 1_000_000, 2**32),
        ("millis", 2**32 - 100_000, 1000, 2**32), ("Time [s]", 80_000, 60, 86_400),
    ],
)  # fmt: skip
def test_a_counter_of_few_bits_is_counted_on_where_it_begins_again(
    field, header, first, step, turn
):
    unit = {"time_ms": 1e-3, "millis": 1e-3, "time_us": 1e-6}.get(header, 1)
    fleet, told = drafted(field, header, lambda n: (first + n * step) % turn)
    assert f"begins again after {turn * unit:,.3f} s" in told
    start = MONDAY.replace(tzinfo=UTC) + timedelta(seconds=first * unit)
    assert span(field, fleet) == (start, (ROWS - 1) * step * unit)
    assert field.lake(fleet).rows() == ROWS


def test_rows_after_a_counter_that_was_set_back_are_refused_and_not_counted_on(field):
    fleet, told = drafted(field, "time_ms", lambda n: n % 60 * 1000)
    assert "begins again after" not in told
    assert "elapsed time starts again: a second recording" in told
    assert field.ingest(fleet).rows_rejected == ROWS - 60
