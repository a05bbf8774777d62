"""The stages of the pipeline on a simulated fleet, as calls that the benchmarks measure."""

from collections.abc import Callable
from pathlib import Path

import yaml

from amad.config import Settings, Stage, load_fleet, load_params
from amad.config.units import RunUnits, in_process

FLEET = "growth"


def write_fleet(home: Path, *, vehicles: int, days: int, hours: float) -> None:
    """A copy of the fleet file demo with other numbers."""
    content = yaml.safe_load((Settings().conf_dir / "fleet/demo.yaml").read_text(encoding="utf-8"))
    content["name"] = FLEET
    content["source"]["simulator"] |= {
        "vehicles": vehicles, "days": days, "hours_per_day": hours,
        "fault_free_days": max(1, days // 2),
    }  # fmt: skip
    content["quality"]["min_rows"] = 1
    text = yaml.safe_dump(content, sort_keys=False)
    (home / f"{FLEET}.yaml").write_text(text, encoding="utf-8")


def stage_of(home: Path) -> Stage:
    """The fleet, with its artifacts below ``home``."""
    params = load_params(Settings().params_file, FLEET)
    fleet = load_fleet(str(home / f"{FLEET}.yaml"))
    return Stage(fleet=fleet, settings=Settings(home=home, data_dir=home / "raw"), params=params)


def simulate(stage: Stage) -> Callable[[], int]:
    """Make the raw files; no stage of the pipeline."""
    from amad.ingest.raw_files import fingerprint

    return lambda: len(fingerprint(stage.fleet, stage.settings).files)


def ingest(stage: Stage) -> Callable[[], int]:
    """Raw files into the lake."""
    from amad.ingest.ingestion import ingest

    return lambda: ingest(stage.fleet, stage.settings).rows_lake


def profile(stage: Stage) -> Callable[[], int]:
    """The lake measured, as ``validate`` does it."""
    from amad.telemetry.lake import Lake
    from amad.telemetry.profile import profile

    return lambda: profile(Lake(stage.folder / "lake", stage.fleet), stage.fleet).num_rows


def prepare(stage: Stage) -> Callable[[], int]:
    """The lake into the window store."""
    from amad.telemetry.lake import Lake
    from amad.windows.build import build_store

    def work() -> int:
        lake = Lake(stage.folder / "lake", stage.fleet)
        return len(build_store(lake, stage.fleet, "vehicle", stage.folder / "store")["vehicles"])

    return work


def fit(stage: Stage) -> Callable[[], int]:
    """The detector of closed form, without a network."""
    from amad.detect.detector_folder import save_detector
    from amad.windows.store import WindowStore
    from bench.quality.methods import closed_form

    def work() -> int:
        store = WindowStore.open(stage.folder / "store")
        save_detector(closed_form(store, stage.fleet, stage.params), stage.folder / "detector")
        return len(store.vehicles)

    return work


def evaluate(stage: Stage, run: RunUnits = in_process) -> Callable[[], int]:
    """The whole stage but MLflow: vote, both forms of the detector, baselines, judgement, pictures.

    The network is not trained, which changes nothing of the time that it takes. run: what works on
    the vehicles.
    """
    from amad.baselines.untrained import untrained_network
    from amad.detect.detector import build_detector
    from amad.detect.detector_folder import save_detector
    from amad.detect.forms import fit_forms
    from amad.evaluation.harness import examine
    from amad.evaluation.plots import write_plots
    from amad.evaluation.units import fitting_parts
    from amad.evaluation.vote import decide_vote
    from amad.model.bundle import Bundle
    from amad.telemetry.lake import Lake
    from amad.windows.store import WindowStore

    store, fleet, params = WindowStore.open(stage.folder / "store"), stage.fleet, stage.params
    model = untrained_network(len(store.channels), params.model, params.seed)
    bundle = Bundle(model=model, params=params, fleet=fleet, scaler=store.scaler, meta={})
    events, folder = Lake(stage.folder / "lake", fleet).events(), stage.folder / "evaluation"

    def work() -> int:
        detect, _ = decide_vote(store, bundle, params)
        detector = build_detector(bundle, detect)
        other = fit_forms(detector, *fitting_parts(store), run)
        save_detector(detector, stage.folder / "judged_detector")
        changed = params.model_copy(update={"detect": detect})
        evaluation = examine(store, detector, fleet, changed, events, other, run)
        folder.mkdir(exist_ok=True)
        write_plots(evaluation, detector, store, fleet, events, folder)
        return evaluation.metrics.units

    return work
