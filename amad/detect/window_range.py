"""The window range member: how far a channel leaves the range that it kept in the train rows.

The other members predict a value and look at the error. Where nothing predicts a channel, such as
a command that is sent now and then, their error says little. But a value, a mean or a spread that
the train rows never had still says something, also for as long as it lasts.

Shape legend: T rows of a vehicle, R of them, C channels, S statistics of a window.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from amad.detect.members import Arrays, Member, rows_into_segment, rows_to_segment_end
from amad.detect.sliding import Piece, pieces, sliding
from amad.windows.series import Series

WINDOWS = (32, 256)  # rows; the short one tells short events, the long one tells lasting ones
LIMIT = 1e6  # in scaled units: one wild value must not cost the sums their digits
STATISTICS = ("mean", "least", "greatest", "range", "step")


class WindowRangeMember(Member):
    """How far five statistics of a window lie outside the range that they had in the train rows.

    The statistics of a channel are its mean, least value, greatest value, range, and mean absolute
    step from row to row. The residual is the root of the sum of the squared distances to the train
    ranges, so it is 0 wherever the window looks like one of the train rows. It is not an error of
    a prediction; ``amad.detect.combine`` gives it a weight of its own.

    The row is in the middle of its window, or at its end if ``trailing``. At the ends of a segment
    the part of the window inside the segment serves, if it is at least half a window.
    """

    predicts = False

    def __init__(self, window: int, *, trailing: bool = False) -> None:
        super().__init__(f"window_range_{window}")
        self.window = window
        self.before = window - 1 if trailing else window // 2
        self.after = window - 1 - self.before
        self.context_rows, self.lookahead_rows = self.before + 1, self.after

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
        """Distance to the train ranges, >= 0, (T, C) float32; NaN without half a window of rows."""
        low_SC, high_SC = (coefficients[name].astype(np.float32) for name in ("low", "high"))
        residual_TC = np.empty(series.value_TC.shape, np.float32)
        for rows, statistics in self._statistics(series):
            square_RC = np.zeros(statistics[0].shape, np.float32)
            for statistic_RC, low_C, high_C in zip(statistics, low_SC, high_SC, strict=True):
                away_RC = np.maximum(statistic_RC, low_C)
                np.minimum(away_RC, high_C, out=away_RC)
                np.subtract(statistic_RC, away_RC, out=away_RC)
                np.square(away_RC, out=away_RC)
                square_RC += away_RC
            np.sqrt(square_RC, out=residual_TC[rows])
        residual_TC[~self._known(series)] = np.nan
        return residual_TC

    def _known(self, series: Series) -> np.ndarray:
        """Whether at least half of a row's window lies inside its segment, bool (T,)."""
        return self._rows_of_windows(series) >= self.window / 2

    def _rows_of_windows(self, series: Series) -> np.ndarray:
        """How many rows of each row's window lie inside its segment, int64 (T,)."""
        before_T = np.minimum(rows_into_segment(series), self.before)
        after_T = np.minimum(rows_to_segment_end(series), self.after)
        return before_T + after_T + 1

    def _statistics(self, series: Series) -> Iterator[tuple[slice, list[np.ndarray]]]:
        """The statistics of the windows of some rows after the other, each (R, C) float32."""
        count_T1 = self._rows_of_windows(series).astype(np.float32)[:, None]
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
                self._windows(piece, x_TC, np.add, 0.0) / count_T1[piece.rows]
                for x_TC in (value_TC, step_TC)
            )
            yield piece.rows, [mean_RC, low_RC, high_RC, high_RC - low_RC, step_RC]

    def _windows(
        self, piece: Piece, x_TC: np.ndarray, combine: np.ufunc, outside: float | None = None
    ) -> np.ndarray:
        [window_PC] = sliding(piece.take(x_TC, outside), [self.window], combine)
        return piece.of_rows(window_PC, self.before)
