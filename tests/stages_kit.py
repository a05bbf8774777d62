"""Sweeps and trainings of a toy fleet in a process of their own, as stages, for real signals.

The process is forked as those of ``stop_kit`` are: Ray, torch and MLflow take seconds to import.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from engine_kit import PROFILE, engine_params, toy_stage
from stop_kit import CONTEXT

TUNE = {"trials": 4, "batch": 2, "epochs": 2, "cases": 4}
TRAIN = {"epochs": 5000, "batch": 8, "stride": 2, "max_windows": 800}
ALONE = PROFILE.model_copy(update={"cpus": 1, "workers": 1, "max_concurrent_trials": 1})


def tune(home: Path, **changes: dict) -> None:
    """A sweep of the windows that are in ``home``; changes: of the other settings."""
    from amad.engines.tune.sweep import sweep_fleet

    sweep_fleet(toy_stage(home, engine_params(tune=TUNE, **changes), ALONE))


def train(home: Path, workers: int = 1) -> None:
    """A training that does not end by itself."""
    from amad.engines.train.training import train_fleet

    profile = ALONE.model_copy(update={"workers": workers})
    train_fleet(toy_stage(home, engine_params(train=TRAIN), profile))


def as_stage(work: Callable, home: Path, **arguments: object) -> None:
    """Run ``work(home, **arguments)`` as DVC and a person run a stage."""
    import pipelines

    def run(params: object, settings: object) -> None:
        work(home, **arguments)

    pipelines.load_params = lambda *_: None
    pipelines.stage_main(run, [])


class Forked:
    """``as_stage`` in a process group of its own; as much of ``Popen`` as the tests use."""

    def __init__(self, work: Callable, home: Path, **arguments: object) -> None:
        self._said = home / "said.txt"
        self._process = CONTEXT.Process(
            target=_run, args=(work, home, arguments, str(self._said), dict(os.environ))
        )
        self._process.start()
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def communicate(self, timeout: float) -> tuple[None, str]:
        """Wait for the end; (None, what it said on standard error)."""
        self._process.join(timeout)
        if self._process.is_alive():
            raise subprocess.TimeoutExpired("stage", timeout)
        return None, self._said.read_text(encoding="utf-8")


def _run(
    work: Callable, home: Path, arguments: dict, said: str, environment: dict[str, str]
) -> None:
    os.setsid()
    os.environ.clear()  # the process that this one is forked from may be older than the test
    os.environ |= environment | {"AMAD_HOME": str(home)}
    os.chdir(home)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.argv = ["stage"]
    as_stage(work, home, **arguments)
