"""Builds the window store from the lake, with a few thousand rows in memory at a time.

A vehicle's timestamps are read first: they tell the split and how many rows its file has. Then its
rows are put on the grid piece by piece; each piece goes to its place in the file, and the scaler
learns from its train rows. A vehicle whose rows are few is read once and stays in memory.
"""

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.console import track
from amad.config.units import RunUnits, in_process
from amad.telemetry import disk
from amad.telemetry.lake import Lake, times_of
from amad.windows.learning import Learnt, TrainRows
from amad.windows.resample import Resampler
from amad.windows.scaler import Scaler
from amad.windows.series import Series
from amad.windows.split import Outline, bin_starts, grid_rows, max_gap_bins, outline
from amad.windows.store import PARTS, StoreWriter, WrittenVehicle, file_of, written_vehicle
from amad.windows.vehicle_file import PIECE_ROWS, VehicleFile

HELD_BYTES = 1 << 25  # of the lake's files of a vehicle, so that they are not fetched twice

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
    they are kept and scaled with the figures of their class. ``meta["unlearnt"]`` lists channels of
    which no train row has a value. ``meta["made_null"]`` is, for each channel, the number of
    impossible values that were taken for null.

    Raises:
        DataError: no vehicle has rows to train on, or none to set the threshold on.
    """
    quarantined = quarantined or {}
    vehicles = lake.vehicles()
    units = [(vehicle, frozenset(quarantined.get(vehicle, ()))) for vehicle in vehicles]
    learnt: list[Learnt] = []
    most = 0  # calibration rows of a vehicle
    impossible: Counter[str] = Counter()
    with StoreWriter(path, fleet) as writer:
        work = partial(_prepare_vehicle, lake, fleet, writer.folder)
        prepared = run(work, units, vehicle_days=lake.day_table().num_rows)
        for cells, known in track(prepared, "prepare vehicles", len(units)):
            impossible.update(cells)
            if known is not None:
                writer.take(known[0])
                learnt.append(known[1])
                most = max(most, known[0].entry["parts"]["calibration"])
        _require_rows(fleet, learnt, most)
        scaler, least = Scaler.of(learnt, fleet, normalise), fleet.missing.min_segment_rows
        meta = {
            "data_hash": lake.hash(),
            "normalise": normalise,
            "cold": sorted(item.vehicle for item in learnt if item.rows < least),
            "empty": sorted(set(vehicles) - {item.vehicle for item in learnt}),
            "unlearnt": scaler.unlearnt,
            "quarantined_days": sum(len(days) for days in quarantined.values()),
            "made_null": {c: impossible[c] for c in fleet.channel_names if c in impossible},
        }
        return writer.finish(scaler, meta)


def _require_rows(fleet: Fleet, learnt: Sequence[Learnt], calibration: int) -> None:
    """See that a vehicle has enough train rows, and one enough calibration rows.

    calibration: the most that a vehicle has.

    Raises:
        DataError: none has.
    """
    enough = fleet.missing.min_segment_rows
    if not any(item.rows >= enough for item in learnt):
        raise DataError(
            f"fleet {fleet.name}: no vehicle has {enough} train rows left after validation; "
            f"see the quarantine in data/{fleet.name}/docs, or lower missing.min_segment_rows"
        )
    if calibration < enough:
        raise DataError(
            f"fleet {fleet.name}: no vehicle has {enough} calibration rows, so no threshold "
            f"can be set (the most that one has are {calibration}); raise "
            "split.calibration_share, or lower missing.min_segment_rows or split.purge_rows"
        )


def _prepare_vehicle(
    lake: Lake, fleet: Fleet, folder: Path, unit: tuple[str, frozenset[datetime.date]]
) -> tuple[Counter[str], tuple[WrittenVehicle, Learnt] | None]:
    """Write the file of a vehicle into the store ``folder``; None where it has no rows left.

    unit: the vehicle and its quarantined dates. The counter is of impossible values by channel.
    """
    vehicle, quarantined = unit
    dates = [date for date in lake.dates(vehicle) if date not in quarantined]
    if not dates:
        return Counter(), None
    lake = lake.holding(HELD_BYTES)
    tables: Iterable[pa.Table] = lake.batches(vehicle, dates, PIECE_ROWS)
    if lake.rows_on(vehicle, dates) <= PIECE_ROWS:
        tables = [pa.concat_tables(tables)]
        time_R = times_of(tables[0])
        found = outline(1, lambda day: time_R, fleet, lake.test_start().get(vehicle))
    else:

        def times(day: int) -> np.ndarray:
            return times_of(lake.read_day(vehicle, dates[day], ["timestamp"]))

        found = outline(len(dates), times, fleet, lake.test_start().get(vehicle))
    grid = Resampler(fleet, vehicle, found.bounds)
    series = (grid.add(table, last=last) for table, last in _whole_bins(tables, fleet))
    with disk.written(file_of(folder, vehicle)) as here:
        written, learnt = write_pieces(here, series, found, fleet)
    return grid.made_null, (written, learnt)


def write_pieces(
    path: Path, series: Iterable[Series], found: Outline, fleet: Fleet
) -> tuple[WrittenVehicle, Learnt]:
    """Write the file of a vehicle, whose series comes in pieces, and learn from its train rows.

    found: of the whole series; the pieces need not be split.
    """
    channels, train_rows = len(fleet.channels), found.split.train_rows
    labels = fleet.labels.kind in ("column", "intervals")
    with VehicleFile.create(path, rows=found.rows, channels=channels, labels=labels) as file:
        row, parts, unfilled = 0, np.zeros(len(PARTS), int), False
        train = TrainRows(fleet, train_rows)
        for piece in series:
            split_T = found.split.parts(row, row + piece.rows)
            file.write(row, replace(piece, split_T=split_T))
            parts += np.bincount(split_T, minlength=len(PARTS))
            unfilled = unfilled or not np.isfinite(piece.value_TC).all()
            own = slice(max(0, train_rows - row))
            train.add(piece.value_TC[own], piece.valid_TC[own])
            row += piece.rows
        assert row == found.rows, f"{piece.vehicle}: {row} rows instead of {found.rows}"
    written = written_vehicle(
        piece, rows=row, segments=int(piece.segment_T[-1]) + 1, parts=parts, unfilled=unfilled
    )
    return written, train.learnt(piece.vehicle, piece.vehicle_class)


def _whole_bins(tables: Iterable[pa.Table], fleet: Fleet) -> Iterator[tuple[pa.Table, bool]]:
    """The rows of a vehicle cut into other tables, and whether each is the last.

    Small tables are joined. No bin is cut, and about ``PIECE_ROWS`` rows of the grid follow from
    each table.
    """
    waiting: pa.Table | None = None
    for table in chain(tables, [None]):
        is_last = table is None
        if table is not None:
            waiting = table if waiting is None else pa.concat_tables([waiting, table])
        if waiting is None or (waiting.num_rows < PIECE_ROWS and not is_last):
            continue
        bin_R = times_of(waiting) // fleet.period_us
        start_K = bin_starts(bin_R)
        row_K, _ = grid_rows(bin_R[start_K], None, max_gap_bins(fleet))
        edge_K1 = np.append(start_K, waiting.num_rows)
        # The last bin may go on in the next table.
        whole = len(start_K) if is_last else len(start_K) - 1
        first = 0
        while first < whole:
            end = min(int(np.searchsorted(row_K, row_K[first] + PIECE_ROWS)), whole)
            first, begin = end, edge_K1[first]
            yield waiting.slice(begin, edge_K1[end] - begin), is_last and end == whole
        waiting = waiting.slice(edge_K1[whole])


def quarantined_days(quarantine: pa.Table) -> Days:
    """Vehicle -> dates, from a table of the QUARANTINE schema, which may name a date twice."""
    days: Days = {}
    for row in quarantine.select(["vehicle", "date"]).to_pylist():
        days.setdefault(row["vehicle"], set()).add(row["date"])
    return days
