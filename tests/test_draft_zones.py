"""The zone of times in drafts: offsets, names of zones, and what lines and columns tell of them."""

from datetime import UTC, datetime, timedelta

import pytest
from draft_kit import ROWS, log, stamp, times_of, wave


@pytest.mark.parametrize(("form", "says"), [("%Y-%m-%d %H:%M:%S", True), ("%FT%TZ", False)])
def test_times_without_an_offset_are_said_to_be_taken_for_utc(field, form, says):
    field.write("a.csv", log(form))
    assert ("times without an offset are taken for UTC" in field.draft()[1]) is says


@pytest.mark.parametrize(
    ("header", "form", "cell"),
    [
        ("utc_offset", "%Y-%m-%d %H:%M:%S", "+02:00"), ("offset", "%Y-%m-%dT%H:%M:%S", "+02:00"),
        ("tz", "%d.%m.%Y %H:%M:%S", "+0200"), ("UTC offset", "%Y-%m-%d %H:%M:%S.%f", "+02"),
        ("timezone", "%Y-%m-%d %H:%M:%S", "Etc/GMT-2"), ("tz_name", "%d.%m.%Y %H:%M:%S", "EET"),
    ],
)  # fmt: skip
def test_the_offset_in_a_column_of_its_own_is_read(field, header, form, cell):
    lines = log(form)
    rows = (",".join((t, cell, v)) for t, v in (line.split(",") for line in lines[1:]))
    field.write("a.csv", [f"time,{header},speed", *rows])
    fleet, told = field.draft()
    assert fleet.channel_names == ["speed"] and "taken for UTC" not in told
    assert times_of(field, fleet)[0] == datetime(2026, 1, 5, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "form", "path", "read"),
    [
        ("Lcl Date, Lcl Time, UTCOfst", "%Y-%m-%d, %H:%M:%S", "log_260105.csv", None),
        ("Date,Time,UTC Offset", "%m/%d/%Y,%H:%M:%S", "2026-01-05.csv", "%m/%d/%Y %H:%M:%S %z"),
        ("date,time,tz", "%d%m%y,%H%M%S", "2026-01-05.csv", "%d%m%y %H%M%S %z"),
    ],
)
def test_the_offset_of_a_date_and_a_time_of_day_is_read(field, header, form, path, read):
    rows = (f"{line.rpartition(',')[0]},-05:00,{wave(n)}" for n, line in enumerate(log(form)[1:]))
    field.write(path, [f"{header},speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.format == read and "taken for UTC" not in told
    assert [str(time) for time in times_of(field, fleet)] == [
        "2026-01-05 13:00:00+00:00", "2026-01-05 13:03:59+00:00"
    ]  # fmt: skip


def test_offsets_that_change_are_read_row_by_row(field):
    rows = (f"{stamp(n)},{'+02:00' if n < 99 else '+01:00'},{wave(n)}" for n in range(ROWS))
    field.write("a.csv", ["time,utc_offset,speed", *rows])
    first, last = times_of(field, field.draft()[0])
    assert (first.hour, last.hour, last - first) == (6, 7, timedelta(seconds=3600 + ROWS - 1))


@pytest.mark.parametrize(
    ("headers", "cells", "named"),
    [
        ("time,utc_offset", lambda n: f"{stamp(n)},120", "'utc_offset'"),
        ("time,UTC offset [h]", lambda n: f"{stamp(n)},{1 + n // 99}", "'UTC offset [h]'"),
        ("date,time,tz", lambda n: f"{stamp(n).replace('T', ',')},120", "'tz'"),
    ],
)
def test_an_offset_that_is_not_read_is_named_before_times_are_taken_for_utc(
    field, headers, cells, named
):
    field.write("a.csv", [f"{headers},speed", *(f"{cells(n)},{wave(n)}" for n in range(ROWS))])
    assert f"a.csv: column {named} tells how far the times are from UTC (" in field.refusal()


def test_the_number_of_a_zone_of_a_town_is_no_offset(field):
    field.write(
        "a.csv", ["time,zone,speed", *(f"{stamp(n)},{n % 3},{wave(n)}" for n in range(ROWS))]
    )
    assert "column 'zone' seems to tell the zone" in field.draft()[1]


@pytest.mark.parametrize(
    ("header", "zone", "guessed"),
    [
        ("Time (UTC+2)", "Etc/GMT-2", False), ("time GMT-05:00", "Etc/GMT+5", False),
        ("time [UTC]", "UTC", False), ("time UTC+05:30", "Asia/Kolkata", False),
        ("Time (GMT-03:30)", "UTC", True), ("Time (EST)", "UTC", True),
        ("local_time CET", "UTC", True),
    ],
)  # fmt: skip
def test_a_header_with_an_offset_is_not_taken_for_utc(field, header, zone, guessed):
    field.write("a.csv", [f"{header},speed", *log("%Y-%m-%d %H:%M:%S")[1:]])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == zone
    assert ("times without an offset are taken for UTC" in told) is guessed


@pytest.mark.parametrize(
    ("minutes", "zone", "hour"), [(-60, "Etc/GMT-1", 7), (0, "UTC", 8), (300, "Etc/GMT+5", 13)]
)
def test_a_performance_monitor_tells_its_zone_and_the_month_first(field, minutes, zone, hour):
    time = f'"(PDH-CSV 4.0) (Some Standard Time)({minutes})"'
    rows = log("%m/%d/%Y %H:%M:%S.000")[1:]
    field.write("perf.csv", [rf'{time},"\\HOST\Processor(_Total)\% Processor Time"', *rows])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == zone and "the other way round" not in told
    assert times_of(field, fleet)[0] == datetime(2026, 1, 5, hour, tzinfo=UTC)


def test_times_with_and_without_an_offset_are_told(field):
    lines = log("%Y-%m-%dT%H:%M:%S")
    field.write("a.csv", lines[:100] + [line.replace(",", "+01:00,", 1) for line in lines[100:]])
    assert "some of the times have an offset and others have none" in field.draft()[1]


def test_the_name_of_a_zone_in_the_header_is_taken(field):
    lines = log()
    field.write("a.csv", [lines[0].replace("time", "Local time (Europe/Berlin)"), *lines[1:]])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == "Europe/Berlin"
    assert "taken for Europe/Berlin, as its header names that zone" in told


def test_names_of_zones_behind_dates_that_may_be_the_other_way_round(field):
    field.write("a.csv", log("%d/%m/%Y %H:%M:%S EST"))
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == "America/New_York"
    assert "which is the day and which the month" in told


@pytest.mark.parametrize(
    ("line", "zone"),
    [
        ("# Time zone: UTC", "UTC"),
        ("Time zone;UTC+02:00", "Etc/GMT-2"),
        ("Zeitzone: (UTC+01:00) Amsterdam, Berlin", "Etc/GMT-1"),
        ("TZ=GMT+05:30", "Asia/Kolkata"),
    ],
)
def test_a_line_before_the_header_tells_how_far_times_are_from_utc(field, line, zone):
    field.write("a.csv", [line, *log("%Y-%m-%d %H:%M:%S")])
    fleet, told = field.draft()
    assert fleet.source.timestamp.timezone == zone
    assert f"taken for {zone}, as a line before the header names that zone" in told
