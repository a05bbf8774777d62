"""Damage of every file of state, by kind: the next command mends it, or names it and the way out.

Never is it a traceback, and never does a command go on as if the file were sound.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scoring_kit import FLEET, digests, kit_params

from amad.config import AmadError, Settings, usable_error
from amad.detect.detector_folder import load_detector
from amad.engines.shared.identity import RunState
from amad.engines.tune.sweep_result import SweepResult
from amad.model.bundle import read_bundle, write_bundle
from amad.windows.store import WindowStore
from pipelines import evaluate, ingest, register, report, score, train, validate

pytestmark = pytest.mark.slow
PARAMS = kit_params(members=["innovation", "amad"])
DATA, RUNS = "data/nights/", "runs/nights/"


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


KINDS = (deleted, empty, half, folder)


def show(settings: Settings) -> None:
    report.run(PARAMS, settings)


def submit(settings: Settings) -> None:
    register.run(PARAMS, settings)


def night(settings: Settings) -> None:
    score.run(PARAMS, settings)


def check(settings: Settings) -> None:
    validate.run(PARAMS, settings)


def load(settings: Settings) -> None:
    ingest.run(PARAMS, settings)


def bundle(settings: Settings) -> None:
    read_bundle(settings.fleet_dir(FLEET) / "bundle")


def detector(settings: Settings) -> None:
    load_detector(settings.fleet_dir(FLEET) / "detector")


def store(settings: Settings) -> None:
    WindowStore.checked(settings.fleet_dir(FLEET) / "store")


def fit(settings: Settings) -> None:
    train.run(PARAMS, settings)


def judge(settings: Settings) -> None:
    evaluate.run(PARAMS, settings)


def known_run(settings: Settings) -> None:
    RunState(settings.runs_dir(FLEET) / "ray" / "train-1.json").get("run_id")


NIGHT = "*/date=2026-01-10/"
NOTHING, ALL, UNREAD = "", "deleted empty half folder", "deleted empty half"
# (file, the command that reads it next, the kinds of damage with which that does its work: it makes
# the file anew or may do without it; with all others it names the file).
STATE: list[tuple[str, Callable[[Settings], None], str]] = [
    (RUNS + "hashes.json", load, UNREAD),
    (DATA + "ingest.json", night, ALL),
    (DATA + "ingest.json", show, "deleted"),
    (RUNS + "validated.json", check, UNREAD),
    (DATA + "validation.json", night, "deleted"),
    (DATA + "profile.parquet", night, NOTHING),
    (DATA + "quarantine.parquet", night, NOTHING),
    (DATA + "store/store.json", store, NOTHING),
    (DATA + "store/vehicles/a-1.arrow", store, NOTHING),
    (RUNS + "ray/train-1.json", known_run, "deleted"),
    (DATA + "best.json", fit, NOTHING),
    (DATA + "bundle/bundle.json", bundle, NOTHING),
    (DATA + "bundle/weights.safetensors", bundle, NOTHING),
    (DATA + "train.json", judge, NOTHING),
    (DATA + "detector/detector.json", detector, NOTHING),
    (DATA + "detector/detector.json", submit, NOTHING),
    (DATA + "detector/state.safetensors", detector, NOTHING),
    (DATA + "detector/state.safetensors", submit, NOTHING),
    (DATA + "detector/checksums.json", detector, NOTHING),
    (DATA + "evaluation/metrics.json", submit, NOTHING),
    (DATA + "receipt.json", submit, UNREAD),
    (DATA + "receipt.json", night, ALL),
    (DATA + "scoring.json", night, UNREAD),
    (RUNS + "checksums.json", night, UNREAD),
    (RUNS + "champion.json", night, UNREAD),
    (RUNS + "jobs/*.json", night, ALL),
    (RUNS + "jobs/*.json", show, NOTHING),
    (RUNS + "figures/*.json", show, UNREAD),
    (RUNS + f"scores/{NIGHT}_manifest.json", night, ALL),
    (RUNS + f"scores/{NIGHT}part.parquet", night, ALL),
    (RUNS + f"scores/{NIGHT}part.parquet", show, NOTHING),
    (RUNS + f"incidents/{NIGHT}incidents.parquet", night, ALL),
    (RUNS + f"incidents/{NIGHT}incidents.parquet", show, NOTHING),
    (RUNS + f"incidents/{NIGHT}incidents.jsonl", night, ALL),
]
WAY_OUT = ("run ", "delete it", "train again", "take an intact copy", "move away")


@pytest.fixture(scope="module")
def home(champion_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every file of state is there, and nothing is left to do."""
    home = tmp_path_factory.mktemp("state") / "home"
    shutil.copytree(champion_home, home)
    settings = Settings(home=home, data_dir=home / "raw")
    path = settings.fleet_dir(FLEET)
    made = load_detector(path / "detector").bundle
    write_bundle(path / "bundle", made)
    SweepResult(settings={}, objective=0.5, trial=1, trials=1).write(path)
    RunState(settings.runs_dir(FLEET) / "ray" / "train-1.json").put("run_id", "1")
    for stage in (ingest, validate, score, report):
        stage.run(PARAMS, settings)
    return home


@pytest.mark.parametrize(
    ("file", "command", "mended"), STATE, ids=[f"{row[0]}-{row[1].__name__}" for row in STATE]
)
def test_a_damaged_file_of_state_is_mended_or_named(file, command, mended, home, tmp_path, capsys):
    settings = Settings(home=home, data_dir=home / "raw")
    whole = digests(settings)
    (path,) = home.glob(file)
    parts = ("data", "runs")
    for part in parts:
        shutil.copytree(home / part, tmp_path / part)
    for kind in KINDS:
        try:
            kind(path)
            capsys.readouterr()
            if kind.__name__ in mended.split():
                command(settings)
                assert digests(settings) == whole
                told = capsys.readouterr().err
                assert path.is_file() or kind is deleted or path.name in told, (kind, told)
            else:
                with pytest.raises((AmadError, OSError)) as failure:
                    command(settings)
                told = usable_error(failure.value)
                assert isinstance(told, AmadError), failure.value
                assert path.name in str(told) or str(path.parent) in str(told), told
                assert any(words in str(told) for words in WAY_OUT), told
        finally:
            for part in parts:
                shutil.rmtree(home / part)
                shutil.copytree(tmp_path / part, home / part)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_state_without_the_right_to_read_it_is_named(home):
    settings = Settings(home=home, data_dir=home / "raw")
    for file, command, _ in STATE:
        if file.startswith(RUNS):
            continue  # these are written by the same user who reads them
        (path,) = home.glob(file)
        path.chmod(0)
        try:
            command(settings)
        except Exception as error:
            told = usable_error(error)
            assert told is not None, (file, error)
            assert path.name in str(told) or str(path.parent) in str(told), told
        finally:
            path.chmod(0o644)


def test_no_file_of_state_is_left_out(home):
    """A new one must be put into the table, or be one of those that have tests of their own."""
    # lake: test_ingest_faults.py; state: test_vehicle_state.py; steps: test_step_log.py
    elsewhere = ("lake/", "rejected/", "docs/", "detector/bundle/", "state/", "steps/")
    results = ("report.html", "metrics.json", "precision_recall.csv", ".lock", ".svg", ".png")
    shown = ("evaluation/", "timings.json", "scores/", "incidents/", "store/vehicles/", "reports/")
    known = {path for file, *_ in STATE for path in home.glob(file)}
    for root in (home / "data" / FLEET, home / "runs" / FLEET):
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            if path.is_file() and path not in known:
                assert name.startswith((*elsewhere, *shown)) or name.endswith(results), name
