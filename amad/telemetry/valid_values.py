"""Which values of a channel can be: inside its physical range, and no word for "not available".

A value that cannot be is no value. The lake keeps it as it was sent, the profile counts it and
validation judges the count; models see a null in its place.
"""

import numpy as np

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
    low, high = -LARGEST, LARGEST
    if channel.range is not None:
        least, most = channel.range
        low = max(low, min(least, _as_float32(least)))
        high = min(high, max(most, _as_float32(most)))
    return (value_R < low) | (value_R > high)


def is_impossible(value_R: np.ndarray, channel: Channel) -> np.ndarray:
    """Which values are no values, for either reason; bool (R,), False for NaN."""
    return is_null_word(value_R, channel) | is_outside(value_R, channel)


def _number(word: float | str) -> float | None:
    """The number that a word for null is, None where it is text (which ingest reads as null)."""
    try:
        return float(word)
    except ValueError:
        return None


def _as_float32(value: float) -> float:
    """A fraction as a float32 file holds it; a whole number is exact there or means itself."""
    return value if float(value).is_integer() else float(np.float32(value))
