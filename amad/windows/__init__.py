"""From the rows of the lake to the memory-mapped window store that every detector reads."""

from amad.windows.resample import row_of, to_series
from amad.windows.sampler import WindowIndex, epoch_batches, why_none_fits
from amad.windows.scaler import Scaler, UnknownVehicles
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN, Series
from amad.windows.split import SplitBounds, split_bounds
from amad.windows.store import WindowStore, write_store

__all__ = [
    "CALIBRATION", "PURGED", "TEST", "TRAIN", "Scaler", "Series", "SplitBounds", "UnknownVehicles",
    "WindowIndex", "WindowStore", "epoch_batches", "row_of", "split_bounds", "to_series",
    "why_none_fits", "write_store",
]  # fmt: skip
