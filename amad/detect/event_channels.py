"""Channels of events, of which each is ordinary and none is announced.

A door that opens, a fault code that is counted, a set point that somebody changes: any prediction
of such a channel is right in nearly all rows and far off in a few. Beside the root mean square of
its errors each event would be far out of the ordinary, though there is one every few hundred rows
of a healthy vehicle, and it would drown what the other channels say.

So a channel is one of events for a member if almost all of the member's squared error on the train
rows, ``EVENTS`` of it, lies in the ``LARGEST`` of them. Two things follow:

- Its scale is larger, ``events_scale``: ordinary events count as the largest errors of noise do.
- It says nothing about how firmly the channels foretell each other (``amad.detect.foretold``).

An event that is larger than usual, or events that come in a burst, are still evidence.

Shape legend: R rows, T rows, C channels.
"""

import numpy as np

LEAST_ROWS = 30  # rows of a channel that tell how its errors are spread
LEAST_VARIANCE = 1e-8  # in scaled units: a channel with less does not vary
LARGEST = 0.01  # of the rows: those with the largest errors
EVENTS = 0.95  # a channel of events has more than this share of its squared error in them
HIGH = 0.999  # quantile of the squared errors by which channels of events are scaled
HIGH_OF_NOISE = 10.83  # of the square of a standard normal variable


def share_of_others(square_R: np.ndarray) -> float:
    """Which share of the squared errors lies outside the ``LARGEST`` of the rows, 0 to 1.

    NaN if there are too few rows, or next to no error. It is 0.92 in normal noise.
    """
    if len(square_R) < LEAST_ROWS or square_R.mean() < LEAST_VARIANCE:
        return np.nan
    others = len(square_R) - max(1, round(LARGEST * len(square_R)))
    rising_R = np.partition(square_R, others)
    return float(rising_R[:others].sum() / rising_R.sum())


def is_of_events(residual_TC: np.ndarray) -> np.ndarray:
    """Which channels are of events for the member with these residuals, bool (C,)."""
    square_TC = np.square(residual_TC, dtype=np.float64)
    shares = [share_of_others(square_T[np.isfinite(square_T)]) for square_T in square_TC.T]
    return np.array(shares) < 1 - EVENTS


def events_scale(square_R: np.ndarray) -> float:
    """The scale of a channel of events, in the units of its errors; 0 for any other channel.

    square_R: the squared errors of the train rows. With this scale their ``HIGH`` quantile is that
    of normal noise.
    """
    if not share_of_others(square_R) < 1 - EVENTS:
        return 0.0
    return float(np.sqrt(np.quantile(square_R, HIGH) / HIGH_OF_NOISE))
