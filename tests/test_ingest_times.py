"""Times of raw files, from the file to the lake: forms, starts, gaps, and clocks that are wrong."""

import datetime
import json
import os

import numpy as np
import pytest

from amad.config import ConfigError, DataError
from amad.ingest import late_rows
from amad.reading import times
from tests.ingest_kit import SECOND, START, START_US, at, balanced, raw_fleet, seconds_of

ONE = {"vehicle": {"take": "constant", "value": "a-1"}}
DAY = 86_400


def fleet_of(timestamp, **changes):
    return raw_fleet(source=ONE | {"timestamp": {"column": "time"} | timestamp}, **changes)


def reasons(yard, fleet):
    return [row["reason"] for row in yard.rejected(fleet)]


def line(vehicle="a-1", seconds=0.0, speed=1.0, level=2.0):
    return f"{vehicle},{at(seconds)},{speed},{level}"


def test_a_form_of_the_fleet_file_is_read_and_another_refused_with_its_text(yard):
    fleet = fleet_of({"format": "%d.%m.%Y %I:%M:%S %p", "timezone": "Europe/Berlin"})
    lines = ["05.01.2026 01:00:00 AM,1,2", "05.01.2026 01:00:01 AM,1,2", "01/05/2026 01:00,1,2"]
    yard.csv("x.csv", lines, "time,speed,level")
    _, lake = yard.ingest(fleet)
    assert seconds_of(lake.read("a-1")) == [0, 1]
    (reason,) = reasons(yard, fleet)
    assert reason.startswith("timestamp is not readable: '01/05/2026 01:00' is not of the form")
    assert "%m/%d/%Y %H:%M" in reason


def test_a_date_and_a_time_of_day_in_two_columns(yard):
    form = {"column": ["Date", "Time"], "format": "%d.%m.%Y %H:%M:%S", "timezone": "Europe/Berlin"}
    lines = ["05.01.2026, 01:00:00,1,2", "05.01.2026,01:00:01 ,1,2", "05.01.2026,,1,2"]
    yard.csv("x.csv", lines, "Date, Time,speed,level")
    _, lake = yard.ingest(fleet_of(form))
    assert seconds_of(lake.read("a-1")) == [0, 1]
    assert reasons(yard, fleet_of(form)) == ["timestamp is missing"]
    days = [datetime.datetime(2026, 1, 5), datetime.date(2026, 1, 5)]
    clock = [datetime.time(0, 0, 2), datetime.time(0, 0, 3, 500_000)]
    for n, (day, of_day) in enumerate(zip(days, clock, strict=True)):
        yard.parquet(f"{n}.parquet", Date=[day], Time=[of_day], speed=[1.0], level=[2.0])
    source = {"format": "parquet", "files": [{"glob": "*.parquet"}]} | ONE
    fleet = raw_fleet(source=source | {"timestamp": {"column": ["Date", "Time"]}})
    assert seconds_of(yard.ingest(fleet, rebuild=True)[1].read("a-1")) == [2, 3.5]
    yard.csv("0.csv", ["2026-01-05,08:00:00,1,2"], "Date,Time,speed,level")
    with pytest.raises(DataError, match=r"or, where the date has .* column: \[Date, Time\]"):
        yard.ingest(fleet_of({"column": "Time"}, name="other"))
    with pytest.raises(ValueError, match="names two or three"):
        fleet_of({"column": ["Date", "Time", "Offset", "ms"]})


def test_an_epoch_as_a_spreadsheet_writes_it_in_another_unit_is_told(yard):
    yard.csv("x.csv", ["1.767571200000E+09,1,2"], "time,speed,level")
    with pytest.raises(DataError, match=r"seconds since 1970; set source\.timestamp\.unit to s"):
        yard.ingest(fleet_of({}))
    assert yard.ingest(fleet_of({"unit": "s"}))[0].rows_lake == 1


def test_a_start_in_the_lines_before_the_header(yard):
    rule = {"take": "elapsed", "start_from": "preamble",
            "start_pattern": "began: (.*)", "start_format": "%d/%m/%Y %H:%M:%S"}  # fmt: skip
    text = "logger 7\nbegan: 05/01/2026 00:00:10\ntime,speed,level\n0.0,1,2\n0.5,1,2\n"
    (yard.raw / "x.csv").write_text(text)
    assert seconds_of(yard.ingest(fleet_of(rule))[1].read("a-1")) == [10, 10.5]


def test_starts_in_the_path_in_a_column_and_constant(yard):
    header = "time,speed,level"
    yard.csv("log_20260105_000100.csv", ["0:00:01,1,2", "0:00:02,1,2"], header)
    path = {"take": "elapsed", "start_from": "path", "start_pattern": r"(\d{8}_\d{6})",
            "start_format": "%Y%m%d_%H%M%S"}  # fmt: skip
    assert seconds_of(yard.ingest(fleet_of(path))[1].read("a-1")) == [61, 62]
    constant = {"take": "elapsed", "start": "2026-01-05T01:00", "timezone": "Europe/Berlin"}
    assert seconds_of(yard.ingest(fleet_of(constant))[1].read("a-1")) == [1, 2]
    yard.csv("log_20260105_000100.csv",
             ["0,1,2,2026-01-05T00:00:00Z", "5,1,2,", "0,1,2,2026-01-05T00:01:00Z", "1,1,2,"],
             "time,speed,level,begun")  # fmt: skip
    column = {"take": "elapsed", "start_from": "column", "start_column": "begun"}
    assert seconds_of(yard.ingest(fleet_of(column))[1].read("a-1")) == [0, 5, 60, 61]


def test_a_start_when_summer_time_changes_is_not_guessed(yard):
    """Half of such recordings would lie an hour off."""
    header = "time,speed,level"
    for start in ("20251026_023000", "20250330_023000", "20251026_033000"):
        yard.csv(f"log_{start}.csv", ["0:00:01,1,2"], header)
    path = {"take": "elapsed", "start_from": "path", "start_pattern": r"(\d{8}_\d{6})",
            "start_format": "%Y%m%d_%H%M%S", "timezone": "Europe/Berlin"}  # fmt: skip
    counts, lake = yard.ingest(fleet_of(path))
    assert lake.read("a-1")["timestamp"].to_pylist() == [
        datetime.datetime(2025, 10, 26, 2, 30, 1, tzinfo=datetime.UTC)
    ]
    assert counts.rejected_by_reason == {"no start of the recording": 2}
    spring, autumn = sorted(reasons(yard, fleet_of(path)))
    assert "2025-03-30T02:30:00 is in the hour that is left out when summer time" in spring
    assert "2025-10-26T02:30:00 is in the hour that is repeated when summer time" in autumn
    assert "in Europe/Berlin; tell it with its offset" in autumn
    begun = ("2025-10-26T01:00", "2025-10-26T02:30", "", "2025-10-26T02:30+01:00")
    yard.csv("log_20251026_033000.csv", [f"0,1,2,{b}" for b in begun], "time,speed,level,begun")
    column = {"take": "elapsed", "start_from": "column", "start_column": "begun",
              "timezone": "Europe/Berlin"}  # fmt: skip
    for day in ("20251026", "20250330"):
        (yard.raw / f"log_{day}_023000.csv").unlink()
    counts, lake = yard.ingest(fleet_of(column, name="columns"))
    assert [told.hour for told in lake.read("a-1")["timestamp"].to_pylist()] == [23, 1]
    assert counts.rows_rejected == 2


def test_a_start_from_when_the_file_was_last_written(yard):
    yard.csv("x.csv", ["1.5,1,2", "4,1,2"], "time,speed,level")
    end = START.timestamp() + 100
    os.utime(yard.raw / "x.csv", (end, end))
    fleet = fleet_of({"take": "elapsed", "start_from": "modified"})
    assert seconds_of(yard.ingest(fleet)[1].read("a-1")) == [97.5, 100]


def test_the_header_tells_when_a_recording_ended_and_no_line_before_it(yard):
    """VBOX: a section before the header lists the columns."""
    yard.csv("x.csv", ["time", "speed", "time,speed,level", "1.5,1,2", "4,1,2"], "[header]")
    end = START.timestamp() + 100
    os.utime(yard.raw / "x.csv", (end, end))
    fleet = fleet_of({"take": "elapsed", "start_from": "modified"})
    assert seconds_of(yard.ingest(fleet)[1].read("a-1")) == [97.5, 100]


def test_no_start_refuses_the_file_and_a_second_recording_its_rows(yard):
    header = "time,speed,level"
    rule = {"take": "elapsed", "start_from": "path", "start_pattern": r"(2026\S+)_"}
    yard.csv("2026-01-05T00:00_a.csv", ["0,1,2", "7,1,2", "0,1,2", "1,1,2"], header)
    yard.csv("b.csv", ["0,1,2"], header)
    counts, lake = yard.ingest(fleet_of(rule))
    assert seconds_of(lake.read("a-1")) == [0, 7]
    assert counts.rejected_by_reason == {
        "elapsed time starts again": 2, "no start of the recording": 1,
    }  # fmt: skip


def test_recordings_without_a_clock_are_kept_apart(yard):
    index = {"take": "index", "start": "2026-01-05T00:00:00Z", "gap_between_files": 60}
    for name in "abc":
        yard.csv(f"{name}.csv", ["1,2"] * 3, "speed,level")
    (yard.raw / "b.csv").write_bytes(b"")
    counts, lake = yard.ingest(fleet_of(index))
    assert seconds_of(lake.read("a-1")) == [0, 1, 2, 62, 63, 64]
    assert len(counts.files_refused) == 1, "a recording that is lost takes no other with it"
    yard.csv("d.csv", ["1,2"], "speed,level")
    assert seconds_of(yard.ingest(fleet_of(index))[1].read("a-1"))[-1] == 124
    with pytest.raises(ConfigError, match="gap_between_files"):
        yard.ingest(fleet_of(index | {"gap_between_files": 5}))


def test_the_hour_told_twice_is_resolved_over_files_and_runs(yard):
    """Two vehicles, a file per quarter of an hour, told in local time with fractions."""
    fleet = raw_fleet(source={"timestamp": {"timezone": "Europe/Berlin"}})
    change = datetime.datetime(2025, 10, 26, 1, tzinfo=datetime.UTC)
    zone = datetime.timezone
    speed = 0
    for quarter in range(-8, 8):
        lines = []
        for second in range(0, 900, 30):
            moment = change + datetime.timedelta(seconds=quarter * 900 + second + 0.499)
            summer = moment < change
            told = moment.astimezone(zone(datetime.timedelta(hours=2 if summer else 1)))
            text = told.replace(tzinfo=None).isoformat(" ")
            lines += [f"a-1,{text},{speed},1", f"a-2,{text},{speed},1"]
            speed += 1
        yard.csv(f"{quarter + 20}.csv", lines)
        if quarter == 1:
            yard.ingest(fleet)
    counts, lake = yard.ingest(fleet)
    assert counts.rows_rejected == 0 and counts.rows_lake == 960
    for vehicle in ("a-1", "a-2"):
        table = lake.read(vehicle)
        assert table["speed"].to_pylist() == list(range(480)), "in the order they were measured"
        assert np.unique(np.diff(seconds_of(table))).tolist() == [30]


def test_an_hour_that_nothing_decides_is_refused(yard):
    fleet = raw_fleet(source={"timestamp": {"timezone": "America/New_York"}})
    yard.csv("x.csv", [f"a-1,2025-11-02 01:{m}:00,1,2" for m in range(10, 40)])
    yard.csv("y.csv", ["a-1,2025-03-09 02:30:00,1,2", "a-1,2025-03-09 03:30:00,1,2"])
    counts, _ = yard.ingest(fleet)
    assert counts.rows_lake == 1 and counts.rejected_by_reason == {
        "timestamp is in the hour that is repeated when summer time ends": 30,
        "timestamp is in the hour that is left out when summer time begins": 1,
    }
    for row in yard.rejected(fleet):
        assert row["reason"].endswith("; is that the clock's source.timestamp.timezone?")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("2043-06-01 10:00:00", "timestamp lies in the future"),
        ("1980-01-06 00:00:13", "timestamp lies before 1980"),
        ("1970-01-01 00:00:01", "timestamp lies before 1980"),
        ("2000-01-01 00:00:59", "the clock was wrong"),
        ("2006-05-22 10:00:00", "the clock was wrong"),
        ("2025-09-09 10:00:00", "the clock was wrong"),
    ],
)
def test_one_row_of_a_wrong_clock_is_refused_and_changes_nothing_else(told, reason, yard):
    fleet = raw_fleet(quality={"min_rows": 10})
    rows = [line(seconds=s) for s in range(600)]
    yard.csv("1.csv", [*rows[:7], f"a-1,{told},1,2", *rows[7:], line("a-2", 3)])
    counts, lake = yard.ingest(fleet)
    assert counts.rejected_by_reason == {reason: 1}
    assert counts.vehicles == {"a-1": 600, "a-2": 1}
    (refused,) = yard.rejected(fleet)
    assert (refused["file"], refused["row"]) == ("1.csv", 8)
    assert told[:10] in refused["content"] and json.loads(refused["content"])
    assert lake.dates() == [START.date()], "the newest date is that of the right rows"
    assert sum(lake.day_table()["late"].to_pylist()) == 0
    # The lateness of later files is counted as if the row had never been.
    seconds = [DAY + s for s in range(300)]
    seconds[10:40] = seconds[40:70]
    seconds[40:70] = [DAY + s for s in range(10, 40)]
    yard.csv("2.csv", [line(seconds=s) for s in seconds])
    _, lake = yard.ingest(fleet)
    assert lake.day_table().filter([v == "a-1" for v in lake.day_table()["vehicle"].to_pylist()])[
        "late"
    ].to_pylist() == [0, 30]


def test_a_vehicle_that_is_back_after_months_is_none_of_a_wrong_clock(yard, monkeypatch):
    monkeypatch.setattr(late_rows, "KEPT_BYTES", 100)  # the times go to the disk
    days = [0, 1, 2, 3, 100, 101]
    yard.csv("1.csv", [line(seconds=DAY * d + s) for d in days for s in range(50)])
    counts, lake = yard.ingest(raw_fleet())
    assert counts.rows_rejected == 0 and len(lake.dates()) == len(days)


def test_a_recording_that_starts_before_its_clock_is_set(yard, tmp_path):
    """Its time as test part, its gaps and its day are those of the rows with the right clock."""
    fleet = raw_fleet(source={"files": [{"glob": "*.csv", "part": "test"}]})
    unset = [f"a-1,2000-01-01 00:00:{s:02d},1,2" for s in range(20)]
    yard.csv("1.csv", [*unset, *(line(seconds=s) for s in range(5, 20))])
    counts, lake = yard.ingest(fleet)
    assert counts.rows_rejected == 20 and counts.rows_in == 35
    assert lake.test_start() == {"a-1": lake.read("a-1")["timestamp"].cast("int64")[0].as_py()}
    assert seconds_of(lake.read("a-1"))[0] == 5


def test_a_day_ahead_of_the_clock_of_this_machine_is_still_read(yard, monkeypatch):
    now = times.now_us()
    monkeypatch.setattr(times, "now_us", lambda: round(START.timestamp() * SECOND))
    yard.csv("x.csv", [line(seconds=DAY - 1), line(seconds=DAY + 1)])
    counts, _ = yard.ingest(raw_fleet())
    assert now > 0 and counts.rejected_by_reason == {"timestamp lies in the future": 1}


@pytest.mark.parametrize("others", [0, 3])
def test_rows_that_were_refused_by_a_clock_put_back_are_read_once_it_is_right(
    others, yard, monkeypatch, capsys
):
    rows = [line(seconds=s) for s in range(others)] + [line(seconds=9 * DAY + s) for s in range(5)]
    yard.csv("x.csv", rows)
    with monkeypatch.context() as clock:
        clock.setattr(times, "now_us", lambda: round(START.timestamp() * SECOND))
        yard.csv("y.csv", [line("a-2")])
        counts, _ = yard.ingest(raw_fleet())
    assert counts.rejected_by_reason == {"timestamp lies in the future": 5}
    counts, _ = yard.ingest(raw_fleet())
    assert (counts.rows_lake, counts.rows_rejected) == (others + 6, 0)
    assert "rows of 1 raw file (x.csv) lie in the future no more" in capsys.readouterr().err
    assert yard.ingest(raw_fleet())[0].files_read == 0


def test_words_for_no_value_are_counted_by_channel(yard):
    fleet = raw_fleet(
        source={"nulls": ["ERR"]},
        channels=[{"name": "speed", "nulls": [65535, "stop"]}, {"name": "level"}],
    )
    yard.csv("x.csv", [line(seconds=0, speed="err"), line(seconds=1, speed="STOP", level="ERR"),
                       line(seconds=2, speed=65535), line(seconds=3, speed="-")])  # fmt: skip
    _, lake = yard.ingest(fleet)
    assert lake.files["x.csv"].nulls == {"speed": 2, "level": 1}
    assert lake.read("a-1")["speed"].to_pylist() == [None, None, 65535, None]


def test_thousands_in_a_column_of_a_file(yard):
    header = "vehicle;timestamp;speed;level"
    lines = [f"a-1;{at(0)};950;1.234.567,5", f"a-1;{at(1)};1.050;7", f"a-1;{at(2)};1.5;7"]
    yard.csv("x.csv", lines, header)
    marks = {"delimiter": ";", "decimal": ","}
    fleet = raw_fleet(source=marks)
    assert yard.ingest(fleet)[1].read("a-1")["speed"].to_pylist() == [950]
    assert "source.thousands: '.'" in reasons(yard, fleet)[0]
    fleet = raw_fleet(source=marks | {"thousands": "."})
    table = yard.ingest(fleet)[1].read("a-1")
    assert table["speed"].to_pylist() == [950, 1050]
    assert table["level"].to_pylist() == [1234567.5, 7]
    assert "source.decimal" in reasons(yard, fleet)[0]


def test_rows_far_from_all_others_of_their_vehicle_are_told(yard, capsys):
    fleet = fleet_of({"format": "%d.%m.%y %H:%M:%S"})
    rows = [f"{n:02d}.01.26 08:00:{s:02d},1,2" for n in (5, 6, 7) for s in range(60)]
    yard.csv("a.csv", rows, "time,speed,level")
    yard.ingest(fleet)
    assert "more than a year" not in capsys.readouterr().err
    yard.csv("b.csv", [f"26.01.08 08:00:{s:02d},1,2" for s in range(60)], "time,speed,level")
    yard.ingest(fleet)
    told = "b.csv has rows of 2008-01-26 that lie more than a year from all others of a-1"
    assert told in capsys.readouterr().err
    yard.csv("c.csv", ["08.01.26 08:00:00,1,2"], "time,speed,level")
    yard.ingest(fleet)
    assert "more than a year" not in capsys.readouterr().err


def test_parts_of_a_second_in_a_column_of_their_own(yard):
    rule = {"column": ["secs", "nsecs"], "unit": "s", "fraction": "ns"}
    first = START_US // 1_000_000
    parts = ["0", "250000000", "5e8", "", "1000000000", "-1", "0.5", "7"]
    rows = [f"{first + n},{part},{n},2" for n, part in enumerate(parts)]
    yard.csv("x.csv", rows, "secs,nsecs,speed,level")
    fleet = fleet_of(rule)
    counts, lake = yard.ingest(fleet)
    assert seconds_of(lake.read("a-1")) == [0, 1.25, 2.5, 7]
    assert counts.rows_rejected == 4 and balanced(counts)
    told = reasons(yard, fleet)
    assert "'1000000000' in column 'nsecs' is no whole number of ns below a second" in told[1]
    assert told[0] == "timestamp is missing: nsecs tells no ns"
    with pytest.raises(ValueError, match="last of several columns"):
        fleet_of(rule | {"column": "secs"})


@pytest.mark.parametrize(
    ("decimal", "levels"),
    [
        (",", [f"{26 + n / 500:.3f}" for n in range(40)]),  # fractions with a point
        (".", [f"{900 + 7 * n:,}".replace(",", ".") for n in range(40)]),  # 998, 1.005
        (".", [f"{2 + n / 500:.3f}".replace(".", ",") for n in range(40)]),
    ],
)
def test_a_later_file_of_another_country_is_refused_and_not_read_otherwise(yard, decimal, levels):
    header = "vehicle;timestamp;speed;level"
    fleet = raw_fleet(source={"delimiter": ";", "decimal": decimal})
    rows = [f"a-1;{at(n)};7;{str(26 + n / 500).replace('.', decimal)}" for n in range(40)]
    yard.csv("a.csv", rows, header)
    yard.ingest(fleet)
    yard.csv("b.csv", [f"a-1;{at(100 + n)};7;{level}" for n, level in enumerate(levels)], header)
    counts, lake = yard.ingest(fleet)
    assert counts.rows_rejected in (1, 40) and balanced(counts)
    assert len(lake.read("a-1")) == 40
    assert all("thousands apart" in reason for reason in reasons(yard, fleet))


@pytest.mark.parametrize("date", ["2026-01-05", "20260105", "2026_01_05"])
def test_times_of_day_on_a_12_hour_clock_with_a_date_however_written(date, yard):
    rule = {"take": "time_of_day", "format": "%I:%M:%S %p", "date_pattern": r"(\d[\d_-]+\d)"}
    lines = ["11:59:59 PM,1,2", "12:00:01 AM,1,2", "12:00:00 PM,1,2"]
    yard.csv(f"trip {date}.csv", lines, "time,speed,level")
    _, lake = yard.ingest(fleet_of(rule))
    assert seconds_of(lake.read("a-1")) == [DAY - 1, DAY + 1, 1.5 * DAY]
    yard.csv(f"trip {date}.csv", lines, "time,speed,level")
    (yard.raw / f"trip {date}.csv").rename(yard.raw / "trip 05.01.26.csv")
    day_first = rule | {"date_pattern": r"(\d\d\.\d\d\.\d\d)", "date_format": "%d.%m.%y"}
    assert seconds_of(yard.ingest(fleet_of(day_first))[1].read("a-1"))[0] == DAY - 1


@pytest.mark.parametrize("form", [None, "%d.%m.%Y %H:%M"])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_date_alone_is_midnight_in_its_place_and_else_the_sum_of_a_day(yard, form, newest_first):
    fleet = fleet_of({"format": form} if form else {})
    hours = [START + datetime.timedelta(hours=n) for n in range(0, 60, 6)]
    written = form or "%Y-%m-%d %H:%M:%S"
    day = written.partition(" ")[0]
    rows = [f"{t.strftime(written if t.hour else day)},{t.day},2" for t in hours]
    rows[4:4] = [f"{START.strftime(day)},99,99"]
    yard.csv("x.csv", rows[::-1] if newest_first else rows, "time,speed,level")
    counts, lake = yard.ingest(fleet)
    assert lake.read("a-1")["timestamp"].to_pylist() == hours
    assert 99 not in lake.read("a-1")["speed"].to_pylist()
    (reason,) = counts.rejected_by_reason
    assert counts.rows_rejected == 1 and reason == "timestamp is not readable"


@pytest.mark.parametrize(("first", "then", "told"), [("Z", "", "without"), ("", "+01:00", "with")])
def test_a_file_whose_times_have_an_offset_as_no_earlier_one_is_told(
    yard, capsys, first, then, told
):
    fleet = raw_fleet()
    for number, zone in enumerate((first, first, then, then)):
        yard.csv(f"{number}.csv", [f"a-1,2026-01-0{5 + number}T08:00:00{zone},1,2"])
        yard.ingest(fleet)
        said = capsys.readouterr().err
        assert ("2.csv has times " in said) is (number == 2)
        assert number != 2 or f"has times {told} an offset, as no earlier file had; those" in said
