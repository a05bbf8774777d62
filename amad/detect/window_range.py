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

WINDOWS = (16, 64, 256)  # rows; a short window tells short events, a long one tells lasting ones
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
        """low, high: least and greatest of each statistic, (C, S) float64; NaN without a window."""
        statistic_TCS = self._statistics(series)
        known_TCS = statistic_TCS[np.isfinite(statistic_TCS).all(axis=(1, 2))]
        if not len(known_TCS):
            none_CS = np.full(statistic_TCS.shape[1:], np.nan)
            return {"low": none_CS, "high": none_CS}
        return {
            "low": known_TCS.min(axis=0).astype(np.float64),
            "high": known_TCS.max(axis=0).astype(np.float64),
        }

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """low, high: of all stretches together, (C, S) float64."""
        low_NCS = np.stack([summary["low"] for summary in summaries])
        high_NCS = np.stack([summary["high"] for summary in summaries])
        return {"low": np.fmin.reduce(low_NCS), "high": np.fmax.reduce(high_NCS)}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Distance to the train ranges, >= 0, (T, C) float32; NaN without half a window of rows."""
        statistic_TCS = self._statistics(series)
        outside_TCS = np.maximum(statistic_TCS - coefficients["high"].astype(np.float32), 0.0)
        outside_TCS += np.maximum(coefficients["low"].astype(np.float32) - statistic_TCS, 0.0)
        return np.sqrt(np.square(outside_TCS, out=outside_TCS).sum(axis=2))

    def _statistics(self, series: Series) -> np.ndarray:
        """(T, C, S) float32, NaN in rows with less than half a window inside their segment."""
        from scipy.ndimage import maximum_filter1d, minimum_filter1d

        rows, channels = series.value_TC.shape
        statistic_TCS = np.full((rows, channels, 5), np.nan, np.float32)
        shift = self.before - self.window // 2
        for first, last in series.segments():
            value_TC = np.clip(series.value_TC[first:last], -LIMIT, LIMIT)
            low_TC, high_TC = (
                extreme(value_TC, self.window, axis=0, mode="nearest", origin=shift)
                for extreme in (minimum_filter1d, maximum_filter1d)
            )
            step_TC = np.abs(np.diff(value_TC, axis=0, prepend=value_TC[:1]))
            statistic_TCS[first:last] = np.stack(
                [self._mean(value_TC), low_TC, high_TC, high_TC - low_TC, self._mean(step_TC)],
                axis=2,
            )
        before_T = np.minimum(rows_into_segment(series), self.before)
        after_T = np.minimum(rows_to_segment_end(series), self.after)
        statistic_TCS[before_T + after_T + 1 < self.window / 2] = np.nan
        return statistic_TCS

    def _mean(self, value_TC: np.ndarray) -> np.ndarray:
        """Mean over the part of each row's window that lies in these rows, (T, C)."""
        running_TC = np.zeros((len(value_TC) + 1, value_TC.shape[1]))
        np.cumsum(value_TC, axis=0, dtype=np.float64, out=running_TC[1:])
        row_T = np.arange(len(value_TC))
        low_T = np.maximum(row_T - self.before, 0)
        high_T = np.minimum(row_T + self.after + 1, len(value_TC))
        return (running_TC[high_T] - running_TC[low_T]) / (high_T - low_T)[:, None]
