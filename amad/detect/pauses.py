"""Does a channel that held still in a short history never move, or did it only pause?

A command that is sent once a day holds still for an hour, and its next move is no news. The other
vehicles of the class tell: in some a channel never moves, in others it moves and pauses. If pauses
as long as the short history are more frequent than vehicles in which the channel never moves, its
first move is not reported.

Shape legend: C channels, M measured rows of one of them, R runs of equal values.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from amad.windows.series import Series

Runs = Mapping[str, Sequence[np.ndarray]]  # vehicle -> of each channel, rows of each run (R,)


def runs_of_equal(sample: Iterable[Series]) -> Runs:
    """Of each vehicle and channel, how many measured rows each run of equal values has."""
    return {
        series.vehicle: [*map(_runs, series.value_TC.T, series.valid_TC.T)] for series in sample
    }


def _runs(value_T: np.ndarray, valid_T: np.ndarray) -> np.ndarray:
    value_M = value_T[valid_T == 1]
    edges = np.flatnonzero(value_M[1:] != value_M[:-1]) + 1
    return np.diff(edges, prepend=0, append=len(value_M))


def only_paused(channels: Iterable[int], series: Series, runs: Runs) -> frozenset[int]:
    """Those of the channels, all still in the train rows of a series, whose moves are no news.

    runs: of vehicles of the class with long histories; the vehicle's own do not count.
    """
    others = [of_C for vehicle, of_C in runs.items() if vehicle != series.vehicle]
    found = set()
    for c in channels:
        rows = int((series.valid_TC[:, c] == 1).sum())
        known = [of_C[c] for of_C in others if of_C[c].any()]
        never_move = sum(len(run_R) == 1 for run_R in known)
        if sum(_still(run_R, rows) for run_R in known if len(run_R) > 1) > never_move:
            found.add(c)
    return frozenset(found)


def _still(run_R: np.ndarray, rows: int) -> float:
    """The share of all stretches of so many rows in which a channel with these runs holds still."""
    return np.maximum(run_R - rows + 1, 0).sum() / max(run_R.sum() - rows + 1, 1)
