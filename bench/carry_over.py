"""python -m bench.carry_over --out bench/results/carry_over.json

Does the detector hold on every fleet, or only on those on which its settings were chosen?

The detector as shipped and the simple baselines are judged on eight fleets that weigh the same. A
lead counts if it is there in the mean with each fleet left out in turn. Other settings of the
detector are candidates, judged beside it: ``--candidate wide detect.widths=[5,21,81]``. With
--injected there are also figures that need no labels: faults are injected into clean test rows. The
jobs are those of ``bench.quality``, so an interrupted run goes on where it stopped.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from amad.config import ConfigError, Params, Settings, load_params
from amad.config.console import say
from amad.engines.shared.environment import quiet
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.summary import rounded
from amad.telemetry.files import write_json
from bench.options import parser_of, positive, run
from bench.present import origin
from bench.quality.figures import over_fleets
from bench.quality.fleets import prepare_fleets
from bench.quality.methods import (
    DETECTOR,
    FLOOR,
    FORMS,
    changed,
    chosen_methods,
    method_names,
    simple_baselines,
)
from bench.quality.plan import Plan

FLEETS = ("smd", "asd", "js2", "smap", "msl", "kit_obd", "car_obd", "demo")
USUAL = (DETECTOR, "simple")
SECTIONS = ("model", "mask", "loss", "train", "detect")  # other sections change data or judge
CHANGE = re.compile(rf"((?:{'|'.join(SECTIONS)})\.\w+)=(.+)", re.S)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line. A list may follow its option, or the option may be repeated."""
    parser = parser_of(__doc__)
    several = {"nargs": "+", "action": "extend"}
    parser.add_argument(
        "--fleet", **several, metavar="FILE",
        help=f"fleet files, or names in conf/fleet; default: {' '.join(FLEETS)}",
    )  # fmt: skip
    parser.add_argument(
        "--methods", **several, metavar="NAME",
        help=f"beside the floor and {DETECTOR}; default: simple ({' '.join(simple_baselines())}). "
        f"Names: {', '.join(method_names())}",
    )  # fmt: skip
    parser.add_argument(
        "--candidate", nargs="+", action="append", default=[], metavar=("NAME", "KEY=VALUE"),
        help="other settings of the detector, such as: wide detect.widths=[5,21,81]",
    )  # fmt: skip
    parser.add_argument("--forms", **several, choices=list(FORMS), help="default: both")
    parser.add_argument("--injected", action="store_true", help="also figures without labels")
    parser.add_argument("--seeds", type=positive, default=3, help="of what is random (default 3)")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    options = parser.parse_args(arguments)
    options.fleet = options.fleet or list(FLEETS)
    options.forms = options.forms or list(FORMS)
    options.protocols = ["test", "injected"] if options.injected else ["test"]
    return options


def candidates_of(given: Sequence[Sequence[str]], params: Params) -> dict[str, Params]:
    """The shipped settings with the changed keys of each candidate, by its name.

    given: per candidate its name and then ``section.key=value``, with the value in YAML.

    Raises:
        ConfigError: a name that is taken, or a change that the settings do not accept.
    """
    candidates: dict[str, Params] = {}
    for name, *changes in given:
        if name in candidates or name in method_names() or not changes:
            raise ConfigError(
                f"--candidate {name}: it needs a name that no method has, and at least one "
                "key=value after it"
            )
        values: dict[str, object] = {}
        for change in changes:
            if (found := CHANGE.fullmatch(change)) is None:
                raise ConfigError(
                    f"--candidate {name}: {change!r} is not section.key=value; accepted sections: "
                    f"{', '.join(SECTIONS)}"
                )
            try:
                values[found[1]] = yaml.safe_load(found[2])
            except yaml.YAMLError:
                raise ConfigError(
                    f"--candidate {name}: {found[2]!r}, the value of {found[1]}, is no YAML"
                ) from None
        candidates[name] = changed(params, values, f"--candidate {name}")
    return candidates


def compared(
    fleets: Mapping[str, dict], ours: Sequence[str], methods: Sequence[str], params: Params
) -> dict:
    """The comparison of the methods under one protocol in one form.

    Only methods that were judged on every fleet have a mean, and differences.

    Args:
        fleets: of ``form_figures``, by name.
        ours: the detector and the candidates, each of which is compared with every other method.
        methods: in the order of the report.
        params: give the bootstrap.

    Returns: see docs/reference/benchmark.md.
    """
    own = {
        method: {name: f["methods"][method] for name, f in fleets.items() if method in f["methods"]}
        for method in methods
    }
    vus_pr = {m: {name: f["mean"][PRIMARY] for name, f in of.items()} for m, of in own.items()}
    everywhere = [m for m in methods if len(own[m]) == len(fleets)]
    units = {m: [f["per_unit"] for f in own[m].values()] for m in everywhere}
    return {
        "fleets": list(fleets),
        "vus_pr": vus_pr,
        "false_alarms": {
            m: {name: _false_alarms(f) for name, f in of.items()} for m, of in own.items()
        },
        "mean": {m: over_fleets(units[m], None, params) for m in everywhere},
        "mean_without": {m: _means_without(vus_pr[m]) for m in everywhere},
        "difference": {
            m: {
                other: over_fleets(units[m], units[other], params)
                for other in everywhere
                if other != m
            }
            for m in ours
            if m in everywhere
        },
        "per_unit": {
            m: {name: _vus_pr_of_units(f) for name, f in of.items()} for m, of in own.items()
        },
        "not_judged": {
            name: trouble
            for name, f in fleets.items()
            if (trouble := f["failed"] | f["left_out"] | f["unscorable"])
        },
    }


def _false_alarms(figures: Mapping) -> float:
    """False incidents per vehicle-day in the test part, of one method on one fleet."""
    return figures["operating_point"]["normal_test"]["incidents_per_vehicle_day"]


def _means_without(vus_pr: Mapping[str, float]) -> dict[str, float]:
    """By fleet, the mean of all others; empty where there are no others."""
    return {
        left: np.mean([value for name, value in vus_pr.items() if name != left])
        for left in vus_pr
        if len(vus_pr) > 1
    }


def _vus_pr_of_units(figures: Mapping) -> dict[str, float]:
    """By unit of one fleet, of one method."""
    return {unit: of_unit[PRIMARY] for unit, of_unit in figures["per_unit"].items()}


def without_labels(protocols: Mapping[str, dict]) -> dict:
    """The judgements by injected faults, by form; of a fleet without labels those of its test."""
    return protocols["injected"] if "injected" in protocols else protocols["test"]


def say_means(what: str, found: Mapping) -> None:
    """Tell the mean of each method, the best first. found: of ``compared``."""
    best = sorted(found["mean"].items(), key=lambda item: -item[1][0])
    told = ", ".join(f"{name} {mean[0]:.3f}" for name, mean in best)
    say(f"{what}, mean VUS-PR of {len(found['fleets'])} fleets: {told}")


def main(arguments: Sequence[str] | None = None) -> dict:
    """Judge, write ``--out``, and return its content.

    Raises:
        ConfigError: an unknown method, fleet or key.
        ServiceError: a worker was killed.
    """
    quiet()
    options = options_of(arguments)
    settings = Settings()
    params = load_params(options.params or settings.params_file, options.fleet[0])
    candidates = candidates_of(options.candidate, params)
    methods = chosen_methods([FLOOR, DETECTOR, *(options.methods or USUAL)])
    methods = [DETECTOR, *candidates, *(m for m in methods if m != DETECTOR)]
    home = options.home.absolute()
    prepared, errors = prepare_fleets(
        options.fleet, params, home / "fleets", settings, options.protocols
    )
    plan = Plan(options, params, methods, home, candidates)
    for fleet in prepared.values():
        plan.add(fleet)
    plan.run(options.jobs)
    reports = {name: plan.report(fleet) for name, fleet in prepared.items()}
    ours = [DETECTOR, *candidates]
    protocols = {name: report["protocols"] for name, report in reports.items()}
    judged = {"test": {name: of["test"] for name, of in protocols.items()}}
    if options.injected:
        judged["injected"] = {name: without_labels(of) for name, of in protocols.items()}
    content = rounded({
        **origin(),
        "params_digest": params.digest,
        "seeds": options.seeds,
        "methods": list(options.methods or USUAL),
        "candidates": {given[0]: given[1:] for given in options.candidate},
        "alarm_budget": {
            name: candidates.get(name, params).detect.alarm_budget for name in methods
        },
        "fleets": {
            name: {key: report[key] for key in ("description", "labels", "period_seconds", "rows")}
            | {"vehicles": len(report["vehicles"]), "digest": report["digest"]}
            for name, report in reports.items()
        },
        "errors": errors,
        "protocols": {
            protocol: {
                form: compared(
                    {name: of[form] for name, of in fleets.items() if of[form]["units"]},
                    ours, methods, params,
                )
                for form in options.forms
            }
            for protocol, fleets in judged.items()
        },
    })  # fmt: skip
    write_json(options.out, content)
    for protocol, forms in content["protocols"].items():
        for form, found in forms.items():
            say_means(f"{protocol}, {form}", found)
    say(f"wrote {options.out}")
    return content


if __name__ == "__main__":
    run(main, lambda done: done["errors"])
