"""The lake: the rows of every vehicle by UTC date, sorted and without repeats.

    lake/vehicle=<id>/date=<YYYY-MM-DD>/part.parquet   the rows (``lake_schema``)
    lake/vehicle=<id>/date=<YYYY-MM-DD>/_origins.parquet   of which files, where of several
    lake/_days.parquet     a row per part: rows, hashes, and what ingest counted on the way
    lake/_origins.parquet  the same counts per raw file and vehicle-day
    lake/_events.parquet   the known events (``EVENTS``)
    lake/_manifest.json    the raw files in it, its contract, its tables' hashes (``Manifest``)

The manifest says what the lake is: it names its tables by their hash, and the table of days names
each part by its hash. A file that an ingest has replaced lies under ``lake/.old`` until the next
one, so that a reader finds the lake that it opened. Vehicle ids are percent-encoded in paths.
``Lake`` only reads; ``amad.ingest`` writes.
"""

import datetime
import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import DataError, Fleet
from amad.config.digest import json_digest, sha256_of, text_digest
from amad.reading.times import DAY_US, date_of
from amad.telemetry import disk
from amad.telemetry.files import damaged, read_table
from amad.telemetry.manifest import IngestedFile, Manifest, lake_contract, reading_contract
from amad.telemetry.schemas import DATE, EVENTS, TIMESTAMP, VEHICLE, check, lake_schema

DAYS_FILE, EVENTS_FILE, ORIGINS_FILE = "_days.parquet", "_events.parquet", "_origins.parquet"
ROW_GROUP = 1 << 17  # rows, of a part
OLD = ".old"  # the folder of the files that the last ingest has replaced
NAME_BYTES = 255  # the longest name that common file systems take
ENDS_BYTES = 1 << 25  # of the ends of days that a lake keeps in memory

# duplicates, late, unreadable: rows refused as repeated, rows that came after newer ones, rows
# that could not be read (of the vehicle-day as far as that is known). origin: the raw file of all
# its rows; null where they are of several, then origins_sha256 is the hash of its table of origins.
DAYS = pa.schema([
    ("vehicle", pa.string()), ("date", pa.date32()), ("rows", pa.int64()),
    ("sha256", pa.string()), ("duplicates", pa.int64()), ("late", pa.int64()),
    ("unreadable", pa.int64()), ("origin", pa.string()), ("origins_sha256", pa.string()),
])  # fmt: skip

# A row per raw file and vehicle-day. rows: those to which the file gave something.
ORIGINS = pa.schema([
    ("path", pa.string()), ("vehicle", pa.string()), ("date", pa.date32()), ("rows", pa.int64()),
    ("duplicates", pa.int64()), ("late", pa.int64()), ("unreadable", pa.int64()),
])  # fmt: skip


class Lake:
    """The rows of a fleet.

    Example::

        lake = Lake(settings.fleet_dir("demo") / "lake", fleet)
        lake.read("bev-03", start_us, end_us)   # pa.Table of lake_schema(fleet), sorted

    Raises:
        DataError: there is no lake, or it was written under another contract.
    """

    def __init__(self, path: Path, fleet: Fleet, *, any_classes: bool = False) -> None:
        """any_classes: open it also if the contract differs in vehicle classes or ``since``."""
        self.path = Path(path)
        self.fleet = fleet
        self.schema = lake_schema(fleet)
        manifest = Manifest.read(self.path)
        if manifest is None:
            raise DataError(f"there is no lake in {self.path}; run 'amad ingest' first")
        same = manifest.contract == lake_contract(fleet)
        if not same and not (any_classes and manifest.reading == reading_contract(fleet)):
            raise DataError(
                f"the lake in {self.path} was written under another version of fleet "
                f"{fleet.name}'s file; run 'amad ingest' to write it anew"
            )
        self.manifest = manifest
        self._held: dict[str, bytes] = {}  # the content of files, by hash
        self._room = 0  # bytes that it may still hold
        self._day_table = self._table(DAYS_FILE, DAYS)
        self._failed: Mapping[tuple[str, datetime.date], Collection[str]] = {}
        self._rows_of: dict[str, dict[datetime.date, int]] = {}
        self._sha_of: dict[tuple[str, datetime.date], str] = {}
        names = ("vehicle", "date", "rows", "sha256")
        columns = (self._day_table[name].to_pylist() for name in names)
        for vehicle, date, rows, sha256 in zip(*columns, strict=True):
            self._rows_of.setdefault(vehicle, {})[date] = rows
            self._sha_of[vehicle, date] = sha256
        self._ends: dict[str, _End] = {}  # by vehicle

    def holding(self, room: int) -> "Lake":
        """The same lake, which reads a file once: it holds at most ``room`` bytes of files."""
        lake = copy(self)
        lake._held, lake._room = {}, room
        return lake

    def without(self, failed: Mapping[tuple[str, datetime.date], Collection[str]]) -> "Lake":
        """The same lake with these channels of a vehicle-day null in what is read."""
        lake = copy(self)
        lake._failed, lake._ends = failed, {}
        return lake

    @property
    def files(self) -> dict[str, IngestedFile]:
        """Raw file -> what the lake knows of it."""
        return self.manifest.files

    def vehicles(self) -> list[str]:
        """Ids of all vehicles, sorted."""
        return sorted(self._rows_of)

    def dates(self, vehicle: str | None = None) -> list[datetime.date]:
        """UTC dates on which the vehicle (default: any vehicle) has rows, sorted."""
        if vehicle is not None:
            return sorted(self._rows_of.get(vehicle, {}))
        return sorted({date for dates in self._rows_of.values() for date in dates})

    def days(self) -> list[tuple[str, datetime.date, int]]:
        """(vehicle, date, rows) of every part, sorted."""
        return [(v, d, self._rows_of[v][d]) for v in self.vehicles() for d in self.dates(v)]

    def day_table(self) -> pa.Table:
        """A row per part, of the schema DAYS."""
        return self._day_table

    def part_sha256(self, vehicle: str, date: datetime.date) -> str:
        """A hash of what is read of a vehicle-day that has rows: of its file, if that is all."""
        sha256, withheld = self._sha_of[vehicle, date], self.withheld(vehicle, date)
        return json_digest([sha256, withheld]) if withheld else sha256

    def withheld(self, vehicle: str, date: datetime.date) -> list[str]:
        """The channels of a vehicle-day that ``without`` has made null, sorted."""
        return sorted(self._failed.get((vehicle, date), ()))

    def rows(self) -> int:
        """Rows of all vehicles."""
        return sum(rows for _, _, rows in self.days())

    def rows_on(self, vehicle: str, dates: Iterable[datetime.date]) -> int:
        """Rows of one vehicle on these dates, on which it has rows."""
        return sum(self._rows_of[vehicle][date] for date in dates)

    def part(self, vehicle: str, date: datetime.date) -> Path:
        """The file of one vehicle-day."""
        return self.path / part_path(vehicle, date)

    def read_day(
        self, vehicle: str, date: datetime.date, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Rows of one vehicle and UTC date, sorted; no rows where it has none.

        columns: those to read, default all.
        """
        schema = self._schema_of(columns)
        if date not in self._rows_of.get(vehicle, {}):
            return schema.empty_table()
        with self.open_day(vehicle, date) as file:  # to start threads costs more than it gives
            table = file.read(columns, use_threads=False)
        return self._as_read(table, schema, vehicle, date)

    def batches(
        self, vehicle: str, dates: Iterable[datetime.date], rows: int
    ) -> Iterator[pa.Table]:
        """Rows of one vehicle on these dates, on which it has rows, at most so many at a time."""
        for date in dates:
            with self.open_day(vehicle, date) as file:
                for batch in file.iter_batches(rows, use_threads=False):
                    yield self._as_read(pa.table(batch), self.schema, vehicle, date)

    def _as_read(
        self, table: pa.Table, schema: pa.Schema, vehicle: str, date: datetime.date
    ) -> pa.Table:
        """Rows of a part, checked, with null in the channels that ``without`` withholds."""
        if not table.schema.equals(schema):  # a path takes long to make
            check(table, schema, str(self.part(vehicle, date)))
        for name in self.withheld(vehicle, date):
            if name in schema.names:
                nulls = pa.nulls(table.num_rows, schema.field(name).type)
                table = table.set_column(schema.names.index(name), schema.field(name), nulls)
        return table

    @contextmanager
    def open_day(self, vehicle: str, date: datetime.date) -> Iterator[pq.ParquetFile]:
        """Open the part of a vehicle-day that the lake holds, to be read in batches.

        Raises:
            DataError: it is missing, or not what ingest wrote; names file, vehicle and date.
        """
        what = f"the rows of {vehicle} on {date}"
        with self.open_file(part_path(vehicle, date), self._sha_of[vehicle, date], what) as file:
            yield file

    @contextmanager
    def open_file(self, relative: Path, sha256: str, what: str) -> Iterator[pq.ParquetFile]:
        """Open a file of the lake by its path in it and its hash: as it stands, or replaced."""
        content = self._held.get(sha256) or self._content(relative, sha256, what)
        if sha256 not in self._held and len(content) <= self._room:
            self._held[sha256] = content
            self._room -= len(content)
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            yield file

    def _content(self, relative: Path, sha256: str, what: str) -> bytes:
        """The content of a file of this hash; see ``open_file``."""
        found = False
        for path in (self.path / relative, self.path / OLD / relative):
            try:
                content = disk.read_bytes(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if sha256_of(content) == sha256:
                return content
            found = True
        if Manifest.read(self.path) != self.manifest:
            raise DataError(
                f"the lake in {self.path} was changed by an ingest while it was read; run the "
                "command again"
            )
        why = "its content is not what ingest wrote" if found else "it is missing"
        raise damaged(self.path / relative, Manifest.REMEDY, f"{what}: {why}")

    def origins(self) -> pa.Table:
        """What each raw file gave to each vehicle-day: a table of the schema ORIGINS."""
        return self._table(ORIGINS_FILE, ORIGINS)

    def newest(self) -> dict[str, int]:
        """Vehicle -> time (microseconds UTC) of its newest row."""
        return dict(self.manifest.newest)

    def read(
        self,
        vehicle: str,
        start_us: int | None = None,
        end_us: int | None = None,
        columns: Sequence[str] | None = None,
        keep_us: int = 0,
    ) -> pa.Table:
        """Rows of one vehicle with start_us <= timestamp < end_us (microseconds, UTC), sorted.

        columns: those to read, ``timestamp`` among them; default ``lake_schema(fleet)``. An unknown
        vehicle has no rows. keep_us: so much before ``end_us`` is kept in memory, for a read that
        begins there, as the next day's does with the rows before it.
        """
        dates = self.dates(vehicle)
        if start_us is not None:
            dates = dates[bisect_left(dates, date_of(start_us // DAY_US)) :]
        if end_us is not None:
            dates = dates[: bisect_right(dates, date_of((end_us - 1) // DAY_US))]
        if not dates:
            return self._schema_of(columns).empty_table()
        parts = [self._part_since(vehicle, date, columns, start_us) for date in dates]
        if keep_us:
            assert columns is None and end_us is not None
            self._keep(vehicle, dates[-1], parts[-1], end_us - keep_us)
        table = pa.concat_tables(parts)
        time_R = times_of(table)
        first = 0 if start_us is None else int(np.searchsorted(time_R, start_us))
        last = len(time_R) if end_us is None else int(np.searchsorted(time_R, end_us))
        return table.slice(first, max(0, last - first))

    def _part_since(
        self, vehicle: str, date: datetime.date, columns: Sequence[str] | None, start_us: int | None
    ) -> pa.Table:
        """The rows of a day, from ``start_us`` on at least."""
        end = self._ends.get(vehicle)
        if end and columns is None and end.date == date and (start_us or 0) >= end.since_us:
            return end.table
        return self.read_day(vehicle, date, columns)

    def _keep(self, vehicle: str, date: datetime.date, part: pa.Table, since_us: int) -> None:
        """Keep the rows of a day from ``since_us`` on, if there is room.

        Nothing makes room: whoever goes through all vehicles of one date after the other would
        find nothing of the date before.
        """
        self._ends.pop(vehicle, None)
        rows = part.slice(int(np.searchsorted(times_of(part), since_us)))
        # Written and read again, because a slice alone would keep the whole day in memory.
        batches = [pa.ipc.read_record_batch(b.serialize(), part.schema) for b in rows.to_batches()]
        table = pa.Table.from_batches(batches, part.schema)
        size = table.nbytes
        if size + sum(end.size for end in self._ends.values()) <= ENDS_BYTES:
            self._ends[vehicle] = _End(date=date, since_us=since_us, table=table, size=size)

    def _schema_of(self, columns: Sequence[str] | None) -> pa.Schema:
        return self.schema if columns is None else pa.schema(map(self.schema.field, columns))

    def events(self) -> pa.Table:
        """Known events (schema EVENTS), sorted by vehicle and start; empty where none are known."""
        return self._table(EVENTS_FILE, EVENTS)

    def test_start(self) -> dict[str, int]:
        """Vehicle -> time (microseconds UTC) of its first row in files of part test, else {}."""
        return dict(self.manifest.test_start)

    def hash(self) -> str:
        """A short hash of the content: of the files of the parts, and of the events."""
        return self.manifest.hash

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        with self.open_file(Path(name), self.manifest.tables[name], "a table") as file:
            return check(file.read(), schema, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """All rows of a vehicle-day from ``since_us`` on. size: in bytes."""

    date: datetime.date
    since_us: int
    table: pa.Table
    size: int


def times_of(table: pa.Table | pa.RecordBatch) -> np.ndarray:
    """The timestamps, int64 microseconds."""
    return pc.cast(table["timestamp"], pa.int64()).to_numpy()


def id_in_path(vehicle: str, limit: int = NAME_BYTES) -> str:
    """The vehicle's id as part of a file's name: percent-encoded, in at most ``limit`` bytes.

    A longer one is cut and ends in ``+`` (which encoding never leaves) and the hash of the id.
    """
    encoded = quote(vehicle, safe="")
    if len(encoded) <= limit:
        return encoded
    digest = text_digest(vehicle)
    return f"{encoded[: limit - len(digest) - 1]}+{digest}"


def part_path(vehicle: str, date: datetime.date) -> Path:
    """Where a vehicle-day lies, relative to the lake."""
    folder = f"{VEHICLE}={id_in_path(vehicle, NAME_BYTES - len(VEHICLE) - 1)}"
    return Path(folder) / f"{DATE}={date.isoformat()}/part.parquet"


def named_files(lake: Path) -> set[Path]:
    """The parts and their origins that a lake's table of days names, relative to the lake."""
    if not (lake / DAYS_FILE).exists():
        return set()
    found = set()
    for row in read_table(lake / DAYS_FILE, DAYS, Manifest.REMEDY).to_pylist():
        found.add(part_path(row["vehicle"], row["date"]))
        if row["origins_sha256"]:
            found.add(origins_path(row["vehicle"], row["date"]))
    return found


def origins_path(vehicle: str, date: datetime.date) -> Path:
    """Where the origins of a vehicle-day's rows lie, relative to the lake."""
    return part_path(vehicle, date).with_name(ORIGINS_FILE)


def write_part(
    path: Path, schema: pa.Schema, timestamp_T: np.ndarray, value_TC: np.ndarray, label_T
) -> None:
    """Write one part: timestamp_T sorted int64 microseconds, value_TC float64 with NaN for null.

    The bytes depend on the rows alone. ``path`` is a staged one: it is not written in one piece.
    """
    value_CT = np.ascontiguousarray(value_TC.T)
    values = [pa.array(value_T, pa.float64(), mask=np.isnan(value_T)) for value_T in value_CT]
    columns = [pa.array(timestamp_T, TIMESTAMP), *values]
    if "label" in schema.names:
        columns.append(pa.array(label_T, pa.int8()))
    table = pa.Table.from_arrays(columns, schema=schema)
    write_with_steps(table, path, row_group_size=ROW_GROUP)


def write_with_steps(table: pa.Table, path: Path, row_group_size: int | None = None) -> None:
    """Write a table whose first column rises: as its steps, as a dictionary would repeat it all."""
    first, *others = table.column_names
    pq.write_table(
        table, path, compression="zstd", row_group_size=row_group_size, use_dictionary=others,
        column_encoding={first: "DELTA_BINARY_PACKED"},
    )  # fmt: skip


def content_hash(days: pa.Table, events: pa.Table, test_start: dict[str, int]) -> str:
    """The lake's hash, from the hashes of its parts."""
    columns = (days[name].to_pylist() for name in ("vehicle", "date", "sha256"))
    lines = sorted(f"{v}\0{d}\0{sha}" for v, d, sha in zip(*columns, strict=True))
    lines += sorted(json.dumps(row, default=str) for row in events.to_pylist())
    lines.append(json.dumps(test_start, sort_keys=True))
    return text_digest("\n".join(lines))
