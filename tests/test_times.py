"""Times as loggers, databases and spreadsheets write them."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from amad.config.source import TimestampRule
from amad.reading.numbers import NotReadableError, numbers
from amad.reading.times import DAY_US, elapsed, times, times_of_day
from amad.reading.timestamp_guess import looks_like

UTC_2026 = 1_767_607_200_000_000  # 2026-01-05 10:00
SECOND = 1_000_000


def read(cells, **rule):
    column = cells if isinstance(cells, pa.Array) else pa.array(cells)
    return times(column, TimestampRule(**rule))


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("2026-01-05T10:00:00Z", {}),
        ("2026-01-05 10:00:00 UTC", {}),
        ("2026-01-05 10:00:00.000000 UTC", {}),
        ("2026-01-05 10:00 GMT", {}),
        ("2026-01-05 11:00:00 +0100", {}),
        ("2026-01-05T11:00:00,000+01", {}),
        ("2026-01-05 11:00:00.000000000 UTC+01:00", {}),
        ("2026-01-05T11:00:00+01:00[Europe/Berlin]", {}),
        ("20260105T100000Z", {}),
        ("20260105T1000Z", {}),
        ("2026/01/05 10:00:00Z", {}),
        ("1767607200", {"unit": "s"}),
        ("1767607200.0", {"unit": "s"}),
        ("1767607200,000", {"unit": "s"}),
        ("1.7676072E9", {"unit": "s"}),
        ("1767607200000000000", {"unit": "ns"}),
        (1767607200000, {"unit": "ms"}),
        (1767607200.0, {"unit": "s"}),
        (1767607200000000000, {"unit": "ns"}),
        (datetime.datetime(2026, 1, 5, 10, tzinfo=datetime.UTC), {}),
        ("Mon Jan 05 11:00:00 GMT+01:00 2026", {"format": "%a %b %d %H:%M:%S GMT%z %Y"}),
        ("Mon Jan 05 11:00:00 CET 2026",
         {"format": "%a %b %d %H:%M:%S %Z %Y", "timezone": "Europe/Berlin"}),
        ("Mon, 05 Jan 2026 10:00:00 GMT", {"format": "%a, %d %b %Y %H:%M:%S %Z"}),
        ("05/Jan/2026:09:00:00 -0100", {"format": "%d/%b/%Y:%H:%M:%S %z"}),
        ("2026-01-05 11:00:00 +01", {"format": "%Y-%m-%d %H:%M:%S %z"}),
        ("20260105110000+01", {"format": "%Y%m%d%H%M%S%z"}),
        ("2026-01-05 11:00:00 CET",
         {"format": "%Y-%m-%d %H:%M:%S %Z", "timezone": "Europe/Berlin"}),
    ],
)  # fmt: skip
def test_times_that_tell_their_offset(cell, rule):
    told = read([cell, None], **rule)
    assert told.us_R.tolist() == [UTC_2026, 0] and not told.local_R.any()
    assert told.missing_R.tolist() == [False, True] and not told.unreadable_R.any()


@pytest.mark.parametrize(
    ("cell", "rule"),
    [
        ("2026-01-05 10:00:00.000", {}),
        ("2026-1-5 10:00", {}),
        ("2026/1/5 10:00:00", {}),
        ("20260105 100000", {}),
        (datetime.datetime(2026, 1, 5, 10), {}),
        ("05.01.2026 10:00:00", {"format": "%d.%m.%Y %H:%M:%S"}),
        ("01/05/2026 10:00:00.0000000 AM", {"format": "%m/%d/%Y %I:%M:%S.%f %p"}),
        ("1/5/26 10:00\u202fa.m.", {"format": "%m/%d/%y %I:%M %p"}),
        ("5-Jan-2026 10:00", {"format": "%d-%b-%Y %H:%M"}),
        (20260105100000, {"format": "%Y%m%d%H%M%S"}),
        ("05.01.2026 10.00", {"format": "%d.%m.%Y %H.%M"}),
    ],
)
def test_times_of_a_local_clock(cell, rule):
    told = read([cell], **rule)
    assert told.us_R.tolist() == [UTC_2026] and told.local_R.all()


@pytest.mark.parametrize("form", ["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %I:%M %p", "%d.%m.%Y %H.%M"])
def test_a_date_among_times_is_its_midnight(form):
    told = read(["05.01.2026", "05.01.26", "05.01.2026 x"], format=form)
    assert told.us_R[0] == UTC_2026 - 10 * 3_600_000_000
    assert told.good_R.tolist() == [True, False, False] and told.local_R[0]
    assert not read(["05.01.2026"], format=f"{form} %z").good_R.any(), "whose midnight?"


def test_times_of_mixed_and_broken_text():
    cells = ["2026-01-05T10:00:00Z", "05.01.2026 10:00", None, "2026-13-01 00:00:00", "x", "-"]
    told = read([*cells, "2026-01-05 10:00:00", "1767607200"], unit="s")
    assert told.good_R.tolist() == [True, False, False, False, False, False, True, True]
    assert told.missing_R.tolist() == [False, False, True, False, False, True, False, False]
    assert told.us_R[told.good_R].tolist() == [UTC_2026] * 3
    told = read(["30.02.2026", "05.01.2026"], format="%d.%m.%Y")
    assert told.unreadable_R.tolist() == [True, False], "no such day, not two days later"


def test_serial_numbers_of_spreadsheets_count_from_their_day():
    serial = 46_027 + 10 / 24
    assert read([f"{serial:.8f}"], unit="days_1900").us_R.tolist() == [UTC_2026]
    assert read([serial], unit="days_1900").us_R.tolist() == [UTC_2026]
    assert read([f"{serial - 1462:.8f}"], unit="days_1904").us_R.tolist() == [UTC_2026]
    assert read([46_027], unit="days_1900").us_R.tolist() == [UTC_2026 - 10 * 3600 * SECOND]
    # Seconds written with 5 or 8 digits are whole seconds again: a bin is neither doubled nor lost.
    for digits in (5, 8):
        cells = [f"{46_027 + n / 86_400:.{digits}f}" for n in range(2000)]
        us = read(cells, unit="days_1900").us_R
        assert np.unique(np.diff(us)).tolist() == [SECOND]


def test_a_number_that_a_spreadsheet_rounded_is_refused():
    told = read(["1.76761E+12", "1.76761E+12", "1.76762E+12"], unit="ms")
    assert told.rounded_R.all() and not told.good_R.any()
    assert read(["1.7676072E9", "1.767607201E9", "1.767607202E9"], unit="s").good_R.all()


def test_a_column_of_no_times_is_refused_as_a_whole():
    for cells, said in (
        ([[1]], "list"),
        ([True], "bool"),
        ([datetime.time(7)], "time_of_day reads it"),
        ([datetime.timedelta(1)], "elapsed reads it"),
    ):
        with pytest.raises(NotReadableError, match=said):
            read(cells)


def test_times_of_day():
    cells = ["07:16:30.444", "7:16:30,5", "12:00", "24:00:01", "noon", None]
    told = times_of_day(pa.array(cells))
    assert told.us_R[:3].tolist() == [26_190_444_000, 26_190_500_000, 43_200_000_000]
    assert told.good_R.tolist() == [True, True, True, False, False, False]
    clock = pa.array([datetime.time(7, 16, 30, 444_000)])
    assert times_of_day(clock).us_R.tolist() == [26_190_444_000]
    told = times_of_day(pa.array(["12:00:01 AM", "12:00:01 PM", "1:05:00 pm"]), "%I:%M:%S %p")
    assert told.us_R.tolist() == [SECOND, 43_201_000_000, 47_100_000_000]


@pytest.mark.parametrize(
    ("cell", "form", "same"),
    [
        ("2026-03-14 24:00", None, "2026-03-15T00:00:00Z"),
        ("2026-12-31T24:00:00.000Z", None, "2027-01-01T00:00:00Z"),
        ("2026-03-14T08:59:60", None, "2026-03-14T09:00:00Z"),
        ("2016-12-31 23:59:60.25+00:00", None, "2017-01-01T00:00:00.25Z"),
        ("31.12.2026 24:00", "%d.%m.%Y %H:%M", "2027-01-01T00:00:00Z"),
        ("14/03/2026 23:59:60", "%d/%m/%Y %H:%M:%S", "2026-03-15T00:00:00Z"),
    ],
)
def test_the_end_of_a_day_and_a_second_60_are_the_next_beginning(cell, form, same):
    rule = TimestampRule(format=form)
    told = times(pa.array([cell, "2026-03-14 24:30", "2026-03-14 08:60:00"]), rule)
    assert told.good_R.tolist() == [True, False, False]
    assert told.us_R[0] == times(pa.array([same]), TimestampRule()).us_R[0]
    assert times_of_day(pa.array(["24:00"])).us_R[0] == 86_400 * SECOND


def test_epochs_in_32_bits_are_too_coarse():
    told = times(pa.array([1.7e9, 1.0, None], pa.float32()), TimestampRule(unit="s"))
    assert told.rounded_R.tolist() == [True, False, False]
    assert times(pa.array([1.7e9]), TimestampRule(unit="s")).good_R.all()


def test_elapsed_time_in_a_unit_or_as_a_clock():
    assert elapsed(pa.array(["0.6", "1.55", "x", ""]), "s").us_R[:2].tolist() == [
        600_000,
        1_550_000,
    ]
    assert elapsed(pa.array([0.5]), "min").us_R.tolist() == [30 * SECOND]
    assert elapsed(pa.array(["1500"]), "ms").us_R.tolist() == [1_500_000]
    told = elapsed(pa.array(["0:00:01.5", "27:00:00", "1:61:00"]), "s")
    assert told.us_R.tolist() == [1_500_000, 27 * 3600 * SECOND, 0]
    assert told.unreadable_R.tolist() == [False, False, True]
    span = pa.array([datetime.timedelta(seconds=2)])
    assert elapsed(span, "s").us_R.tolist() == [2 * SECOND]
    # A minute in thirds, written with five digits, is whole seconds again.
    assert elapsed(pa.array(["0.01667", "0.03333"]), "min").us_R.tolist() == [1_000_000, 2_000_000]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["07/14/2025 09:55:00 PM", "07/15/2025 09:55:00 PM"], {"format": "%m/%d/%Y %I:%M:%S %p"}),
        (["14/07/2025 21:55", "15/07/2025 21:55"], {"format": "%d/%m/%Y %H:%M"}),
        (["1.7.2025 8:00:00", "2.7.2025 8:00:00"], {"format": "%d.%m.%Y %H:%M:%S"}),
        (["14-Jul-2025 08:00:00.5"], {"format": "%d-%b-%Y %H:%M:%S.%f"}),
        (["Mon Jul 14 08:00:00 GMT+02:00 2025"], {"format": "%a %b %d %H:%M:%S GMT%z %Y"}),
        (["Mon Jul 14 08:00:00 CEST 2025"], {"format": "%a %b %d %H:%M:%S %Z %Y"}),
        (["July 14, 2025 8:00 PM"], {"format": "%B %d, %Y %I:%M %p"}),
        (["20250714080000"], {"format": "%Y%m%d%H%M%S"}),
        (["45852.3333", "45852.3334"], {"unit": "days_1900"}),
        (["1752480000", "1752480001"], {"unit": "s"}),
        (["1752480000123"], {"unit": "ms"}),
        (["1.75248E15"], {"unit": "us"}),
        (["2025-195 08:00:00", "2025-196 08:00:00"], {"format": "%Y-%j %H:%M:%S"}),
        (["0.0", "0.1", "0.2"], {"take": "elapsed", "unit": "s"}),
        (["00:00:00.1", "00:00:00.2"], {"take": "elapsed"}),
        (["08:00:00", "08:00:01"], {"take": "time_of_day"}),
        (["8:00:00 AM"], {"take": "time_of_day", "format": "%I:%M:%S %p"}),
        (["2025-07-14T08:00:00Z"], {}),
    ],
)
def test_the_settings_that_would_read_a_text_are_found(cells, expected):
    guess = looks_like(cells)
    assert guess is not None and guess.settings == expected
    if "format" in expected and "take" not in expected:
        assert expected["format"] in guess.sentence
        rule = {"format": guess.settings["format"], "timezone": "Europe/Berlin"}
        assert read(cells, **rule).good_R.all(), "what is suggested reads it"


def test_day_and_month_that_cannot_be_told_apart_are_named():
    guess = looks_like(["03/04/2025 11:55:00 AM"])
    assert "cannot be told apart" in guess.sentence and "%d/%m/%Y" in guess.sentence
    assert "cannot be told apart" not in looks_like(["03/14/2025", "03/04/2025"]).sentence
    assert "cannot be told apart" not in looks_like(["04.03.2025"]).sentence, (
        "points mean day first"
    )


@pytest.mark.parametrize(
    "cells", [[], [None, ""], ["fast"], ["March"], ["-5"], ["2", "-5"], ["1e300"]]
)
def test_what_looks_like_no_time_is_not_guessed_at(cells):
    assert looks_like(cells) is None


@settings(max_examples=40)
@given(st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2100, 1, 1)))
def test_whatever_form_a_time_is_written_in_it_is_the_same_time(moment):
    us = (moment - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)
    for form in ("%d.%m.%Y %H:%M:%S.%f", "%m/%d/%Y %I:%M:%S.%f %p", "%b %d %Y %H:%M:%S,%f"):
        assert read([moment.strftime(form)], format=form).us_R.tolist() == [us]
    for text in (moment.isoformat(" ") + " UTC", moment.strftime("%Y%m%dT%H%M%S.%fZ"), str(us)):
        assert read([text], unit="us").us_R.tolist() == [us]
    assert times_of_day(pa.array([moment.time().isoformat()])).us_R.tolist() == [us % DAY_US]


def test_settings_of_times_are_checked_when_the_fleet_file_is_read():
    for form in ("%Q", "%d %d", "DD.MM.YYYY", "%"):
        with pytest.raises(ValueError, match="strptime form"):
            TimestampRule(format=form)
    with pytest.raises(ValueError, match="elapsed needs a unit"):
        TimestampRule(take="elapsed", unit="days_1900", start_from="modified")
    assert TimestampRule(take="elapsed", start_from="modified").unit == "s"
    local = TimestampRule(take="index", start="2026-01-05T11:00", timezone="Europe/Berlin")
    zoned = TimestampRule(take="index", start="2026-01-05T10:00Z", timezone="Europe/Berlin")
    assert local.start_us == zoned.start_us == UTC_2026
    for start in ("2025-10-26T02:30", "2025-03-30T02:30"):
        with pytest.raises(ValueError, match=r"tell its offset, as in 20.*T02:30:00\+0[12]:00"):
            TimestampRule(take="index", start=start, timezone="Europe/Berlin")
    assert TimestampRule(take="index", start="2025-10-26T02:30+01:00", timezone="Europe/Berlin")


@settings(max_examples=30)
@given(st.lists(st.text(max_size=30) | st.text("0123456789:.,-+/eE TZ", max_size=25), max_size=8))
@example(["0E310", "0E310"])
@example(["+0", "+1.5", "-0"])
def test_no_text_is_more_than_unreadable(cells):
    column = pa.array(cells, pa.string())
    forms = ({"unit": "s"}, {"unit": "days_1900"}, {"format": "%d.%m.%Y %H:%M:%S.%f %p %Z"})
    for told in (
        *(times(column, TimestampRule(**rule)) for rule in forms),
        times_of_day(column),
        times_of_day(column, "%I:%M %p"),
        elapsed(column, "min"),
    ):
        assert len(told.good_R) == len(cells) and (told.us_R[told.unreadable_R] == 0).all()
    looks_like(cells)
    for decimal in (".", ","):
        assert len(numbers(column, decimal, nulls=["x"], unit="%").bad_R) == len(cells)
