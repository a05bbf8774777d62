"""Builds the window store from the lake in one pass, with one vehicle in memory at a time."""

import datetime
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.console import track
from amad.telemetry.lake import Lake
from amad.windows.resample import made_null, split_bounds, to_series, without_days
from amad.windows.scaler import Scaler
from amad.windows.series import Series
from amad.windows.store import PARTS, StoreWriter

Days = dict[str, set[datetime.date]]


def build_store(
    lake: Lake, fleet: Fleet, normalise: str, path: Path, quarantined: Days | None = None
) -> dict:
    """Write the store of a lake and return the content of its ``store.json``.

    The scaler is learnt from the train rows while the vehicles are written. Then the values that
    are still unknown are filled with the train mean.

    quarantined: vehicle -> dates whose rows are left out; that ends their segment.

    In the result, ``meta["cold"]`` lists vehicles with fewer train rows than ``min_segment_rows``;
    they are kept and scaled with the figures of their class. ``meta["made_null"]`` is, for each
    channel, the number of impossible values that were taken for null.

    Raises:
        DataError: no vehicle has rows to train on.
    """
    quarantined = quarantined or {}
    test_start = lake.test_start()
    vehicles = lake.vehicles()

    train_rows: dict[str, int] = {}
    impossible: Counter[str] = Counter()

    def written(writer: StoreWriter) -> Iterator[Series]:
        for vehicle in track(vehicles, "prepare vehicles"):
            table = without_days(lake.read(vehicle), quarantined.get(vehicle, ()))
            impossible.update(made_null(table, fleet, fleet.class_of(vehicle)))
            if table.num_rows:
                timestamp_R = table["timestamp"].cast(pa.int64()).to_numpy()
                bounds = split_bounds(timestamp_R, fleet, test_start.get(vehicle))
                series = to_series(table, fleet, vehicle, bounds=bounds)
                train_rows[vehicle] = int(np.sum(series.split_T == PARTS["train"]))
                writer.add(series)
                yield series

    with StoreWriter(path, fleet) as writer:
        scaler = Scaler.fit(written(writer), fleet, normalise)
        enough = fleet.missing.min_segment_rows
        if not any(rows >= enough for rows in train_rows.values()):
            raise DataError(
                f"fleet {fleet.name}: no vehicle has {enough} train rows left after validation; "
                "see the quarantine in data/<fleet>/docs, or lower missing.min_segment_rows"
            )
        meta = {
            "data_hash": lake.hash(),
            "normalise": normalise,
            "cold": sorted(v for v, rows in train_rows.items() if rows < enough),
            "empty": sorted(set(vehicles) - set(train_rows)),
            "quarantined_days": sum(len(days) for days in quarantined.values()),
            "made_null": {c: impossible[c] for c in fleet.channel_names if c in impossible},
        }
        return writer.finish(scaler, meta)


def quarantined_days(quarantine: pa.Table) -> Days:
    """Vehicle -> dates, from a table of the QUARANTINE schema, which may name a date twice."""
    days: Days = {}
    for row in quarantine.select(["vehicle", "date"]).to_pylist():
        days.setdefault(row["vehicle"], set()).add(row["date"])
    return days
