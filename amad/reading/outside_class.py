"""Values of channels that the class of their vehicle lacks: they are read as null, and counted.

Shape legend: R rows of a batch, K of them with a value, V vehicles.
"""

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


ValuesOf = dict[str, dict[str, Values]]  # vehicle -> channel that its class lacks -> values


def add_values(known: ValuesOf, vehicle: str, channel: str, new: Values) -> None:
    """Add values to those that are known."""
    own = known.setdefault(vehicle, {})
    old = own.get(channel, new._replace(number=0))
    least, greatest = min(old.least, new.least), max(old.greatest, new.greatest)
    own[channel] = Values(old.number + new.number, least, greatest, max(old.last, new.last))


def lost_values(read: Numbers, lacks_R: np.ndarray, channel: Channel) -> np.ndarray:
    """The values (R,) of rows whose vehicle lacks the channel; NaN in others, and for no value."""
    numbers = [null for null in channel.nulls if not isinstance(null, str)]
    none_R = read.null_R | is_any(read.value_R, numbers)
    return np.where(lacks_R & ~none_R, read.value_R, np.nan)


def values_of(value_R: np.ndarray, code_R: np.ndarray, day_R: np.ndarray) -> dict[int, Values]:
    """Code -> its values. value_R: NaN where there is none. code_R: of the vehicle."""
    at_K = np.flatnonzero(np.isfinite(value_R))
    if not len(at_K):
        return {}
    value_K, code_K, day_K = value_R[at_K], code_R[at_K], day_R[at_K]
    number_V = np.bincount(code_K)
    least_V, greatest_V = (np.full(len(number_V), end) for end in (np.inf, -np.inf))
    last_V = np.full(len(number_V), day_K.min())
    np.minimum.at(least_V, code_K, value_K)
    np.maximum.at(greatest_V, code_K, value_K)
    np.maximum.at(last_V, code_K, day_K)
    of_V = zip(*(a.tolist() for a in (number_V, least_V, greatest_V, last_V)), strict=True)
    return {code: Values(*own) for code, own in enumerate(of_V) if own[0]}
