"""python -m bench.scale --out bench/results/scale.json

What a fleet of any size takes per day: rows, bytes, hours of cores and GPUs, objects and money.

The seconds of each stage are ``a`` per cell, ``b`` per vehicle-day and ``c`` once, fitted to the
fleets that ``bench.growth`` measured; the largest error of the fit says how far to trust it. For
``fit`` and ``evaluate``, ``b`` is per vehicle: they solve equations for each, of however many days.
A stage that was not measured is left out. The network's
rates are those of ``bench.limits`` and ``bench.gpu``. What the tables that describe the lake take
is measured here, with lakes of many empty vehicle-days. Prices are assumptions (``PRICES``).
"""

import json
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from amad.config import load_params
from amad.config.params import MOST_WINDOWS
from bench.apart import run_apart
from bench.facts import machine_facts, write_result
from bench.growth import STAGES
from bench.options import parser_of, positive

RESULTS = Path("bench/results")
NIGHTLY = ("ingest", "profile", "score")  # stages of each day; prepare and fit are of a training
PER_VEHICLE = ("fit", "evaluate")  # the unit of work of the others is a vehicle-day
# US dollars, of the order of what public clouds ask; change them to yours.
PRICES = {
    "core_hour": 0.04, "gpu_hour": 4.0, "gigabyte_month": 0.023, "thousand_puts": 0.005,
}  # fmt: skip
WINDOW_HOURS = 4  # in which a night's work should be done
SCORE_BYTES = 40  # of a row of scores, before compression
SPILL_BYTES = 25  # of a row that ingest spills, beside 8 per cell
OBJECTS = 2  # per vehicle-day and day: its part of the lake, its share of the scores
BATCH = 64  # windows of a batch in bench.limits
SHIPPED = "amad, reconstruction alone"  # the training step of params.yaml
LIMITS = {"memory_gb": 64.0, "opening_seconds": 30.0, "objects_per_day": 1e6}  # of one machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A fleet: vehicles that report ``channels`` at ``hertz`` for so many hours per day."""

    vehicles: int
    hours: float
    hertz: float = 1.0
    channels: int = 50

    @property
    def rows(self) -> float:
        """Rows per day."""
        return self.vehicles * self.hours * 3600 * self.hertz

    @property
    def cells(self) -> float:
        """Values per day."""
        return self.rows * self.channels


SIZES = (
    Size(vehicles=1_000, hours=2), Size(vehicles=10_000, hours=2), Size(vehicles=100_000, hours=2),
    Size(vehicles=1_000_000, hours=2), Size(vehicles=1_000_000, hours=24),
)  # fmt: skip


def stage_costs(growth: dict) -> dict[str, dict]:
    """Stage -> seconds per cell, per unit of work and once, and the largest relative error.

    Fleets of less than 20 vehicle-days are left out, since starting weighs more than work in them.
    """
    fleets = [*growth["rows"]["fleets"], *growth["vehicles"]["fleets"]]
    fleets = [one for one in fleets if one["vehicles"] * one["days"] >= 20]
    found = {}
    for name in STAGES:
        if not (measured := [one for one in fleets if name in one["stages"]]):
            continue
        unit = "vehicle" if name in PER_VEHICLE else "vehicle-day"
        cost_N3 = np.array([
            [one["rows"] * one["channels"],
             one["vehicles"] * (1 if unit == "vehicle" else one["days"]), 1]
            for one in measured
        ], float)  # fmt: skip
        second_N = np.array([one["stages"][name]["cpu_seconds"] for one in measured])
        share_N3 = cost_N3 / second_N[:, None]  # each fleet counts alike
        cost_3, _ = nnls(share_N3, np.ones(len(second_N)))
        found[name] = {
            "unit": unit,
            "seconds_per_cell": cost_3[0],
            "seconds_per_unit": cost_3[1],
            "seconds_once": cost_3[2],
            "largest_error": float(np.abs(share_N3 @ cost_3 - 1).max()),
            "memory_bytes_per_vehicle": _memory_slope(name, growth["vehicles"]["fleets"]),
        }
    return found


def _memory_slope(name: str, fleets: Sequence[dict]) -> float:
    """Bytes per vehicle by which a stage's memory grows between the two largest fleets."""
    measured = sorted(
        (one["vehicles"], one["stages"][name]["memory_mb"] * 2**20)
        for one in fleets
        if name in one["stages"]
    )
    (vehicles, before), (more, after) = measured[-2:]
    return max(after - before, 1.0) / (more - vehicles)


def network_costs(limits: dict, gpu: dict) -> dict[str, float]:
    """What the network takes per scored row and per window of training, on a core and on a GPU."""
    step = limits["widths"]["64"]["training"][SHIPPED]
    rate = gpu["sizes"]["default"]["forms"]["bfloat16"]["windows_per_second"][SHIPPED]
    per_window = step["operations"] / BATCH
    per_row = limits["scoring"]["operations_per_row"]
    return {
        "operations_per_row": per_row,
        "core_seconds_per_row": 1 / limits["scoring"]["rows_per_second"],
        "gpu_seconds_per_row": per_row / (rate * per_window),  # as many operations as in training
        "operations_per_window": per_window,
        "core_seconds_per_window": 1 / step["windows_per_second"],
        "gpu_seconds_per_window": 1 / rate,
    }


def seconds_of(stage: dict, size: Size, days: int = 1) -> float:
    """What a stage takes for so many days of a fleet, on one core."""
    units = size.vehicles * (1 if stage["unit"] == "vehicle" else days)
    return (
        stage["seconds_per_cell"] * size.cells * days
        + stage["seconds_per_unit"] * units
        + stage["seconds_once"]
    )


def per_day(size: Size, stages: dict, network: dict, stored: dict[str, float]) -> dict:
    """What one day of a fleet takes."""
    cores = {name: seconds_of(one, size) / 3600 for name, one in stages.items()}
    nightly = sum(cores[name] for name in NIGHTLY)
    lake, scores = stored["lake"] * size.cells, SCORE_BYTES * size.rows
    objects = OBJECTS * size.vehicles
    gpu_hours = network["gpu_seconds_per_row"] * size.rows / 3600
    money = {
        "cores": nightly * PRICES["core_hour"],
        "gpu": gpu_hours * PRICES["gpu_hour"],
        "storage_of_a_year": (lake + scores) * 365 / 1e9 * PRICES["gigabyte_month"] / 30,
        "requests": objects / 1000 * PRICES["thousand_puts"],
    }
    return {
        **asdict(size),
        "rows": size.rows,
        "gigabits_per_second_in": stored["raw"] * size.cells * 8 / 86_400 / 1e9,
        "core_hours": cores,
        "core_hours_of_a_night": nightly,
        "cores_for_the_night": nightly / WINDOW_HOURS,
        "network_core_hours": network["core_seconds_per_row"] * size.rows / 3600,
        "network_operations": network["operations_per_row"] * size.rows,
        "network_gpu_hours": gpu_hours,
        "lake_terabytes": lake / 1e12,
        "lake_terabytes_per_year": lake * 365 / 1e12,
        "scores_terabytes": scores / 1e12,
        "spilled_terabytes": (8 * size.cells + SPILL_BYTES * size.rows) / 1e12,
        "objects": objects,
        "dollars": money | {"total": sum(money.values())},
    }


def training(network: dict) -> dict:
    """A training of the largest fleet: the windows per epoch do not grow beyond a limit."""
    params = load_params(fleet="demo").train
    windows = MOST_WINDOWS * params.epochs
    return {
        "windows_per_epoch": MOST_WINDOWS,
        "epochs": params.epochs,
        "operations": windows * network["operations_per_window"],
        "core_hours": windows * network["core_seconds_per_window"] / 3600,
        "gpu_hours": windows * network["gpu_seconds_per_window"] / 3600,
    }


def describe(days: int, home: Path) -> dict:
    """Write the tables of a lake of so many vehicle-days, a raw file each, and open it."""
    import datetime

    import pyarrow as pa

    from amad.config.digest import file_sha256
    from amad.telemetry import lake as lakes
    from amad.telemetry.files import write_parquet
    from amad.telemetry.manifest import IngestedFile, Manifest, lake_contract
    from amad.telemetry.schemas import EVENTS
    from bench.data_plane import bench_fleet

    fleet, count = bench_fleet(50, "parquet"), days
    vehicles = [f"v-{number:07d}" for number in range(count)]
    paths = [f"{vehicle}.parquet" for vehicle in vehicles]
    shared = {
        "vehicle": vehicles, "date": [datetime.date(2026, 1, 5)] * count, "rows": [7200] * count,
        "duplicates": [0] * count, "late": [0] * count, "unreadable": [0] * count,
    }  # fmt: skip
    hashes = [f"{number:064x}" for number in range(count)]
    own = {"sha256": hashes, "origin": paths, "origins_sha256": pa.nulls(count, pa.string())}
    day_table = pa.table({n: (shared | own)[n] for n in lakes.DAYS.names}, schema=lakes.DAYS)
    origins = pa.table(
        {n: (shared | {"path": paths})[n] for n in lakes.ORIGINS.names}, schema=lakes.ORIGINS
    )
    tables = {
        lakes.DAYS_FILE: day_table, lakes.ORIGINS_FILE: origins,
        lakes.EVENTS_FILE: EVENTS.empty_table(),
    }  # fmt: skip
    began = time.process_time()
    for name, table in tables.items():
        write_parquet(table, home / name, table.schema)
    files = {
        path: IngestedFile(bytes=1_000_000, sha256=sha, part="all", rows=7200)
        for path, sha in zip(paths, hashes, strict=True)
    }
    Manifest(
        fleet=fleet.name, contract=lake_contract(fleet),
        class_of=dict.fromkeys(vehicles, "all"), newest=dict.fromkeys(vehicles, 1), files=files,
        tables={name: file_sha256(home / name) for name in tables},
    ).write(home)  # fmt: skip
    written = time.process_time() - began
    del files, tables, day_table, origins
    began = time.process_time()
    lake = lakes.Lake(home, fleet)
    assert len(lake.days()) == count
    return {
        "vehicle_days": count,
        "bytes": sum(file.stat().st_size for file in home.iterdir()),
        "writing_seconds": written,
        "opening_seconds": time.process_time() - began,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def described(days: int) -> dict:
    """``describe`` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return run_apart(describe, days, Path(folder))


def first_to_break(stages: dict, tables: Sequence[dict], size: Size) -> list[dict]:
    """What one machine cannot hold any more, and from how many vehicles of this kind on."""
    largest = tables[-1]
    opening = largest["opening_seconds"] / largest["vehicle_days"]
    memory = LIMITS["memory_gb"] * 1e9
    table_bytes = largest["peak_mb"] * 1e6 / largest["vehicle_days"]

    def of_a_day(name: str, days: int = 1) -> float:
        """So many vehicles keep one core busy for a day with so many days of theirs."""
        once = stages[name]["seconds_once"]
        return (86_400 - once) / (seconds_of(stages[name], size, days) - once) * size.vehicles

    found = {
        "opening a lake of 30 days takes half a minute (JSON manifest, an entry per raw file)":
            LIMITS["opening_seconds"] / (30 * opening),
        "the tables of a lake of 365 days fill the memory": memory / (365 * table_bytes),
        "fitting the detector on 30 days, on one core, takes a day": of_a_day("fit", 30),
        "fitting the detector fills the memory": memory / stages["fit"]["memory_bytes_per_vehicle"],
        "ingest, one process per fleet, takes a day for a day": of_a_day("ingest"),
        "scoring on one core takes a day for a day": of_a_day("score"),
        "profile on one core takes a day for a day": of_a_day("profile"),
        "a million objects per day": LIMITS["objects_per_day"] / OBJECTS,
    }  # fmt: skip
    ordered = sorted(found.items(), key=lambda item: item[1])
    return [{"what": what, "vehicles": round(vehicles)} for what, vehicles in ordered]


def main(arguments: list[str] | None = None) -> dict:
    """Compute, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--tables", type=positive, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    growth, limits, gpu = (
        json.loads((options.results / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("growth", "limits", "gpu")
    )
    stages, network = stage_costs(growth), network_costs(limits, gpu)
    largest = max(growth["rows"]["fleets"], key=lambda one: one["rows"])
    stored = {kind: size / largest["channels"] for kind, size in largest["bytes_per_row"].items()}
    tables = [described(days) for days in options.tables]
    result = {
        "machine": machine_facts(),
        "prices": PRICES,
        "window_hours": WINDOW_HOURS,
        "stages": stages,
        "network": network,
        "bytes_per_cell": stored,
        "per_day": [per_day(size, stages, network, stored) for size in SIZES],
        "training": training(network),
        "tables_of_the_lake": tables,
        "first_to_break": first_to_break(stages, tables, SIZES[0]),
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
