"""What runs in a process of its own beside ``amad``: the artifacts, and a scoring from scratch."""

import shutil
from datetime import date
from pathlib import Path

from bench.nights.fleet import FLEET

FILES = {
    "scores": ("part.parquet", "_manifest.json"),
    "incidents": ("incidents.parquet", "incidents.jsonl"),
}


def make_artifacts(home: Path) -> int:
    """What the stages before ``register`` leave: store, detector of closed form, evaluation."""
    from amad.config import Settings, load_fleet, load_params
    from amad.detect.detector import Detector
    from amad.detect.detector_folder import detector_digest, save_detector
    from amad.detect.members.build import build_members
    from amad.engines.shared.datasets import data_hash
    from amad.evaluation.harness import examine
    from amad.evaluation.units import fitting_parts
    from amad.telemetry.files import write_json
    from amad.telemetry.lake import Lake
    from amad.windows.store import WindowStore
    from pipelines import prepare

    settings = Settings(home=home, data_dir=home / "raw")
    params, fleet = load_params(settings.params_file, FLEET), load_fleet(FLEET, settings)
    folder = settings.fleet_dir(FLEET)
    prepare.run(params, settings)
    store = WindowStore.open(folder / "store")
    detector = Detector(build_members(params.detect), params.detect, fleet, store.scaler)
    detector.fit(*fitting_parts(store))
    save_detector(detector, folder / "detector")
    events = Lake(folder / "lake", fleet).events()
    metrics = examine(store, detector, fleet, params, events).metrics
    named = {"detector_digest": detector_digest(detector), "data_hash": data_hash(store)}
    metrics.model_copy(update=named).write(folder)
    write_json(folder / "train.json", {"digest": None, "epochs": [{"loss": 0.5}]})
    return 0


def from_scratch(home: Path, fresh: Path, wanted: list[tuple[str, str]]) -> int:
    """Score dates in a fresh home, each with the version whose partition of it counts.

    home: whose raw files, contract and models are taken. wanted: version and date.
    """
    from amad.config import Settings, Stage, load_fleet, load_params
    from amad.engines.register.promotion import promote
    from amad.engines.score.fleet_scoring import score_fleet
    from amad.engines.score.scoring_plan import ScoringRequest
    from pipelines import ingest, validate

    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(home / "conf", fresh / "conf")
    shutil.copytree(home / "raw", fresh / "raw")
    for name in ("params.yaml", "mlflow.db"):
        shutil.copy(home / name, fresh / name)
    settings = Settings(home=fresh, data_dir=fresh / "raw")
    params = load_params(settings.params_file, FLEET)
    ingest.run(params, settings)
    validate.run(params, settings)
    stage = Stage(fleet=load_fleet(FLEET, settings), settings=settings, params=params)
    # What went on over midnight is read from the day before, so the days come in order.
    scoring = ""
    for version, day in sorted(wanted, key=lambda item: item[1]):
        if version != scoring:
            promote(settings, FLEET, version, force=True, reason="from scratch")
            scoring = version
        dates = (date.fromisoformat(day), date.fromisoformat(day))
        score_fleet(stage, ScoringRequest(dates=dates))
    return 0
