"""The simulated fleet of bench.nights: its contract, its raw files, and what is known of them.

Six vehicles report from 21:00 to 03:00, over midnight. Files are put into the raw folder night by
night, some late, twice, corrected or with rows of the future. The yard keeps what every file holds,
so that it knows which rows the lake must have and which must be refused.
"""

import shutil
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parents[2]
FLEET = "nights"
PERIOD = 30
START = date(2026, 1, 5)
TRAINING = 9  # nights before the first one that is simulated as a night of the job
OLD = ("bus-1", "bus-2", "van-1", "van-2", "van-3", "van-4")
NEW, STRANGER = "van-5", "crane-1"  # comes in the middle; has no vehicle class
CHANNELS = ("speed", "torque", "front", "rear", "pressure")
FUTURE = datetime(2044, 1, 1, tzinfo=UTC)
DUPLICATE, AHEAD, CLASSLESS = "duplicate", "future", "no vehicle class"
CONTENT = {
    "name": FLEET,
    "description": "Six simulated vehicles that report from 21:00 to 03:00.",
    "period_seconds": PERIOD,
    "source": {
        "format": "parquet",
        "files": [{"glob": "*.parquet"}],
        "folder": FLEET,
        "vehicle": {"take": "column", "column": "vehicle"},
        "timestamp": {"take": "column", "column": "timestamp"},
    },
    "channels": [
        {"name": "speed", "unit": "km/h", "range": [-50, 300]},
        {"name": "torque", "range": [-200, 400]},
        {"name": "front", "unit": "degC", "range": [-50, 200]},
        {"name": "rear", "unit": "degC", "range": [-50, 200]},
        {"name": "pressure", "range": [0, 100]},
    ],
    "vehicle_classes": [
        {"name": "bus", "vehicles": ["bus-*"]},
        {"name": "van", "vehicles": ["van-*"]},
    ],
    "missing": {"max_gap_seconds": 120, "min_segment_rows": 30},
    "split": {"test_share": 0.3, "purge_rows": 10},
    "quality": {"min_rows": 30},
    "labels": {"kind": "injected", "injection": {"cases_per_vehicle": 2, "seed": 3}},
    "evaluation": {"buffer_rows": 20, "unit": "case"},
}
PARAMS = {
    "fleets": [FLEET],
    "model": {"window": 20, "width": 16, "layers": 1, "heads": 2},
    "detect": {
        "members": ["innovation", "two_sided", "relation", "window_range"],
        "widths": [3, 9],
        "baseline_rows": 200,
        "alarm_budget": 0.02,
    },
    "evaluate": {"baselines": ["l2"], "bootstrap": 20},
    "gate": {"bootstrap": 50},
}


def clock(night: int, hour: float) -> float:
    """Seconds since 1970 of an hour of a night; hours after midnight are above 24."""
    day = START + timedelta(days=night)
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + hour * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong with the values of some vehicles. what: noise, swap or unit."""

    what: str
    vehicles: tuple[str, ...]
    night: int
    first: float
    last: float

    def overlaps(self, vehicle: str, start: int, end: int) -> bool:
        """Does an incident of the vehicle, from ``start`` to ``end`` (us), share time with it?"""
        first, last = clock(self.night, self.first), clock(self.night, self.last)
        return vehicle in self.vehicles and start / 1e6 < last and end / 1e6 > first


def rows_of(night: int, vehicle: str, faults: tuple[Fault, ...] = (), seed: int = 0) -> pa.Table:
    """The raw rows of a vehicle and night; the same arguments give the same rows."""
    rng = np.random.default_rng([sum(vehicle.encode()), TRAINING + night, seed])
    time = clock(night, 21.0) + np.arange(0, 6 * 3600, PERIOD)
    rows = len(time)
    speed = 60 + 30 * np.sin(time / 700) + 10 * np.sin(time / 190) + rng.normal(0, 1, rows)
    torque = 0.7 * speed + rng.normal(0, 1, rows)
    front = 60 + 5 * np.sin(time / 3000) + rng.normal(0, 0.3, rows)
    rear = 85 + 4 * np.sin(time / 2100) + rng.normal(0, 0.3, rows)
    pressure = 2.5 + 0.1 * np.sin(time / 2500) + rng.normal(0, 0.02, rows)
    for fault in faults:
        if fault.night != night or vehicle not in fault.vehicles:
            continue
        on = (time >= clock(night, fault.first)) & (time < clock(night, fault.last))
        if fault.what == "noise":
            torque = np.where(on, torque + rng.normal(0, 60, rows), torque)
        elif fault.what == "swap":
            front, rear = np.where(on, rear, front), np.where(on, front, rear)
        else:
            assert fault.what == "unit", fault
            pressure = np.where(on, 14.5 * pressure, pressure)  # psi, no longer bar
    values = dict(zip(CHANNELS, (speed, torque, front, rear, pressure), strict=True))
    return table_of(vehicle, time, values)


def table_of(vehicle: str, time: np.ndarray, values: dict[str, np.ndarray]) -> pa.Table:
    """Raw rows as a table. time: seconds."""
    stamp = pa.array(np.round(time * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC"))
    return pa.table({"vehicle": [vehicle] * len(time), "timestamp": stamp, **values})


def future_rows(vehicle: str, number: int) -> pa.Table:
    """Rows of a clock that is years ahead."""
    time = FUTURE.timestamp() + PERIOD * np.arange(number)
    return table_of(vehicle, time, {name: np.full(number, 1.0) for name in CHANNELS})


@dataclass
class RawYard:
    """The raw folder, and what its files hold."""

    folder: Path
    files: dict[str, pa.Table] = field(default_factory=dict)

    def put(self, name: str, table: pa.Table) -> None:
        """Write a file, or replace it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, self.folder / f"{name}.parquet")
        self.files[name] = table

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(table.num_rows for table in self.files.values())

    def sound(self) -> dict[tuple[str, int], tuple[float, ...]]:
        """(vehicle, us) -> values of every row that the lake must hold."""
        found: dict[tuple[str, int], tuple[float, ...]] = {}
        for table in self.files.values():
            us = table["timestamp"].cast(pa.int64()).to_pylist()
            vehicles = table["vehicle"].to_pylist()
            values = zip(*(table[name].to_pylist() for name in CHANNELS), strict=True)
            for vehicle, at, row in zip(vehicles, us, values, strict=True):
                if vehicle != STRANGER and at < FUTURE.timestamp() * 1e6:
                    found.setdefault((vehicle, at), row)
        return found

    def refused(self) -> Counter[str]:
        """How many rows must be refused, by reason."""
        found: Counter[str] = Counter()
        for table in self.files.values():
            strange = sum(name == STRANGER for name in table["vehicle"].to_pylist())
            us = np.asarray(table["timestamp"].cast(pa.int64()))
            ahead = int((us >= FUTURE.timestamp() * 1e6).sum())
            found += Counter({CLASSLESS: strange, AHEAD: ahead})
        found[DUPLICATE] = self.rows - sum(found.values()) - len(self.sound())
        return +found


def prepare_home(home: Path, webhook: str | None) -> RawYard:
    """Write fleet file, settings and sinks into an empty home, and the raw files of training.

    webhook: address of the server that is told; None: nobody is told.
    """
    sinks = {"file": {}, "webhook": {"url": webhook}, "timeout_seconds": 5}
    written = {"conf/fleet/nights.yaml": CONTENT, "params.yaml": PARAMS}
    if webhook:
        written["conf/notify/nights.yaml"] = sinks
    shutil.copytree(ROOT / "conf" / "cluster", home / "conf" / "cluster")
    for name, content in written.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    yard = RawYard(home / "raw" / FLEET)
    for night in range(-TRAINING, 0):
        for vehicle in OLD:
            yard.put(f"t{night + TRAINING:02}-{vehicle}", rows_of(night, vehicle))
    return yard
