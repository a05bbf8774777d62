"""How much of what a vehicle does is foretold by its members, from residuals of train rows.

The error of a prediction is evidence as far as there is something to predict. Two kinds of rows are
not foretold. Noise about a level has errors in all rows alike, and the level itself is foretold:
errors are evidence. Commands that nothing announces have large errors in few rows, and each of them
is an ordinary event. No label is needed to tell them apart.

Shape legend: T rows, R of them, C channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from amad.detect.members import Member
from amad.windows.series import Series

LEAST_ROWS = 30  # train rows of a channel that tell how much of it is explained
LEAST_VARIANCE = 1e-8  # in scaled units: a channel with less does not vary
LARGEST = 0.01  # of the rows: those with the largest errors
EVEN_FROM, EVEN_TO = 0.6, 0.9  # share of the squared error in the other rows; 0.92 in normal noise


class Foretold(NamedTuple):
    """How much of the train rows is foretold, 0 to 1.

    explained: R2, see ``explained_share``. even: see ``evenness``.
    """

    explained: float
    even: float = 0.0

    @property
    def weight(self) -> float:
        """F, the weight of the predicting members."""
        return self.explained + (1.0 - self.explained) * self.even

    def towards(self, prior: "Foretold", share: float) -> "Foretold":
        """The mean of both, in which these figures have the share."""
        pairs = zip(self, prior, strict=True)
        return Foretold(*(share * own + (1 - share) * other for own, other in pairs))


ALL = Foretold(1.0)


def best_foretold(members: Iterable[Member], foretold: Mapping[str, Foretold]) -> Foretold:
    """That of the ensemble: the best of the members over time, or of all where there is none.

    foretold: of each predicting member by name, see ``Ensemble.calibrate``.
    """
    over_time = {m.name for m in members if not m.between_channels} & foretold.keys()
    known = [foretold[name] for name in over_time or foretold]
    return (
        Foretold(*(max(figures) for figures in zip(*known, strict=True)))
        if known
        else Foretold(0.0)
    )


def foretold_by(residual_TC: np.ndarray, group: Sequence[Series]) -> Foretold:
    """What the member with these residuals foretells of the group's rows."""
    return Foretold(explained_share(residual_TC, group), evenness(residual_TC))


def explained_share(residual_TC: np.ndarray, group: Sequence[Series]) -> float:
    """R2 of a member's residuals: the mean over the channels that vary, each no lower than 0.

    residual_TC: of the series of the group, one after the other; NaN where there is none.
    """
    value_TC = np.concatenate([series.value_TC for series in group])
    shares = []
    for residual_T, value_T in zip(residual_TC.T, value_TC.T, strict=True):
        known_T = np.isfinite(residual_T)
        if known_T.sum() < LEAST_ROWS:
            continue
        variance = float(np.var(value_T[known_T], dtype=np.float64))
        if variance > LEAST_VARIANCE:
            error = float(np.mean(np.square(residual_T[known_T], dtype=np.float64)))
            shares.append(max(1.0 - error / variance, 0.0))
    return float(np.mean(shares)) if shares else 0.0


def evenness(residual_TC: np.ndarray) -> float:
    """How evenly a member's squared error is spread over the rows, 0 to 1.

    Of a channel, the share of it that lies outside the ``LARGEST`` of the known rows. The mean over
    the channels that err is 0 up to ``EVEN_FROM`` and 1 from ``EVEN_TO`` on.
    """
    shares = []
    for residual_T in residual_TC.T:
        square_R = np.square(residual_T[np.isfinite(residual_T)], dtype=np.float64)
        if len(square_R) < LEAST_ROWS or square_R.mean() < LEAST_VARIANCE:
            continue
        others = len(square_R) - max(1, round(LARGEST * len(square_R)))
        square_R.partition(others)
        shares.append(square_R[:others].sum() / square_R.sum())
    if not shares:
        return 0.0
    return float(np.clip((np.mean(shares) - EVEN_FROM) / (EVEN_TO - EVEN_FROM), 0.0, 1.0))
