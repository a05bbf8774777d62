"""python -m bench.quality --fleet conf/fleet/asd.yaml my/fleet.yaml --out runs/quality/quality.json

Judges any fleet file with every method under one rule. It writes JSON (docs/reference/benchmark.md
has its keys) and a Markdown page beside it. What is finished stays in --home, so an interrupted run
goes on where it stopped, and a second run has nothing to do.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path

from amad.config import Settings, load_params
from amad.config.console import say
from amad.engines.shared.environment import quiet
from amad.evaluation.summary import rounded
from amad.telemetry.files import staged
from bench.options import parser_of, positive, run
from bench.present import origin
from bench.quality.fleets import PROTOCOLS, prepare_fleets
from bench.quality.methods import FLOOR, FORMS, GROUPS, USUAL, chosen_methods, method_names
from bench.quality.plan import Plan
from bench.quality.tables import markdown


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. A list may follow its option, or the option may be repeated."""
    parser = parser_of(__doc__)
    several = {"nargs": "+", "action": "extend"}
    parser.add_argument(
        "--fleet", **several, metavar="FILE", required=True,
        help="fleet files, or names in conf/fleet",
    )  # fmt: skip
    parser.add_argument(
        "--methods", **several, metavar="NAME",
        help=f"default: {' '.join(USUAL)}. Groups: {', '.join(GROUPS)}. "
        f"Names: {', '.join(method_names())}",
    )  # fmt: skip
    parser.add_argument("--seeds", type=positive, default=3, help="of what is random (default 3)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file; .md goes beside it")
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> dict:
    """Judge, write ``--out`` and the page beside it, and return what was written.

    Raises:
        ConfigError: an unknown method, fleet or key; two fleets of one name.
        ServiceError: a worker was killed.
    """
    quiet()
    options = options_of(arguments)
    settings = Settings()
    params = load_params(options.params or settings.params_file, options.fleet[0])
    methods = chosen_methods([FLOOR, *(options.methods or USUAL)])
    home = options.home.absolute()
    prepared, errors = prepare_fleets(
        options.fleet, params, home / "fleets", settings, options.protocols
    )
    plan = Plan(options, params, methods, home)
    for fleet in prepared.values():
        plan.add(fleet)
    plan.run(options.jobs)
    fleets = {name: plan.report(fleet) for name, fleet in prepared.items()}
    fleets |= {name: {"error": error} for name, error in errors.items()}
    report = rounded({
        **origin(),
        "params": params.model_dump(mode="json"),
        "params_digest": params.digest,
        "seeds": options.seeds,
        "methods": methods,
        "fleets": fleets,
    })  # fmt: skip
    page = options.out.with_suffix(".md")
    # One space of indentation: the lists are deep, and two would make the file half as large again.
    written = json.dumps(report, indent=1, sort_keys=True) + "\n"
    for path, text in ((options.out, written), (page, markdown(report))):
        with staged(path) as stage:
            stage.write_text(text, encoding="utf-8")
    say(f"wrote {options.out} and {page}")
    return report


if __name__ == "__main__":
    run(main, lambda done: any("error" in fleet for fleet in done["fleets"].values()))
