"""A store that trains in a moment, for the tests that start real engines."""

import time
from collections.abc import Callable
from pathlib import Path

from model_kit import toy_fleet, toy_params, toy_series

from amad.config import ClusterProfile, Params
from amad.windows import Scaler, WindowStore, write_store

PROFILE = ClusterProfile(cpus=2, object_store_mb=100)


def engine_store(folder: Path, rows: int = 1600) -> WindowStore:
    """Three vehicles of two classes, with rows to put faults into."""
    fleet = toy_fleet()
    series = [toy_series(v, rows, seed=i) for i, v in enumerate(["a-1", "a-2", "b-1"])]
    scaler = Scaler.fit(series, fleet, "vehicle")
    write_store(folder / "store", series, fleet, scaler, {"data_hash": "d0"})
    return WindowStore.open(folder / "store")


def engine_params(**changes: dict) -> Params:
    """``toy_params`` with a sweep of few short trials."""
    tune = {"trials": 4, "batch": 2, "epochs": 2, "max_windows": 32, "cases": 4}
    return toy_params(**({"tune": tune} | changes))


def wait_until(what: Callable[[], bool], why: str, seconds: float = 300) -> None:
    """Poll; a test that waits longer fails with ``why``."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s: {why}"
        time.sleep(0.05)
