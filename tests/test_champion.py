"""A scoring job starts MLflow only where the registry may have changed, and torch for a vote."""

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from scoring_kit import (
    AFTER,
    FLEET,
    kit_params,
    make_artifacts,
    read_json,
    refresh,
    run_job,
    scores,
)

from amad.config import Channel, ServiceError, Stage
from amad.detect.detector import Detector
from amad.engines.score import fleet_scoring
from amad.engines.score.champion import champion_of
from amad.engines.shared import tracking
from amad.engines.shared.model_registry import LostError
from pipelines import register

pytestmark = pytest.mark.slow
HEAVY = ("torch", "mlflow", "great_expectations", "ray", "sklearn", "matplotlib")
JOB = f"""
import sys
from pathlib import Path
from amad.config import Params, Settings, Stage, load_fleet
from amad.engines.score.score_stage import score
from amad.engines.score.scoring_plan import EVERYTHING_NEW
settings = Settings(home=Path(sys.argv[1]), data_dir=Path(sys.argv[1]) / "raw")
stage = Stage(fleet=load_fleet("{FLEET}", settings), settings=settings, params=Params())
receipt = score(stage, EVERYTHING_NEW)
print(len(receipt.dates), *(name for name in {HEAVY!r} if name in sys.modules))
"""


@pytest.fixture
def asked(place, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever MLflow is started."""
    found, connect = list[int](), tracking.connect
    monkeypatch.setattr(tracking, "connect", lambda given: found.append(1) or connect(given))
    return found


@pytest.fixture
def stage(place, asked: list[int]) -> Stage:
    """A stage whose registry was asked for its champion once."""
    fleet, settings = place
    found = Stage(fleet=fleet, settings=settings, params=kit_params())
    assert champion(found) == "1" and asked == [1]
    asked.clear()
    return found


def champion(stage: Stage) -> str:
    with champion_of(stage) as (found, folder):
        assert (folder / "detector.json").is_file()
        return found.version


def test_a_job_on_new_rows_imports_neither_torch_nor_mlflow_nor_great_expectations(stage):
    """The champion holds a network, which has no vote."""
    (stage.folder / "profile.parquet").unlink()
    (stage.folder / "validation.json").unlink()  # so that every vehicle-day is to be judged
    command = [sys.executable, "-c", JOB, str(stage.settings.home)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    dates, *heavy = result.stdout.split()
    assert int(dates) > 0 and heavy == []
    assert "judge 21 vehicle-days" in result.stderr


def test_a_champion_that_was_moved_is_found_by_the_next_job(stage, asked):
    params = make_artifacts(stage.fleet, stage.settings, alarm_budget=2.0)
    register.run(params, stage.settings)
    client, name = tracking.connect(stage.settings), f"amad-{FLEET}"
    for version in ("2", "1"):
        client.set_registered_model_alias(name, "champion", version)
        asked.clear()
        assert [champion(stage), champion(stage)] == [version] * 2 and asked == [1]
    assert set(read_json(stage.runs / "champion.json")["digests"]) == {"1", "2"}


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_a_database_that_somebody_is_writing_is_asked(stage, asked, suffix):
    beside = stage.settings.home / f"mlflow.db{suffix}"
    beside.write_bytes(b"")
    assert champion(stage) == "1" and asked == [1]


@pytest.mark.parametrize("lost", ["all", "the content", "no file"])
def test_artifacts_that_are_lost_or_damaged_are_told_as_by_mlflow(stage, asked, lost):
    folder = with_artifacts_of_its_own(stage)
    assert champion(stage) == "1"
    detector = folder / "data" / "detector"
    if lost == "all":
        shutil.rmtree(folder)
    elif lost == "the content":
        (detector / "detector.json").unlink()
    else:
        (detector / "state.safetensors").write_bytes(b"other")
    asked.clear()
    with pytest.raises(LostError, match=r"cannot be read .*amad register|has the digest"):
        champion(stage)
    assert asked == [1]


def with_artifacts_of_its_own(stage: Stage) -> Path:
    """A copy of the artifacts of version 1, which the registry then names."""
    folder = stage.settings.home / "artifacts"
    with sqlite3.connect(stage.settings.home / "mlflow.db") as database:
        [[uri]] = database.execute("SELECT storage_location FROM model_versions")
        shutil.copytree(uri.removeprefix("file://"), folder)
        database.execute("UPDATE model_versions SET storage_location = ?", (folder.as_uri(),))
    return folder


def test_another_store_is_asked(stage, asked):
    shutil.copyfile(stage.settings.home / "mlflow.db", stage.settings.home / "other.db")
    uri = f"sqlite:///{stage.settings.home}/other.db"
    elsewhere = stage.settings.model_copy(update={"mlflow_uri": uri})
    other = Stage(fleet=stage.fleet, settings=elsewhere, params=stage.params)
    assert champion(other) == "1" and asked == [1]


def test_a_champion_without_the_tag_of_its_detector_is_told(place):
    """As of a version that somebody registered in MLflow by hand."""
    fleet, settings = place
    name = f"amad-{FLEET}"
    tracking.connect(settings).delete_model_version_tag(name, "1", "detector_digest")
    with pytest.raises(ServiceError, match=r"version 1 has no tag detector_digest.*amad promote"):
        champion(Stage(fleet=fleet, settings=settings, params=kit_params()))


def test_a_champion_that_was_made_for_another_fleet_is_told(place, monkeypatch, capsys):
    """As of a version that somebody copied in MLflow to the model of a fleet of like vehicles."""
    fleet, settings = place
    real = fleet_scoring.load_detector

    def of_another_fleet(*arguments: object, **options: object) -> Detector:
        detector = real(*arguments, **options)
        detector.fleet = detector.fleet.model_copy(update={"name": "evenings"})
        return detector

    monkeypatch.setattr(fleet_scoring, "load_detector", of_another_fleet)
    run_job(fleet, settings, first=AFTER, last=AFTER)
    told = "the champion, version 1, was made for fleet evenings"
    assert told in capsys.readouterr().err


def test_a_champion_that_was_made_without_a_new_channel_goes_on_scoring(place, capsys):
    fleet, settings = place
    run_job(fleet, settings)
    before = scores(settings, AFTER)
    soc = Channel(name="soc", column="heat")
    newer = fleet.model_copy(update={"channels": [soc, *fleet.channels]})
    refresh(newer, settings)
    log = run_job(newer, settings)
    assert AFTER in log.dates and not log.failed and not log.refused
    assert scores(settings, AFTER).equals(before)
    told = capsys.readouterr().err
    assert "the champion, version 1, learnt nothing of soc and says nothing about it; once" in told
