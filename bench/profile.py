"""python -m bench.profile --out bench/results/profile.json

The streamed profile of a lake against the plain way, which is to read all of it into pandas and
have Great Expectations check every row. Same lake, one core, each in a process of its own. The JSON
holds seconds (wall and CPU, imports not counted), peak memory and the ratio of the two.
"""

import json
import os
import resource
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import Fleet, Settings
from amad.telemetry.files import write_json
from bench.apart import run_apart
from bench.data_plane import bench_fleet, made_tables
from bench.facts import machine_facts
from bench.options import parser_of, positive

LIMITS = {"seconds": 3.0, "peak_mb": 600.0}  # of the streamed way, for 2 M rows x 10 channels


def make_lake(home: Path, fleet: Fleet, rows: int) -> None:
    """Write raw files of slow random walks with 3 % nulls, a vehicle-day each, and ingest them."""
    from amad.ingest.ingestion import ingest

    raw = home / fleet.source.folder
    raw.mkdir()
    for number, table in enumerate(made_tables(len(fleet.channels), rows)):
        pq.write_table(table, raw / f"{number:03d}.parquet")
    ingest(fleet, Settings(home=home, data_dir=home))


def streamed(home: Path, fleet: Fleet) -> int:
    """The product's way; returns the rows seen."""
    from amad.telemetry.lake import Lake
    from amad.telemetry.profile import profile

    lake = Lake(home / "data" / fleet.name / "lake", fleet)
    assert profile(lake, fleet).num_rows == len(lake.days()) * len(fleet.channels)
    return lake.rows()


def plain(home: Path, fleet: Fleet) -> int:
    """The plain way: all rows in pandas, null and range expectations on every channel."""
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    lake = home / "data" / fleet.name / "lake"
    frame = pd.read_parquet(lake, columns=["timestamp", *fleet.channel_names])
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
    """Run one way here, on one core, after its imports; its figures."""
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
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/profile.json"))
    parser.add_argument("--rows", type=positive, default=2_000_000)
    parser.add_argument("--channels", type=positive, default=10)
    parser.add_argument(
        "--repeats", type=positive, default=3, help="of the streamed way; the median"
    )
    options = parser.parse_args()
    fleet = bench_fleet(options.channels, "parquet")
    with tempfile.TemporaryDirectory() as folder:
        make_lake(Path(folder), fleet, options.rows)
        runs: dict[str, list[dict]] = {"streamed": [], "plain": []}
        for way in ["streamed"] * options.repeats + ["plain"]:
            runs[way].append(run_apart(measure, way, Path(folder), fleet))
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
