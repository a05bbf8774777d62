"""The window range member: how far a channel leaves the range that it kept in the train rows.

The other members predict a value and look at the error. Where nothing predicts a channel, such as
a command that is sent now and then, their error says little. But a value, a mean or a spread that
the train rows never had still says something, also for as long as it lasts.

Shape legend: T rows of a vehicle, C channels, S statistics of a window.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members import Arrays, Member, rows_into_segment, rows_to_segment_end
from amad.windows.series import Series

WINDOWS = (32, 256)  # rows; the short one tells short events, the long one tells lasting ones
LIMIT = 1e6  # in scaled units: one wild value must not cost the running sums their digits


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
        statistics = [statistic_TC[known_T] for statistic_TC in self._statistics(series)]
        if not known_T.any():
            none_SC = np.full((len(statistics), series.value_TC.shape[1]), np.nan)
            return {"low": none_SC, "high": none_SC}
        return {
            "low": np.stack([x_TC.min(axis=0) for x_TC in statistics]).astype(np.float64),
            "high": np.stack([x_TC.max(axis=0) for x_TC in statistics]).astype(np.float64),
        }

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """low, high: of all stretches together, (S, C) float64."""
        return {
            "low": np.fmin.reduce([summary["low"] for summary in summaries]),
            "high": np.fmax.reduce([summary["high"] for summary in summaries]),
        }

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Distance to the train ranges, >= 0, (T, C) float32; NaN without half a window of rows."""
        low_SC, high_SC = (coefficients[name].astype(np.float32) for name in ("low", "high"))
        square_TC = np.zeros(series.value_TC.shape, np.float32)
        for statistic_TC, low_C, high_C in zip(
            self._statistics(series), low_SC, high_SC, strict=True
        ):
            square_TC += np.square(statistic_TC - np.clip(statistic_TC, low_C, high_C))
        square_TC[~self._known(series)] = np.nan
        return np.sqrt(square_TC, out=square_TC)

    def _known(self, series: Series) -> np.ndarray:
        """Whether at least half of a row's window lies inside its segment, bool (T,)."""
        before_T = np.minimum(rows_into_segment(series), self.before)
        after_T = np.minimum(rows_to_segment_end(series), self.after)
        return before_T + after_T + 1 >= self.window / 2

    def _statistics(self, series: Series) -> list[np.ndarray]:
        """The statistics of the window of each row, cut at its segment, each (T, C) float32."""
        from scipy.ndimage import maximum_filter1d, minimum_filter1d

        statistics = [np.empty(series.value_TC.shape, np.float32) for _ in range(5)]
        mean_TC, low_TC, high_TC, range_TC, step_TC = statistics
        shift = self.before - self.window // 2
        for first, last in series.segments():
            rows = slice(first, last)
            value_TC = np.clip(series.value_TC[rows], -LIMIT, LIMIT)
            mean_TC[rows] = self._mean(value_TC)
            for extreme, out_TC in ((minimum_filter1d, low_TC), (maximum_filter1d, high_TC)):
                extreme(
                    value_TC, self.window, axis=0, output=out_TC[rows], mode="nearest", origin=shift
                )
            step_TC[rows] = self._mean(np.abs(np.diff(value_TC, axis=0, prepend=value_TC[:1])))
        np.subtract(high_TC, low_TC, out=range_TC)
        return statistics

    def _mean(self, value_TC: np.ndarray) -> np.ndarray:
        """Mean over the part of each row's window that lies in these rows, (T, C) float32."""
        running_TC = np.zeros((len(value_TC) + 1, value_TC.shape[1]))
        np.cumsum(value_TC, axis=0, dtype=np.float64, out=running_TC[1:])
        row_T = np.arange(len(value_TC))
        low_T = np.maximum(row_T - self.before, 0)
        high_T = np.minimum(row_T + self.after + 1, len(value_TC))
        total_TC = running_TC[high_T] - running_TC[low_T]
        return (total_TC / (high_T - low_T)[:, None]).astype(np.float32)
