"""python -m bench.growth --out bench/results/growth.json

What each stage costs per row, and how much memory it takes, as a simulated fleet grows: in days
(*rows*), in vehicles with short histories (*vehicles*), and in vehicles that report day and night,
of which one date is scored (*night*). ``--rows`` without a number leaves that part out, and so do
the others. What ``--out`` holds of other fleets and stages stays. ``--workers`` measures how much
sooner ``evaluate`` is done over Ray with two workers than with one, by the clock, and needs a
machine on which nothing else runs.

Each stage of each fleet runs in a process of its own, on one core. Seconds are those of the
processor after the imports, so what else runs on the machine hardly counts. Memory is the largest
that the process held, less what it held before the stage. A stage that is too dear for the largest
fleets ends at ``--most``.
"""

import json
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from amad.config import ClusterProfile, Settings, Stage, load_cluster
from amad.config.console import say
from bench.apart import run_apart
from bench.facts import machine_facts, write_result
from bench.options import parser_of, positive
from bench.stages import (
    FLEET,
    evaluate,
    fit,
    ingest,
    prepare,
    profile,
    simulate,
    stage_of,
    write_fleet,
)

STAGES = ("ingest", "profile", "prepare", "fit", "evaluate", "score")
FITTED = ("fit", "evaluate", "score")  # dear stages, which end at ``--most``
NEEDS = {  # what must have run before a stage that is measured by itself
    "profile": ["ingest"], "prepare": ["ingest"], "fit": ["ingest", "prepare"],
    "evaluate": ["ingest", "prepare"], "score": ["ingest", "prepare", "fit"],
}  # fmt: skip
FAMILY = 12  # vehicles, where the number of days grows
DAYS, HOURS = 4, 0.25  # of a short history, with 900 rows per day
NIGHTLY = ("ingest", "score")  # stages of a night, with a detector that learnt from other days
CHANNELS = 25  # of the fleet demo
LIMIT = 0.10  # that the cost per row may grow by


def score(stage: Stage) -> Callable[[], int]:
    """Every date of the lake, in this process."""
    from bench.scoring import measure, opened

    profile = load_cluster(Settings())

    def work() -> int:
        snapshot, model = opened(stage)
        return measure(snapshot, model, "process", sys.maxsize, profile)["rows"]

    return work


WORK = {
    "simulate": simulate, "ingest": ingest, "profile": profile, "prepare": prepare, "fit": fit,
    "evaluate": evaluate, "score": score,
}  # fmt: skip


def run_here(name: str, home: Path) -> dict:
    """Run one stage in this process, and measure it. name: a key of ``WORK``."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    import pandas  # noqa: F401  # Arrow imports it on its first conversion
    import pyarrow as pa

    from amad.engines.shared.environment import quiet

    quiet()
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    work = WORK[name](stage_of(home))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - started,
        "memory_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
    }


def measure(
    stages: Sequence[str], most: int, *, vehicles: int, days: int, hours: float,
    repeats: int = 1, detector: Path | None = None,
) -> dict[str, object]:  # fmt: skip
    """Each stage of one simulated fleet, in a folder that is deleted.

    repeats: of each stage; the one that took the least time counts. detector: a folder of it, for
    scoring without fitting.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_fleet(home, vehicles=vehicles, days=days, hours=hours)
        run_apart(run_here, "simulate", home)
        told = json.loads(next(home.rglob("simulation.json")).read_text(encoding="utf-8"))
        if detector is not None:
            shutil.copytree(detector, home / "data" / FLEET / "detector")
        rows, found, done = told["rows"], {}, set[str]()
        say(f"{vehicles:,} vehicles, {days:,} days, {rows:,} rows")
        for name in stages:
            if name in FITTED and rows > most:
                continue
            for earlier in NEEDS.get(name, []):
                if earlier not in done and not (earlier == "fit" and detector is not None):
                    run_apart(run_here, earlier, home)
                    done.add(earlier)
            done.add(name)
            runs = [run_apart(run_here, name, home) for _ in range(repeats)]
            figures = min(runs, key=lambda one: one["cpu_seconds"])
            found[name] = figures | {"us_per_row": figures["cpu_seconds"] / rows * 1e6}
            say(f"  {name}: {found[name]['us_per_row']:.2f} us per row, "
                f"{figures['memory_mb']:.0f} MB")  # fmt: skip
        kinds = {"raw": "raw/*/*.parquet", "lake": "lake/vehicle=*/*/part.parquet",
                 "store": "store/vehicles/*"}  # fmt: skip
        stored = {
            kind: sum(file.stat().st_size for file in (home / "data" / FLEET).glob(pattern)) / rows
            for kind, pattern in kinds.items()
        }
    return {
        "vehicles": vehicles, "days": days, "rows": rows, "channels": CHANNELS,
        "bytes_per_row": stored, "stages": found,
    }  # fmt: skip


def measure_night(vehicles: Sequence[int]) -> list[dict]:
    """A date of so many vehicles that report for 24 hours, scored by one and the same detector."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write_fleet(home, vehicles=FAMILY, days=DAYS, hours=HOURS)
        for name in ("simulate", "ingest", "prepare", "fit"):
            run_apart(run_here, name, home)
        detector = home / "data" / FLEET / "detector"
        return [
            measure(NIGHTLY, sys.maxsize, vehicles=count, days=1, hours=24, detector=detector)
            for count in vehicles
        ]


def evaluate_over(home: Path, workers: int) -> float:
    """Seconds of ``evaluate`` over a Ray of its own, from when Ray has started on."""
    from amad.engines.shared.drivers_disk import reachable
    from amad.engines.shared.ray_cluster import ray_session
    from amad.engines.shared.unit_engines import over_ray

    stage, profile = stage_of(home), ClusterProfile(cpus=workers, engine="ray")
    with ray_session(profile), reachable(profile, [stage.folder]) as reach:
        work = evaluate(stage, lambda work, units, *, vehicle_days=0: over_ray(work, units, reach))
        started = time.perf_counter()
        work()
        return time.perf_counter() - started


def measure_workers(vehicles: int, turns: int) -> dict:
    """``evaluate`` of so many short histories with one worker and with two, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        home, seconds = Path(folder), {1: [], 2: []}
        write_fleet(home, vehicles=vehicles, days=DAYS, hours=HOURS)
        for name in ("simulate", "ingest", "prepare"):
            run_apart(run_here, name, home)
        for turn in range(turns):
            for workers, own in seconds.items():
                own.append(run_apart(evaluate_over, home, workers))
                say(f"turn {turn + 1}, workers: {workers}, {own[-1]:.0f} s")
    ratios = [one / two for one, two in zip(*seconds.values(), strict=True)]
    return {
        "machine": machine_facts(), "vehicles": vehicles, "seconds": seconds,
        "times_as_fast": statistics.median(ratios),
        "times_as_fast_from_to": [min(ratios), max(ratios)],
    }  # fmt: skip


def joined(old: Sequence[dict], new: Sequence[dict]) -> list[dict]:
    """The fleets of both, by size; a stage that was measured anew replaces the old figures."""
    found = {(one["vehicles"], one["days"]): one for one in old}
    for one in new:
        before = found.get((one["vehicles"], one["days"]), {"stages": {}, "bytes_per_row": {}})
        found[one["vehicles"], one["days"]] = one | {
            "stages": before["stages"] | one["stages"],
            "bytes_per_row": before["bytes_per_row"]
            | {kind: size for kind, size in one["bytes_per_row"].items() if size},
        }
    return [found[size] for size in sorted(found)]


def growth(runs: Sequence[dict], per: str) -> dict[str, dict]:
    """Stage -> how its cost per row and its memory grow from the second fleet to the largest.

    The smallest fleet shows what a stage costs before its first row, and is left out where there
    are three.
    """
    found = {}
    for name in STAGES:
        measured = [run for run in runs if name in run["stages"]]
        if len(measured) < 2:
            continue
        first, last = measured[-2], measured[-1]
        old, new = first["stages"][name], last["stages"][name]
        cost = new["cpu_seconds"] / old["cpu_seconds"] / (last[per] / first[per])
        found[name] = {
            f"{per}_times": last[per] / first[per],
            f"cost_per_{per}_times": cost,
            "memory_times": new["memory_mb"] / max(old["memory_mb"], 1.0),
            "within_limit": cost <= 1 + LIMIT,
        }
    return found


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=positive, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--vehicles", type=positive, nargs="*", default=[1, 10, 100])
    parser.add_argument("--night", type=positive, nargs="*", default=[12, 48], help="vehicles")
    parser.add_argument(
        "--workers", type=positive, nargs="?", default=0, const=100, help="vehicles; default: 100"
    )
    parser.add_argument("--turns", type=positive, default=5, help="of each number of workers")
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--most", type=positive, default=1_000_000, help="rows that are fitted on")
    parser.add_argument(
        "--repeats", type=positive, default=1, help="of each stage; the best counts"
    )
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    hours = 1.15
    measured = {
        "rows": lambda rows: measure(
            options.stages, options.most, vehicles=FAMILY, hours=hours,
            days=max(2, round(rows / (FAMILY * hours * 3600))), repeats=options.repeats,
        ),
        "vehicles": lambda count: measure(
            options.stages, options.most, vehicles=count, days=DAYS, hours=HOURS,
            repeats=options.repeats,
        ),
    }  # fmt: skip
    fleets = {per: [one(size) for size in getattr(options, per)] for per, one in measured.items()}
    fleets["night"] = measure_night(options.night) if options.night else []
    result: dict = {"limit": LIMIT}
    if options.out and options.out.is_file():
        result |= json.loads(options.out.read_text(encoding="utf-8"))
    result["machine"] = machine_facts()
    for per, found in fleets.items():
        if found:
            together = joined(result.get(per, {"fleets": []})["fleets"], found)
            grown = growth(together, "rows" if per == "night" else per)
            result[per] = {"machine": machine_facts(), "fleets": together, "growth": grown}
    if options.workers:
        result["workers"] = measure_workers(options.workers, options.turns)
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
