"""A cluster of three nodes: training over nodes, and nodes lost in training and scoring.

The nodes are separate processes on this machine and share its files, as on a shared file system.
Checkpoints go to an object store.
"""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from engine_kit import DATA, engine_params, engine_store, toy_stage, wait_until
from nodes_kit import Nodes, ray_nodes
from s3_kit import keys, s3_server

from amad.config import ClusterProfile, Settings, Stage
from amad.engines.score.lake_snapshot import take_snapshot
from amad.engines.score.scoring_engines import Result, in_process, over_ray
from amad.engines.shared.model_registry import champion_version, fetched
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.tracking import connect, experiment_id
from amad.engines.train import training
from amad.engines.train.training import train_fleet
from amad.model.checkpoint import STATE
from amad.windows import WindowStore

pytestmark = pytest.mark.engine

BUCKET = "amad-checkpoints"
EPOCHS = 8
TRAIN = {"epochs": EPOCHS, "batch": 8, "stride": 2, "max_windows": 400}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with s3_server(BUCKET), ray_nodes() as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return engine_store(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def whole(nodes: Nodes, store: WindowStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a training that nothing disturbed."""
    home = tmp_path_factory.mktemp("whole")
    fit(nodes, store, home)
    return home


def fit(
    nodes: Nodes, store: WindowStore, home: Path, epochs: int = EPOCHS, **elastic: int
) -> list[dict]:
    """Train with two workers on the cluster; the epochs' metrics."""
    profile = ClusterProfile(
        address=nodes.address, workers=2, checkpoints=f"s3://{BUCKET}/{home.name}", **elastic
    )
    stage = toy_stage(home, engine_params(train=TRAIN | {"epochs": epochs}), profile, store)
    return train_fleet(stage).epochs


def disturbed(home: Path, disturb: Callable[[], None]) -> threading.Thread:
    """A thread that calls ``disturb`` in the middle of the training in ``home``."""

    def run() -> None:
        def told() -> int:
            files = home.rglob("train-*.jsonl")
            return sum(len(file.read_text().splitlines()) for file in files)

        wait_until(lambda: told() >= 2, "the training does not begin")
        disturb()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def weights(home: Path) -> bytes:
    return (home / DATA / "bundle" / "weights.safetensors").read_bytes()


def events(home: Path) -> list[dict]:
    lines = [file.read_text().splitlines() for file in home.rglob("train-*.jsonl")]
    return [json.loads(line) for file in lines for line in file]


def failed_in_the_middle(home: Path) -> bool:
    failures = [n for n, line in enumerate(events(home)) if "failure" in line]
    return bool(failures) and 0 < failures[0] < len(events(home)) - 1


def one_whole_curve(home: Path, epochs: int = EPOCHS) -> bool:
    client = connect(Settings(home=home))
    (run,) = client.search_runs([experiment_id(client, "toy")])
    history = client.get_metric_history(run.info.run_id, "loss")
    return [metric.step for metric in history] == list(range(1, epochs + 1))


def test_training_over_nodes_keeps_its_checkpoints_in_the_object_store(
    whole: Path, store: WindowStore, tmp_path: Path
) -> None:
    assert any(key.endswith(STATE) for key in keys(BUCKET, whole.name))
    assert not [*whole.rglob(STATE)] and one_whole_curve(whole)
    # In this process: the same steps, sums in another order.
    profile = ClusterProfile(workers=0)
    alone = train_fleet(toy_stage(tmp_path, engine_params(train=TRAIN), profile, store))
    theirs = [line for line in events(whole) if "loss" in line]
    assert alone.epochs[-1]["loss"] == pytest.approx(theirs[-1]["loss"], rel=1e-3)


def test_a_killed_worker_changes_nothing(
    nodes: Nodes, whole: Path, store: WindowStore, tmp_path: Path
) -> None:
    """SIGKILL in the middle of two workers' run: same weights, one run, one complete curve."""

    def kill_one() -> None:
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                return

    killer = disturbed(tmp_path, kill_one)
    fit(nodes, store, tmp_path)
    killer.join()
    assert failed_in_the_middle(tmp_path) and one_whole_curve(tmp_path)
    assert weights(tmp_path) == weights(whole)


def test_a_node_lost_in_mid_epoch_and_another_that_joins_change_nothing(
    nodes: Nodes, whole: Path, store: WindowStore, tmp_path: Path
) -> None:
    def replace() -> None:
        nodes.kill_one()
        nodes.join()

    killer = disturbed(tmp_path, replace)
    fit(nodes, store, tmp_path)
    killer.join()
    assert failed_in_the_middle(tmp_path) and one_whole_curve(tmp_path)
    assert weights(tmp_path) == weights(whole)


def test_a_training_goes_on_with_fewer_workers_and_grows_when_a_node_joins(
    nodes: Nodes, store: WindowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(training, "GROW_SECONDS", 1.0)
    # Ray plans with a node that is gone for a moment, and waits for it 60 s by default.
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "8")
    grown: list[bool] = []

    def lose_and_join() -> None:
        nodes.kill_one()
        before = len(events(tmp_path))
        wait_until(lambda: len(events(tmp_path)) >= before + 2, "one worker does not go on")
        assert "failure" in json.dumps(events(tmp_path))
        nodes.join()

        def both_busy() -> bool:
            free = ray.available_resources().get("CPU", 0)
            return (ray.cluster_resources().get("CPU"), free) == (2, 0)

        wait_until(both_busy, "the training does not take the second node")
        grown.append(True)

    helper = disturbed(tmp_path, lose_and_join)
    fit(nodes, store, tmp_path, epochs=28, min_workers=1)
    helper.join()
    assert grown and one_whole_curve(tmp_path, 28)


def content(found: Result) -> tuple:
    """What a unit's scores are, the table as its bytes."""
    assert not isinstance(found, str), found
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.table.schema) as out:
        out.write_table(found.table.combine_chunks())
    return sink.getvalue().to_pybytes(), found.incidents, found.made_null, found.unmeasured


def test_scoring_outlives_a_node_and_gives_the_same_bytes(nodes: Nodes, place) -> None:
    fleet, settings = place
    profile = ClusterProfile(address=nodes.address, scoring_engine="ray")
    stage = Stage(fleet=fleet, settings=settings, params=engine_params())
    snapshot = take_snapshot(stage, None)
    units = sorted(snapshot.parts) * 6
    client = connect(settings)
    with fetched(client, champion_version(client, fleet.name)) as detector:
        here = [content(found) for found in in_process(snapshot, detector, units, profile)]
        with ray_session(profile):
            results = over_ray(snapshot, detector, units, profile)
            there = [content(next(results))]
            nodes.kill_one()
            there += [content(found) for found in results]
    assert there == here
