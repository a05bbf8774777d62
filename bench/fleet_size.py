"""python -m bench.fleet_size --vehicles 12 48 96 --seeds 3 --out bench/results/fleet_size.json

What is the network worth in a larger fleet?

This runs the simulated fleet of ``--fleet`` with several numbers of vehicles. Each number gets two
trainings: with as many windows per epoch as the smallest fleet has by params.yaml (``same``), and
with as many per vehicle (``scaled``). ``bench.quality`` does the rest; its page of
each run stays in ``--home``.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from amad.config import ConfigError, Settings, load_params
from amad.config.console import say
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.summary import rounded
from amad.telemetry.files import write_json
from bench.options import parser_of, positive
from bench.present import origin
from bench.quality.__main__ import main as judge
from bench.quality.figures import RELATION
from bench.quality.fleets import PROTOCOLS, find_fleet

METHODS = ("ridge", "amad_with_network", "amad_without_network", "amad_alone")
FORM = "offline"


def resized(file: Path, vehicles: int, home: Path) -> Path:
    """Write a copy of the fleet file with so many vehicles into ``home``, and return its path.

    Raises:
        ConfigError: the fleet is not simulated.
    """
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if "simulator" not in content["source"]:
        raise ConfigError(f"--fleet: {file} is not simulated; its vehicles are as many as they are")
    content["name"] += f"-{vehicles}"
    content["description"] = f"{file.stem} with {vehicles} vehicles"
    content["source"]["simulator"]["vehicles"] = vehicles
    out = home / f"{content['name']}.yaml"
    home.mkdir(parents=True, exist_ok=True)
    out.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return out


def trainings(vehicles: Sequence[int], windows: int) -> Iterator[tuple[int, str, int]]:
    """Vehicles, name of the training and windows per epoch of each run, smallest fleet first."""
    least = min(vehicles)
    for count in sorted(set(vehicles)):
        yield count, "same", windows
        if count > least:
            yield count, "scaled", windows * count // least


def figures(report: dict) -> dict:
    """By protocol: each method's mean, the network's share, and its share of relation faults.

    A protocol in which no vehicle can be scored is left out; the page of the run says why.
    """
    (fleet,) = report["fleets"].values()
    if "error" in fleet:
        raise ConfigError(fleet["error"])
    found = {}
    for protocol, forms in fleet["protocols"].items():
        methods, share = forms[FORM]["methods"], forms[FORM]["share_of_amad"]
        if share is None:
            continue
        found[protocol] = {
            "share": share[PRIMARY],
            "relation": share.get(RELATION),
            "spread": methods["amad_with_network"]["spread"].get(PRIMARY),
            "mean": {name: method["mean"][PRIMARY] for name, method in methods.items()},
        }
    return found


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out`` after each run, and return the content."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", default="demo", metavar="FILE", help="simulated; default: demo")
    parser.add_argument("--vehicles", nargs="+", type=positive, default=[12, 48, 96])
    parser.add_argument("--seeds", type=positive, default=3)
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    options = parser.parse_args(arguments)
    settings = Settings()
    _, file = find_fleet(options.fleet, settings)
    params_file = options.params or settings.params_file
    home, runs = options.home.absolute(), []
    training_params = load_params(params_file, options.fleet).train
    for vehicles, training, windows in trainings(
        options.vehicles, training_params.windows_per_epoch(min(options.vehicles))
    ):
        say(f"{vehicles} vehicles, {windows:,} windows per epoch")
        report = judge([
            "--fleet", str(resized(file, vehicles, home / "sizes")),
            "--methods", *METHODS, "--forms", FORM, "--protocols", *options.protocols,
            "--seeds", str(options.seeds), "--max-windows", str(windows),
            "--jobs", str(options.jobs),
            "--params", str(params_file), "--home", str(home),
            "--out", str(home / "sizes" / f"{vehicles}-{training}.json"),
        ])  # fmt: skip
        runs.append({
            "vehicles": vehicles, "training": training, "max_windows": windows,
            "protocols": figures(report),
        })  # fmt: skip
        content = rounded({**origin(), "seeds": options.seeds, "fleet": file.stem, "runs": runs})
        write_json(options.out, content)
    return content


if __name__ == "__main__":
    main()
