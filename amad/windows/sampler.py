"""Which windows a training step sees: an index of all windows and the order of each epoch.

The order is a pure function of (seed, epoch), the share of a rank one of (rank, world_size): a
resumed run sees exactly what the uninterrupted one would, and no position has to be stored.

Shape legend: W windows of the index, B windows in a batch, L steps in a window, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.config import DataError
from amad.windows.series import TRAIN, Series
from amad.windows.store import WindowStore


class WindowIndex:
    """All windows of ``window`` rows of one part, none across a segment, each ``stride`` rows.

    source: a store (windows are scaled as they are gathered, nothing else is held in memory), or
    scaled series. The last window of each segment is aligned to its end, so that every row of a
    segment of at least ``window`` rows (and stride <= window) is in some window.

    Example: ``index = WindowIndex(store, 100, 25); x_BLC = index.gather(np.arange(8))``

    Raises:
        DataError: no window fits.
    """

    def __init__(
        self,
        source: WindowStore | Sequence[Series],
        window: int,
        stride: int,
        split: int = TRAIN,
    ) -> None:
        self.window = window
        self._scaler = source.scaler if isinstance(source, WindowStore) else None
        self._series: list[Series] = (
            [source.series(name) for name in source.vehicles]
            if isinstance(source, WindowStore)
            else list(source)
        )
        vehicle_W, row_W = [], []
        for position, item in enumerate(self._series):
            first_W = _window_starts(item, window, stride, split)
            row_W.append(first_W)
            vehicle_W.append(np.full(len(first_W), position, np.int32))
        self.row_W = np.concatenate([np.zeros(0, np.int64), *row_W])
        self.vehicle_W = np.concatenate([np.zeros(0, np.int32), *vehicle_W])
        if len(self.row_W) == 0:
            raise DataError(
                f"no window of {window} rows fits into any segment of the part asked for; "
                "use a smaller model.window, or give the fleet more data or longer segments"
            )

    def __len__(self) -> int:
        """W."""
        return len(self.row_W)

    @property
    def vehicles(self) -> list[str]:
        """Vehicle ids; ``vehicle_W`` counts in this list."""
        return [item.vehicle for item in self._series]

    def gather(self, ids_B: np.ndarray) -> np.ndarray:
        """The windows, scaled: x_BLC float32, a fresh writable array."""
        channels = self._series[0].value_TC.shape[1]
        x_BLC = np.empty((len(ids_B), self.window, channels), np.float32)
        for b, (vehicle, row) in enumerate(
            zip(self.vehicle_W[ids_B], self.row_W[ids_B], strict=True)
        ):
            item = self._series[vehicle]
            value_LC = item.value_TC[row : row + self.window]
            if self._scaler is not None:
                value_LC = self._scaler.standardise(value_LC, item.vehicle, item.vehicle_class)
            x_BLC[b] = value_LC
        return x_BLC


def _window_starts(series: Series, window: int, stride: int, split: int) -> np.ndarray:
    """First rows of the windows of one series, int64, ascending."""
    inside_T = series.split_T == split
    run_T = np.where(inside_T, series.segment_T.astype(np.int64), -1)
    edges = np.flatnonzero(np.diff(run_T)) + 1
    starts = []
    for first, last in zip(
        np.concatenate([[0], edges]), np.concatenate([edges, [len(run_T)]]), strict=True
    ):
        if first == last or not inside_T[first] or last - first < window:
            continue
        here = np.arange(first, last - window + 1, stride, dtype=np.int64)
        starts.append(here if here[-1] == last - window else np.append(here, last - window))
    return np.concatenate([np.zeros(0, np.int64), *starts])


def epoch_batches(
    index: WindowIndex,
    batch: int,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    max_windows: int | None = None,
) -> list[np.ndarray]:
    """Window ids of each step of one rank in one epoch, in order.

    A draw without replacement of at most ``max_windows``, made anew each epoch. ``batch`` is the
    global batch: every rank takes ``max(1, batch // world_size)`` windows a step. All ranks make
    the same number of steps with the same number of windows, and together they see each drawn
    window once; up to ``world_size - 1`` windows that cannot be shared out evenly sit the epoch
    out.

    Raises:
        DataError: there are fewer windows than ranks.
    """
    count = min(len(index), max_windows or len(index))
    count -= count % world_size
    if count == 0:
        raise DataError(
            f"{len(index)} train windows cannot be shared out over {world_size} workers; "
            "use fewer workers"
        )
    rng = np.random.default_rng([seed, epoch])
    drawn = rng.choice(len(index), size=count, replace=False)
    mine = drawn[rank::world_size]
    share = max(1, batch // world_size)
    return [mine[i : i + share] for i in range(0, len(mine), share)]
