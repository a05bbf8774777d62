"""Numbers as loggers, databases and spreadsheets write them: read, or refused with the reason."""

import decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.reading.numbers import NotReadableError, numbers

SPACES = [" ", "\u00a0", "\u202f", "\u2009"]


def read(cells, decimal=".", **more):
    """Values with None for null and "bad" for refused."""
    column = cells if isinstance(cells, pa.Array) else pa.array(cells)
    found = numbers(column, decimal, **more)
    assert np.isnan(found.value_R[found.bad_R]).all(), "what is refused has no value"
    return [
        "bad" if bad else None if np.isnan(value) else value
        for value, bad in zip(found.value_R.tolist(), found.bad_R, strict=True)
    ]


def reasons(cells, decimal=".", **more):
    return [why for _, why in numbers(pa.array(cells), decimal, **more).refused]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", None, " 2.5 ", "x", ""], [1, None, 2.5, "bad", None]),
        (["1e3", "-.5", "+2", "0x1F", "NaN"], [1000, -0.5, 2, "bad", None]),
        (["1E+03", "1.5D+03", "\u22127", "12:30", "1.2.3"], [1000, 1500, -7, "bad", "bad"]),
        (["inf", "-Infinity", "1.#INF", "1e309", "1.#QNAN"], ["bad"] * 4 + [None]),
        (["True", "FALSE", "on", "Off", "yes", "N", "t"], [1, 0, 1, 0, 1, 0, 1]),
        (["12.5", "N", "off", "3"], [12.5, "bad", "bad", 3]),
        (["1", "2", "N", "3.0"], [1, 2, 0, 3]),
        (["+  0.50", "- 12", "- 1 2", "-"], [0.5, -12, "bad", None]),
        (["#DIV/0!", "#N/A", "WAHR", "5-"], ["bad", None, "bad", "bad"]),
        ([1, None, 3], [1, None, 3]),
        ([True, None], [1, None]),
        ([1.5, float("nan"), float("inf"), 1e39], [1.5, None, "bad", "bad"]),
        ([None, None], [None, None]),
        ([decimal.Decimal("1.25"), None], [1.25, None]),
        ([decimal.Decimal("71.10"), decimal.Decimal("-0.07")], [71.1, -0.07]),
    ],
)
def test_numbers_of_any_column(cells, expected):
    assert read(cells) == expected


@pytest.mark.parametrize(
    "word",
    ["", "-", "--", "-----", "nan", "NULL", "None", "n/a", " NA ", "#N/A", "nil", "\\N", "(null)",
     "?", "<NA>", "\u2014"],
)  # fmt: skip
def test_words_for_no_value_are_null_in_any_case(word):
    found = numbers(pa.array(["1", word, word.upper(), "2 "]))
    assert found.refused == [] and not found.null_R.any()
    assert np.isnan(found.value_R).tolist() == [False, True, True, False]


def test_counters_are_exact_beyond_float32():
    start = 3_000_000_001
    assert read([str(start + n) for n in range(5)]) == [start + n for n in range(5)]
    assert read(pa.array([2**53 - 1, 2**24 + 1], pa.uint64())) == [2**53 - 1, 2**24 + 1]
    assert read(["123456789.5"]) == [123456789.5]


def test_whole_numbers_that_float64_blurs_are_refused():
    for cells in (pa.array([2**64 - 1, 3], pa.uint64()), ["18446744073709551615", "3"]):
        assert read(cells) == ["bad", 3]
        assert read(cells, nulls=[str(2**64 - 1)]) == [None, 3]
        assert read(cells, known=[2**64 - 1]) == [2.0**64, 3], "for the profile to count"
    assert "channel's nulls" in reasons([2**60])[0]
    assert read([1e20, 3.0]) == [1e20, 3.0], "a measured value is rounded anyway"


@pytest.mark.parametrize(
    ("cells", "decimal", "expected"),
    [
        (["850", "1.000", "18.250"], ",", [850, "bad", "bad"]),
        (["850,5", "1.000", "1.234,5"], ",", [850.5, 1000, 1234.5]),
        (["26,23", "26.230", "26"], ",", [26.23, "bad", 26]),
        (["7.654.321,25", "-1.000"], ",", [7654321.25, -1000]),
        (["12,5", "-0,25", "1,5e3"], ",", [12.5, -0.25, 1500]),
        (["12,5", "0.25", "1.5"], ",", [12.5, "bad", "bad"]),
        (["1.234", "1.5", "1.75"], ",", ["bad", "bad", "bad"]),
        (["1,000", "1,234,567.5"], ".", [1000, 1234567.5]),
        (["2,000", "850", "850.5"], ".", ["bad", 850, 850.5]),
        (["12,5", "1"], ".", ["bad", 1]),
        (["1'250", "2\u2019000.5"], ".", [1250, 2000.5]),
        (["1,00,000", "12,34,567.5"], ".", [100000, 1234567.5]),
        (["1.00", "1.0000"], ",", ["bad", "bad"]),
        (["1,5,000", "1.000,000"], ",", ["bad", 1000]),
        (["1.000,5 "], ",", [1000.5]),
        (["1 000,5"], ",", [1000.5]),
        (["12 34", "1 00"], ".", ["bad", "bad"]),
    ],
)
def test_thousands_are_read_or_refused_and_never_taken_for_fractions(cells, decimal, expected):
    assert read(cells, decimal) == expected


def test_a_lone_group_is_one_of_thousands_where_the_fleet_file_tells_it():
    assert read(["48,137", "9,180"]) == ["bad", "bad"]
    assert "source.thousands: ','" in reasons(["48,137", "9,180"])[0]
    assert read(["48,137", "9,180"], ".", thousands=",") == [48137, 9180]
    assert read(["850", "1.000", "18.250"], ",", thousands=".") == [850, 1000, 18250]
    assert read(["1.000", "2.000", "1.5"], ",", thousands=".") == [1000, 2000, "bad"]
    assert read(["1.234", "1.5", "1.75"], ",", thousands=".") == ["bad", "bad", "bad"]


HUNDREDS = ["300", "450", "610", "780", "905"]


@pytest.mark.parametrize(
    ("cells", "hidden"),
    [
        ([*HUNDREDS, "1.250", "2.875"], True),  # as 900, 950, 1.000 of another country
        ([*(f"1.234.56{n}" for n in range(5)), "2.875"], True),
        ([*HUNDREDS, "+1.250", "-2.875"], True),
        ([*HUNDREDS[:4], "1.250", "2.875"], False),  # too few to tell
        ([*HUNDREDS, "12.250", "13.875"], False),  # nothing between 905 and 12250
        ([*HUNDREDS, "1.250", "2.5"], False),
        ([*HUNDREDS, "1.250", "1024"], False),
        ([*HUNDREDS, "0.250", "2.875"], False),
        (["12.500", "3.141", "255"], False),
    ],
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_column_whose_decimal_marks_seem_to_set_thousands_apart_is_refused(
    cells, hidden, decimal
):
    cells = [cell.replace(".", decimal) for cell in cells]
    for thousands in (None, {".": ",", ",": "."}[decimal]):
        if hidden:
            found = numbers(pa.array(cells), decimal, thousands)
            assert found.grouped and "seems to set thousands apart" in found.refused[0][1]
            assert found.bad_R.tolist() == [decimal in cell for cell in cells]
        else:
            expected = [float(cell.replace(decimal, ".")) for cell in cells]
            assert read(cells, decimal, thousands=thousands) == expected


def test_the_reason_says_what_it_looks_like():
    assert "'1.5' has a point, but source.decimal is ','" in reasons(["1.5"], ",")
    assert "'1,5' has a comma, but source.decimal is '.'" in reasons(["1,5"])
    assert "hexadecimal" in reasons(["0xFF"])[0] and "infinite" in reasons(["-inf"])[0]
    assert "source.nulls" in reasons(["error"])[0] and "source.nulls" in reasons(["#REF!"])[0]
    assert "unit" in reasons(["50 km/h"])[0]
    assert "single quotes" in reasons(["'63.09'"])[0]
    assert "may be hexadecimal" in reasons(["1E", "07"])[0]
    assert "has an apostrophe before it" in reasons(["'99.8"])[0]
    assert "another script" in reasons(["\u0665\u0660.\u0660"])[0]
    for text in ("12. Mrz", "03.12.2026", "01.Mai 26", "Mar-12"):
        assert "spreadsheets make of numbers" in reasons([text], ",")[0]
    assert len(reasons(["x" * 500])[0]) < 200


def test_the_channel_s_own_unit_may_stand_behind_the_number():
    assert read(["45 %", "45%", "7"], unit="percent") == [45, 45, 7]
    assert read(["21,5 \u00b0C"], ",", unit="celsius") == [21.5]
    assert read(["50 mph", "50 km/h", "1e3km/h"], unit="km/h") == ["bad", 50, 1000]
    assert read(["45 %"]) == ["bad"]


def test_words_and_numbers_of_the_fleet_file_are_null_and_counted():
    found = numbers(pa.array(["65535", "65535.0", "7", "ERR", "0xFFFF"]),
                    nulls=["65535", "err", "0xffff"])  # fmt: skip
    assert found.null_R.tolist() == [True, True, False, True, True]
    assert found.value_R[2] == 7 and not found.bad_R.any()
    assert read(pa.array([255, 3], pa.uint8()), nulls=["255"]) == [None, 3]
    assert read(pa.array([0.1, 3], pa.float32()), nulls=["0.1"]) == [None, 3]
    assert read(["-999,0", "1"], ",", nulls=["-999"]) == [None, 1]


def test_a_column_of_no_numbers_is_refused_as_a_whole():
    for cells in ([[1.0]], [{"a": 1}], [b"\xff"]):
        with pytest.raises(NotReadableError):
            numbers(pa.array(cells))


@given(
    value=st.integers(0, 10**12),
    digits=st.integers(0, 6),
    decimal=st.sampled_from([".", ","]),
    group=st.sampled_from(["other", "'", "\u2019", *SPACES]),
    negative=st.booleans(),
)
@settings(max_examples=150)
def test_what_a_writer_groups_is_read_back(value, digits, decimal, group, negative):
    mark = {".": ",", ",": "."}[decimal] if group == "other" else group
    number = value / 10**digits
    text = f"{number:,.{digits}f}".translate({ord(","): mark, ord("."): decimal})
    text = ("\u2212" if negative else "") + text
    expected = float(f"{number:.{digits}f}") * (-1 if negative else 1)
    assert read([text], decimal, thousands={".": ",", ",": "."}[decimal]) == [expected]


@given(st.lists(st.floats(-1e30, 1e30) | st.none(), max_size=20))
@settings(max_examples=100)
def test_text_and_numbers_are_the_same_column(values):
    texts = [None if v is None else repr(v) for v in values]
    assert read(pa.array(texts, pa.string())) == read(pa.array(values, pa.float64()))
    assert read(pa.array([*texts, "x"], pa.string()))[:-1] == values
