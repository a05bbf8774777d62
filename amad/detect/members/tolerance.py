"""How large an error of a member is ordinary in a row, by what the other channels do meanwhile.

While a vehicle accelerates, the prediction of a channel from the others errs several times as much
as while it stands or cruises. With one scale for all rows, the errors of healthy manoeuvres hide a
relation that breaks in calm rows. So the logarithm of the squared error is predicted, by a ridge
regression on five figures of each *other* channel: its value, how far it is from its mean, and how
much it moves within 4 rows, within 16, and on average over 24. The channel's own figures are left
out, because a stuck or noisy sensor would explain its own error.

The prediction is relative: 0 is the mean of the train rows. It is limited on both sides, because
what a vehicle never did before is to be reported and not to be excused.

Shape legend: T rows, C channels, X = 5 C + 1 columns, the last of which is 1.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from amad.config.threads import one_thread
from amad.detect.members.member import Arrays, Member, cut
from amad.detect.sliding import chunks
from amad.windows.series import Series

PENALTY = 500.0  # of the squared coefficients, in rows
LEAST_Z2 = 0.05  # added to the squared error, so that a hit by chance has no endless logarithm
LIMIT = 6.0  # spreads; a value is cut to this
LOWEST, HIGHEST = -1.5, 2.0  # of the predicted logarithm of the squared error
STEP, LEAP = 2, 8  # a movement is measured from so many rows before a row to as many after it
BURST = (-10, -5, 0, 5, 10)  # the movements around these rows are averaged
REACH = max(BURST) + STEP  # rows before and after a row that its figures depend on


class TolerantMember(Member):
    """A member whose errors count beside what is ordinary in their situation.

    ``context_rows`` and ``lookahead_rows`` must be at least ``REACH``; with ``trailing``, where no
    later row is used, ``context_rows`` must be twice as many.
    """

    trailing: bool = False

    def fit_tolerance(
        self, owner: str, train: Sequence[Series], errors: Sequence[np.ndarray], folds: int
    ) -> list[np.ndarray] | None:
        """Learn the tolerance of a vehicle from its cross-fitted errors, in the same folds.

        Pooled figures have none, because vehicles differ in what makes them err.
        """
        if not owner.startswith("vehicle/"):
            return None
        [series], [error_TC] = train, errors
        scale_C = root_mean_square(errors)
        edges = np.cumsum([0, *(piece.rows for piece in cut(series, folds))]).tolist()
        stretches = list(pairwise(edges))
        sums = [self._sums(series, error_TC, scale_C, *stretch) for stretch in stretches]
        self.coefficients[owner]["tolerance"] = solve_tolerance(sums)
        found_TC = np.ones(error_TC.shape, np.float32)
        for k, stretch in enumerate(stretches):
            others = sums[:k] + sums[k + 1 :] or sums
            self._predict(found_TC, series, solve_tolerance(others), *stretch)
        return [found_TC]

    def tolerance(self, series: Series, owner: str) -> np.ndarray | None:
        """As for any member; 1 in rows without a residual. None where none was learnt."""
        weight_CX = self.coefficients[owner].get("tolerance")
        if weight_CX is None:
            return None
        found_TC = np.ones(series.value_TC.shape, np.float32)
        self._predict(found_TC, series, weight_CX, 0, series.rows)
        return found_TC

    def _sums(
        self, series: Series, error_TC: np.ndarray, scale_C: np.ndarray, first: int, last: int
    ) -> Arrays:
        """What ``solve_tolerance`` needs to know about some rows; sums of stretches add up.

        The logarithms count from their mean in these rows, so that a stretch with larger errors
        throughout does not matter.

        Returns: tolerance_gram (X, X) and tolerance_cross (X, C), float64.
        """
        channels = error_TC.shape[1]
        known_TC = np.isfinite(error_TC[first:last])
        z2_TC = np.square(np.where(known_TC, error_TC[first:last], 0.0) / scale_C)
        log_TC = np.where(known_TC, np.log(z2_TC + LEAST_Z2), 0.0)
        mean_C = log_TC.sum(axis=0) / np.maximum(known_TC.sum(axis=0), 1)
        log_TC = np.where(known_TC, log_TC - mean_C, 0.0)
        gram = np.zeros((5 * channels + 1, 5 * channels + 1))
        cross = np.zeros((5 * channels + 1, channels))
        for begin, end in self._chunks(series, first, last):
            rows = np.flatnonzero(known_TC[begin - first : end - first].any(axis=1))
            column_TX = situation(series.value_TC, begin, end, trailing=self.trailing)[rows]
            column_TX = column_TX.astype(np.float64)
            gram += column_TX.T @ column_TX
            cross += column_TX.T @ log_TC[begin - first + rows]
        return {"tolerance_gram": gram, "tolerance_cross": cross}

    def _predict(
        self, out_TC: np.ndarray, series: Series, weight_CX: np.ndarray, first: int, last: int
    ) -> None:
        """Write the relative tolerance of the rows from ``first`` to before ``last``."""
        weight_XC = weight_CX.T.astype(np.float32)
        for begin, end in self._chunks(series, first, last):
            log_TC = situation(series.value_TC, begin, end, trailing=self.trailing) @ weight_XC
            np.clip(log_TC, LOWEST, HIGHEST, out=log_TC)
            log_TC /= 2
            np.exp(log_TC, out=out_TC[begin:end])

    def _chunks(self, series: Series, first: int, last: int) -> list[tuple[int, int]]:
        """The rows of a stretch that have a residual, in pieces."""
        first = max(first, 2 * REACH if self.trailing else REACH)
        last = min(last, series.rows - (0 if self.trailing else REACH))
        return chunks(first, last)


def situation(value_TC: np.ndarray, first: int, last: int, *, trailing: bool) -> np.ndarray:
    """The columns (last - first, X) float32 of the rows from ``first`` to before ``last``.

    value_TC: scaled, with ``REACH`` rows before ``first`` and after ``last``. trailing: every
    figure looks as many rows further back, so no later row is used.
    """
    channels, back = value_TC.shape[1], REACH if trailing else 0
    begin = first - REACH - back
    value_TC = np.clip(value_TC[begin : last + REACH - back], -LIMIT, LIMIT)
    rows, first = last - first, first - begin
    step_TC, leap_TC = (np.abs(value_TC[2 * n :] - value_TC[: -2 * n]) for n in (STEP, LEAP))

    def movement(move_TC: np.ndarray, reach: int, around: int) -> np.ndarray:
        """From ``reach`` before to ``reach`` after the row that lies ``around`` rows away."""
        return move_TC[first + around - reach :][:rows]

    columns = np.ones((rows, 5 * channels + 1), np.float32)
    here_TC, size_TC, step_out, leap_out, burst_TC = (
        columns[:, n * channels : (n + 1) * channels] for n in range(5)
    )
    here_TC[:] = value_TC[first : first + rows]
    np.abs(here_TC, out=size_TC)
    np.sqrt(movement(step_TC, STEP, -STEP if trailing else 0), out=step_out)
    np.sqrt(movement(leap_TC, LEAP, -LEAP if trailing else 0), out=leap_out)
    total_TC = movement(step_TC, STEP, BURST[0] - back).copy()
    for around in BURST[1:]:
        total_TC += movement(step_TC, STEP, around - back)
    np.sqrt(np.divide(total_TC, np.float32(len(BURST)), out=total_TC), out=burst_TC)
    return columns


def solve_tolerance(sums: Sequence[Arrays]) -> np.ndarray:
    """Coefficients (C, X) of the columns for each channel, 0 for the channel's own figures.

    One inverse P of the normal matrix serves all channels: with w as the ridge solution of all
    columns, the solution without the columns ``own`` is w - P[:, own] P[own, own]^-1 w[own].
    """
    gram = np.sum([s["tolerance_gram"] for s in sums], axis=0)
    cross = np.sum([s["tolerance_cross"] for s in sums], axis=0)
    channels, slopes = cross.shape[1], np.arange(len(gram) - 1)
    gram[slopes, slopes] += PENALTY
    gram[-1, -1] += 1.0
    with one_thread():  # keeps the order of summation, and so the result, the same
        inverse = np.linalg.inv(gram)
        weight_CX = (inverse @ cross).T.copy()
        for c in range(channels):
            own = np.arange(c, len(gram) - 1, channels)
            excess = np.linalg.solve(inverse[np.ix_(own, own)], weight_CX[c, own])
            weight_CX[c] -= inverse[:, own] @ excess
            weight_CX[c, own] = 0.0
    return weight_CX


def root_mean_square(errors: Sequence[np.ndarray]) -> np.ndarray:
    """Of the known errors of each channel, float64 (C,); 1 for a channel that is never wrong."""
    square_C, count_C = np.zeros((2, errors[0].shape[1]))
    for error_TC in errors:
        count_C += np.isfinite(error_TC).sum(axis=0)
        square_C += [np.nansum(np.square(error_T, dtype=np.float64)) for error_T in error_TC.T]
    scale_C = np.sqrt(square_C / np.maximum(count_C, 1))
    return np.where(scale_C > np.finfo(np.float32).eps, scale_C, 1.0)
