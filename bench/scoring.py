"""python -m bench.scoring --fleet smd --fit --opponent fca2a6d --out bench/results/scoring.json

Measures a scoring job over the whole lake of a fleet in rows per second, with each engine, one
thread per worker, and whether all engines wrote the same bytes. The fleet must have a detector
(data/<fleet>/detector), or with --fit a store (data/<fleet>/store), on which the members in closed
form are fitted first. Scores go to a temporary folder.

With --opponent the same job is run by the code of that commit as well, in process and in turns with
ours, and the ratio of the rows per second of CPU time is told; the best of the turns counts. The
commit must be able to read the detector. With --dates N the job is over the first N dates alone.
With --parts a run under cProfile over the first ``PROFILED_DATES`` tells the parts of the job, and
a bare Arrow read of the lake is measured beside it.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from amad.config import Fleet, Settings, Stage, load_cluster, load_fleet, load_params
from amad.detect.storage import folder_digest, load_detector
from amad.engines.score.date_scoring import Model, score_days
from amad.engines.score.lake_snapshot import Snapshot
from amad.engines.score.scoring_plan import ASKED, Plan
from amad.engines.shared.environment import quiet
from amad.telemetry.lake import Lake
from bench.facts import machine_facts, write_result
from bench.options import positive

try:
    from amad.telemetry.checksums import Checksums
except ImportError:  # where the opponent's code has it
    from amad.scores.checksums import Checksums

ROOT = Path(__file__).resolve().parents[1]
TURNS = 3
PROFILED_DATES = 8
PARTS = {  # part -> its functions, none of which calls another
    "residuals of the members": ("detect/members.py:residual", "detect/members.py:tolerance"),
    "the evidence chain": ("detect/chain.py:evidence",),
    "what each channel contributes": ("detect/combine.py:contributions_in",),
    "thresholds": ("detect/scorer.py:_thresholds",),
    "incidents": ("detect/incidents.py:incidents_of",),
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
                content.update(file.read_bytes())
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


def measure_apart(folder: Path, fleet: str, dates: int, detector: Path, home: Path) -> dict:
    """The same job in a process of its own, by the code in a folder."""
    with TemporaryDirectory() as place:
        out = Path(place) / "one.json"
        subprocess.run(
            [sys.executable, "-m", "bench.scoring", "--fleet", fleet, "--engines", "process",
             "--dates", str(dates), "--detector", str(detector), "--out", str(out)],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
            env=os.environ | {"AMAD_HOME": str(home), "PYTHONPATH": str(folder)},
        )  # fmt: skip
        (found,) = json.loads(out.read_text())["engines"]
    return found


def against(commit: str, fleet: str, dates: int, detector: Path, home: Path) -> dict[str, dict]:
    """The best turn of our code and of the code of a commit, both measured in turns."""
    with TemporaryDirectory() as theirs:
        code = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", theirs], input=code.stdout, check=True)
        shutil.copy(__file__, Path(theirs) / "bench" / "scoring.py")
        folders = {"ours": ROOT, commit: Path(theirs)}
        turns = [
            {
                who: measure_apart(folder, fleet, dates, detector, home)
                for who, folder in folders.items()
            }
            for _ in range(TURNS)
        ]
    return {
        who: max((turn[who] for turn in turns), key=lambda one: one["rows_per_second_of_cpu"])
        for who in folders
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    quiet()
    parser = argparse.ArgumentParser(prog="python -m bench.scoring", description=__doc__)
    parser.add_argument("--fleet", default="demo")
    parser.add_argument("--engines", nargs="+", default=["process", "ray"])
    parser.add_argument("--dates", type=positive, default=sys.maxsize, help="default: all")
    parser.add_argument("--detector", type=Path, help="its folder; default: the fleet's")
    parser.add_argument("--fit", action="store_true", help="fit one in closed form instead")
    parser.add_argument("--opponent", help="a commit of this repository; default: none")
    parser.add_argument("--parts", action="store_true", help="also its parts, and a bare read")
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    settings = Settings()
    fleet = load_fleet(options.fleet, settings)
    with TemporaryDirectory() as fitted:
        place = options.detector or settings.fleet_dir(fleet.name) / "detector"
        if options.fit:
            from bench.growth import fit_closed_form

            params, place = load_params(settings.params_file, fleet.name), Path(fitted, "detector")
            fit_closed_form(Stage(fleet=fleet, settings=settings, params=params), place)
        result = _measured(options, settings, fleet, place)
    write_result(result, options.out)
    return result


def _measured(options: argparse.Namespace, settings: Settings, fleet: Fleet, place: Path) -> dict:
    detector = load_detector(place, to_score=True)
    model = Model(version="0", digest=folder_digest(place), folder=place, detector=detector)
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    parts = {(vehicle, day): (rows, "") for vehicle, day, rows in lake.days()}
    snapshot = Snapshot(lake=lake, parts=parts, quarantined={})
    profile = load_cluster(settings=settings)
    engines = [
        measure(snapshot, model, engine, options.dates, profile) for engine in options.engines
    ]
    result = {
        "machine": machine_facts(),
        "fleet": fleet.name,
        "channels": len(fleet.channels),
        "members": [member.name for member in detector.members],
        "engines": engines,
        "same_bytes": len({engine["sha256"] for engine in engines}) == 1,
    }
    if options.parts:
        # the code of an opponent may not have them
        from bench.data_plane import parts_of, read_parquet

        read_parquet(lake.path)  # to warm up
        started = time.process_time()
        rows = sum(table.num_rows for table in read_parquet(lake.path))
        result["read_rows_per_second_of_cpu"] = rows / (time.process_time() - started)
        dates = min(options.dates, PROFILED_DATES)
        result["parts"] = parts_of(
            lambda: measure(snapshot, model, "process", dates, profile), PARTS
        )
    if options.opponent:
        found = against(options.opponent, fleet.name, options.dates, place, settings.home)
        ours, theirs = found["ours"], found[options.opponent]
        result |= {
            "ours": ours,
            "opponent": theirs | {"commit": options.opponent},
            "ratio": ours["rows_per_second_of_cpu"] / theirs["rows_per_second_of_cpu"],
            "same_bytes_as_the_opponent": ours["sha256"] == theirs["sha256"],
        }
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
