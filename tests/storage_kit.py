"""Machines with disks of their own that share a storage, and processes that are killed."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import yaml
from stop_kit import run_to_its_end

from amad.config import Params, Settings, Stage
from amad.storage import put_finished, step, steps
from amad.storage.objects import Objects

FLEET = "nights"
SPAWN = multiprocessing.get_context("spawn")
CONTENT = {
    "name": FLEET,
    "description": "A test fleet.",
    "period_seconds": 10,
    "source": {
        "format": "csv",
        "files": [{"glob": "**/*.csv"}],
        "vehicle": {"take": "column", "column": "vehicle"},
        "timestamp": {"take": "column", "column": "timestamp"},
    },
    "channels": [{"name": "speed"}],
    "vehicle_classes": [{"name": "all", "vehicles": ["*"]}],
}


def machine(home: Path, name: str, storage: str | None, **profile: object) -> Settings:
    """An empty disk: the project of ``home`` with a profile that names the storage.

    profile: other keys of it.
    """
    own = home.parent / name
    shutil.copytree(home / "conf", own / "conf")
    file = own / "conf" / "cluster" / "local.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = ({"storage": storage} if storage else {}) | profile
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return Settings(home=own, data_dir=home / "raw", mlflow_uri=f"sqlite:///{home}/mlflow.db")


def stage_of(settings: Settings) -> Stage:
    return Stage.of(Params.model_validate({"fleet": FLEET}), settings)


def small(folder: Path, name: str, address: str) -> Settings:
    """A machine of a fleet that has nothing yet."""
    file = folder / "home" / "conf" / "fleet" / f"{FLEET}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(CONTENT), encoding="utf-8")
    return machine(folder / "home", name, address)


def place_of(settings: Settings, name: str) -> Path:
    """Where ``data/lake/x`` or ``runs/jobs`` of the fleet is on a disk."""
    top, _, rest = name.partition("/")
    return (settings.fleet_dir(FLEET) if top == "data" else settings.runs_dir(FLEET)) / rest


def write(settings: Settings, name: str, text: str) -> None:
    file = place_of(settings, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def read(settings: Settings, name: str) -> str | None:
    file = place_of(settings, name)
    return file.read_text() if file.is_file() else None


def put(settings: Settings, work: str = "ingest", **texts: str) -> None:
    """A step that writes files; ``lake_x`` is data/lake/x."""
    with step(stage_of(settings), work):
        for name, text in texts.items():
            write(settings, f"data/{name.replace('_', '/')}", text)


def in_a_process(work: Callable, *arguments: object) -> int | None:
    """Do the work in a process of its own; its exit code, negative for a signal."""
    process = SPAWN.Process(target=_run, args=(work, dict(os.environ), arguments))
    return run_to_its_end(process)


def _run(work: Callable, environment: dict[str, str], arguments: tuple) -> None:
    os.environ.clear()
    os.environ |= environment
    work(*arguments)


def kill_this(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_in_a_step(settings: Settings) -> None:
    with step(stage_of(settings), "score"):
        kill_this()


def killed_in_a_long_step(settings: Settings) -> None:
    """Killed after a first part was put, and before the second is."""
    steps.PUT_SECONDS = 0.0
    with step(stage_of(settings), "ingest"):
        write(settings, "data/lake/a", "first")
        put_finished()
        write(settings, "data/lake/a", "second")
        kill_this()


def killed_while_putting(settings: Settings, at: int, texts: dict[str, str]) -> None:
    """Killed before the ``at``-th object of a step is put, those of the lease not counted."""
    passed = 0

    def before(work: Callable) -> Callable:
        def count(self: Objects, key: str, content: object) -> object:
            nonlocal passed
            passed += not key.startswith("leases")
            return kill_this() if passed == at else work(self, key, content)

        return count

    Objects.create, Objects.put = before(Objects.create), before(Objects.put)
    put(settings, **texts)
