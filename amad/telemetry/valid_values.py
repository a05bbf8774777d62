"""Which values of a channel can be: inside its physical range, and no word for "not available".

A value that cannot be is no value. The lake keeps it as it was sent, the profile counts it and
validation judges the count; models see a null in its place.

Shape legend: R rows, C channels.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pyarrow as pa

from amad.config import Channel

LARGEST = 1e30  # nothing that is measured is larger; scaled to float32 it could become infinite


def is_null_word(value_R: np.ndarray, channel: Channel) -> np.ndarray:
    """Which values stand in ``channel.nulls``, such as a bus's 65535; bool (R,).

    value_R: float64. A fraction is also met as a float32 file holds it.
    """
    words = [word for word in map(_number, channel.nulls) if word is not None]
    if not words:
        return np.zeros(len(value_R), bool)
    return np.isin(value_R, [*words, *map(_as_float32, words)])


def is_outside(value_R: np.ndarray, channel: Channel) -> np.ndarray:
    """Which values are infinite, beyond ``LARGEST`` or outside ``channel.range``; bool (R,).

    False for NaN.

    value_R: float64. A limit that is a fraction is also met as a float32 file holds it.
    """
    low, high = _limits(channel.range)
    return (value_R < low) | (value_R > high)


def is_impossible(value_R: np.ndarray, channel: Channel) -> np.ndarray:
    """Which values are no values, for either reason; bool (R,), False for NaN."""
    return is_null_word(value_R, channel) | is_outside(value_R, channel)


def measured_values(table: pa.Table, channels: Sequence[Channel]) -> tuple[np.ndarray, np.ndarray]:
    """The values of these channels in the lake's rows, and how many of them cannot be.

    Returns: float64 (C, R), NaN for null and for impossible values; and int (C,), the number of the
    latter.
    """
    value_CR = np.empty((len(channels), table.num_rows))
    null_C = np.zeros(len(channels), int)
    for c, channel in enumerate(channels):
        value_CR[c], null_C[c] = measured(table[channel.name], channel)
    return value_CR, null_C


def measured(column: pa.ChunkedArray, channel: Channel) -> tuple[np.ndarray, int]:
    """The values of a channel in R rows, and how many of them cannot be.

    Returns: float64 (R,), which may be read-only, NaN for null and for impossible values.
    """
    value_R, (low, high) = column.to_numpy(), _limits(channel.range)
    if not channel.nulls:
        least, most = np.fmin.reduce(value_R, initial=high), np.fmax.reduce(value_R, initial=low)
        if low <= least and most <= high:  # both pass over NaN
            return value_R, 0
    impossible_R = is_impossible(value_R, channel)
    return np.where(impossible_R, np.nan, value_R), int(np.count_nonzero(impossible_R))


@cache
def _limits(physical: tuple[float, float] | None) -> tuple[float, float]:
    """The least and the greatest value that a channel with this range can have."""
    if physical is None:
        return -LARGEST, LARGEST
    least, most = physical
    return (
        max(-LARGEST, min(least, _as_float32(least))),
        min(LARGEST, max(most, _as_float32(most))),
    )


def _number(word: float | str) -> float | None:
    """The number that a word for null is, None where it is text (which ingest reads as null)."""
    try:
        return float(word)
    except ValueError:
        return None


def _as_float32(value: float) -> float:
    """A fraction as a float32 file holds it; a whole number is exact there or means itself."""
    return value if float(value).is_integer() else float(np.float32(value))
