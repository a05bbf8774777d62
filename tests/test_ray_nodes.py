"""A cluster of three nodes: training over nodes, and nodes lost in training, evaluate and scoring.

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
from engine_kit import (
    DATA,
    engine_params,
    engine_store,
    toy_stage,
    wait_until,
    weights,
    write_profile,
)
from ingest_kit import tree
from s3_kit import keys, s3_server
from sweep_kit import expected_outputs, outputs
from test_evaluation_engines import evaluated, fleet_and_params, store_of
from test_full_disk import content_of

from amad.config import ClusterProfile, DataError, Settings, Stage
from amad.config.units import in_process as in_this_process
from amad.engines.score.lake_snapshot import take_snapshot
from amad.engines.score.scoring_engines import Result, score_units
from amad.engines.shared.model_registry import champion_version, fetched
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.tracking import connect, experiment_id
from amad.engines.shared.unit_engines import unit_engine
from amad.engines.train import trainer
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep import sweep_fleet
from amad.ingest.ingestion import ingest
from amad.model.checkpoint import STATE
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile as profile_lake
from amad.windows import WindowStore
from amad.windows.build import build_store
from bench.ray_nodes import Nodes, ray_nodes

pytestmark = pytest.mark.cluster

BUCKET = "amad-checkpoints"
EPOCHS = 10
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


def events(home: Path) -> list[dict]:
    lines = [file.read_text().splitlines() for file in home.rglob("train-*.jsonl")]
    return [json.loads(line) for file in lines for line in file]


def failures(home: Path) -> list[int]:
    """The places of the failures among the events, of those that are followed by others."""
    lines = events(home)
    return [n for n, line in enumerate(lines[:-1]) if "failure" in line]


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


def test_a_killed_worker_and_then_a_lost_node_change_nothing(
    nodes: Nodes, whole: Path, store: WindowStore, tmp_path: Path
) -> None:
    """SIGKILL in the middle of two workers' run, then a node that is replaced by another one."""

    def disturb() -> None:
        for process in psutil.Process().children(recursive=True):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
                break
        wait_until(lambda: bool(failures(tmp_path)), "the training does not go on")
        nodes.kill_one()
        nodes.join()

    killer = disturbed(tmp_path, disturb)
    fit(nodes, store, tmp_path)
    killer.join()
    assert len(failures(tmp_path)) == 2 and failures(tmp_path)[0] > 0
    assert one_whole_curve(tmp_path) and weights(tmp_path) == weights(whole)


def test_a_training_goes_on_with_fewer_workers_and_grows_when_a_node_joins(
    nodes: Nodes, store: WindowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setattr(trainer, "GROW_SECONDS", 1.0)
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


def test_a_sweep_outlives_a_node_and_ends_with_the_same_bytes(
    nodes: Nodes, store: WindowStore, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """When the first of three trials is done; the second one runs, or its worker is idle."""
    params = engine_params(tune={"trials": 3, "batch": 2, "epochs": 1, "cases": 4})
    lost: list[bool] = []

    def lose_a_node() -> None:
        wait_until(
            lambda: any("trial-001/checkpoint" in key for key in keys(BUCKET, tmp_path.name)),
            "the first trial does not end",
            every=0.5,
        )
        nodes.kill_one()
        lost.append(not (tmp_path / DATA / "best.json").exists())
        nodes.join()

    killer = threading.Thread(target=lose_a_node, daemon=True)
    killer.start()
    checkpoints = f"s3://{BUCKET}/{tmp_path.name}"
    profile = ClusterProfile(address=nodes.address, checkpoints=checkpoints)
    sweep_fleet(toy_stage(tmp_path, params, profile, store))
    killer.join()
    assert lost == [True], "too late"
    assert outputs(tmp_path / DATA) == expected_outputs(store, params)
    assert "failed" not in capsys.readouterr().err


def test_evaluate_outlives_a_node_and_gives_the_same_bytes(nodes: Nodes, tmp_path: Path) -> None:
    fleet, params = fleet_and_params("column")
    profile = ClusterProfile(address=nodes.address, engine="ray")
    stage = toy_stage(tmp_path, params, profile)
    store = store_of(stage.folder, fleet)
    expected, lost = evaluated(store, "column"), []
    with unit_engine(stage, scored_days=1) as over_nodes:

        def losing_a_node(work, units):
            for found in over_nodes(work, units):
                if not lost:
                    nodes.kill_one()
                    lost.append(True)
                yield found

        assert evaluated(store, "column", losing_a_node) == expected
    nodes.join()
    assert lost


def scores(found: Result) -> tuple:
    """What a unit's scores are, the table as its bytes."""
    assert not isinstance(found, str), found
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.table.schema) as out:
        out.write_table(found.table.combine_chunks())
    return sink.getvalue().to_pybytes(), found.incidents, found.made_null, found.unmeasured


def test_scoring_outlives_a_node_and_gives_the_same_bytes(nodes: Nodes, place) -> None:
    fleet, settings = place
    profile = ClusterProfile(address=nodes.address, engine="ray")
    stage = Stage(fleet=fleet, settings=settings, params=engine_params())
    snapshot = take_snapshot(stage, None)
    units = sorted(snapshot.parts) * 6
    client, states = connect(settings), ("digest", settings.runs_dir(fleet.name))
    with fetched(client, champion_version(client, fleet.name)) as detector:
        work = (snapshot, detector, units, profile, states)
        here = [scores(found) for found in score_units("process", *work)]
        with ray_session(profile):
            results = score_units("ray", *work)
            there = [scores(next(results))]
            nodes.kill_one()
            there += [scores(found) for found in results]
    assert there == here


def test_ingest_profile_and_prepare_over_nodes_give_the_same_bytes(
    nodes: Nodes, place, tmp_path: Path
) -> None:
    fleet, settings = place
    write_profile(settings.home, ClusterProfile(address=nodes.address, engine="ray"))
    stage = Stage(fleet=fleet, settings=settings, params=engine_params())
    found = []
    with unit_engine(stage) as over_nodes:
        for name, run in (("here", in_this_process), ("there", over_nodes)):
            ingest(fleet, settings, rebuild=True, run=run)
            lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
            table = profile_lake(lake, fleet, run=run)
            build_store(lake, fleet, "vehicle", tmp_path / name, run=run)
            found.append((tree(lake.path), lake.day_table(), table, content_of(tmp_path / name)))
        assert found[0] == found[1] and len(found[0][0]) > 2
        vehicle, date, _ = lake.days()[-1]
        lake.part(vehicle, date).unlink()
        with pytest.raises(DataError, match=f"the rows of {vehicle} on {date}: it is missing"):
            profile_lake(lake, fleet, run=over_nodes)
