"""The tracking store: created once, reached by URI, runs resumed or begun anew."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from amad.config import ServiceError, Settings
from amad.engines import tracking
from amad.engines.tracking import connect, experiment_id, flatten, open_run
from amad.engines.tracking_store import tracking_uri


def test_the_store_and_its_artifacts_lie_in_the_home(home: Path):
    client = connect(Settings())
    with open_run(client, "demo", "train", {"why": "test"}) as run:
        client.log_text(run.info.run_id, "hello", "note.txt")
    assert (home / "mlflow.db").is_file()
    assert list((home / "mlartifacts" / "amad-demo").rglob("note.txt"))
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


def test_what_mlflow_exports_does_not_lead_the_next_home_astray(home: Path, tmp_path: Path):
    connect(Settings())
    assert tracking_uri(Settings(home=tmp_path / "other")).endswith("/other/mlflow.db")


def test_a_known_run_is_resumed_and_an_unknown_one_begun_anew(home: Path):
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


def test_child_runs_name_their_parent_and_a_failure_is_marked(home: Path):
    client = connect(Settings())
    with open_run(client, "demo", "sweep") as parent:
        with open_run(client, "demo", "trial", parent=parent.info.run_id) as child:
            pass
        with (
            pytest.raises(ZeroDivisionError),
            open_run(client, "demo", "trial", parent=parent.info.run_id) as failed,
        ):
            _ = 1 / 0
    tags = client.get_run(child.info.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.info.run_id
    assert client.get_run(failed.info.run_id).info.status == "FAILED"


def test_a_deleted_experiment_comes_back(home: Path):
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
    with pytest.raises(ServiceError, match="cannot be opened"):
        connect(Settings())


@pytest.mark.engine
def test_two_processes_may_meet_a_fresh_store(home: Path):
    program = (
        "from amad.engines.environment import quiet; quiet()\n"
        "from amad.config import Settings\n"
        "from amad.engines.tracking import connect, open_run\n"
        "client = connect(Settings())\n"
        "with open_run(client, 'demo', 'race'): pass\n"
    )
    root = Path(tracking.__file__).parents[2]
    both = [
        subprocess.Popen([sys.executable, "-c", program], cwd=root, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    client = connect(Settings())
    assert len(client.search_runs([experiment_id(client, "demo")])) == 2
