"""The window range member: how far a channel leaves the range that it kept in the train rows.

The other members predict a value and look at the error. Where nothing predicts a channel, such as
a command that is sent now and then, their error says little. But a value, a mean or a spread that
the train rows never had still says something, also for as long as it lasts.

Shape legend: T rows of a vehicle, R of them, C channels, S statistics of a window.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from amad.detect.members.member import Arrays, Member, rows_into_segment, rows_to_segment_end
from amad.detect.sliding import Piece, pieces, sliding
from amad.windows.series import Series

WINDOWS = (32, 256)  # rows; the short one tells short events, the long one tells lasting ones
LEAST_WIDTH = 0.5  # of a range, in scaled units
LIMIT = 1e6  # in scaled units: one wild value must not cost the sums their digits
STATISTICS = ("mean", "least", "greatest", "range", "step")


class WindowRangeMember(Member):
    """How far five statistics of a window lie outside the range that they had in the train rows.

    The statistics of a channel are its mean, least value, greatest value, range, and mean absolute
    step from row to row. The residual is the root of the sum of the squared distances to the train
    ranges, each in widths of its range, so it is 0 wherever the window looks like one of the train
    rows. Where windows differ much in train, later ones go further beyond their range in ordinary
    life than where all are alike. It is not an error of a prediction; ``amad.detect.combine`` gives
    it a weight of its own.

    The row is in the middle of its window, or at its end if ``trailing``. Only windows of full
    length are compared, because the range of a shorter one is smaller, and its mean varies more. So
    rows at the start of a segment have no residual, and rows at its end that of its last window.
    """

    predicts = False

    def __init__(self, window: int, *, trailing: bool = False) -> None:
        super().__init__(f"window_range_{window}")
        self.window = window
        self.before = window - 1 if trailing else window // 2
        self.after = window - 1 - self.before
        self.context_rows, self.lookahead_rows = window, self.after

    def summarise(self, series: Series) -> Arrays:
        """low, high: least and greatest of each statistic, (S, C) float64; NaN without a window."""
        known_T = self._known(series)
        shape = (len(STATISTICS), series.value_TC.shape[1])
        low_SC, high_SC = np.full(shape, np.nan), np.full(shape, np.nan)
        for rows, statistics in self._statistics(series):
            if not known_T[rows].any():
                continue
            for s, statistic_RC in enumerate(statistics):
                known_RC = statistic_RC[known_T[rows]]
                low_SC[s] = np.fmin(low_SC[s], known_RC.min(axis=0))
                high_SC[s] = np.fmax(high_SC[s], known_RC.max(axis=0))
        return {"low": low_SC, "high": high_SC}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """low, high: of all stretches together, (S, C) float64."""
        return {
            "low": np.fmin.reduce([summary["low"] for summary in summaries]),
            "high": np.fmax.reduce([summary["high"] for summary in summaries]),
        }

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Distance to the train ranges in widths, >= 0, (T, C); NaN before the first window."""
        low_SC, high_SC = (coefficients[name].astype(np.float32) for name in ("low", "high"))
        residual_TC = np.empty(series.value_TC.shape, np.float32)
        for rows, statistics in self._statistics(series):
            square_RC = np.zeros(statistics[0].shape, np.float32)
            for statistic_RC, low_C, high_C in zip(statistics, low_SC, high_SC, strict=True):
                away_RC = np.maximum(statistic_RC, low_C)
                np.minimum(away_RC, high_C, out=away_RC)
                np.subtract(statistic_RC, away_RC, out=away_RC)
                away_RC /= np.maximum(high_C - low_C, LEAST_WIDTH)
                np.square(away_RC, out=away_RC)
                square_RC += away_RC
            np.sqrt(square_RC, out=residual_TC[rows])
        residual_TC[~self._known(series)] = np.nan
        for first, last in series.segments():
            if self.after and last - first >= self.window:
                residual_TC[last - self.after : last] = residual_TC[last - self.after - 1]
        return residual_TC

    def _known(self, series: Series) -> np.ndarray:
        """Whether a row's whole window lies inside its segment, bool (T,)."""
        begins = rows_into_segment(series) >= self.before
        return begins & (rows_to_segment_end(series) >= self.after)

    def _statistics(self, series: Series) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """The statistics of the windows of some rows after the other, each (R, C) float32."""
        value_TC = np.clip(series.value_TC, -LIMIT, LIMIT)
        step_TC = np.zeros_like(value_TC)
        np.subtract(value_TC[1:], value_TC[:-1], out=step_TC[1:])
        np.abs(step_TC, out=step_TC)
        segments = series.segments()
        step_TC[[first for first, _ in segments]] = 0.0
        for piece in pieces(segments, self.before, self.after):
            low_RC, high_RC = (
                self._windows(piece, value_TC, extreme) for extreme in (np.minimum, np.maximum)
            )
            mean_RC, step_RC = (
                self._windows(piece, x_TC, np.add) / np.float32(self.window)
                for x_TC in (value_TC, step_TC)
            )
            yield piece.rows, [mean_RC, low_RC, high_RC, high_RC - low_RC, step_RC]

    def _windows(self, piece: Piece, x_TC: np.ndarray, combine: np.ufunc) -> np.ndarray:
        [window_PC] = sliding(piece.take(x_TC), [self.window], combine)
        return piece.of_rows(window_PC, self.before)
