"""Which raw file each row of the lake came from, so that one file's rows can be taken out again.

A part with the rows of one file has that file's name in the day table. A part with rows of several
has a small file beside it, ``_origins.parquet``: an entry per row and file. A row that several
files made has an entry for each, with the channels it gave.

Shape legend: T rows of a part, N entries, C channels and, as a last one, the label.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.ingest.merging import Merged
from amad.ingest.spill import DayRows
from amad.telemetry.lake import Lake, origins_path


def schema(channels: int) -> pa.Schema:
    """Of a part's entries. given: a bit per channel and the label; all ones where it gave all."""
    return pa.schema([
        ("row", pa.int32()), ("file", pa.dictionary(pa.int32(), pa.string())),
        ("given", pa.binary(channels // 8 + 1)),
    ])  # fmt: skip


def of_merged(rows: DayRows, merged: Merged, paths: list[str]) -> pa.Table:
    """The entries of a part made of ``rows``, sorted by row; ``paths`` names the files by code."""
    stays = np.flatnonzero(merged.stays_T)
    used, code_N = np.unique(rows.file_T[stays], return_inverse=True)
    names = sorted(paths[code] for code in used)  # the same entries have the same bytes
    rank = np.array([names.index(paths[code]) for code in used])
    row_N, file_N = merged.at_T[stays], rank[code_N]
    order = np.lexsort((file_N, row_N))
    stays, row_N, file_N = stays[order], row_N[order], file_N[order]
    head_N = np.diff(row_N, prepend=-1) != 0
    entry_N = head_N | (np.diff(file_N, prepend=-1) != 0)  # a file's rows of one time are one entry
    shared_N = ~entry_N | ~np.append(head_N[1:], True) | ~head_N
    channels = rows.value_TC.shape[1]
    bits_NB = np.full((int(entry_N.sum()), channels // 8 + 1), 255, np.uint8)
    if shared_N.any():
        at = np.flatnonzero(shared_N)
        entry = (np.cumsum(entry_N) - 1)[at]
        label_T = rows.label_T[stays[at]] == 1
        given = np.column_stack([~np.isnan(rows.value_TC[stays[at]]), label_T])
        start = np.flatnonzero(np.diff(entry, prepend=-1))
        packed = np.packbits(np.logical_or.reduceat(given, start, axis=0), axis=1)
        bits_NB[entry[start]] = packed
    file = pa.DictionaryArray.from_arrays(
        pa.array(file_N[entry_N], pa.int32()), pa.array(names, pa.string())
    )
    columns = [
        pa.array(row_N[entry_N], pa.int32()),
        file,
        pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(bits_NB.shape[1]), len(bits_NB), [None, pa.py_buffer(bits_NB)]
        ),
    ]
    return pa.Table.from_arrays(columns, schema=schema(channels))


def rows_in_lake(
    before: Lake, row: dict, codes: dict[str, int], channels: Sequence[str], *, drawn: bool
) -> DayRows:
    """What each of the files ``codes`` gave to a vehicle-day of the lake, as ``rows_of``.

    row: the vehicle-day's row in the table of days. channels: of the values; null where the lake
    does not have one yet.

    Raises:
        DataError: the part, or its list of origins, is damaged.
    """
    vehicle, date, whose = row["vehicle"], row["date"], row["origin"]
    if whose is None:
        path, what = origins_path(vehicle, date), f"the origins of {vehicle} on {date}"
        with before.open_file(path, row["origins_sha256"], what) as file:
            whose = file.read()
    rows = rows_of(before.read_day(vehicle, date), whose, codes, drawn=drawn)
    held = before.fleet.channel_names
    if list(channels) == held:
        return rows
    value_TC = np.full((len(rows.timestamp_T), len(channels)), np.nan)
    value_TC[:, [list(channels).index(name) for name in held]] = rows.value_TC
    return replace(rows, value_TC=value_TC)


def rows_of(
    part: pa.Table, origins: pa.Table | str, codes: dict[str, int], *, drawn: bool
) -> DayRows:
    """What each of the files ``codes`` (path -> code) gave to a part: a row per entry of theirs.

    origins: the part's entries, or the one file that all of it is of. drawn: the labels were drawn
    from intervals, so that no file gave them.
    """
    names = [name for name in part.schema.names if name not in ("timestamp", "label")]
    value_TC = np.column_stack([part[name].to_numpy() for name in names])
    label_T = np.zeros(len(part), np.int8)
    if "label" in part.schema.names and not drawn:
        label_T = part["label"].to_numpy().copy()
    time_T = pc.cast(part["timestamp"], pa.int64()).to_numpy()
    if isinstance(origins, str):
        file_T = np.full(len(part), codes.get(origins, -1))
        mine = np.flatnonzero(file_T >= 0)
        return _rows(time_T[mine], value_TC[mine], label_T[mine], file_T[mine])
    column = origins["file"].combine_chunks()
    code_F = np.array([codes.get(path, -1) for path in column.dictionary.to_pylist()], np.int64)
    file_N = code_F[column.indices.to_numpy()]
    mine = np.flatnonzero(file_N >= 0)
    row_N = origins["row"].to_numpy()[mine]
    packed = np.frombuffer(b"".join(origins["given"].to_pylist()), np.uint8)
    bits_NC = np.unpackbits(packed.reshape(len(file_N), -1)[mine], axis=1)[:, : len(names) + 1] == 1
    value_NC = np.where(bits_NC[:, :-1], value_TC[row_N], np.nan)
    label_N = np.where(bits_NC[:, -1], label_T[row_N], 0).astype(np.int8)
    return _rows(time_T[row_N], value_NC, label_N, file_N[mine])


def _rows(time_N: np.ndarray, value_NC: np.ndarray, label_N: np.ndarray, file_N) -> DayRows:
    return DayRows(
        timestamp_T=time_N,
        value_TC=value_NC,
        label_T=label_N,
        file_T=file_N,
        row_T=np.zeros(len(time_N), np.int64),  # their numbers in the files are not kept
    )
