"""Builds the window store from the lake in one pass, with one vehicle in memory at a time."""

import datetime
from collections import Counter
from functools import partial
from pathlib import Path

import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.console import track
from amad.config.units import RunUnits, in_process
from amad.telemetry.lake import Lake
from amad.windows.resample import made_null, split_bounds, to_series, without_days
from amad.windows.scaler import Learnt, Scaler
from amad.windows.store import StoreWriter, WrittenVehicle, write_vehicle

Days = dict[str, set[datetime.date]]


def build_store(
    lake: Lake,
    fleet: Fleet,
    normalise: str,
    path: Path,
    quarantined: Days | None = None,
    run: RunUnits = in_process,
) -> dict:
    """Write the store of a lake and return the content of its ``store.json``.

    The scaler is learnt from the train rows while the vehicles are written. Then the values that
    are still unknown are filled with the train mean.

    quarantined: vehicle -> dates whose rows are left out; that ends their segment. run: what
    prepares the vehicles.

    In the result, ``meta["cold"]`` lists vehicles with fewer train rows than ``min_segment_rows``;
    they are kept and scaled with the figures of their class. ``meta["made_null"]`` is, for each
    channel, the number of impossible values that were taken for null.

    Raises:
        DataError: no vehicle has rows to train on.
    """
    quarantined = quarantined or {}
    vehicles = lake.vehicles()
    units = [(vehicle, frozenset(quarantined.get(vehicle, ()))) for vehicle in vehicles]
    learnt: list[Learnt] = []
    impossible: Counter[str] = Counter()
    with StoreWriter(path, fleet) as writer:
        work = partial(_prepare_vehicle, lake, fleet, writer.folder)
        prepared = run(work, units, vehicle_days=lake.day_table().num_rows)
        for cells, known in track(prepared, "prepare vehicles", len(units)):
            impossible.update(cells)
            if known is not None:
                writer.take(known[0])
                learnt.append(known[1])
        enough = fleet.missing.min_segment_rows
        if not any(item.rows >= enough for item in learnt):
            raise DataError(
                f"fleet {fleet.name}: no vehicle has {enough} train rows left after validation; "
                "see the quarantine in data/<fleet>/docs, or lower missing.min_segment_rows"
            )
        meta = {
            "data_hash": lake.hash(),
            "normalise": normalise,
            "cold": sorted(item.vehicle for item in learnt if item.rows < enough),
            "empty": sorted(set(vehicles) - {item.vehicle for item in learnt}),
            "quarantined_days": sum(len(days) for days in quarantined.values()),
            "made_null": {c: impossible[c] for c in fleet.channel_names if c in impossible},
        }
        return writer.finish(Scaler.of(learnt, fleet, normalise), meta)


def _prepare_vehicle(
    lake: Lake, fleet: Fleet, folder: Path, unit: tuple[str, frozenset[datetime.date]]
) -> tuple[Counter[str], tuple[WrittenVehicle, Learnt] | None]:
    """Write the file of a vehicle into the store ``folder``; None where it has no rows left.

    unit: the vehicle and its quarantined dates. The counter is of impossible values by channel.
    """
    vehicle, quarantined = unit
    table = without_days(lake.read(vehicle), quarantined)
    impossible = Counter(made_null(table, fleet, fleet.class_of(vehicle)))
    if not table.num_rows:
        return impossible, None
    timestamp_R = table["timestamp"].cast(pa.int64()).to_numpy()
    bounds = split_bounds(timestamp_R, fleet, lake.test_start().get(vehicle))
    series = to_series(table, fleet, vehicle, bounds=bounds)
    return impossible, (write_vehicle(folder, series), Learnt.of(series, fleet))


def quarantined_days(quarantine: pa.Table) -> Days:
    """Vehicle -> dates, from a table of the QUARANTINE schema, which may name a date twice."""
    days: Days = {}
    for row in quarantine.select(["vehicle", "date"]).to_pylist():
        days.setdefault(row["vehicle"], set()).add(row["date"])
    return days
