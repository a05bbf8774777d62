"""K-means on windows: how far some rows together are from what was usual in train.

Shape legend: T rows of a vehicle, C channels, N windows, L rows of a window, K centres.
"""

import warnings
from collections.abc import Sequence

import numpy as np

from amad.config.threads import one_thread
from amad.detect.members.member import Arrays, Member
from amad.windows.series import Series

WINDOW = 20  # rows, L
CENTRES = 20  # K
SAMPLE = 4000  # the most windows that the centres are fitted on
STRETCH = 1000  # the most of them from one stretch of rows
ITERATIONS = 30


class KMeansMember(Member):
    """Distance of a window of 20 rows to the nearest of 20 centres of train windows.

    The residual of a channel is the root mean square, over the window's rows, of its value minus
    the centre's. So the squares of a row sum to the squared distance of its window (divided by 20),
    and each channel's contribution to it is known. Imputed cells count as they are.

    The row is in the middle of its window; at the ends of a segment the nearest full window is
    used. With ``trailing`` the window ends with its row, and the first 19 rows of a segment have
    none. Segments shorter than a window have no residual.
    """

    def __init__(self, name: str, *, trailing: bool, seed: int) -> None:
        super().__init__(name)
        self.trailing = trailing
        self.seed = seed
        self.context_rows = WINDOW - 1
        self.lookahead_rows = 0 if trailing else WINDOW - 1

    def summarise(self, series: Series) -> Arrays:
        """A sample of the windows, (N, L, C) float32."""
        firsts = [
            np.arange(first, last - WINDOW + 1)
            for first, last in series.segments()
            if last - first >= WINDOW
        ]
        first_N = np.concatenate([np.zeros(0, np.int64), *firsts])
        first_N = first_N[sample(len(first_N), STRETCH, self.seed)]
        return {"window": series.value_TC[first_N[:, None] + np.arange(WINDOW)]}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """Centres (K, L, C); fewer than ``CENTRES`` where there are fewer windows."""
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning

        window_NLC = np.concatenate([s["window"] for s in summaries])
        window_NLC = window_NLC[sample(len(window_NLC), SAMPLE, self.seed)]
        N, L, C = window_NLC.shape
        if N == 0:
            return {"centre": np.zeros((0, L, C))}
        kmeans = KMeans(min(CENTRES, N), n_init=1, max_iter=ITERATIONS, random_state=self.seed)
        # One thread keeps the order of summation, and so the result, the same.
        with one_thread(), warnings.catch_warnings():
            # It warns where there are fewer distinct windows than centres, which does no harm.
            warnings.simplefilter("ignore", ConvergenceWarning)
            kmeans.fit(window_NLC.reshape(N, -1))
        return {"centre": kmeans.cluster_centers_.reshape(-1, L, C).astype(np.float64)}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Root mean square distance (T, C) to the nearest centre; NaN where there is no window."""
        centre_KLC = coefficients["centre"].astype(np.float32)
        residual_TC = np.full(series.value_TC.shape, np.nan, np.float32)
        windows = series.rows - WINDOW + 1
        if windows < 1 or len(centre_KLC) == 0:
            return residual_TC
        # Lag by lag, as all windows at once would need 20 times the memory of the series.
        lagged = [series.value_TC[lag : lag + windows] for lag in range(WINDOW)]
        far_NK = np.square(centre_KLC).sum(axis=(1, 2))[None] - 2 * sum(
            x_NC @ centre_KLC[:, lag].T for lag, x_NC in enumerate(lagged)
        )
        nearest_N = far_NK.argmin(axis=1)
        square_NC = sum(
            np.square(x_NC - centre_KLC[nearest_N, lag]) for lag, x_NC in enumerate(lagged)
        )
        first_T = self._window_of(series)
        found_T = first_T >= 0
        residual_TC[found_T] = np.sqrt(square_NC[first_T[found_T]] / WINDOW)
        return residual_TC

    def _window_of(self, series: Series) -> np.ndarray:
        """First row of the window that answers for each row, int64 (T,); -1 where there is none."""
        first_T = np.full(series.rows, -1, np.int64)
        before = WINDOW - 1 if self.trailing else (WINDOW - 1) // 2
        for first, last in series.segments():
            if last - first < WINDOW:
                continue
            if self.trailing:
                first_T[first + before : last] = np.arange(first, last - before)
            else:
                wanted = np.arange(first - before, last - before)
                first_T[first:last] = np.clip(wanted, first, last - WINDOW)
        return first_T


def sample(count: int, limit: int, seed: int) -> np.ndarray:
    """At most ``limit`` of the numbers below ``count``, drawn by seed, in order; int64."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, limit, replace=False))
