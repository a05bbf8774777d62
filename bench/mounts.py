"""python -m bench.mounts --out bench/results/mounts.json

What ``engine: ray`` loses on nodes that do not mount the driver's disk: ingest, profile, prepare
and score over two Ray nodes that see it, and over two that see it empty and ask the driver's node
for each file.

The nodes are processes of this machine, without a network between them, so the figures tell what
the asking costs and not what a network adds. Both kinds of cluster are started by turns, each anew;
in each, every stage runs once to warm its workers up, and is then timed by the clock. Scoring
starts the actor that answers anew each time, which a job does beside its workers; the other stages
share one. Hiding a folder from a process (``unshare``) takes a right that not every user has.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from amad.config import ClusterProfile, DataError, Stage
from amad.config.console import say
from bench.facts import machine_facts, write_result
from bench.growth import FAMILY
from bench.options import parser_of, positive, run
from bench.quality.tables import table
from bench.ray_nodes import may_hide, ray_nodes
from bench.stages import fit, ingest, prepare, simulate, stage_of, write_fleet

HOURS = 1.15  # that a vehicle reports per day


def stages_over(stage: Stage, profile: ClusterProfile, run) -> dict[str, Callable[[], object]]:
    """What is timed; each stage reads what the one before it has left."""
    from amad.engines.score.date_scoring import score_days
    from amad.engines.score.scoring_plan import ASKED, Plan
    from amad.ingest.ingestion import ingest
    from amad.telemetry.checksums import Checksums
    from amad.telemetry.lake import Lake
    from amad.telemetry.profile import profile as profile_of
    from amad.windows.build import build_store
    from bench.scoring import opened

    def lake() -> Lake:
        return Lake(stage.folder / "lake", stage.fleet)

    def score() -> None:
        snapshot, model = opened(stage)
        plan = Plan(days=dict.fromkeys(snapshot.dates(), ASKED))
        runs = Path(tempfile.mkdtemp(dir=stage.settings.home))
        done = list(score_days(snapshot, runs, model, plan, Checksums(runs), "ray", profile))
        assert not any(one.failed for one in done)

    return {
        "ingest": lambda: ingest(stage.fleet, stage.settings, rebuild=True, run=run),
        "profile": lambda: profile_of(lake(), stage.fleet, run=run),
        "prepare": lambda: build_store(
            lake(), stage.fleet, "vehicle", stage.folder / "store", run=run
        ),
        "score": score,
    }


def timed(stage: Stage, hidden: Path, repeats: int) -> list[dict[str, float]]:
    """Seconds of each stage over a cluster of its own, whose nodes see ``hidden`` empty."""
    from amad.engines.shared.drivers_disk import reachable
    from amad.engines.shared.ray_cluster import ray_session
    from amad.engines.shared.unit_engines import over_ray

    found = []
    with ray_nodes(hidden) as nodes:
        profile = ClusterProfile(address=nodes.address, engine="ray")
        with ray_session(profile), reachable(profile, [stage.folder]) as reach:

            def over_nodes(work, units, *, vehicle_days: int):
                return over_ray(work, units, reach)

            for _ in range(repeats + 1):
                seconds = {}
                for name, work in stages_over(stage, profile, over_nodes).items():
                    began = time.perf_counter()
                    work()
                    seconds[name] = time.perf_counter() - began
                found.append(seconds)
    return found[1:]  # the first is to warm up


def compared(
    mounted: Sequence[dict[str, float]], apart: Sequence[dict[str, float]], rows: int
) -> dict[str, dict]:
    """Rows per second of each stage with either kind of node, and how many times as long it takes.

    mounted, apart: seconds of the stages in each turn. The best of the turns counts; the range is
    that of the ratios of turns that followed each other.
    """
    found = {}
    for name in mounted[0]:
        ours, theirs = ([one[name] for one in kind] for kind in (mounted, apart))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        found[name] = {
            "rows_per_second_mounted": rows / min(ours),
            "rows_per_second_apart": rows / min(theirs),
            "times_as_long": min(theirs) / min(ours),
            "times_as_long_from_to": [min(ratios), max(ratios)],
        }
    return found


def lines_of(report: dict, facts: str) -> list[str]:
    """The section of the page of performance."""
    rows = [
        [
            name, f"{one['rows_per_second_mounted']:,.0f}", f"{one['rows_per_second_apart']:,.0f}",
            "{:.2f} ({:.2f} to {:.2f})".format(
                one["times_as_long"], *one["times_as_long_from_to"]
            ),
        ]
        for name, one in report["stages"].items()
    ]  # fmt: skip
    return [
        "## Nodes without the driver's disk",
        "",
        facts,
        "No part of `make bench`, because not every user may hide a folder from a process. "
        f"{report['rows']:,} rows of {report['channels']} channels in {report['vehicle_days']} "
        "vehicle-days, over two Ray nodes of one CPU that mount the driver's disk, and over two "
        "that do not and ask the driver's node for each file; by the clock. **No network lies "
        "between these nodes.** In brackets, the ratios of turns that followed each other.",
        "",
        *table(["stage", "mounted, rows/s", "not mounted, rows/s", "times as long"], rows),
        "",
    ]


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--days", type=positive, default=3, help=f"of each of {FAMILY} vehicles")
    parser.add_argument("--turns", type=positive, default=2, help="of either kind of cluster")
    parser.add_argument("--repeats", type=positive, default=4, help="timed in each cluster")
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home, elsewhere = Path(folder, "home"), Path(folder, "elsewhere")
        home.mkdir()
        elsewhere.mkdir()
        if not may_hide(elsewhere):
            raise DataError("this user may not hide a folder from a process (unshare)")
        write_fleet(home, vehicles=FAMILY, days=options.days, hours=HOURS)
        stage = stage_of(home)
        for step in (simulate, ingest, prepare, fit):
            step(stage)()
        kinds: dict[str, list[dict[str, float]]] = {"mounted": [], "apart": []}
        for turn in range(options.turns):
            for kind, hidden in (("mounted", elsewhere), ("apart", home)):
                kinds[kind] += timed(stage, hidden, options.repeats)
                say(f"turn {turn + 1}, {kind}: {kinds[kind][-1]}")
        from bench.scoring import opened

        days = opened(stage)[0].lake.days()
    rows = sum(rows for _, _, rows in days)
    result = {
        "machine": machine_facts(),
        "rows": rows,
        "channels": len(stage.fleet.channels),
        "vehicle_days": len(days),
        "stages": compared(kinds["mounted"], kinds["apart"], rows),
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    run(main, lambda found: not found)
