"""python -m bench.data_plane --out bench/results/data_plane.json

How fast ingest, profile and prepare move rows, against a bare Arrow read of the same files.

Every stage runs on one core, by turns with its opponents on the same files. A *read* only brings
the files into Arrow tables. A *copy* also writes them out again, in the format that the stage
writes. Seconds are those of the processor, so what else runs on the machine hardly counts. A run
under cProfile tells the parts of a stage.
"""

import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from amad.config import Fleet, Settings
from amad.config.console import say
from bench.facts import machine_facts, write_result
from bench.options import parser_of, positive

START_US = 1_767_571_200_000_000  # 2026-01-05, a midnight
BAR = 1 / 3  # of the rows per second of a bare read
ROWS_PER_FILE = 80_000  # a vehicle-day
VEHICLES = 5
SEED = 7
FORMATS = ("parquet", "csv")
INGEST_PARTS = {
    "writing the lake's Parquet": ("telemetry/lake.py:write_part",),
    "reading the raw files": ("reading/readers.py:read_batches",),
    "checking and converting cells": ("reading/rows.py:parse",),
    "sorting into vehicle-days": ("ingest/spill.py:flush", "ingest/spill.py:rows"),
    "hashing": ("config/digest.py:file_sha256",),
}
# Stage -> part -> its functions, none of which calls another.
PARTS = {
    "ingest parquet": INGEST_PARTS,
    "ingest csv": INGEST_PARTS,
    "prepare": {
        "reading the lake and checking its hashes": (
            "telemetry/lake.py:batches", "telemetry/lake.py:read_day",
        ),
        "putting the rows on the grid and filling gaps": ("windows/resample.py:add",),
        "learning the scaler": ("windows/learning.py:add", "windows/learning.py:learnt"),
        "writing the store": ("windows/vehicle_file.py:write",),
        "hashing the store": ("config/digest.py:file_sha256",),
    },
}  # fmt: skip


def bench_fleet(channels: int, form: str) -> Fleet:
    """Vehicles that report ``channels`` channels at about 1 Hz, in files of the format."""
    return Fleet.model_validate({
        "name": f"bench-{form}",
        "channels": [{"name": f"c{n}", "range": [-100, 100]} for n in range(channels)],
        "source": {"format": form, "folder": form, "files": [{"glob": f"*.{form}"}]},
    })  # fmt: skip


def made_tables(channels: int, rows: int) -> Iterator[pa.Table]:
    """Slow random walks with 3 % nulls, rounded to a thousandth, a vehicle-day each."""
    rng = np.random.default_rng(SEED)
    for number, first in enumerate(range(0, rows, ROWS_PER_FILE)):
        count = min(ROWS_PER_FILE, rows - first)
        second = number // VEHICLES * 86_400 + np.arange(count)
        time_us = pa.array(START_US + second * 1_000_000, pa.timestamp("us", tz="UTC"))
        columns = {"vehicle": pa.array([f"v-{number % VEHICLES}"] * count), "timestamp": time_us}
        for c in range(channels):
            value = np.round(np.cumsum(rng.normal(size=count)) / 20, 3)
            columns[f"c{c}"] = pa.array(value, mask=rng.random(count) < 0.03)
        yield pa.table(columns)


def write_raw(home: Path, channels: int, rows: int) -> None:
    """The same rows as Parquet and as CSV files."""
    for form in FORMATS:
        (home / form).mkdir()
    plain = pa_csv.WriteOptions(quoting_style="none")  # as loggers write
    for number, table in enumerate(made_tables(channels, rows)):
        pq.write_table(table, home / "parquet" / f"{number:03d}.parquet", compression="zstd")
        pa_csv.write_csv(table, home / "csv" / f"{number:03d}.csv", plain)


def read_parquet(folder: Path) -> list[pa.Table]:
    """All Parquet files below the folder, each as a table."""
    return [_read_one(file) for file in sorted(folder.rglob("part.parquet"))] or [
        _read_one(file) for file in sorted(folder.rglob("*.parquet"))
    ]


def _read_one(path: Path) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read(use_threads=False)


def read_csv(folder: Path) -> list[pa.Table]:
    """All CSV files of the folder, each as a table."""
    options = pa_csv.ReadOptions(use_threads=False)
    return [pa_csv.read_csv(file, options) for file in sorted(folder.glob("*.csv"))]


def copied(tables: list[pa.Table], out: Path, write: Callable[[pa.Table, Path], None]) -> None:
    """Write each table to a file of its own, and delete them."""
    for number, table in enumerate(tables):
        write(table, out / f"{number}")
    for file in out.iterdir():
        file.unlink()


def write_parquet(table: pa.Table, path: Path) -> None:
    """As the lake writes a part."""
    others = [name for name in table.column_names if name != "timestamp"]
    pq.write_table(
        table, path, compression="zstd", row_group_size=1 << 17,
        use_dictionary=others, column_encoding={"timestamp": "DELTA_BINARY_PACKED"},
    )  # fmt: skip


def write_ipc(table: pa.Table, path: Path) -> None:
    """As the store writes a vehicle."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def stages(home: Path, fleets: dict[str, Fleet]) -> dict[str, dict[str, Callable[[], object]]]:
    """Stage -> what is timed by turns: ``stage``, ``read`` and, where it writes, ``copy``."""
    from amad.ingest.ingestion import ingest
    from amad.telemetry.lake import Lake
    from amad.telemetry.profile import profile
    from amad.windows.build import build_store

    settings = Settings(home=home, data_dir=home)
    out = home / "copy"
    out.mkdir()
    readers = {"parquet": read_parquet, "csv": read_csv}
    timed: dict[str, dict[str, Callable[[], object]]] = {}
    for form, fleet in fleets.items():
        read = readers[form]
        timed[f"ingest {form}"] = {
            "stage": lambda fleet=fleet: ingest(fleet, settings, rebuild=True),
            "read": lambda read=read, form=form: read(home / form),
            "copy": lambda read=read, form=form: copied(read(home / form), out, write_parquet),
        }
    fleet = fleets["parquet"]
    folder = settings.fleet_dir(fleet.name)
    timed["profile"] = {
        "stage": lambda: profile(Lake(folder / "lake", fleet), fleet),
        "read": lambda: read_parquet(folder / "lake"),
    }
    timed["prepare"] = {
        "stage": lambda: build_store(
            Lake(folder / "lake", fleet), fleet, "vehicle", folder / "store"
        ),
        "read": lambda: read_parquet(folder / "lake"),
        "copy": lambda: copied(read_parquet(folder / "lake"), out, write_ipc),
    }
    return timed


def measure(timed: dict[str, Callable[[], object]], rows: int, repeats: int) -> dict:
    """Rows per second of the processor of each, by turns, and the ratios between them.

    The best of the repeats counts, since what else runs on the machine only makes one slower. The
    range of the ratios within a repeat shows how much it did.
    """
    seconds: dict[str, list[float]] = {name: [] for name in timed}
    for turn in range(repeats + 1):  # the first is to warm up
        for name, work in timed.items():
            started = time.process_time()
            work()
            if turn:
                seconds[name].append(time.process_time() - started)
    own = seconds.pop("stage")
    found: dict = {"rows_per_second": rows / min(own)}
    for name, of_it in seconds.items():
        ratios = [a / b for a, b in zip(of_it, own, strict=True)]
        found[f"{name}_rows_per_second"] = rows / min(of_it)
        found[f"share_of_{name}"] = min(of_it) / min(own)
        found[f"share_of_{name}_from_to"] = [min(ratios), max(ratios)]
    return found | {"reaches_a_third_of_read": found["share_of_read"] >= BAR}


def parts_of(work: Callable[[], object], parts: dict[str, tuple[str, ...]]) -> dict[str, float]:
    """Part -> its share of the processor's time of a stage; 'the rest' is what is left."""
    work()  # to warm up
    profiler = cProfile.Profile(time.process_time)
    profiler.runcall(work)
    told = pstats.Stats(profiler)
    seconds = dict.fromkeys(parts, 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in told.stats.items():
        for part, names in parts.items():
            if any(f"{file}:{function}".endswith(f"/amad/{name}") for name in names):
                seconds[part] += cumulative
    shares = {part: taken / told.total_tt for part, taken in seconds.items()}
    assert all(shares.values()), f"a function was renamed: {shares}"
    return shares | {"the rest": 1 - sum(shares.values())}


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    parser.add_argument("--rows", type=positive, default=800_000)
    parser.add_argument("--channels", type=positive, default=20)
    parser.add_argument("--repeats", type=positive, default=3)
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    fleets = {form: bench_fleet(options.channels, form) for form in FORMATS}
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_raw(home, options.channels, options.rows)
        timed = stages(home, fleets)
        timed["ingest parquet"]["stage"]()  # profile and prepare read its lake
        for name, works in timed.items():
            found[name] = measure(works, options.rows, options.repeats)
            say(f"{name}: {found[name]['share_of_read']:.2f} of a bare read")
            if name in PARTS:
                found[name]["parts"] = parts_of(works["stage"], PARTS[name])
    result = {
        "machine": machine_facts(),
        "rows": options.rows,
        "channels": options.channels,
        "stages": found,
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
