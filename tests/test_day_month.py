"""Dates whose day and month are the other way round than the fleet file says."""

import os
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from draft_kit import MONDAY, ROWS, log, wave
from hypothesis import given
from hypothesis import strategies as st
from ingest_kit import line, raw_fleet

from amad.config.source import TimestampRule
from amad.reading.date_line import DateLine
from amad.reading.day_month import OtherWay, dates_in, is_ordered, other_way
from amad.reading.rows import CleanRows

MONTH_FIRST, DAY_FIRST = "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"
DAY_FIRST_FLEET = {"source": {"timestamp": {"column": "timestamp", "format": DAY_FIRST}}}


def us(*date):
    return round(datetime(*date, tzinfo=UTC).timestamp() * 1e6)


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)))
def test_the_other_way_round_is_what_the_other_form_reads(time):
    told = time.strftime(DAY_FIRST)
    try:
        wanted = datetime.strptime(told, MONTH_FIRST)
    except ValueError:
        wanted = None
    time = time.replace(microsecond=0)
    other_1, is_date_1 = other_way(np.array([round(time.replace(tzinfo=UTC).timestamp() * 1e6)]))
    assert is_date_1[0] == (wanted not in (None, time))
    if is_date_1[0]:
        assert datetime.fromtimestamp(other_1[0] / 1e6, UTC).replace(tzinfo=None) == wanted


def test_forms_and_paths_that_tell_an_order():
    assert is_ordered(MONTH_FIRST) and not is_ordered("%Y/%d/%m") and not is_ordered("%d %b %Y")
    assert dates_in("van1/2026-03-08/log_20260309_080000.csv") == [20520, 20521]
    assert dates_in("2026-13-40/x_1234567890.csv") == []


def test_a_path_shows_the_other_order_only_where_the_file_is_of_that_day_alone():
    own = OtherWay("2026-03-08.csv", us(2026, 12, 1))
    assert own.shown(np.array([us(2026, 8, 3), us(2026, 8, 3, 9)]))[0].all()
    of_all = OtherWay("export_2026-08-03.csv", us(2026, 12, 1))  # of some months until then
    assert not of_all.shown(np.array([us(2026, 3, 1), us(2026, 3, 8)]))[0].any()
    assert not of_all.shown(np.array([us(2026, 3, 8)]))[0].any()


def rows_at(*dates, vehicle="a-1"):
    nothing = np.zeros((len(dates), 0))
    time_T = np.array([us(*date) for date in dates])
    code_T = np.zeros(len(dates), np.int64)
    return CleanRows(
        vehicles=[vehicle], code_T=code_T, timestamp_T=time_T, value_TC=nothing, label_T=None,
        row_T=code_T,
    )  # fmt: skip


def test_dates_out_of_line_are_told_and_late_ones_are_not():
    line = DateLine(TimestampRule(format=MONTH_FIRST), {"a-1": us(2026, 3, 31)})
    line.add("log_9.csv", rows_at((2026, 1, 4), (2026, 2, 4)))
    line.add("log_10.csv", rows_at((2026, 3, 4), (2026, 4, 4), (2026, 5, 4)))
    line.add("late.csv", rows_at((2026, 1, 4), vehicle="a-2"))
    told = line.sentences()
    assert [text.split("; with day")[0] for text in told] == [
        "log_9.csv has rows of 2026-01-04", "log_9.csv has rows of 2026-02-04",
        "log_10.csv has rows of 2026-03-04", "so would 1 more date",
    ]  # fmt: skip
    assert "other way round, of 2026-04-01, they would follow the rows before" in told[0]


def test_dates_are_those_of_the_zone_of_the_logger():
    line = DateLine(TimestampRule(format=DAY_FIRST, timezone="Asia/Tokyo"), {})
    line.add("a.csv", rows_at((2026, 3, 7, 20), (2026, 8, 2, 20)))  # 8 March, then 3 August there
    assert "with day and month the other way round, of 2026-03-08" in line.sentences()[0]


def test_rows_that_the_path_shows_to_be_the_other_way_round_are_refused(yard):
    fleet = raw_fleet(**DAY_FIRST_FLEET)
    for day in (7, 8):
        form = DAY_FIRST if day == 7 else MONTH_FIRST
        told = [datetime(2026, 3, day, 8, 0, n).strftime(form) for n in range(30)]
        yard.csv(f"log_2026-03-{day:02d}.csv", [f"a-1,{time},1,2" for time in told])
    counts, lake = yard.ingest(fleet)
    assert (counts.rows_lake, counts.rows_rejected) == (30, 30)
    assert lake.read("a-1")["timestamp"][0].as_py() == datetime(2026, 3, 7, 8, tzinfo=UTC)
    reason = yard.rejected(fleet)[0]["reason"]
    assert reason.startswith("timestamp seems to have day and month the other way round: '03/08/")
    assert "is read as 2026-08-03, and of the file, its path tells 2026-03-08; write all" in reason


def test_rows_after_the_file_was_written_are_refused(yard):
    fleet = raw_fleet(**DAY_FIRST_FLEET)
    yard.csv("a.csv", ["a-1,07/03/2026 08:00:00,1,2", "a-1,03/08/2026 08:00:00,1,2"])
    os.utime(yard.raw / "a.csv", (us(2026, 3, 8, 9) / 1e6,) * 2)
    counts, _ = yard.ingest(fleet)
    assert counts.rows_rejected == 1
    assert "it was last written on 2026-03-08" in yard.rejected(fleet)[0]["reason"]


def test_a_night_names_a_file_that_follows_only_the_other_way_round(yard, capsys):
    fleet = raw_fleet(**DAY_FIRST_FLEET)
    yard.csv("log_1.csv", ["a-1,07/03/2026 08:00:00,1,2"])
    yard.ingest(fleet)
    yard.csv("log_2.csv", ["a-1,03/08/2026 08:00:00,1,2"])
    assert yard.ingest(fleet)[0].rows_lake == 2
    assert "log_2.csv has rows of 2026-08-03; with day and month" in capsys.readouterr().err


def test_a_log_that_changes_the_order_within_it_is_named(yard, capsys):
    times = ["03/30/2026 08:00:00", "03/31/2026 08:00:00", "01/04/2026 08:00:00"]
    yard.csv("log.csv", [f"a-1,{time},1,2" for time in times])
    timestamp = {"column": "timestamp", "format": MONTH_FIRST}
    assert yard.ingest(raw_fleet(source={"timestamp": timestamp}))[0].rows_in == 3
    assert "log.csv has rows of 2026-01-04; with day and month" in capsys.readouterr().err


def test_iso_times_have_one_order(yard):
    yard.csv("log_2026-03-08.csv", [line(seconds=n) for n in range(9)])
    assert yard.ingest(raw_fleet())[0].rows_rejected == 0


@pytest.mark.parametrize("shown", ["in the paths", "when the files were written"])
def test_a_draft_takes_the_order_that_the_files_show(field, shown):
    name = "a_2026-01-05.csv" if shown == "in the paths" else "a.csv"
    field.write(name, log(MONTH_FIRST))
    if name == "a.csv":
        os.utime(field.raw / name, (us(2026, 1, 5, 9) / 1e6,) * 2)
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == MONTH_FIRST and "which is the day" not in told
    assert field.ingest(fleet).rows_lake == ROWS


@pytest.mark.parametrize("files", [10, 1])
def test_a_draft_takes_the_order_by_which_days_follow_each_other_and_names_the_others(field, files):
    rows = []
    for day in range(1, 11):
        start = MONDAY.replace(month=3, day=day)
        form = MONTH_FIRST if day < 8 else DAY_FIRST
        times = [(start + timedelta(seconds=n)).strftime(form) for n in range(30)]
        rows.append([f"{time},{wave(n)}" for n, time in enumerate(times)])
    if files == 1:
        rows = [[line for lines in rows for line in lines]]
    for day, lines in enumerate(rows, 1):
        field.write(f"log_{day}.csv", ["time,speed", *lines])
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == MONTH_FIRST and "which is the day" in told
    assert f"guess: log_{8 if files == 10 else 1}.csv has rows of 2026-08-03; with day and" in told
    assert "has rows of 2026-03-07" not in told


def test_spanish_times_begin_with_the_day(field):
    lines = [line.replace("AM,", "a. m.,") for line in log("%d/%m/%Y %I:%M:%S %p")]
    field.write("a.csv", lines)
    assert field.draft()[0].source.timestamp.format == "%d/%m/%Y %I:%M:%S %p"
