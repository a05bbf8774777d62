"""A series of made-up rows, for the benchmarks that need no fleet."""

import numpy as np

from amad.windows.series import TRAIN, Series


def plain_series(value_TC: np.ndarray, vehicle_class: str = "all", begin: int = 0) -> Series:
    """One vehicle at 1 Hz without a gap; everything is measured and of the train part.

    value_TC: scaled values. begin: seconds since the epoch of the first row.
    """
    rows = len(value_TC)
    return Series(
        vehicle="v",
        vehicle_class=vehicle_class,
        timestamp_T=(begin + np.arange(rows, dtype=np.int64)) * 1_000_000,
        value_TC=value_TC.astype(np.float32),
        valid_TC=np.ones(value_TC.shape, np.uint8),
        segment_T=np.zeros(rows, np.int32),
        split_T=np.full(rows, TRAIN, np.uint8),
    )
