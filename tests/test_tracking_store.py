"""The tracking store's database: whole or not at all, wherever the home lies."""

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from amad.config import ServiceError, Settings
from amad.engines.shared import tracking
from amad.engines.shared.tracking import connect, open_run
from amad.engines.shared.tracking_store import sqlite_file, sqlite_uri

ROOT = Path(tracking.__file__).parents[2]
OLDER = "bd07f7e963c5"  # a version of MLflow's tables of 2022
STOPPED = """
import os, resource, signal, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from amad.config import AmadError, Settings
from amad.config.console import say
from amad.engines.shared.tracking import connect

how, number, made = sys.argv[1], int(sys.argv[2]), 0
if how == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))

@event.listens_for(Engine, "before_cursor_execute")
def stop(connection, cursor, statement, *rest):
    global made
    made += statement.lstrip().upper().startswith("CREATE TABLE")
    if how in ("KILL", "INT") and made == number:
        made += 1
        os.kill(os.getpid(), getattr(signal, f"SIG{how}"))

try:
    connect(Settings())
except AmadError as error:
    say(str(error))
    sys.exit(error.exit_code)
"""


def use(home: Path) -> None:
    """A run is logged and found again, artifact included."""
    client = connect(Settings(home=home))
    with open_run(client, "demo", "a run") as run:
        client.log_text(run.info.run_id, "hello", "note.txt")
    assert client.download_artifacts(run.info.run_id, "note.txt")
    assert connect(Settings(home=home)).get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.engine
def test_a_creation_that_is_cut_short_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Killed, interrupted or out of disk, at several moments, by real signals and limits."""
    cases = [("KILL", 1), ("KILL", 45), ("INT", 20), ("full", 300_000)]
    started = {}
    for how, number in cases:
        home = tmp_path / f"{how}-{number}"
        home.mkdir()
        started[home] = subprocess.Popen(
            [sys.executable, "-c", STOPPED, how, str(number)],
            cwd=ROOT,
            env=os.environ | {"AMAD_HOME": str(home)},
            stderr=subprocess.PIPE,
        )
    for home, process in started.items():
        _, errors = process.communicate(timeout=120)
        assert process.returncode != 0
        if home.name.startswith("KILL"):
            assert process.returncode == -signal.SIGKILL
        if home.name.startswith("full"):
            assert process.returncode == 4 and b"cannot be opened" in errors
        assert not (home / "mlflow.db").exists()
    for home in started:
        monkeypatch.setenv("AMAD_HOME", str(home))
        connect(Settings())
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
