"""What the cells of a column look like: times, times of day, epochs, numbers."""

import contextlib
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.draft.clock_rule import NAMED
from amad.draft.undated import LEAST, MOVING
from amad.reading import timestamp_guess
from amad.reading.numbers import is_text, numbers

LOOKED_AT = 400  # cells of a column in a file that a rule is tried on
LOOKED_AT_CLOSELY = 60  # cells that the form of the times is guessed from
GROUP = r"[,. '’](\d{3})"  # of thousands
EARLIEST_EPOCH = timestamp_guess.SINCE_US / 1e6  # in seconds, the coarsest unit


def spread(count: int) -> np.ndarray:
    """Positions from all over so many cells."""
    return np.linspace(0, count - 1, min(count, LOOKED_AT_CLOSELY)).astype(int)


def drawn(column: pa.Array) -> list:
    """Cells from all over the column, so that days before and after the twelfth are among them."""
    known = pc.drop_null(column)
    cells = known.take(pa.array(spread(len(known)))).to_pylist()
    return [value for value in cells if str(value).strip()]


def share_of_numbers(column: pa.Array) -> float:
    """The share of the cells that are numbers, by the likelier decimal mark, or empty."""
    text = pc.cast(column, pa.string())
    bad = float(np.mean(numbers(text).bad_R))
    return 1 - bad if bad <= 1 - LEAST else 1 - min(bad, float(np.mean(numbers(text, ",").bad_R)))


def is_time(column: pa.Array) -> bool:
    """Does a column with the name of a time hold text, so that it measures nothing?"""
    return is_text(column.type) and share_of_numbers(column) < LEAST


def tells_only_days(column: pa.Array) -> bool:
    """Does it hold dates without a time of day, and the same in many rows?"""
    known = pc.drop_null(column)
    return len(pc.unique(known)) <= MOVING * len(known) and holds_days(known)


def holds_days(column: pa.Array) -> bool:
    """Does it hold dates without a time of day?"""
    if pa.types.is_temporal(column.type):
        return pa.types.is_date(column.type)
    if not is_text(column.type):
        return False
    texts = pc.unique(pc.drop_null(column)).to_pylist()[:LOOKED_AT_CLOSELY]
    return all(
        re.fullmatch(r"\s*(\d{6}|\d{8}|\d{1,4}([-/.])\d{1,2}\2\d{1,4})\s*", text) for text in texts
    )


def tells_the_hour(header: str, column: pa.Array) -> bool:
    """Does it hold times of day?"""
    if not is_text(column.type):
        return pa.types.is_time(column.type)
    texts = drawn(column)
    if not any(":" in text or re.match(r"\d{4}", text) for text in texts):
        return False
    told = timestamp_guess.looks_like(texts)
    if told is None or told.settings.get("take") != "time_of_day":
        return False
    return ":" in texts[0] or bool(NAMED.search(header))


def may_hold_epochs(column: pa.Array) -> bool:
    """Is a cell as large as epochs are? This is quickly seen, and rules out most columns."""
    return any(_size_of(cell) >= EARLIEST_EPOCH for cell in column[:LOOKED_AT].to_pylist())


def steps_of(column: pa.Array) -> np.ndarray:
    """The steps between its numbers, also of those that a float64 rounds; none if it has texts."""
    texts = [column]
    if is_text(column.type):  # 1,5 or 1,772,438,400,000
        grouped = pc.replace_substring_regex(column, GROUP, r"\1")
        texts = [pc.replace_substring(column, ",", "."), grouped]
    for text in texts:
        with contextlib.suppress(pa.ArrowException):
            value_R = pc.cast(text.drop_null(), pa.float64(), safe=False).to_numpy()
            return np.diff(value_R[~np.isnan(value_R)])
    return np.zeros(0)


def go_one_way(step: np.ndarray) -> bool:
    """Do nearly all steps go up, or all down, or do the numbers stand still?"""
    return bool(len(step) and max(np.mean(step >= 0), np.mean(step <= 0)) >= LEAST)


def median_step(column: pa.Array) -> float:
    """The usual step between its numbers; 0 if they do not change."""
    step = np.abs(steps_of(column))
    return float(np.median(step[step > 0])) if np.any(step > 0) else 0.0


def _size_of(cell: object) -> float:
    try:
        return float(str(cell).replace(",", "."))
    except ValueError:
        return 0.0
