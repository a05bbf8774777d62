"""The tracking store's database: whole or not at all, wherever the home lies."""

import hashlib
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from stop_kit import CONTEXT, SECONDS, create_store

from amad.config import ServiceError, Settings
from amad.engines.shared.tracking import connect, open_run
from amad.engines.shared.tracking_store import sqlite_file, sqlite_uri

OLDER = "bd07f7e963c5"  # a version of MLflow's tables of 2022


def use(home: Path) -> None:
    """A run is logged and found again, artifact included."""
    client = connect(Settings(home=home))
    with open_run(client, "demo", "a run") as run:
        client.log_text(run.info.run_id, "hello", "note.txt")
    assert client.download_artifacts(run.info.run_id, "note.txt")
    assert connect(Settings(home=home)).get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.engine
def test_a_creation_that_is_cut_short_leaves_nothing_in_the_way(tmp_path: Path):
    """Killed, interrupted or out of disk, at several moments, by real signals and limits."""
    cases = [("KILL", 1), ("KILL", 45), ("INT", 20), ("full", 300_000)]
    started = {}
    for how, number in cases:
        home = tmp_path / f"{how}-{number}"
        home.mkdir()
        started[home] = CONTEXT.Process(target=create_store, args=(home, how, number))
        started[home].start()
    for home, process in started.items():
        process.join(SECONDS)
        assert process.exitcode, home
        if home.name.startswith("KILL"):
            assert process.exitcode == -signal.SIGKILL
        if home.name.startswith("full"):
            told = (tmp_path / f"{home.name}.txt").read_text(encoding="utf-8")
            assert process.exitcode == 4 and "cannot be opened" in told
        assert not (home / "mlflow.db").exists()
    for home in started:
        connect(Settings(home=home))
        assert {file.name for file in home.iterdir()} <= {"mlflow.db", "mlflow.db.lock"}


@pytest.mark.slow
def test_a_half_made_store_without_content_is_made_anew(tmp_path: Path):
    """As ``mlflow ui`` leaves it when it is stopped, or older versions of amad."""
    file = tmp_path / "mlflow.db"
    engine = utils.create_sqlalchemy_engine(sqlite_uri(file))
    InitialBase.metadata.create_all(engine)
    engine.dispose()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE model_versions (made INTEGER)")  # its migration fails
    os.utime(file, (1, 1))  # nobody is at it any more
    use(tmp_path)


@pytest.mark.slow
def test_an_older_store_is_migrated_and_keeps_what_it_holds(tmp_path: Path):
    file = older_store(tmp_path)
    client = connect(Settings(home=tmp_path))
    assert client.get_experiment("7").name == "kept"
    assert file.stat().st_size > 0
    use(tmp_path)


def test_a_damaged_store_with_content_is_named_and_left_alone(tmp_path: Path):
    file = older_store(tmp_path)
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE datasets (not_mlflows INTEGER)")  # its migration fails
    os.utime(file, (1, 1))
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ServiceError, match="left as it is: bring a backup of it back") as told:
        connect(Settings(home=tmp_path))
    assert str(file) in str(told.value)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE experiments (title TEXT)")
        database.execute("CREATE TABLE recipes (title TEXT)")
    os.utime(file, (1, 1))
    before = file.read_bytes()
    with pytest.raises(ServiceError, match="left as it is"):
        connect(Settings(home=tmp_path))
    assert file.read_bytes() == before


def older_store(home: Path) -> Path:
    """A store as an older MLflow made it, with one experiment."""
    file = home / "mlflow.db"
    engine = utils.create_sqlalchemy_engine(sqlite_uri(file))
    InitialBase.metadata.create_all(engine)
    config = utils._get_alembic_config(str(engine.url))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, OLDER)
    engine.dispose()
    with sqlite3.connect(file) as database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'kept', 'file:///nowhere', 'active')"
        )
    os.utime(file, (1, 1))
    return file


ODD = ("a b", "50% off", "a#b", "größe", "it's", '"quoted"', "a&b;c", "a+b", "[x]", "a:b@c")


@pytest.mark.slow
def test_the_home_may_have_almost_any_name(tmp_path: Path):
    home = tmp_path / " ".join(ODD)
    home.mkdir()
    use(home)
    assert (home / "mlflow.db").stat().st_size > 0
    assert list((home / "mlartifacts").rglob("note.txt"))
    assert list(tmp_path.iterdir()) == [home]


@pytest.mark.parametrize("name", ["50%25", "what?x=1"])
def test_a_home_that_mlflow_cannot_use_is_refused(tmp_path: Path, name: str):
    file = tmp_path / name / "mlflow.db"
    assert sqlite_file(sqlite_uri(file)) == file
    with pytest.raises(ServiceError, match="rename that folder, or set AMAD_MLFLOW_URI"):
        connect(Settings(home=file.parent))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ODD)
def test_the_uri_of_a_file_leads_back_to_it(name: str):
    file = Path("/some") / name / "mlflow.db"
    assert sqlite_file(sqlite_uri(file)) == file
    assert str(file) in sqlite_uri(file)
