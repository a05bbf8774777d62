"""python -m bench.kinds --out bench/results/kinds.json

Does the detector hold on kinds of machine on which nothing was settled?

Fifteen fleets are simulated, with labelled faults in their test parts (``bench.kinds.fleets``):
wind turbines, photovoltaic inverters, pumps, heating, presses, web servers, six whose channels are
mixtures of hidden states, and three of these once more with channels of events. The detector in
closed form and simple methods are judged on them by the jobs of ``bench.quality``, so with --home
an interrupted run goes on where it stopped.

The JSON has the keys ``machine``, ``params_digest``, ``seeds``, ``alarm_budget``, ``fleets`` (per
fleet what it simulates, period_seconds, vehicles, channels, rows by part, faults and events) and
``errors``; below ``forms.<form>`` those of a form of ``bench.carry_over``, which
docs/reference/benchmark.md explains: ``fleets``, ``vus_pr``, ``false_alarms``, ``mean``,
``mean_without``, ``difference``, ``per_unit`` and ``not_judged``.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from amad.config import Params, Settings, load_params
from amad.config.console import say
from amad.engines.shared.environment import quiet
from amad.evaluation.harness import WITHOUT
from amad.evaluation.summary import rounded
from amad.telemetry.files import write_json
from bench.carry_over import compared, say_means
from bench.kinds.fleets import KINDS, Kind, write_fleet
from bench.options import parser_of, positive, run
from bench.present import origin
from bench.quality.fleets import prepare_fleets
from bench.quality.methods import FLOOR, FORMS
from bench.quality.plan import Plan

METHODS = (
    WITHOUT, "relation", "mahalanobis", "knn", "pca", "linear", "linear_kmeans", "ridge",
    "sensor_range", FLOOR,
)  # fmt: skip
PROTOCOL, SEEDS = "test", 1


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--vehicles", type=positive, help="of each fleet at most so many")
    parser.add_argument("--jobs", type=positive, default=1, help="processes (default 1)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--home", type=Path, help="keeps finished work; default: it is deleted")
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    return parser.parse_args(arguments)


def judged(kinds: Sequence[Kind], home: Path, params_file: Path, jobs: int) -> dict:
    """Write the fleets of these kinds into ``home``, judge every method on them, and compare.

    Raises:
        ConfigError: a wrong key in the settings.
        ServiceError: a worker was killed.
    """
    files = [str(write_fleet(kind, home / "raw", home / "conf")) for kind in kinds]
    params = load_params(params_file, files[0])
    settings = Settings(data_dir=home / "raw")
    prepared, errors = prepare_fleets(files, params, home / "fleets", settings, [PROTOCOL])
    run = argparse.Namespace(protocols=[PROTOCOL], forms=list(FORMS), seeds=SEEDS)
    plan = Plan(run, params, list(METHODS), home)
    for fleet in prepared.values():
        plan.add(fleet)
    plan.run(jobs)
    reports = {name: plan.report(fleet) for name, fleet in prepared.items()}
    return {
        **origin(),
        "params_digest": params.digest,
        "seeds": SEEDS,
        "alarm_budget": params.detect.alarm_budget,
        "fleets": {
            kind.name: _about(kind, reports[kind.name]) for kind in kinds if kind.name in reports
        },
        "errors": errors,
        "forms": {form: _form(form, reports, params) for form in FORMS},
    }


def _about(kind: Kind, report: dict) -> dict:
    return {
        "what": kind.what,
        "period_seconds": kind.period_seconds,
        "vehicles": len(report["vehicles"]),
        "channels": len(report["channels"]),
        "rows": report["rows"],
        "faults": list(dict.fromkeys(kind.faults)),
        "events": sum(len(kind.plan(number)) for number in range(kind.vehicles)),
    }


def _form(form: str, reports: dict[str, dict], params: Params) -> dict:
    found = {name: report["protocols"][PROTOCOL][form] for name, report in reports.items()}
    units = {name: figures for name, figures in found.items() if figures["units"]}
    return compared(units, [WITHOUT], METHODS, params)


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    quiet()
    options = options_of(arguments)
    kinds = [
        replace(kind, vehicles=min(kind.vehicles, options.vehicles or kind.vehicles))
        for kind in KINDS
    ]
    params_file = options.params or Settings().params_file
    with TemporaryDirectory() as folder:
        home = (options.home or Path(folder)).absolute()
        content = rounded(judged(kinds, home, params_file, options.jobs))
    write_json(options.out, content)
    for form, found in content["forms"].items():
        say_means(form, found)
    say(f"wrote {options.out}")
    return content


if __name__ == "__main__":
    run(main, lambda done: done["errors"])
