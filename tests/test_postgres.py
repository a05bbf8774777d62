"""MLflow on a real PostgreSQL: the same code, another URI."""

import signal
import time
from pathlib import Path

import psycopg
import pytest
from engine_kit import wait_until
from postgres_kit import Server
from stop_kit import CONTEXT, SECONDS, create_store

from amad.config import ServiceError, Settings
from amad.engines.register.registry_lock import registry_lock
from amad.engines.shared import tracking


@pytest.fixture
def server(database_server: Server) -> Server:
    return database_server


@pytest.fixture
def postgres(server: Server, request: pytest.FixtureRequest) -> str:
    """The URI of an empty database of the server."""
    return server.database(f"db_{abs(hash(request.node.name)):x}")


@pytest.mark.cluster
def test_runs_are_kept_in_postgres(home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    client = tracking.connect(Settings())
    with tracking.open_run(client, "demo", "a run") as run:
        client.log_metric(run.info.run_id, "loss", 0.5)
    again = tracking.connect(Settings())
    with tracking.open_run(again, "demo", "a run", run_id=run.info.run_id) as resumed:
        assert resumed.info.run_id == run.info.run_id
    assert again.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert not (home / "mlflow.db").exists()


def test_a_dead_server_is_told(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMAD_MLFLOW_URI", "postgresql://amad:secret@127.0.0.1:1/none")
    with pytest.raises(ServiceError, match="does not answer") as error:
        tracking.connect(Settings())
    assert "secret" not in str(error.value)


@pytest.mark.cluster
def test_a_creation_that_is_killed_is_repeated(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
):
    """Before anything is committed, between the two commits, and within the migrations."""
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    for number in (3, 9, 40):
        killed = CONTEXT.Process(target=create_store, args=(home, "KILL", number, postgres))
        killed.start()
        killed.join(SECONDS)
        assert killed.exitcode == -signal.SIGKILL
    client = tracking.connect(Settings())
    with tracking.open_run(client, "demo", "a run"):
        pass


@pytest.mark.cluster
def test_an_older_mlflows_tables_are_their_keepers_to_migrate(
    home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    tracking.connect(Settings())
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    with pytest.raises(ServiceError, match="out-of-date database schema"):
        tracking.connect(Settings())


@pytest.mark.cluster
def test_a_restart_in_mid_run_is_a_sentence_and_the_next_try_works(
    home: Path, server: Server, postgres: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    settings = Settings()
    client = tracking.connect(settings)
    with tracking.open_run(client, "demo", "a run") as run:
        client.log_metric(run.info.run_id, "loss", 1.0, step=0)
        server.stop()
        server.start()  # while nothing was asked of it: the work goes on
        client.log_metric(run.info.run_id, "loss", 0.5, step=1)
    began = time.monotonic()
    with (
        pytest.raises(ServiceError, match="failed during the work") as caught,
        tracking.open_run(client, "demo", "a run", run_id=run.info.run_id),
    ):
        server.stop()
        client.log_metric(run.info.run_id, "loss", 0.2, step=2)
    assert time.monotonic() - began < 60
    assert len(str(caught.value)) < 500
    with pytest.raises(ServiceError, match="does not answer"):
        tracking.connect(settings)
    server.start()
    client = tracking.connect(settings)
    with tracking.open_run(client, "demo", "a run", run_id=run.info.run_id):
        client.log_metric(run.info.run_id, "loss", 0.2, step=2)
    assert len(client.get_metric_history(run.info.run_id, "loss")) == 3


@pytest.mark.cluster
def test_another_machine_waits_for_the_registry(
    home: Path, tmp_path: Path, postgres: str, monkeypatch: pytest.MonkeyPatch
):
    """Two homes see no lock file of each other; the database's lock they share."""
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    here, there = Settings(), Settings(home=tmp_path / "there")
    with (
        registry_lock(here, "demo"),
        pytest.raises(ServiceError, match="lock timeout"),
        registry_lock(there, "demo", seconds=0.3),
    ):
        pass
    with registry_lock(there, "demo"), registry_lock(here, "smd"):
        pass
    held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory'"
    with psycopg.connect(postgres, autocommit=True) as connection:  # a session may end a bit later
        wait_until(lambda: not connection.execute(held).fetchall(), "a lock is held")
