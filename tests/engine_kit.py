"""A store that trains in a moment, for the tests that start real engines."""

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import yaml
from model_kit import toy_fleet, toy_params, toy_series
from shared_kit import made_once

from amad.config import ClusterProfile, Params, Settings, Stage
from amad.windows import Scaler, WindowStore, write_store

PROFILE = ClusterProfile(cpus=2, object_store_mb=100)
DATA = Path("data", "toy")  # in a home
PATIENCE_SECONDS = 300.0


def engine_store(folder: Path, rows: int = 1600) -> WindowStore:
    """Three vehicles of two classes, with rows to put faults into."""
    fleet = toy_fleet()
    series = [toy_series(v, rows, seed=i) for i, v in enumerate(["a-1", "a-2", "b-1"])]
    scaler = Scaler.fit(series, fleet, "vehicle")
    write_store(folder / "store", series, fleet, scaler, {"data_hash": "d0"})
    return WindowStore.open(folder / "store")


def engine_params(**changes: dict) -> Params:
    """``toy_params`` with a sweep of few short trials."""
    tune = {"trials": 4, "batch": 2, "epochs": 2, "cases": 4}
    return toy_params(**({"tune": tune} | changes))


def _empty_tracking_store(home: Path) -> None:
    from amad.engines.shared.tracking import connect

    connect(Settings(home=home, mlflow_uri=f"sqlite:///{home}/mlflow.db"))


def with_tracking_store(home: Path) -> Path:
    """A home with MLflow's empty store, a copy: to create one takes a second of a processor."""
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "mlflow.db").exists() and "AMAD_MLFLOW_URI" not in os.environ:
        shutil.copy(made_once("tracking", _empty_tracking_store) / "mlflow.db", home)
    return home


def toy_stage(
    home: Path, params: Params, profile: ClusterProfile = PROFILE, store: WindowStore | None = None
) -> Stage:
    """The toy fleet in ``home``, with ``profile`` as the cluster file and a copy of ``store``."""
    write_profile(with_tracking_store(home), profile)
    stage = Stage(fleet=toy_fleet(), settings=Settings(home=home), params=params)
    if store is not None:
        shutil.copytree(store.path, stage.folder / "store", dirs_exist_ok=True)
    return stage


def begin_dvc(home: Path) -> None:
    """As ``dvc init --no-scm``, which takes a second of a processor."""
    (home / ".dvc").mkdir()
    (home / ".dvc" / "config").write_text("[core]\n    no_scm = True\n", encoding="utf-8")


def write_profile(home: Path, profile: ClusterProfile) -> None:
    """Make ``profile`` the cluster file of a home."""
    file = home / "conf" / "cluster" / "local.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = profile.model_dump(mode="json", exclude_unset=True)
    file.write_text(yaml.safe_dump(content), encoding="utf-8")


def wait_until(what: Callable[[], bool], why: str, every: float = 0.05) -> None:
    """Poll; a test that waits longer fails with ``why``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s: {why}"
        time.sleep(every)


def is_there(folder: Path, pattern: str) -> bool:
    """Whether a path below a folder matches, while another process adds and removes files there."""
    with suppress(FileNotFoundError):  # a folder that was removed while it was searched
        return any(folder.rglob(pattern))
    return False


def weights(home: Path) -> bytes:
    """The weights of the bundle that was trained in a home."""
    return (home / DATA / "bundle" / "weights.safetensors").read_bytes()
