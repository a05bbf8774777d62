"""Values of channels that the class of their vehicle lacks: they are read as null, and counted.

Shape legend: R rows of a batch, K of them with a value, V vehicles.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from amad.config import Channel
from amad.reading.numbers import Numbers, is_any


class Values(NamedTuple):
    """How many, the least and the greatest of them, and the last day (since 1970-01-01)."""

    number: int
    least: float
    greatest: float
    last: int

    def __or__(self, other: "Values") -> "Values":
        """Those of both."""
        return Values(
            self.number + other.number,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
            max(self.last, other.last),
        )


ValuesOf = dict[str, dict[str, Values]]  # vehicle -> channel that its class lacks -> values


def add_values(values: ValuesOf, more: ValuesOf) -> None:
    """Add ``more`` to the values."""
    for vehicle, own in more.items():
        known = values.setdefault(vehicle, {})
        for channel, new in own.items():
            known[channel] = known[channel] | new if channel in known else new


def lost_values(read: Numbers, lacks_R: np.ndarray, channel: Channel) -> np.ndarray:
    """The values (R,) of rows whose vehicle lacks the channel; NaN in others, and for no value."""
    numbers = [null for null in channel.nulls if not isinstance(null, str)]
    none_R = read.null_R | is_any(read.value_R, numbers)
    return np.where(lacks_R & ~none_R, read.value_R, np.nan)


def values_of(
    lost_of: Mapping[str, np.ndarray],
    vehicles: list[str],
    code_R: np.ndarray,
    day_R: np.ndarray,
    good_R: np.ndarray,
) -> ValuesOf:
    """Those of a batch.

    lost_of: channel -> values (R,), NaN where there is none. code_R: index into vehicles.
    good_R: rows that count.
    """
    found: ValuesOf = {}
    for channel, value_R in lost_of.items():
        has_R = np.isfinite(value_R) & good_R
        if not has_R.any():
            continue
        code_K, value_K = code_R[has_R], value_R[has_R]
        number_V = np.bincount(code_K, minlength=len(vehicles))
        least_V, greatest_V, last_V = (np.full(len(vehicles), end) for end in (np.inf, -np.inf, 0))
        np.minimum.at(least_V, code_K, value_K)
        np.maximum.at(greatest_V, code_K, value_K)
        np.maximum.at(last_V, code_K, day_R[has_R])
        of_V = zip(*(a.tolist() for a in (number_V, least_V, greatest_V, last_V)), strict=True)
        for vehicle, own in zip(vehicles, of_V, strict=True):
            if own[0]:
                found.setdefault(vehicle, {})[channel] = Values(*own)
    return found
