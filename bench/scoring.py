"""python -m bench.scoring --fleet smd --periods 60 10 1 --out bench/results/scoring.json

Measures a scoring job over the whole lake of a fleet in rows per second, with each engine, one
thread per worker, and whether all engines wrote the same bytes. Beside it stand a bare Arrow read
of the lake, and the parts of the job from a run under cProfile over ``PROFILED_DATES``.

The fleet's files must tell no time of their own (``timestamp.take: index``): the same rows are
then measured at each sampling period, in seconds. At a shorter one a vehicle-day holds more rows.
For each, the lake, the store and a detector of the members in closed form are made in a temporary
folder.
"""

import hashlib
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from amad.config import Fleet, Settings, Stage, load_cluster, load_fleet, load_params
from amad.config.console import say
from amad.config.digest import file_sha256
from amad.detect.detector_folder import folder_digest, load_detector
from amad.engines.score.date_scoring import Model, score_days
from amad.engines.score.lake_snapshot import Snapshot
from amad.engines.score.scoring_plan import ASKED, Plan
from amad.engines.shared.environment import quiet
from amad.telemetry.checksums import Checksums
from amad.telemetry.lake import Lake
from bench.data_plane import parts_of, read_parquet
from bench.facts import machine_facts, write_result
from bench.options import parser_of
from bench.quality.fleets import find_fleet
from bench.stages import fit, ingest, prepare

WANTED = 50_000  # rows per second of a core, at 38 channels
ENGINES = ("process", "ray")
PROFILED_DATES = 8
PARTS = {  # part -> its functions, none of which calls another
    "residuals of the members": (
        "detect/members/member.py:residual", "detect/members/member.py:tolerance",
    ),
    "the evidence chain": ("detect/chain.py:evidence",),
    "what each channel contributes": ("detect/combine.py:contributions_in",),
    "thresholds": ("detect/scorer.py:_thresholds",),
    "incidents": ("incidents/incident.py:incidents_of",),
    "reading the lake": ("telemetry/lake.py:read",),
    "putting the rows on the grid": ("windows/resample.py:to_series",),
    "reading and writing the state": (
        "scores/vehicle_state.py:read", "scores/vehicle_state.py:write",
    ),
    "publishing": ("scores/partitions.py:publish",),
}  # fmt: skip


def measure(snapshot: Snapshot, model: Model, engine: str, dates: int, profile) -> dict:
    """Seconds of a job over the first dates, with the engine's start, and a hash of its output."""
    import pandas  # noqa: F401  # Arrow imports it on its first conversion

    plan = Plan(days=dict.fromkeys(snapshot.dates()[:dates], ASKED))
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        started, busy = time.perf_counter(), time.process_time()
        done = score_days(snapshot, runs, model, plan, Checksums(runs), engine, profile)
        manifests = [one.manifest for one in done if one.manifest is not None]
        seconds, cpu = time.perf_counter() - started, time.process_time() - busy
        content = hashlib.sha256()
        for kind in ("scores", "incidents"):
            for file in sorted((runs / kind).rglob("*.*")):
                content.update(file_sha256(file).encode())
        states = [file.stat().st_size for file in (runs / "state").glob("*.arrow")]
    rows = sum(manifest.rows for manifest in manifests)
    return {
        "engine": engine,
        "rows": rows,
        "vehicle_days": sum(manifest.vehicle_days for manifest in manifests),
        "seconds": seconds,
        "cpu_seconds_of_the_driver": cpu,
        "rows_per_second": rows / seconds,
        "rows_per_second_of_cpu": rows / cpu,  # of the driver, which does all the work in process
        "state_bytes_per_vehicle": sum(states) / max(len(states), 1),
        "sha256": content.hexdigest(),
    }


def opened(stage: Stage) -> tuple[Snapshot, Model]:
    """All vehicle-days of the fleet's lake, none of them quarantined, and its fitted detector."""
    lake, folder = Lake(stage.folder / "lake", stage.fleet), stage.folder / "detector"
    parts = {(vehicle, day): (rows, "") for vehicle, day, rows in lake.days()}
    model = Model(
        version="0", digest=folder_digest(folder), folder=folder,
        detector=load_detector(folder, to_score=True),
    )  # fmt: skip
    return Snapshot(lake=lake, parts=parts, quarantined={}), model


def at_period(home: Path, file: Path, fleet: Fleet, seconds: float) -> Stage:
    """The fleet with another sampling period; gaps are as many rows long as before."""
    settings = Settings()
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    content["period_seconds"] = seconds
    content["missing"] = content.get("missing", {}) | {
        "max_gap_seconds": fleet.missing.max_gap_seconds / fleet.period_seconds * seconds
    }
    changed = home / f"{fleet.name}.yaml"
    changed.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return Stage(
        fleet=load_fleet(str(changed)), params=load_params(settings.params_file, fleet.name),
        settings=Settings(home=home, data_dir=settings.data_dir),
    )  # fmt: skip


def measure_stage(stage: Stage) -> dict:
    """A scoring job over the fleet by each engine, its parts, and a bare read of its lake."""
    for step in (ingest, prepare, fit):
        step(stage)()
    (snapshot, model), profile = opened(stage), load_cluster(Settings())
    parts = parts_of(lambda: measure(snapshot, model, "process", PROFILED_DATES, profile), PARTS)
    runs = [measure(snapshot, model, engine, sys.maxsize, profile) for engine in ENGINES]
    started = time.process_time()
    rows = sum(table.num_rows for table in read_parquet(snapshot.lake.path))
    return {
        "period_seconds": stage.fleet.period_seconds,
        "rows_per_vehicle_day": runs[0]["rows"] / runs[0]["vehicle_days"],
        "members": [member.name for member in model.detector.members],
        "engines": runs,
        "same_bytes": len({one["sha256"] for one in runs}) == 1,
        "read_rows_per_second_of_cpu": rows / (time.process_time() - started),
        "parts": parts,
    }


def cost(found: list[dict]) -> dict:
    """What a vehicle-day and a row cost, from the shortest and the longest days of two or more.

    found: of ``measure_stage``, whose first engine is this process. rows_that_suffice: from how
    many rows in a vehicle-day on ``WANTED`` is reached; None where a row alone costs too much.
    """
    seconds = {
        one["rows_per_vehicle_day"]: one["rows_per_vehicle_day"]
        / one["engines"][0]["rows_per_second_of_cpu"]
        for one in found
    }
    few, many = min(seconds), max(seconds)
    of_row = (seconds[many] - seconds[few]) / (many - few)
    of_day = seconds[few] - few * of_row
    spare = 1 / WANTED - of_row
    return {
        "ms_per_vehicle_day": of_day * 1e3,
        "us_per_row": of_row * 1e6,
        "wanted_rows_per_second": WANTED,
        "rows_that_suffice": round(of_day / spare, -2) if spare > 0 else None,
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    quiet()
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", default="smd")
    parser.add_argument("--periods", type=float, nargs="+", default=[60, 10, 1])
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    fleet, file = find_fleet(options.fleet, Settings())
    if len(set(options.periods)) < 2:
        parser.error("--periods takes two or more, from which the cost of a vehicle-day is found")
    if fleet.source.timestamp.take != "index":
        parser.error(f"the files of {fleet.name} tell the time of each row; take a fleet with "
                     "timestamp.take: index, such as smd")  # fmt: skip
    found = []
    for seconds in options.periods:
        with TemporaryDirectory() as folder:
            found.append(measure_stage(at_period(Path(folder), file, fleet, seconds)))
        rate = found[-1]["engines"][0]["rows_per_second_of_cpu"]
        say(f"a row every {seconds:g} s: {rate:,.0f} rows per second of a core")
    result = {
        "machine": machine_facts(),
        "fleet": fleet.name,
        "channels": len(fleet.channels),
        "periods": found,
        "cost": cost(found),
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
