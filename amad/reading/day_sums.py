"""Rows whose time is a date alone: a midnight, or the sum of a day.

Shape legend: R rows of a batch, D dates alone, T times.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.reading import times
from amad.reading.numbers import flags
from amad.reading.times import DAY_US

# A text that tells a time of day: 08:00, or digits behind a date, or a date and a time in digits.
HAS_HOUR = r":|\d[T ]+\d|\d{10}"
NEAR_US = 3_600_000_000  # by which rows may come late
NO_MIDNIGHT = (
    "tells no time of day, and its midnight does not lie between the times beside it: if the row "
    "sums up a day, leave it out, else write the time"
)


def sums_of_days(
    us_R: np.ndarray, good_R: np.ndarray, code_R: np.ndarray, column: pa.Array
) -> np.ndarray:
    """Dates among times (R,) that are no midnight, as they do not lie between the times beside.

    Exports write midnight as a date alone; a sum of the day stands below all rows of its date.
    """
    maybe_R = good_R & (us_R % DAY_US == 0)
    if not maybe_R.any():
        return maybe_R
    date_R = maybe_R & ~flags(pc.match_substring_regex(column, HAS_HOUR))
    at_D, at_T = np.flatnonzero(date_R), np.flatnonzero(good_R & ~date_R)
    if not len(at_D) or not len(at_T):
        return np.zeros_like(maybe_R)
    next_D = np.searchsorted(at_T, at_D)
    falls = us_R[at_T[-1]] < us_R[at_T[0]]
    far_us = -times.LATEST_US if falls else times.LATEST_US
    beside = []
    for place_D, none_us in ((next_D - 1, -far_us), (next_D, far_us)):
        row_D = at_T[np.clip(place_D, 0, len(at_T) - 1)]
        there_D = (place_D >= 0) & (place_D < len(at_T)) & (code_R[row_D] == code_R[at_D])
        beside.append(np.where(there_D, us_R[row_D], none_us))
    low_D, high_D = np.minimum(*beside) - NEAR_US, np.maximum(*beside) + NEAR_US
    bad = at_D[(us_R[at_D] < low_D) | (us_R[at_D] > high_D)]
    return np.isin(np.arange(len(us_R)), bad)
