"""python -m bench.scoring --fleet demo --engines process ray --out scoring.json

Measures a scoring job over the whole lake of a fleet in rows per second, with each engine, one
thread per worker, and whether all engines wrote the same bytes. The fleet must have a detector
(data/<fleet>/detector). Scores go to a temporary folder.
"""

import argparse
import hashlib
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
from amad.telemetry.checksums import Checksums
from amad.telemetry.lake import Lake
from bench.facts import machine_facts, write_result


def measure(snapshot: Snapshot, model: Model, engine: str, profile) -> dict:
    """Seconds of one job over every date, with the engine's start, and a hash of its output."""
    plan = Plan(days=dict.fromkeys(snapshot.dates(), ASKED))
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        started, busy = time.perf_counter(), time.process_time()
        done = score_days(snapshot, runs, model, plan, Checksums(runs), engine, profile)
        manifests = [one.manifest for one in done if one.manifest is not None]
        seconds, cpu = time.perf_counter() - started, time.process_time() - busy
        content = hashlib.sha256()
        for file in sorted(runs.rglob("*.*")):
            content.update(file.read_bytes())
    rows = sum(manifest.rows for manifest in manifests)
    return {
        "engine": engine,
        "rows": rows,
        "vehicle_days": sum(manifest.vehicle_days for manifest in manifests),
        "seconds": seconds,
        "cpu_seconds_of_the_driver": cpu,
        "rows_per_second": rows / seconds,
        "sha256": content.hexdigest(),
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    quiet()
    parser = argparse.ArgumentParser(prog="python -m bench.scoring", description=__doc__)
    parser.add_argument("--fleet", default="demo")
    parser.add_argument("--engines", nargs="+", default=["process", "ray"])
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
    engines = [measure(snapshot, model, engine, profile) for engine in options.engines]
    result = {
        "machine": machine_facts(),
        "fleet": fleet.name,
        "channels": len(fleet.channels),
        "members": [member.name for member in detector.members],
        "engines": engines,
        "same_bytes": len({engine["sha256"] for engine in engines}) == 1,
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
