"""Columns become numbers, or their cells are refused with a reason.

A raw column is an Arrow array: text from a CSV file, any type from a Parquet file. Accepted are:

- ``12``, ``+1.5``, ``-.5``, ``1e3``, ``1.5D+03``, with ``decimal`` before the fraction, and the
  minus signs of typesetters;
- thousands in groups of three, separated by an apostrophe, a space, or the mark that is not
  ``decimal`` (``1.234.567,8`` if ``decimal`` is a comma); and ``1,00,000`` as written in India;
- true, false, t, f, yes, no, y, n, on and off, as 1 and 0, but not beside fractions;
- a number with the channel's own unit behind it (``45 %``);
- words for "no value", as null: an empty cell, -, ---, NaN, null, n/a and the like, and the words
  that the fleet file lists.

A lone group (``1,234``) may also be a fraction of three digits. It is read as thousands if the
fleet file sets ``thousands``, or if another cell of the column can be nothing else. A column is
refused that has such fractions (``1.234``) and whole numbers of up to three digits alone, as one of
thousands has.

Shape legend: R rows of a batch.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.reading.units import spellings

# Cells are compared with these after they are trimmed and put in lower case. Any number of hyphens
# also means "no value".
NULL_WORDS = (
    "", "nan", "+nan", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind",
    "null", "(null)", "<null>", "#null", "none", "nil", "\\n", "na", "n/a", "n.a.", "#n/a", "#na",
    "<na>", "nat", "[n/a]", "[not supported]", "?", "\u2013", "\u2014",
)  # fmt: skip
FIGURES = r"[+-]?[\d.,' ]*\d[.,]?(?:e[+-]?\d+)?"
HEXADECIMAL = r"^([0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]*$"
DATE = r"^([0-3]?\d[.] ?([01]?\d[.] ?(\d\d){1,2}|[a-zä]{3,9}[.]?( ?\d\d){0,2})|[a-zä]{3}[- ]\d\d)$"
TRUE_WORDS = ("true", "t", "yes", "y", "on")
FALSE_WORDS = ("false", "f", "no", "n", "off")

LARGEST = float(np.finfo(np.float32).max)  # windows and models hold float32
EXACT = 2.0**53  # above it a float64 cannot hold every whole number
SHOWN = 60  # characters of a cell in a reason
# Different whole numbers of three digits, without a fraction, that show that a column writes none.
HUNDREDS = 5
FIRST = 1000  # cells that are looked at before all are
FOLLOWS = 3  # times the largest of these, at which the least number of four digits must lie
NAMES = {",": "comma", ".": "point"}
LONE = (
    "has a {} that may set thousands apart or stand before a fraction; if it always sets them "
    "apart, set source.thousands: {!r}"
)
FOR_NONE = "if it stands for no value, list it in source.nulls"
NOT_READ = "which is not read: write it as a decimal number"
GROUPED = (
    "that seems to set thousands apart, as the other numbers of the column are whole and below "
    "1000: write them without"
)


class Marks(NamedTuple):
    """The marks in the numbers of a text file."""

    decimal: str  # before a fraction
    thousands: str | None  # between groups of three digits, if the fleet file tells it

    @property
    def other(self) -> str:
        """The one of comma and point that is not before a fraction."""
        return "." if self.decimal == "," else ","


class NotReadableError(ValueError):
    """A column cannot be read as numbers or times, so the file is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A column as numbers."""

    value_R: np.ndarray  # float64, NaN where null or refused
    null_R: np.ndarray  # bool: a word or number that the fleet file lists as "no value"
    refused: list[tuple[np.ndarray, str]]  # rows, bool (R,), and what is wrong with them
    grouped: bool = False  # its decimal marks seem to set thousands apart; refused[0] says so

    @property
    def bad_R(self) -> np.ndarray:
        """The rows that are refused for any reason, bool (R,)."""
        return np.logical_or.reduce(
            [np.zeros(len(self.value_R), bool), *(r for r, _ in self.refused)]
        )


def numbers(
    column: pa.Array,
    decimal: str = ".",
    thousands: str | None = None,
    *,
    nulls: Iterable[str] = (),
    known: Iterable[float] = (),
    unit: str = "",
    one_quantity: bool = True,
) -> Numbers:
    """Read a column of R cells. Infinite values and numbers that cannot be held are refused.

    Args:
        column: text, or a type of numbers.
        decimal: the mark before a fraction in text.
        thousands: the one of comma and point that sets groups of three digits apart, if the fleet
            file tells it.
        nulls: more words for "no value"; a word that is a number also stands for that number.
        known: numbers for "no value" that are kept, so that the profile can count them.
        unit: the channel's unit, which may follow a number in text.
        one_quantity: are the cells of one, so that its other cells tell how a cell is meant?

    Raises:
        NotReadableError: the column's type holds no numbers.
    """
    words, figures = _split(nulls)
    refused: list[tuple[np.ndarray, str]] = []
    null_R = np.zeros(len(column), bool)
    raw, whole, grouped = column, False, False
    if is_text(column.type):
        column = _plain_numbers(raw, decimal)
        if column is None:
            text = tidied(raw)
            null_R = flags(pc.is_in(text, pa.array(words, text.type)))
            marks = Marks(decimal, thousands)
            column, refused, grouped = _of_text(text, raw, marks, unit, null_R, one_quantity)
    elif pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    elif pa.types.is_integer(column.type):
        whole = True
    elif pa.types.is_decimal(column.type):  # by its text, as Arrow's cast rounds the last digit
        column, whole = pc.cast(pc.cast(column, pa.string()), pa.float64()), True
    elif not (pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise NotReadableError(f"it holds {column.type}, not numbers")
    if not pa.types.is_float64(column.type):
        column = pc.cast(column, pa.float64(), safe=False)
    value_R = column.to_numpy(zero_copy_only=False)
    if not value_R.flags.writeable:  # it is what Arrow holds
        value_R = value_R.copy()
    null_R |= is_any(value_R, figures)
    known_R = is_any(value_R, list(known))
    if null_R.any() or known_R.any():
        value_R[null_R | (known_R & ~np.isfinite(value_R))] = np.nan
    refused = [(rows_R & ~null_R, why) for rows_R, why in refused]
    refused += [(rows_R & ~known_R, why) for rows_R, why in _beyond(value_R, raw, whole)]
    for rows_R, _ in refused:
        value_R[rows_R] = np.nan
    refused = [(rows_R, why) for rows_R, why in refused if rows_R.any()]
    return Numbers(value_R=value_R, null_R=null_R, refused=refused, grouped=grouped)


def is_text(kind: pa.DataType) -> bool:
    """Is it a type of text?"""
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def shown(text: object) -> str:
    """A cell as a reason quotes it, cut where it is long."""
    text = str(text)
    return repr(text if len(text) <= SHOWN else text[: SHOWN - 3] + "...")


def _split(nulls: Iterable[str]) -> tuple[list[str], list[float]]:
    """The words in lower case, and the numbers among them."""
    words, figures = [], []
    for item in nulls:
        with contextlib.suppress(ValueError):
            figures.append(float(item.replace(",", ".")))
        words.append(item.strip().lower())
    return words, figures


def is_any(value_R: np.ndarray, figures: list[float]) -> np.ndarray:
    """Which values are one of the figures, or a figure rounded to float32, bool (R,)."""
    if not figures:
        return np.zeros(len(value_R), bool)
    with np.errstate(over="ignore"):
        return np.isin(value_R, [*figures, *np.array(figures, np.float32).astype(np.float64)])


def _plain_numbers(column: pa.Array, decimal: str) -> pa.Array | None:
    """The quick way, for text that holds only plain numbers; None if there is any other text."""
    if decimal == ",":
        if pc.any(pc.match_substring(column, ".")).as_py():
            return None
        column = pc.replace_substring(column, ",", ".")
    try:
        value = pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        return None
    return None if may_be_thousands(value) else value


def may_be_thousands(value: pa.Array) -> bool:
    """May the points of the numbers' text set thousands apart, by the numbers that they make?

    A quick look; whether they may, their text tells (``hide_thousands``).
    """
    value_R = np.abs(value.to_numpy(zero_copy_only=False))
    if not 100 <= np.fmax.reduce(value_R, initial=0.0) < 1000:
        return False
    value_R = value_R[~np.isnan(value_R)]
    fine_R = value_R * 1000
    if np.any(np.abs(fine_R - np.rint(fine_R)) > 1e-6):
        return False
    whole_R = value_R == np.rint(value_R)
    return not whole_R.all() and len(np.unique(value_R[whole_R & (value_R >= 100)])) >= HUNDREDS


def hide_thousands(number: pa.Array, mark: str) -> np.ndarray:
    """Which texts have a mark that seems to set thousands apart, bool (R,).

    They are all that have one, each has three digits behind it, and the others are whole numbers
    of up to three digits, from which they go on: 998, 999, 1.000. Or some have two: 1.234.567.
    """
    matches, point = partial(_matches, number), re.escape(mark)
    group, nowhere_R = rf"^[+-]?[1-9]\d{{0,2}}({point}\d{{3}})+$", np.zeros(len(number), bool)
    for texts in (number[:FIRST], number):  # the first ones tell at once where it is none
        group_R = _matches(texts, group)
        if (_matches(texts, point) & ~group_R).any():
            return nowhere_R
    if not group_R.any():
        return nowhere_R
    if matches(rf"{point}\d+{point}").sum() >= HUNDREDS:
        return group_R
    hundreds = pc.unique(number.filter(pc.match_substring_regex(number, r"^[+-]?[1-9]\d\d$")))
    if matches(r"\d{4}").any() or len(hundreds) < HUNDREDS:
        return nowhere_R
    digits = (
        pc.replace_substring_regex(texts, r"\D", "")
        for texts in (number.filter(pa.array(group_R)), hundreds)
    )
    least, most = (pc.cast(texts, pa.int64()).to_numpy() for texts in digits)
    return group_R if np.min(least) <= FOLLOWS * np.max(most) else nowhere_R


def tidied(column: pa.Array) -> pa.Array:
    """The text trimmed, in lower case, with one spelling of minus, apostrophe and space."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(column, pa.string())))
    for found, tidy in (
        ("[\u2212\u2012\u2013\u2014]", "-"),
        ("[\u2019\u2018\u00b4`]", "'"),
        ("[\u00a0\u202f\u2007\u2009]", " "),
    ):
        text = pc.replace_substring_regex(text, found, tidy)
    return text


def says_nothing(text: pa.Array) -> np.ndarray:
    """Which tidied texts are words for "no value", bool (R,)."""
    text = pc.fill_null(text, "")
    return flags(pc.is_in(text, pa.array(NULL_WORDS))) | _matches(text, "^-+$")


def flags(mask: pa.Array) -> np.ndarray:
    """An Arrow mask as bool (R,); null is False."""
    return pc.fill_null(mask, False).to_numpy(zero_copy_only=False)


def _matches(text: pa.Array, pattern: str) -> np.ndarray:
    """Which texts hold the pattern, bool (R,); null does not."""
    return flags(pc.match_substring_regex(text, pattern))


def _of_text(
    text: pa.Array,
    raw: pa.Array,
    marks: Marks,
    unit: str,
    null_R: np.ndarray,
    one_quantity: bool,
) -> tuple[pa.Array, list[tuple[np.ndarray, str]], bool]:
    """The slow way: tidied text as float64, null if it is no number.

    Also which rows are refused, and whether decimal marks seem to set thousands apart.
    """
    nothing = pa.scalar(None, text.type)
    text = pc.if_else(pa.array(says_nothing(text) | null_R), nothing, text)
    known_R = flags(pc.is_valid(text))
    number = pc.if_else(pc.is_in(text, pa.array(TRUE_WORDS)), "1", text)
    number = pc.if_else(pc.is_in(number, pa.array(FALSE_WORDS)), "0", number)
    number = pc.replace_substring_regex(number, r"^([+-]) +([\d.])", r"\1\2")
    if unit:
        spelt = "|".join(map(re.escape, spellings(unit)))
        number = pc.replace_substring_regex(number, rf"^({FIGURES}) ?(?:{spelt})$", r"\1")

    matches = partial(_matches, number)
    point, other = re.escape(marks.decimal), re.escape(marks.other)
    plain_R = matches(rf"^[+-]?(\d+{point}?\d*|{point}\d+)([ed][+-]?\d+)?$")
    lone_R = matches(rf"^[+-]?[1-9]\d{{0,2}}{other}\d{{3}}$")
    proof_R = matches(rf"^[+-]?[1-9]\d{{0,2}}({other}\d{{3}})+({point}\d*)?$") & ~lone_R
    proof_R |= matches(rf"^[+-]?[1-9]\d?({other}\d\d)+{other}\d{{3}}({point}\d*)?$")
    for mark in ("'", " "):
        plain_R |= matches(rf"^[+-]?[1-9]\d{{0,2}}({mark}\d{{3}})+({point}\d*)?$")
    swapped_R = matches(rf"^[+-]?(\d+{other}\d*|{other}\d+)([ed][+-]?\d+)?$") & ~lone_R & ~proof_R
    told = marks.thousands is not None and swapped_R.sum() <= lone_R.sum()
    hidden_R = hide_thousands(number, marks.decimal) & one_quantity
    read_R = (plain_R & ~hidden_R) | proof_R | (lone_R & (told or proof_R.any()))
    truth_R = flags(pc.is_in(text, pa.array((*TRUE_WORDS, *FALSE_WORDS))))
    if one_quantity and truth_R.any() and _matches(number, rf"{point}\d*[1-9]").any():
        read_R &= ~truth_R  # beside fractions, N or off is no 0

    cleaned = pc.replace_substring_regex(number, rf"[' {other}]", "")
    cleaned = pc.replace_substring(cleaned, "d", "e")
    cleaned = pc.replace_substring(cleaned, ",", ".")  # only the decimal comma is left
    value = pc.cast(pc.if_else(pa.array(read_R), cleaned, nothing), pa.float64())
    kinds = [
        (hidden_R, f"has a {NAMES[marks.decimal]} {GROUPED}"),
        (truth_R, f"is a word among fractions; {FOR_NONE}"),
        (swapped_R, f"has a {NAMES[marks.other]}, but source.decimal is {marks.decimal!r}"),
        (lone_R, LONE.format(NAMES[marks.other], marks.other)),
    ]
    wrong = list(_wrong(raw, number, known_R & ~read_R, kinds))
    return value, wrong, bool(hidden_R.any())


def _wrong(
    raw: pa.Array, number: pa.Array, bad_R: np.ndarray, kinds: list[tuple[np.ndarray, str]]
) -> Iterator[tuple[np.ndarray, str]]:
    """The rows of each kind of fault, and a sentence that quotes the first of them.

    kinds: those that the marks of the column show, before all others.
    """
    matches = partial(_matches, number)
    kinds = [
        *kinds,
        (matches(r"^[+-]?0x[0-9a-f]+$"), f"is hexadecimal, {NOT_READ}"),
        (matches(HEXADECIMAL), f"may be hexadecimal, {NOT_READ}"),
        (
            matches("[^\x00-\x7f]") & matches(r"\p{N}") & ~matches(r"[0-9]"),
            "has digits of another script: write 0 to 9",
        ),
        (matches(DATE), "is a date, which spreadsheets make of numbers: export the raw file"),
        (matches(r"^[+-]?(inf|infinity|\x{221e}|1\.#inf0*)$"), f"is infinite; {FOR_NONE}"),
        (matches("^#"), f"is a spreadsheet's error; {FOR_NONE}"),
        (
            matches(r"^'[^']*$"),
            "has an apostrophe before it, as text in spreadsheets: write it without",
        ),
        (matches(r"^'.*'$"), "stands in single quotes: write it without, or in double ones"),
        (matches(r"^[+-]?[\d.,' ]+$"), "has separators that are no groups of three digits"),
        (
            matches(r"^[+-]?[\d.,]+ ?[a-z%°µ/²³]+[a-z0-9%°/²³]*$"),
            "has a unit; where that is the channel's unit, `amad ingest --rebuild` reads it",
        ),
        (matches(r"^[<>\x{2264}\x{2265}] ?[+-]?[\d.,]+$"), f"is a limit and no value; {FOR_NONE}"),
        (~matches(r"\d"), f"is a word; {FOR_NONE}"),
        (np.ones(len(bad_R), bool), "is no number"),
    ]
    for kind_R, why in kinds:
        rows_R = bad_R & kind_R
        if rows_R.any():
            yield rows_R, f"{shown(raw[int(rows_R.argmax())])} {why}"
            bad_R = bad_R & ~rows_R


def _beyond(value_R: np.ndarray, raw: pa.Array, whole: bool) -> Iterator[tuple[np.ndarray, str]]:
    """Numbers beyond float32, and whole numbers beyond 2^53, which a float64 does not hold exactly.

    whole: the column's type holds only whole numbers.
    """
    large_R = np.abs(value_R) >= EXACT
    if not large_R.any():
        return
    huge_R = large_R & (np.abs(value_R) > LARGEST)
    if huge_R.any():
        first = shown(raw[int(huge_R.argmax())])
        yield huge_R, f"{first} is infinite, or beyond 3.4e38; {FOR_NONE}"
    inexact_R = large_R & ~huge_R
    if is_text(raw.type):
        inexact_R &= _matches(tidied(raw), r"^[+-]?\d+$")
    elif not whole:
        return
    if inexact_R.any():
        first = shown(raw[int(inexact_R.argmax())])
        yield (
            inexact_R,
            f"{first} is beyond 2^53, where whole numbers are no longer exact; if it stands for no "
            "value, list it in the channel's nulls",
        )
