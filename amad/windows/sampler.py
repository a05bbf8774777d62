"""Chooses the windows of each training step: an index of all windows, and the order in each epoch.

The order depends on (seed, epoch) only. So a resumed run sees the same windows as an uninterrupted
one, and no position has to be stored.

Shape legend: W windows of the index, B windows in a batch, L steps in a window, C channels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from amad.config import DataError
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.store import WindowStore


class WindowIndex:
    """All windows of ``window`` rows in one part, every ``stride`` rows; none crosses a segment.

    source: a store, whose windows are scaled when they are gathered so that nothing is held in
    memory, or scaled series. The last window of a segment ends where the segment ends, so that
    every row of a segment of at least ``window`` rows (with stride <= window) is in a window.

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
        self._scaler: Scaler | None = None
        if isinstance(source, WindowStore):
            self._scaler = source.scaler
            source = [source.series(name) for name in source.vehicles]
        self._series = list(source)
        starts = [_window_starts(item, window, stride, split) for item in self._series]
        self.row_W = np.concatenate([np.zeros(0, np.int64), *starts])
        position = np.arange(len(starts), dtype=np.int32)
        self.vehicle_W = np.repeat(position, [len(rows) for rows in starts])
        if len(self.row_W) == 0:
            raise DataError(_none_fits(window, split))

    def __len__(self) -> int:
        """W."""
        return len(self.row_W)

    @property
    def vehicles(self) -> list[str]:
        """Vehicle ids; ``vehicle_W`` holds positions in this list."""
        return [item.vehicle for item in self._series]

    def gather(self, ids_B: np.ndarray) -> np.ndarray:
        """The windows with these numbers, scaled: x_BLC float32, a new array."""
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


def why_none_fits(store: WindowStore, window: int) -> str:
    """Why a network with this window cannot be trained; empty if it can."""
    for split in (TRAIN, CALIBRATION):
        series = (store.series(vehicle) for vehicle in store.vehicles)
        if not any(len(_window_starts(item, window, window, split)) for item in series):
            return _none_fits(window, split)
    return ""


def _none_fits(window: int, split: int) -> str:
    """What to say where no window fits into a part."""
    part = {TRAIN: "train", CALIBRATION: "calibration", TEST: "test"}[split]
    return (
        f"no window of {window} rows fits into any segment of the {part} part; "
        "use a smaller model.window, or give the fleet more data or longer segments"
    )


def _window_starts(series: Series, window: int, stride: int, split: int) -> np.ndarray:
    """First rows of the windows of one series, int64, ascending."""
    run_T = np.where(series.split_T == split, series.segment_T, -1)
    starts = [np.zeros(0, np.int64)]
    for first, last in replace(series, segment_T=run_T).segments():
        if run_T[first] < 0 or last - first < window:
            continue
        here = np.arange(first, last - window + 1, stride, dtype=np.int64)
        starts.append(here if here[-1] == last - window else np.append(here, last - window))
    return np.concatenate(starts)


def epoch_batches(
    index: WindowIndex,
    batch: int,
    seed: int,
    epoch: int,
    max_windows: int | None = None,
) -> list[np.ndarray]:
    """The window numbers of each step of one epoch, of all ranks together, in order.

    At most ``max_windows`` windows are drawn without replacement, anew in each epoch, ``batch`` for
    each step and the rest for the last one.
    """
    count = min(len(index), max_windows or len(index))
    rng = np.random.default_rng([seed, epoch])
    drawn = rng.choice(len(index), size=count, replace=False)
    return [drawn[i : i + batch] for i in range(0, count, batch)]
