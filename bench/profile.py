"""python -m bench.profile --out bench/results/profile.json

The streamed profile of a lake against the plain way, which is to read all of it into pandas and
have Great Expectations check every row. Same lake, one core, each in a process of its own. The JSON
holds seconds (wall and CPU, imports not counted), peak memory and the ratio of the two.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import Fleet, Settings
from amad.telemetry.files import write_json
from bench.facts import machine_facts

START_US = 1_767_571_200_000_000  # 2026-01-05, a midnight
LIMITS = {"seconds": 3.0, "peak_mb": 600.0}  # of the streamed way, for 2 M rows x 10 channels


def bench_fleet(channels: int) -> Fleet:
    """Vehicles that report ``channels`` channels at about 1 Hz, in Parquet files."""
    return Fleet.model_validate({
        "name": "bench",
        "channels": [{"name": f"c{n}", "range": [-100, 100]} for n in range(channels)],
        "source": {"format": "parquet", "folder": "raw", "files": [{"glob": "*.parquet"}]},
    })  # fmt: skip


def make_lake(home: Path, fleet: Fleet, rows: int, seed: int) -> None:
    """Write raw files of slow random walks with 3 % nulls, a vehicle-day each, and ingest them."""
    from amad.ingest.ingestion import ingest

    rng = np.random.default_rng(seed)
    (home / "raw").mkdir()
    day = 80_000
    for number, first in enumerate(range(0, rows, day)):
        count = min(day, rows - first)
        columns = {
            "vehicle": pa.array([f"v-{number % 5}"] * count).dictionary_encode(),
            "timestamp": pa.array(
                START_US + (number // 5 * 86_400 + np.arange(count)) * 1_000_000,
                pa.timestamp("us", tz="UTC"),
            ),
        }
        for name in fleet.channel_names:
            value = np.cumsum(rng.normal(size=count)).astype(np.float32) / 20
            columns[name] = pa.array(value, mask=rng.random(count) < 0.03)
        pq.write_table(pa.table(columns), home / "raw" / f"{number:03d}.parquet")
    ingest(fleet, Settings(home=home, data_dir=home))


def streamed(home: Path, fleet: Fleet) -> int:
    """The product's way; returns the rows seen."""
    from amad.telemetry.lake import Lake
    from amad.telemetry.profile import profile

    lake = Lake(home / "data/bench/lake", fleet)
    assert profile(lake, fleet).num_rows == len(lake.days()) * len(fleet.channels)
    return lake.rows()


def plain(home: Path, fleet: Fleet) -> int:
    """The plain way: all rows in pandas, null and range expectations on every channel."""
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    frame = pd.read_parquet(home / "data/bench/lake", columns=["timestamp", *fleet.channel_names])
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("lake").add_dataframe_asset("rows")
    batch = asset.add_batch_definition_whole_dataframe("all")
    expectations = [gxe.ExpectColumnValuesToNotBeNull(column="timestamp")]
    for name in fleet.channel_names:
        expectations += [
            gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=0.8),
            gxe.ExpectColumnValuesToBeBetween(
                column=name, min_value=-100, max_value=100, mostly=0.98
            ),
        ]
    suite = gx.ExpectationSuite(name="rows", expectations=expectations)
    definition = gx.ValidationDefinition(name="rows", data=batch, suite=context.suites.add(suite))
    context.validation_definitions.add(definition).run(batch_parameters={"dataframe": frame})
    return len(frame)


WAYS = {"streamed": streamed, "plain": plain}


def measure(way: str, home: Path, fleet: Fleet) -> dict:
    """Run one way here, on one core, after its imports; print its figures as JSON."""
    from amad.engines.shared.environment import quiet

    quiet()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    if way == "plain":
        import great_expectations  # noqa: F401
    else:
        import pandas  # noqa: F401  # Arrow imports it on its first conversion of a list

        import amad.telemetry.profile  # noqa: F401
    wall, cpu = time.perf_counter(), time.process_time()
    rows = WAYS[way](home, fleet)
    return {
        "rows": rows,
        "seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def main() -> None:
    """Make the lake, run both ways, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/profile.json"))
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--channels", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3, help="of the streamed way; the median")
    parser.add_argument("--way", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    fleet = bench_fleet(options.channels)
    if options.way:
        print(json.dumps(measure(options.way, options.home, fleet)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_lake(Path(folder), fleet, options.rows, seed=7)
        runs: dict[str, list[dict]] = {"streamed": [], "plain": []}
        for way in ["streamed"] * options.repeats + ["plain"]:
            command = [sys.executable, "-m", "bench.profile", "--way", way, "--home", folder]
            command += ["--channels", str(options.channels)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
    ours = sorted(runs["streamed"], key=lambda run: run["seconds"])[options.repeats // 2]
    theirs = runs["plain"][0]
    result = {
        "machine": machine_facts(),
        "rows": ours["rows"],
        "channels": options.channels,
        "streamed": ours,
        "plain": theirs,
        "times_faster": round(theirs["seconds"] / ours["seconds"], 1),
        "times_less_cpu": round(theirs["cpu_seconds"] / ours["cpu_seconds"], 1),
        "times_less_memory": round(theirs["peak_mb"] / ours["peak_mb"], 1),
        "limits": LIMITS,
        "within_limits": all(ours[name] <= limit for name, limit in LIMITS.items()),
    }
    write_json(options.out, result)
    print(json.dumps({k: v for k, v in result.items() if k != "machine"}, indent=2))


if __name__ == "__main__":
    main()
