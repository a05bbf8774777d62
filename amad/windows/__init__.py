"""From the rows of the lake to the memory-mapped window store that every detector reads.

Where to look for what:

- rows of the lake on a regular grid: ``resample``, ``increments`` (counters and angles), ``split``
  (train, calibration and test); ``series`` is the result, of one vehicle
- scaling: ``learning`` (what train rows tell), ``scaler``, ``codes`` (categorical channels),
  ``short_history`` (vehicles with few rows)
- files: ``build`` (lake to store), ``store``, ``vehicle_file``
- training and tests: ``sampler`` (the windows of a step), ``inject`` (faults in clean series),
  ``ridge`` (the closed form of a ridge regression)
"""

from amad.windows.sampler import WindowIndex, epoch_batches, why_none_fits
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN, Series
from amad.windows.store import WindowStore, write_store

__all__ = [
    "CALIBRATION", "TEST", "TRAIN", "Scaler", "Series", "WindowIndex", "WindowStore",
    "epoch_batches", "why_none_fits", "write_store",
]  # fmt: skip
