"""Channels of events, of which each is ordinary and none is announced.

A door that opens, a fault code that is counted, a set point that somebody changes: such a channel
stands still in nearly all rows, and any prediction is far off where it moves. Beside the root mean
square of the errors each event would be far out of the ordinary, though there is one every few
hundred rows of a healthy vehicle, and it would drown what the other channels say.

So a channel is one of events for an owner of figures if almost all of its movement on the train
rows, ``EVENTS`` of the squared differences of consecutive rows, lies in the ``LARGEST`` of them.
Two things follow:

- Its scale is larger, ``events_scale``: events that come once in 1,000 rows or more often count no
  more than the largest errors of noise. Rarer ones are news.
- It says nothing about how firmly the channels predict each other (``amad.detect.predictability``).

An event that is larger than usual, or events that come in a burst, are still evidence.

Shape legend: R rows, T rows, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.windows.series import Series

LEAST_ROWS = 30  # rows of a channel that tell how its errors, or its movements, are spread
LEAST_VARIANCE = 1e-8  # in scaled units: a channel with less does not vary
LARGEST = 0.01  # of the rows: those with the largest errors, or movements
EVENTS = 0.95  # a channel of events has more than this share of its squared movement in them
HIGH = 0.999  # quantile of the squared errors by which channels of events are scaled
HIGH_OF_NOISE = 10.83  # of the square of a standard normal variable


def share_of_others(square_R: np.ndarray) -> float:
    """Which share of the squares lies outside the ``LARGEST`` of the rows, 0 to 1.

    NaN if there are too few rows, or next to nothing in them. It is 0.92 in normal noise.
    """
    if len(square_R) < LEAST_ROWS or square_R.mean() < LEAST_VARIANCE:
        return np.nan
    others = len(square_R) - max(1, round(LARGEST * len(square_R)))
    rising_R = np.partition(square_R, others)
    return float(rising_R[:others].sum() / rising_R.sum())


def channels_of_events(group: Sequence[Series]) -> np.ndarray:
    """Which channels are of events in the train rows of these series, bool (C,)."""
    within = [np.diff(series.segment_T) == 0 for series in group]

    def others(c: int) -> float:
        moves = [np.diff(s.value_TC[:, c])[w_T] for s, w_T in zip(group, within, strict=True)]
        return share_of_others(np.square(np.concatenate(moves), dtype=np.float64))

    return np.array([others(c) for c in range(group[0].value_TC.shape[1])]) < 1 - EVENTS


def events_scale(square_R: np.ndarray) -> float:
    """The least scale of a channel of events, in the units of its errors.

    square_R: the squared errors of the train rows. With this scale their ``HIGH`` quantile is that
    of normal noise.
    """
    return float(np.sqrt(np.quantile(square_R, HIGH) / HIGH_OF_NOISE))
