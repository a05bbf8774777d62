"""Workers on nodes that do not share the disk of the driver.

Trainings and sweeps fetch the window store from the storage, once a node. Work on vehicle-days and
on vehicles asks the driver for each file.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from engine_kit import engine_params, engine_store, toy_stage
from ingest_kit import tree
from scoring_kit import FLEET, kit_params
from storage_kit import machine, place_of
from sweep_kit import expected_outputs, outputs
from test_evaluation_engines import evaluated, fleet_and_params, store_of
from test_full_disk import content_of

from amad.config import ClusterProfile, ServiceError, Stage
from amad.engines.shared.store_on_nodes import StoreOnNodes
from amad.engines.shared.unit_engines import unit_engine
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep import sweep_fleet
from amad.scores.job_log import job_logs
from amad.storage import step
from amad.storage.objects import Objects
from amad.windows import WindowStore
from bench.ray_nodes import Nodes, may_hide, ray_nodes
from pipelines import ingest, prepare, score, validate

ADDRESS = "127.0.0.1:6379"  # of a cluster that nobody calls
PARAMS = {
    "train": {"epochs": 2, "batch": 8, "stride": 2, "max_windows": 200},
    "tune": {"trials": 2, "batch": 1, "epochs": 1, "cases": 4},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return engine_store(tmp_path_factory.mktemp("fleet"))


@pytest.fixture
def copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The node's folder for temporary files."""
    folder = tmp_path / "node"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def driver(folder: Path, store: WindowStore, **profile: object) -> Stage:
    """The driver's disk, with a storage beside it that has the store."""
    cluster = ClusterProfile(**({"address": ADDRESS, "storage": f"file://{folder}/all"} | profile))
    stage = toy_stage(folder / "driver", engine_params(**PARAMS), cluster, store)
    with step(stage, "prepare"):
        pass
    return stage


def shared(stage: Stage) -> StoreOnNodes:
    return StoreOnNodes.of(stage, WindowStore.open(stage.folder / "store"))


def test_a_node_with_the_drivers_disk_takes_the_store_where_it_lies(
    store: WindowStore, tmp_path: Path, copies: Path
) -> None:
    stage = driver(tmp_path, store)
    assert shared(stage).here() == (stage.folder / "store").absolute()
    assert not [*copies.iterdir()]


@pytest.mark.parametrize("instead", ["nothing", "another store"])
def test_a_node_without_it_fetches_the_store_once(
    store: WindowStore, tmp_path: Path, copies: Path, instead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = driver(tmp_path, store)
    known, expected = shared(stage), tree(store.path)
    shutil.rmtree(stage.folder / "store")
    if instead == "another store":
        other = engine_store(tmp_path / "other", rows=1500)
        shutil.copytree(other.path, stage.folder / "store")
    fetched = []
    download = Objects.download
    monkeypatch.setattr(
        Objects, "download", lambda self, *told: fetched.append(told) or download(self, *told)
    )
    with ThreadPoolExecutor(4) as pool:  # four workers of the node at once
        places = {*pool.map(lambda _: known.here(), range(4))}
    (place,) = places
    assert place.is_relative_to(copies) and tree(place) == expected
    assert len(fetched) == len(expected), "each file once"
    assert WindowStore.checked(place).digest == known.digest


def test_what_a_node_cannot_have_is_told(store: WindowStore, tmp_path: Path, copies: Path) -> None:
    stage = driver(tmp_path, store)
    known = shared(stage)
    shutil.rmtree(stage.folder)
    with pytest.raises(ServiceError, match=r"does not see the window store .*storage: in the prof"):
        replace(known, stored=None).here()
    objects = [*(tmp_path / "all" / "toy" / "data" / "store").rglob("*.arrow*")]
    assert objects
    objects[0].write_bytes(b"something else")
    with pytest.raises(ServiceError, match="is damaged"):
        known.here()
    objects[0].unlink()
    with pytest.raises(ServiceError, match="as it was when this job began"):
        known.here()
    assert not [*copies.rglob("store.json")], "no half copy"


def test_without_other_nodes_nothing_is_asked_of_the_storage(
    store: WindowStore, tmp_path: Path
) -> None:
    assert shared(driver(tmp_path, store, address=None)).stored is None
    assert shared(driver(tmp_path / "b", store, storage=None)).stored is None


@pytest.fixture(scope="module")
def hidden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of the driver."""
    return tmp_path_factory.mktemp("hidden")


@pytest.fixture(scope="module")
def apart(hidden: Path) -> Iterator[Nodes]:
    """A cluster whose workers do not see the driver's disk."""
    if not may_hide(hidden):
        pytest.skip("this user may not hide a folder from a process (unshare)")
    with ray_nodes(hidden) as nodes:
        yield nodes


@pytest.mark.cluster
def test_training_and_a_sweep_over_nodes_without_a_shared_disk(
    apart: Nodes, hidden: Path, store: WindowStore, tmp_path: Path
) -> None:
    more = {"workers": 2, "max_concurrent_trials": 2, "storage": f"file://{tmp_path}/all"}
    stage = driver(hidden, store, address=apart.address, **more)
    with step(stage, "tune"):
        sweep_fleet(stage)
    with step(stage, "train"):
        trained = train_fleet(stage)
    assert outputs(stage.folder) == expected_outputs(store, stage.params)
    copies = [*Path(os.environ["RAY_TMPDIR"]).glob("amad-*/*/*/store.json")]
    assert [WindowStore.open(copy.parent).digest for copy in copies] == [store.digest]
    # In this process: the same steps, sums in another order.
    alone = toy_stage(tmp_path / "alone", stage.params, ClusterProfile(workers=0), store)
    assert trained.epochs[-1]["loss"] == pytest.approx(
        train_fleet(alone).epochs[-1]["loss"], rel=1e-3
    )


@pytest.mark.cluster
def test_work_on_vehicle_days_over_nodes_without_a_shared_disk(
    apart: Nodes, hidden: Path, champion_home: Path
) -> None:
    """Another machine takes each step over nodes; its parts of the lake are in a storage."""
    home = shutil.copytree(champion_home, hidden / "home")
    alone = machine(home, "alone", None, engine="process")
    params, nodes = kit_params(), {"engine": "ray", "address": apart.address}
    for stage, made in (
        (ingest, ("data/lake",)),
        (validate, ("data/profile.parquet",)),
        (prepare, ("data/store",)),
        (score, ("runs/scores", "runs/incidents", "runs/state")),
    ):
        name = stage.__name__.rpartition(".")[2]
        other = machine(home, name, str(hidden / "storage"), **nodes)
        for settings in (alone, other):
            stage.run(params, settings)
        for artifact in made:
            here, there = place_of(alone, artifact), place_of(other, artifact)
            assert content(here) and content(there) == content(here), artifact
        assert not [*other.home.rglob(".stage-*")]
    assert [log.engine for log in job_logs(other.runs_dir(FLEET))[0]] == ["ray"]


@pytest.mark.cluster
def test_evaluate_over_nodes_without_a_shared_disk(apart: Nodes, hidden: Path) -> None:
    fleet, params = fleet_and_params("injected")
    profile = ClusterProfile(engine="ray", address=apart.address)
    stage = toy_stage(hidden / "evaluate", params, profile)
    store = store_of(stage.folder, fleet)
    with unit_engine(stage, scored_days=1) as over_nodes:
        assert evaluated(store, "injected", over_nodes) == evaluated(store, "injected")


def content(place: Path) -> dict[str, str] | bytes:
    return content_of(place) if place.is_dir() else place.read_bytes()
