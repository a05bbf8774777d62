"""From the rows of the lake to the memory-mapped window store that every detector reads."""

from amad.windows.sampler import WindowIndex, epoch_batches, why_none_fits
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.store import WindowStore, write_store

__all__ = [
    "CALIBRATION", "TEST", "TRAIN", "Scaler", "Series", "WindowIndex", "WindowStore",
    "epoch_batches", "why_none_fits", "write_store",
]  # fmt: skip
