"""Small fleets and tables for the tests of the windows."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.telemetry.schemas import TIMESTAMP
from amad.windows.resample import Resampler
from amad.windows.series import TRAIN, Series
from amad.windows.split import Outline, outline

SECOND = 1_000_000
START = 1_767_571_200 * SECOND  # 2026-01-05, a midnight


def outline_of(timestamp_R: np.ndarray, fleet: Fleet, test_us: int | None = None) -> Outline:
    """The outline of a vehicle whose rows are read as those of one day."""
    return outline(1, lambda day: timestamp_R, fleet, test_us)


def split_series(table: pa.Table, fleet: Fleet, vehicle: str) -> Series:
    """The vehicle's lake rows on the grid, divided into the parts of the split."""
    found = outline_of(table["timestamp"].cast(pa.int64()).to_numpy(), fleet)
    series = Resampler(fleet, vehicle, found.bounds).add(table, last=True)
    return replace(series, split_T=found.split.parts(0, series.rows))


def small_fleet(**changes: object) -> Fleet:
    """Two continuous channels, one categorical, one that only class b has; 1 Hz."""
    content = {
        "name": "tiny",
        "channels": [
            {"name": "speed", "range": [-100, 100]},
            {"name": "level"},
            {"name": "gear", "kind": "categorical"},
            {"name": "charge", "classes": ["b"]},
        ],
        "vehicle_classes": [
            {"name": "b", "vehicles": ["b-*"]},
            {"name": "a", "vehicles": ["*"]},
        ],
        "source": {"format": "simulator"},
        "missing": {"max_gap_seconds": 5, "min_segment_rows": 10},
        "split": {"purge_rows": 3},
    }
    return Fleet.model_validate(content | changes)


def lake_table(seconds: list[float], **columns: list) -> pa.Table:
    """Rows at ``seconds`` after START; a channel that is not named is null throughout."""
    rows = len(seconds)
    stamp = (START + np.round(np.asarray(seconds, float) * SECOND)).astype(np.int64)
    data = {"timestamp": pa.array(stamp, pa.int64()).view(TIMESTAMP)}
    for name in ("speed", "level", "gear", "charge"):
        data[name] = pa.array(columns.pop(name, [None] * rows), pa.float64())
    for name, values in columns.items():
        data[name] = pa.array(values, pa.int8())
    return pa.table(data)


def series_of(
    value_TC: np.ndarray, vehicle: str = "a-1", vehicle_class: str = "a", **changes: object
) -> Series:
    """A gapless series, all train and measured, with ``changes`` to its fields."""
    rows = len(value_TC)
    fields = {
        "timestamp_T": START + np.arange(rows, dtype=np.int64) * SECOND,
        "valid_TC": np.ones(value_TC.shape, np.uint8),
        "segment_T": np.zeros(rows, np.int32),
        "split_T": np.full(rows, TRAIN, np.uint8),
    }
    return Series(
        vehicle=vehicle,
        vehicle_class=vehicle_class,
        value_TC=np.asarray(value_TC, np.float32),
        **(fields | changes),
    )
