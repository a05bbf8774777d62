"""The tracking store: created once, reached by URI, runs resumed or begun anew."""

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from engine_kit import with_tracking_store
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from sqlalchemy.exc import OperationalError
from stop_kit import twice_at_once

from amad.cli.doctor import diagnose
from amad.config import ServiceError, Settings
from amad.config.console import never_silent
from amad.engines.shared import tracking
from amad.engines.shared.tracking import connect, experiment_id, flatten, open_run
from amad.engines.shared.tracking_store import tracking_uri

pytestmark = pytest.mark.slow


@pytest.fixture
def made(home: Path) -> Path:
    """A home whose store is there already."""
    return with_tracking_store(home)


def test_the_store_and_its_artifacts_lie_in_the_home(home: Path):
    client = connect(Settings())
    with open_run(client, "demo", "train", {"why": "test"}) as run:
        client.log_text(run.info.run_id, "hello", "note.txt")
    assert (home / "mlflow.db").is_file()
    assert list((home / "mlartifacts" / "amad-demo").rglob("note.txt"))
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


def test_what_mlflow_exports_does_not_lead_the_next_home_astray(made: Path, tmp_path: Path):
    connect(Settings())
    assert tracking_uri(Settings(home=tmp_path / "other")).endswith("/other/mlflow.db")


def test_a_known_run_is_resumed_and_an_unknown_one_begun_anew(made: Path):
    client = connect(Settings())
    with open_run(client, "demo", "train") as first:
        client.log_metric(first.info.run_id, "loss", 1.0, step=0)
    with open_run(client, "demo", "train", run_id=first.info.run_id) as again:
        client.log_metric(again.info.run_id, "loss", 0.5, step=1)
    assert again.info.run_id == first.info.run_id
    assert len(client.get_metric_history(first.info.run_id, "loss")) == 2
    with open_run(client, "demo", "train", run_id="0" * 32) as other:
        assert other.info.run_id != "0" * 32
    client.delete_run(first.info.run_id)
    with open_run(client, "demo", "train", run_id=first.info.run_id) as new:
        assert new.info.run_id != first.info.run_id


def test_a_failure_is_marked(made: Path):
    client = connect(Settings())
    with pytest.raises(ZeroDivisionError), open_run(client, "demo", "train") as failed:
        _ = 1 / 0
    assert client.get_run(failed.info.run_id).info.status == "FAILED"


def test_a_deleted_experiment_comes_back(made: Path):
    client = connect(Settings())
    first = experiment_id(client, "demo")
    client.delete_experiment(first)
    assert experiment_id(client, "demo") == first
    assert client.get_experiment(first).lifecycle_stage == "active"


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
    }


def test_a_store_that_does_not_answer_is_a_sentence_without_its_password(home: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        # Bound and not listening: nobody else can take the port, and nobody answers on it.
        for scheme in ("postgresql", "http"):
            uri = f"{scheme}://me:secret@127.0.0.1:{port}/name"
            with pytest.raises(ServiceError, match="does not answer") as caught:
                connect(Settings(mlflow_uri=uri))
            assert "secret" not in str(caught.value)
    with pytest.raises(ServiceError, match="no known kind"):
        connect(Settings(mlflow_uri="./mlruns"))


def test_a_file_that_is_no_database_is_a_sentence(home: Path):
    (home / "mlflow.db").write_text("this is no database, whatever its name says" * 50)
    with pytest.raises(ServiceError, match=r"cannot be opened.*bring a backup of the file back"):
        connect(Settings())


def test_a_database_that_another_program_holds_is_told_as_held(made: Path, monkeypatch):
    opened = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened(*a, **(k | {"timeout": 0.01})))
    with closing(opened(made / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            ServiceError, match=r"is locked.*wait until the program that is writing"
        ):
            connect(Settings())


def test_a_long_reason_keeps_its_end_and_never_a_part_of_the_password():
    uri = "http://me:secret@host:5000"
    for before in range(400):
        error = Exception(
            f"{'x' * before} {uri}/api failed {'y' * 300} too many 500 error responses"
        )
        told = tracking.public_reason(error, uri)
        assert "sec" not in told and told.endswith("too many 500 error responses")
        assert len(told) < 360


def log_a_run(home: Path) -> None:
    client = connect(Settings())
    with open_run(client, "demo", "race"):
        pass


@pytest.mark.engine
def test_two_processes_may_meet_a_fresh_store(home: Path):
    ended = twice_at_once(log_a_run, home)
    assert [code for code, _ in ended] == [0, 0], ended
    client = connect(Settings())
    assert len(client.search_runs([experiment_id(client, "demo")])) == 2


@pytest.fixture
def failing_server() -> Iterator[str]:
    """The address of an HTTP server that hangs, or answers 500 or {}, whatever it is asked."""
    gone = threading.Event()

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self):
            if "slow" in self.path:
                gone.wait(60)
            content = b"{}" if "empty" in self.path else b""
            self.send_response(200 if content else 500)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        gone.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_is_no_mlflow_server_is_told(home: Path, failing_server: str):
    with pytest.raises(ServiceError, match="is no MLflow server: asked for its version, it says"):
        connect(Settings(mlflow_uri=f"{failing_server}/empty"))
    with pytest.raises(ServiceError, match="no MLflow"), tracking.told(f"{failing_server}/empty"):
        int("")
    with pytest.raises(ValueError, match="invalid"), tracking.told(f"{failing_server}/broken"):
        int("")


@pytest.mark.parametrize("path", ["/broken", "/slow"])
def test_a_server_that_hangs_or_fails_is_waited_for_a_bounded_time(
    home: Path, failing_server: str, path: str, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setitem(tracking.FIRST_PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    before = dict(os.environ)
    began = time.monotonic()
    with pytest.raises(ServiceError, match="cannot be opened") as caught, never_silent(0.3):
        connect(Settings(mlflow_uri=failing_server + path))
    assert time.monotonic() - began < 30
    slow = "slow" in path
    assert ("gave no answer within 1 s" in str(caught.value)) == slow, str(caught.value)
    if slow:
        assert f"after: ask MLflow's store {failing_server}" in capsys.readouterr().err
    assert len(str(caught.value)) < 500
    assert {n: v for n, v in os.environ.items() if n in tracking.FIRST_PATIENCE} == {
        n: before.get(n, tracking.PATIENCE[n]) for n in tracking.FIRST_PATIENCE
    }


def test_the_doctor_waits_once_for_a_server_that_gives_no_answer(home: Path, monkeypatch):
    monkeypatch.setitem(tracking.FIRST_PATIENCE, "MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = {c.name: c for c in diagnose(Settings(home=home, mlflow_uri=uri), "demo")}
        silent.setblocking(False)
        taken = 0
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                taken += 1
    assert "gave no answer within 1 s" in found["tracking store"].finding
    assert found["registry"].status == "fail" and "store first" in found["registry"].remedy
    assert taken == 2, "its port is tried, and one request is sent"


def test_a_slow_server_is_waited_for_as_long_as_the_environment_says(
    home: Path, failing_server: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match="no answer within 2 s; see MLFLOW_HTTP_REQUEST_TIMEOUT"):
        connect(Settings(mlflow_uri=f"{failing_server}/slow"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MlflowException("lost", error_code=TEMPORARILY_UNAVAILABLE), True),
        (OperationalError("SELECT 1", {}, Exception("server closed the connection")), True),
        (requests.ConnectionError("connection refused"), True),
        (MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST), False),
        (ZeroDivisionError(), False),
    ],
)
def test_only_what_the_store_did_is_told_as_its_fault(error: Exception, told: bool):
    wanted = ServiceError if told else type(error)
    with pytest.raises(wanted) as caught, tracking.told("postgresql://me:secret@host/name"):
        raise error
    assert not told or ("failed during the work" in str(caught.value))
    assert "secret" not in str(caught.value)


def test_the_experiment_opens_as_one_of_models(made: Path):
    """Of classic machine learning, where a version of MLflow's pages goes by the experiment."""
    client = connect(Settings())
    experiment = client.get_experiment(experiment_id(client, "demo"))
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    client.set_experiment_tag(experiment.experiment_id, "mlflow.experimentKind", "finetuning")
    experiment_id(client, "demo")
    again = client.get_experiment(experiment.experiment_id)
    assert again.tags["mlflow.experimentKind"] == "finetuning"  # whoever chose otherwise
