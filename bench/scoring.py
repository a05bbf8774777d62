"""python -m bench.scoring --fleet demo --engines process ray --opponent 0495f55 --out scoring.json

Measures a scoring job over the whole lake of a fleet in rows per second, with each engine, one
thread per worker, and whether all engines wrote the same bytes. The fleet must have a detector
(data/<fleet>/detector). Scores go to a temporary folder.

With --opponent the same job is run by the code of that commit as well, in process, and the ratio of
the rows per second of CPU time is told. Commit 0495f55 is the last one that read the history of a
day again for every day. With --dates N the job is over the first N dates alone.
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

from amad.config import Settings, load_cluster, load_fleet
from amad.detect.storage import detector_digest, load_detector
from amad.engines.score.date_scoring import Model, score_days
from amad.engines.score.lake_snapshot import Snapshot
from amad.engines.score.scoring_plan import ASKED, Plan
from amad.engines.shared.environment import quiet
from amad.telemetry.lake import Lake
from bench.facts import machine_facts, write_result

try:
    from amad.telemetry.checksums import Checksums
except ImportError:  # where the opponent's code has it
    from amad.scores.checksums import Checksums

ROOT = Path(__file__).resolve().parents[1]


def measure(snapshot: Snapshot, model: Model, engine: str, dates: int, profile) -> dict:
    """Seconds of a job over the first dates, with the engine's start, and a hash of its output."""
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


def measure_commit(commit: str, fleet: str, dates: int, settings: Settings) -> dict:
    """The same job in process, by the code of a commit of this repository, measured as ours is."""
    with TemporaryDirectory() as folder:
        code = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", folder], input=code.stdout, check=True)
        shutil.copy(__file__, Path(folder) / "bench" / "scoring.py")
        out = Path(folder) / "opponent.json"
        subprocess.run(
            [sys.executable, "-m", "bench.scoring", "--fleet", fleet, "--engines", "process",
             "--dates", str(dates), "--out", str(out)],
            cwd=folder, check=True, stdout=subprocess.DEVNULL,
            env=os.environ | {"AMAD_HOME": str(settings.home), "PYTHONPATH": folder},
        )  # fmt: skip
        (found,) = json.loads(out.read_text())["engines"]
    return found | {"commit": commit}


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    quiet()
    parser = argparse.ArgumentParser(prog="python -m bench.scoring", description=__doc__)
    parser.add_argument("--fleet", default="demo")
    parser.add_argument("--engines", nargs="+", default=["process", "ray"])
    parser.add_argument("--dates", type=int, default=sys.maxsize, help="default: all")
    parser.add_argument("--opponent", help="a commit of this repository; default: none")
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    settings = Settings()
    fleet = load_fleet(options.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    detector = load_detector(folder / "detector")
    model = Model(
        version="0", digest=detector_digest(detector), folder=folder / "detector", detector=detector
    )
    lake = Lake(folder / "lake", fleet)
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
    if options.opponent:
        result["opponent"] = theirs = measure_commit(
            options.opponent, fleet.name, options.dates, settings
        )
        ours = next(e for e in engines if e["engine"] == "process")
        result["ratio"] = ours["rows_per_second_of_cpu"] / theirs["rows_per_second_of_cpu"]
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
