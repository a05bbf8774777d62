"""python -m bench.per_vehicle --fleet asd --seeds 3 --out bench/results/per_vehicle.json

Is one network for the fleet better than one for each vehicle?

Both are trained with the settings of params.yaml: the network of the fleet on the windows per epoch
that ``train.max_windows`` gives it, that of a vehicle on those of a fleet of one, or on all it has.
Each network is judged alone, through the evidence chain, calibrated for each vehicle. It is
measured with the linear skip, which is fitted for each vehicle in either case, and without a skip.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amad.config import Fleet, Params, Settings, load_params
from amad.config.console import say, track
from amad.engines.shared.environment import quiet
from amad.evaluation.method_result import lowest_for_unscored
from amad.evaluation.summary import rounded
from amad.evaluation.units import fitting_parts, units_of
from amad.metrics import paired_bootstrap, vus
from amad.model import read_bundle
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.store import WindowStore, write_store
from bench.options import parser_of, positive
from bench.present import origin
from bench.quality.fleets import Prepared, find_fleet, prepare_fleet
from bench.quality.jobs import network_job
from bench.quality.methods import build, settings_of

SKIPS = ("linear", "none")


def one_vehicle(store: WindowStore, vehicle: str, fleet: Fleet, folder: Path) -> WindowStore:
    """A store of this vehicle alone, with the scaler of the whole fleet."""
    path = folder / store.digest / vehicle.replace("/", "_")
    if not path.is_dir():
        meta = {"normalise": store.meta["normalise"]}
        write_store(path, [store.series(vehicle)], fleet, store.scaler, meta)
    return WindowStore.open(path)


def judged(
    prepared: Prepared, store: WindowStore, params: Params, home: Path
) -> tuple[dict[str, float], float]:
    """VUS-PR of each unit of ``store`` by a network trained on it, and the training's seconds."""
    fleet = prepared.fleet
    job = network_job(fleet, store, params, home)
    if not job.done():
        job.run()
    bundle = read_bundle(job.out / "bundle")
    alone = settings_of("amad_alone", "offline", params.seed, params)
    detector = build("amad_alone", alone, fleet, store, bundle)
    detector.fit(*fitting_parts(store))
    events = Lake(prepared.folder / "lake", fleet).events()
    found = {}
    for vehicle in store.vehicles:
        has_C = store.has_channel(vehicle)
        for unit in units_of(store.scaled(vehicle), fleet, events, has_C)[0]:
            score_T = lowest_for_unscored(detector.raw_score(unit.series).score_T)
            found[unit.name] = vus(unit.label_T, score_T, fleet.evaluation.buffer_rows)[0]
    return found, float(bundle.meta["train_seconds"])


def compare(prepared: Prepared, params: Params, seeds: int, home: Path) -> dict:
    """By skip: mean VUS-PR of both kinds, their paired difference over units, and the seconds."""
    store, figures = prepared.store, {}
    for skip in SKIPS:
        model = params.model.model_copy(update={"skip": skip})
        seconds, values = {"fleet": 0.0, "vehicle": 0.0}, {"fleet": [], "vehicle": []}
        for seed in track(range(params.seed, params.seed + seeds), f"seeds, skip {skip}"):
            own = params.model_copy(update={"model": model, "seed": seed})
            found, spent = judged(prepared, store, own, home)
            units = sorted(found)
            values["fleet"].append([found[unit] for unit in units])
            seconds["fleet"] += spent / seeds
            alone: dict[str, float] = {}
            for vehicle in store.vehicles:
                single = one_vehicle(store, vehicle, prepared.fleet, prepared.folder / "single")
                found, spent = judged(prepared, single, own, home)
                alone |= found
                seconds["vehicle"] += spent / seeds
            values["vehicle"].append([alone[unit] for unit in units])
        by_unit = {name: np.mean(rows, axis=0) for name, rows in values.items()}
        figures[skip] = {
            "fleet": float(by_unit["fleet"].mean()),
            "vehicle": float(by_unit["vehicle"].mean()),
            "difference": paired_bootstrap(by_unit["vehicle"], by_unit["fleet"]),
            "train_seconds": seconds,
        }
    return {"vehicles": len(store.vehicles), "units": len(units), "skip": figures}


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out``, and return the content."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--seeds", type=positive, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    options = parser.parse_args(arguments)
    quiet()
    settings = Settings()
    params = load_params(options.params or settings.params_file, options.fleet[0])
    fleets = {}
    for name in options.fleet:
        _, file = find_fleet(name, settings)
        home = options.home.absolute()
        prepared = prepare_fleet(file, params, home / "fleets", settings.data_dir, [])
        fleets[prepared.fleet.name] = compare(prepared, params, options.seeds, home)
        say(f"{prepared.fleet.name}: {fleets[prepared.fleet.name]['skip']}")
    content = rounded({**origin(), "seeds": options.seeds, "fleets": fleets})
    write_json(options.out, content)
    return content


if __name__ == "__main__":
    main()
