"""Columns to numbers: what loggers, databases and spreadsheets write is read, or refused with why.

Raw columns are Arrow arrays: text from a CSV file, any type from Parquet. Read are:

- ``12``, ``+1.5``, ``-.5``, ``1e3``, ``1.5D+03``, with ``decimal`` before the fraction, and the
  minus signs of typesetters;
- thousands in groups of three, set apart by the other one of point and comma (``1.234.567,8`` where
  ``decimal`` is a comma), an apostrophe or a space; and ``1,00,000`` as written in India;
- true, false, t, f, yes, no, y, n, on and off, as 1 and 0;
- a number with the channel's own unit behind it (``45 %``);
- words for no value, as null: nothing, -, ---, NaN, null, n/a and the like, and the fleet file's.

A lone group (``1,234``) may as well be a fraction of three digits. It is taken for thousands where
the fleet file tells ``decimal``, or where the column shows that it has no fractions.

Shape legend: R rows of a batch.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# As compared: trimmed, in small letters; any number of hyphens is such a word too.
NULL_WORDS = (
    "", "nan", "+nan", "-nan", "nan(ind)", "-nan(ind)", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind",
    "null", "(null)", "<null>", "#null", "none", "nil", "\\n", "na", "n/a", "n.a.", "#n/a", "#na",
    "<na>", "nat", "?", "\u2013", "\u2014",
)  # fmt: skip
FIGURES = r"[+-]?[\d.,' ]*\d[.,]?(?:e[+-]?\d+)?"
TRUE_WORDS = ("true", "t", "yes", "y", "on")
FALSE_WORDS = ("false", "f", "no", "n", "off")
# Other spellings of a unit than the fleet file's.
UNITS = (("%", "percent", "pct"), ("°c", "celsius", "degc", "deg c", "c"), ("km/h", "kph", "kmh"))

LARGEST = float(np.finfo(np.float32).max)  # windows and models hold float32
EXACT = 2.0**53  # beyond it a float64 does not tell neighbouring whole numbers apart
SHOWN = 60  # characters of a cell in a reason


class NotReadableError(ValueError):
    """A whole column cannot be read as what it should be: the file is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """A column as numbers."""

    value_R: np.ndarray  # float64, NaN where null or refused
    null_R: np.ndarray  # bool: stood for "no value" by a word or number of the fleet file
    refused: list[tuple[np.ndarray, str]]  # rows (R,) bool, and what is wrong with them

    @property
    def bad_R(self) -> np.ndarray:
        """Which rows are refused, for whatever reason."""
        return np.logical_or.reduce(
            [np.zeros(len(self.value_R), bool), *(r for r, _ in self.refused)]
        )


def numbers(
    column: pa.Array,
    decimal: str | None = None,
    *,
    nulls: Iterable[str] = (),
    known: Iterable[float] = (),
    unit: str = "",
) -> Numbers:
    """The values of a column (R,).

    decimal: what stands before a fraction in text; None: a point, but nobody has said so. nulls:
    more words that mean "no value"; one that tells a number means that number. known: numbers that
    mean so too, which stay as they are, for the profile to count. unit: of the channel; text may
    repeat it.

    Infinite values, those beyond float32 and whole numbers beyond 2^53 are refused.

    Raises:
        NotReadableError: the column's type holds no numbers.
    """
    words, figures = _split(nulls)
    refused: list[tuple[np.ndarray, str]] = []
    null_R = np.zeros(len(column), bool)
    raw, whole = column, False
    if is_text(column.type):
        column = _plain_numbers(raw, decimal or ".")
        if column is None:
            text = tidied(raw)
            null_R = flags(pc.is_in(text, pa.array(words, text.type)))
            column, refused = _of_text(text, raw, decimal, unit, null_R)
    elif pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    elif pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        whole = True
    elif not (pa.types.is_floating(column.type) or pa.types.is_null(column.type)):
        raise NotReadableError(f"it holds {column.type}, not numbers")
    value_R = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False).copy()
    null_R |= _is_any(value_R, figures)
    known_R = _is_any(value_R, list(known))
    value_R[null_R | (known_R & ~np.isfinite(value_R))] = np.nan
    refused = [(rows_R & ~null_R, why) for rows_R, why in refused]
    refused += [(rows_R & ~known_R, why) for rows_R, why in _beyond(value_R, raw, whole)]
    for rows_R, _ in refused:
        value_R[rows_R] = np.nan
    return Numbers(value_R=value_R, null_R=null_R, refused=[r for r in refused if r[0].any()])


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
    """Words as compared, and numbers; a word that tells a number counts as that number too."""
    words, figures = [], []
    for item in nulls:
        with contextlib.suppress(ValueError):
            figures.append(float(item.replace(",", ".")))
        words.append(item.strip().lower())
    return words, figures


def _is_any(value_R: np.ndarray, figures: list[float]) -> np.ndarray:
    """Which values are one of the figures, also as a float32 file holds them."""
    with np.errstate(over="ignore"):
        return np.isin(value_R, [*figures, *np.array(figures, np.float32).astype(np.float64)])


def _plain_numbers(column: pa.Array, decimal: str) -> pa.Array | None:
    """The quick way, for a batch that holds nothing but plain numbers; None where it does not."""
    if decimal == ",":
        if pc.any(pc.match_substring(column, ".")).as_py():
            return None
        column = pc.replace_substring(column, ",", ".")
    try:
        return pc.cast(column, pa.float64())
    except pa.ArrowInvalid:
        return None


def tidied(column: pa.Array) -> pa.Array:
    """The text trimmed, in small letters, with one spelling of minus, apostrophe and space."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(pc.cast(column, pa.string())))
    for found, tidy in (
        ("[\u2212\u2012\u2013\u2014]", "-"),
        ("[\u2019\u2018\u00b4`]", "'"),
        ("[\u00a0\u202f\u2007\u2009]", " "),
    ):
        text = pc.replace_substring_regex(text, found, tidy)
    return text


def says_nothing(text: pa.Array) -> np.ndarray:
    """Which tidied texts are words for no value, bool (R,)."""
    text = pc.fill_null(text, "")
    return flags(pc.is_in(text, pa.array(NULL_WORDS))) | _matches(text, "^-+$")


def flags(mask: pa.Array) -> np.ndarray:
    """An Arrow mask as bool (R,); null is False."""
    return pc.fill_null(mask, False).to_numpy(zero_copy_only=False)


def _matches(text: pa.Array, pattern: str) -> np.ndarray:
    """Which texts hold the pattern, bool (R,); null does not."""
    return flags(pc.match_substring_regex(text, pattern))


def _of_text(
    text: pa.Array, raw: pa.Array, decimal: str | None, unit: str, null_R: np.ndarray
) -> tuple[pa.Array, list[tuple[np.ndarray, str]]]:
    """The slow way: tidied text as float64, null where it is no number, and what is wrong."""
    nothing = pa.scalar(None, text.type)
    text = pc.if_else(pa.array(says_nothing(text) | null_R), nothing, text)
    known_R = flags(pc.is_valid(text))
    number = pc.if_else(pc.is_in(text, pa.array(TRUE_WORDS)), "1", text)
    number = pc.if_else(pc.is_in(number, pa.array(FALSE_WORDS)), "0", number)
    if unit:
        spellings = "|".join(map(re.escape, _spellings(unit)))
        number = pc.replace_substring_regex(number, rf"^({FIGURES}) ?(?:{spellings})$", r"\1")

    matches = partial(_matches, number)
    point, other = (",", ".") if decimal == "," else (".", ",")
    point, other = re.escape(point), re.escape(other)
    plain_R = matches(rf"^[+-]?(\d+{point}?\d*|{point}\d+)([ed][+-]?\d+)?$")
    lone_R = matches(rf"^[+-]?[1-9]\d{{0,2}}{other}\d{{3}}$")
    proof_R = matches(rf"^[+-]?[1-9]\d{{0,2}}({other}\d{{3}})+({point}\d*)?$") & ~lone_R
    proof_R |= matches(rf"^[+-]?[1-9]\d?({other}\d\d)+{other}\d{{3}}({point}\d*)?$")
    for mark in ("'", " "):
        plain_R |= matches(rf"^[+-]?[1-9]\d{{0,2}}({mark}\d{{3}})+({point}\d*)?$")
    swapped_R = matches(rf"^[+-]?(\d+{other}\d*|{other}\d+)([ed][+-]?\d+)?$") & ~lone_R & ~proof_R
    if proof_R.any():
        lone_read = True
    elif decimal is None:
        # A writer of fractions with three digits would not write 850, nor 850.5.
        no_fraction_R = matches(rf"^[+-]?\d{{1,3}}({point}\d+)?$")
        lone_read = bool(no_fraction_R.any()) and not swapped_R.any()
    else:
        lone_read = swapped_R.sum() <= lone_R.sum()
    read_R = plain_R | proof_R | (lone_R & lone_read)

    cleaned = pc.replace_substring_regex(number, rf"[' {other}]", "")
    cleaned = pc.replace_substring(cleaned, "d", "e")
    cleaned = pc.replace_substring(cleaned, ",", ".")  # only the decimal comma is left
    value = pc.cast(pc.if_else(pa.array(read_R), cleaned, nothing), pa.float64())
    return value, list(_wrong(raw, number, known_R & ~read_R, swapped_R, lone_R, decimal))


def _wrong(
    raw: pa.Array,
    number: pa.Array,
    bad_R: np.ndarray,
    swapped_R: np.ndarray,
    lone_R: np.ndarray,
    decimal: str | None,
) -> Iterator[tuple[np.ndarray, str]]:
    """Why cells are no numbers, kind by kind: rows, and a sentence that shows the first of them."""
    matches = partial(_matches, number)
    other = "," if decimal != "," else "."
    names = {",": "comma", ".": "point"}
    mark, wanted = names[other], "." if other == "," else ","
    kinds = [
        (swapped_R, f"has a {mark}, but source.decimal is {wanted!r}"),
        (lone_R, f"has a {mark} that may set apart thousands or a fraction: see source.decimal"),
        (matches(r"^[+-]?0x[0-9a-f]+$"), "is hexadecimal, which is not read"),
        (matches(r"^[+-]?(inf|infinity|\x{221e}|1\.#inf0*)$"), "is infinite"),
        (
            matches("^#"),
            "is a spreadsheet's error; if it stands for no value, list it in source.nulls",
        ),
        (matches(r"^[+-]?[\d.,' ]+$"), "has separators that are no groups of three digits"),
        (
            matches(r"^[+-]?[\d.,]+ ?[a-z%°µ/²³]+[a-z0-9%°/²³]*$"),
            "has a unit; where that is the channel's unit, `amad ingest --rebuild` reads it",
        ),
        (~matches(r"\d"), "is a word; if it stands for no value, list it in source.nulls"),
        (np.ones(len(bad_R), bool), "is no number"),
    ]
    for kind_R, why in kinds:
        rows_R = bad_R & kind_R
        if rows_R.any():
            yield rows_R, f"{shown(raw[int(rows_R.argmax())])} {why}"
            bad_R = bad_R & ~rows_R


def _beyond(value_R: np.ndarray, raw: pa.Array, whole: bool) -> Iterator[tuple[np.ndarray, str]]:
    """Numbers that cannot be held. whole: the column's type is one of whole numbers."""
    large_R = np.abs(value_R) >= EXACT
    if not large_R.any():
        return
    huge_R = large_R & (np.abs(value_R) > LARGEST)
    if huge_R.any():
        first = shown(raw[int(huge_R.argmax())])
        yield huge_R, f"{first} is infinite, or beyond 3.4e38"
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


def _spellings(unit: str) -> list[str]:
    unit = unit.strip().lower()
    for group in UNITS:
        if unit in group:
            return list(group)
    return [unit]
