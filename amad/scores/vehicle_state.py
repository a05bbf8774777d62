"""The state of each vehicle: what its last scored days left for the days after them.

    runs/<fleet>/state/<vehicle>.arrow   a row per day: a ``amad.detect.day_state.DayState``

A state saves time and changes no byte of a score. Each day in it names what it was made of: the
detector, and the lake's files of the day and of the days that it depends on. A day that was made of
something else is ignored, and so is a damaged file; what is missing is computed again.

Only the days that the newest one and the next one need are kept, so a file does not grow. It is put
in place by a rename, but not flushed to the disk: after a power loss its seal tells.
"""

import hashlib
import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from amad.config import usable_error
from amad.config.console import say
from amad.config.digest import json_digest
from amad.detect.alarms import DAY_US
from amad.detect.constant_channels import MEMORY_DAYS
from amad.detect.day_state import Arrays, DayState, figure_days, state_us
from amad.detect.detector import Detector
from amad.scores.vehicle_days import States
from amad.telemetry import disk
from amad.telemetry.files import staged
from amad.telemetry.lake import NAME_BYTES, Lake, id_in_path

FORMAT = 4  # raise it when what a day leaves, or the way to compute it, changes
FOLDER, SUFFIX = "state", ".arrow"
SEAL = b"seal"
# arrays: JSON, the name, type and shape of each; data: their bytes in a row, compressed.
SCHEMA = pa.schema([
    ("date", pa.date32()), ("made_of", pa.string()), ("arrays", pa.string()),
    ("data", pa.large_binary()),
])  # fmt: skip
CODEC = "lz4_raw"
Row = tuple[date, str, str, bytes]


class VehicleStates:
    """The states of the vehicles of a lake under one detector, below ``runs/<fleet>``."""

    def __init__(self, runs: Path, detector: Detector, digest: str, lake: Lake) -> None:
        """digest: of the detector."""
        self.folder, self.detector = runs / FOLDER, detector
        self.digest, self.lake = digest, lake
        self._reach = timedelta(days=-(-state_us(detector) // DAY_US))
        self._last: _Read | None = None

    def file(self, vehicle: str) -> Path:
        """Where the state of a vehicle lies."""
        name = id_in_path(vehicle, NAME_BYTES - len(SUFFIX) - len(".stage-01234567-"))
        return self.folder / f"{name}{SUFFIX}"

    def read(self, vehicle: str, quarantined: frozenset[date]) -> States:
        """The days of a vehicle whose state was made of what the lake holds now."""
        made_of = self._made_of(vehicle, quarantined)
        rows = [row for row in _read(self.file(vehicle)) if row[1] == made_of(row[0])]
        states = {day: DayState.of(_arrays(about, data)) for day, _, about, data in rows}
        packed = [(row, states[row[0]]) for row in rows]
        self._last = _Read(vehicle, quarantined, made_of, packed)
        return states

    def write(
        self, vehicle: str, quarantined: frozenset[date], states: States, scored: date
    ) -> None:
        """Keep those of these days that ``scored``, the last one and the days after them need.

        A date that is not over is scored again with its next rows. ``scored`` and the last day are
        two where an older date is scored again, or where a clock was wrong once. Where the file
        cannot be written, that is said and changes nothing else.
        """
        last_read = self._last
        if last_read is None or (vehicle, quarantined) != last_read[:2]:
            last_read = _Read(vehicle, quarantined, self._made_of(vehicle, quarantined), [])
        made_of, latest = last_read.made_of, {scored, max(states)}
        packed = {row[0]: row for row, state in last_read.packed if states.get(row[0]) is state}
        rows: list[Row] = []
        for day, state in sorted(states.items()):
            age = min((last - day).days for last in latest if last >= day)
            if age > figure_days(self.detector):
                if age > MEMORY_DAYS or not state.records:
                    continue
                state = DayState(records=state.records)
                packed.pop(day, None)
            rows.append(packed.get(day) or (day, made_of(day), *_packed(state.arrays())))
        try:
            _write(self.file(vehicle), rows)
        except OSError as error:
            why = usable_error(error) or error
            say(f"{why}; the days of {vehicle} are computed again by the next job")

    def _made_of(self, vehicle: str, quarantined: frozenset[date]) -> Callable[[date], str]:
        """What the state of a day is made of, as a hash."""
        counted = [day for day in self.lake.dates(vehicle) if day not in quarantined]
        part = cache(lambda day: (str(day), self.lake.part_sha256(vehicle, day)))
        kind = self.lake.fleet.class_of(vehicle)

        @cache
        def made_of(day: date) -> str:
            first, last = bisect_left(counted, day - self._reach), bisect_right(counted, day)
            made_of = [part(earlier) for earlier in counted[first:last]]
            return json_digest([FORMAT, self.digest, vehicle, kind, str(day), made_of])

        return made_of


class _Read(NamedTuple):
    """What was read of a vehicle last, so that it is not made again to be written."""

    vehicle: str
    quarantined: frozenset[date]
    made_of: Callable[[date], str]
    packed: list[tuple[Row, DayState]]


def _packed(arrays: Arrays) -> tuple[str, bytes]:
    about = [(name, array.dtype.str, array.shape) for name, array in arrays.items()]
    data = b"".join(array.tobytes() for array in arrays.values())
    return json.dumps(about), pa.compress(data, CODEC, asbytes=True)


def _arrays(about: str, data: bytes) -> Arrays:
    """The inverse of ``_packed``."""
    items = [(name, np.dtype(kind), shape) for name, kind, shape in json.loads(about)]
    size, at = sum(kind.itemsize * math.prod(shape) for _, kind, shape in items), 0
    data = pa.decompress(data, size, CODEC, asbytes=True)
    found = {}
    for name, kind, shape in items:
        found[name] = np.frombuffer(data, kind, math.prod(shape), at).reshape(shape)
        at += found[name].nbytes
    return found


def _write(file: Path, rows: list[Row]) -> None:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    table = pa.table(arrays, SCHEMA.with_metadata({SEAL: _seal(rows)}))
    with (
        disk.written(file) as here,
        staged(here, durable=False) as stage,
        pa.OSFile(str(stage), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as out,
    ):
        out.write_table(table)


def _read(file: Path) -> list[Row]:
    """What a file holds; nothing where there is none, or a damaged one."""
    try:
        with pa.ipc.open_file(pa.BufferReader(disk.read_bytes(file))) as source:
            table = source.read_all()
        table.validate(full=True)
        columns = (table[name].to_pylist() for name in SCHEMA.names)
        rows = list(zip(*columns, strict=True))
        if table.schema.metadata[SEAL] != _seal(rows):
            raise ValueError("its content is not what was written")
    except FileNotFoundError:
        return []
    except (OSError, ArithmeticError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        say(f"{file} is damaged and not used ({error}); its days are computed again")
        return []
    return rows


def _seal(rows: list[Row]) -> bytes:
    found = hashlib.sha256()
    for day, made_of, about, data in rows:
        found.update(f"{day} {made_of} {about}\n".encode())
        found.update(data)
    return found.hexdigest().encode()
