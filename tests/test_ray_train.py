"""Training: one run by content, one curve, the same weights after a kill; Ray started and left."""

import json
import os
import pickletools
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_kit import (
    DATA,
    PROFILE,
    engine_params,
    engine_store,
    toy_stage,
    weights,
    with_tracking_store,
)
from ray import cloudpickle

from amad.config import ClusterProfile, DataError, ServiceError, Settings
from amad.engines.shared.identity import RunState, code_digest, work_digest
from amad.engines.shared.ray_cluster import local_cpus, ray_session
from amad.engines.shared.tracking import connect, experiment_id, open_run
from amad.engines.shared.training_curve import TrainingCurve, append_event, followed
from amad.engines.train.trainer import make_trainer
from amad.engines.train.training import train_fleet, training_digest
from amad.model import read_bundle
from amad.model.checkpoint import STATE, Checkpoint
from amad.windows import WindowStore

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
HERE = PROFILE.model_copy(update={"workers": 0})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return engine_store(tmp_path_factory.mktemp("fleet"))


def fit(store: WindowStore, home: Path, profile: ClusterProfile = HERE, **changes: dict) -> dict:
    result = train_fleet(toy_stage(home, engine_params(**changes), profile, store))
    return {"run_id": result.run_id, **result.content()}


def steps_of(home: Path, run_id: str, key: str) -> list[int]:
    client = connect(Settings(home=home))
    return [metric.step for metric in client.get_metric_history(run_id, key)]


def runs_in(home: Path) -> list:
    client = connect(Settings(home=home))
    return client.search_runs([experiment_id(client, "toy")])


@pytest.fixture(scope="module")
def once(store: WindowStore, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A home in which one training in this process was done, and its result."""
    home = tmp_path_factory.mktemp("once") / "home"
    return home, fit(store, home)


@pytest.fixture
def trained(once: tuple[Path, dict], tmp_path: Path) -> tuple[Path, dict]:
    """A copy of it, for a test to change."""
    home, result = once
    return shutil.copytree(home, tmp_path / "home"), result


def test_where_no_window_fits_the_network_stays_its_linear_skip(
    store: WindowStore, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    long = {"model": {"window": 1200}}
    found = fit(store, tmp_path, PROFILE, **long)
    assert "no window of 1200 rows fits" in capsys.readouterr().err
    assert found["epochs"] == [] and found["train_windows"] == 0 and found["parameters"] > 0
    model = read_bundle(tmp_path / DATA / "bundle").model
    assert model.linear is not None and model.linear.spread_VC.any(), "the skip was fitted"
    x_BLC = torch.randn(1, 1200, len(store.channels))
    hidden_BLC = torch.zeros_like(x_BLC, dtype=torch.bool)
    hidden_BLC[:, 50:55] = True
    with torch.inference_mode():
        recon_BLC = model(x_BLC, hidden_BLC).recon_BLC
        skip_BLC, _ = model.skip_of(x_BLC, hidden_BLC, torch.zeros(1, dtype=torch.long))
    assert torch.equal(recon_BLC[hidden_BLC], skip_BLC[hidden_BLC])
    with pytest.raises(DataError, match="no window of 1200 rows fits"):
        fit(store, tmp_path / "none", HERE, model={"window": 1200, "skip": "none"})


def test_a_training_in_this_process_leaves_bundle_run_and_curve(trained: tuple) -> None:
    home, result = trained
    bundle = read_bundle(home / DATA / "bundle")
    assert bundle.meta["digest"] == result["digest"] and bundle.meta["data_hash"] == "d0"
    assert steps_of(home, result["run_id"], "loss") == [1, 2, 3]
    (run,) = runs_in(home)
    assert run.info.run_id == result["run_id"] and run.info.status == "FINISHED"
    assert run.data.params["train.epochs"] == "3" and run.data.tags["data_hash"] == "d0"
    json.dumps(result)


def test_the_bundle_is_a_function_of_settings_and_data(
    store: WindowStore, trained: tuple, tmp_path: Path
) -> None:
    first, second = trained[0], tmp_path / "second"
    torch.set_num_threads(2)  # as on another machine
    fit(store, second)
    torch.set_num_threads(1)
    files = sorted(p.name for p in (first / DATA / "bundle").iterdir())
    for name in files:
        one, two = ((home / DATA / "bundle" / name).read_bytes() for home in (first, second))
        assert one == two, name
    fit(store, first, loss={"contrast": 0.3})
    assert weights(first) != weights(second)


def test_a_finished_run_is_taken_as_it_is_in_the_same_mlflow_run(
    store: WindowStore, trained: tuple
) -> None:
    home, first = trained
    before = weights(home)
    (run,) = runs_in(home)
    again = fit(store, home)
    assert again == first and weights(home) == before
    assert steps_of(home, first["run_id"], "loss") == [1, 2, 3]
    (after,) = runs_in(home)
    assert after.info.end_time > run.info.end_time, "the duration grows, and is no cost"
    seconds = run.data.metrics["training_seconds"]
    assert after.data.metrics["training_seconds"] == seconds > 0


def test_what_is_overridden_of_ray_is_still_there(
    store: WindowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray does not promise these names: a method under an old name would override nothing."""
    from ray.train.torch import TorchTrainer

    stage = toy_stage(tmp_path / "home", engine_params(), PROFILE, store)
    trainer = make_trainer(print, {}, stage, "a run", tmp_path / "events.jsonl")
    rays, ours = (
        {type(callback).__name__ for callback in kind._create_default_callbacks(trainer)}
        for kind in (TorchTrainer, type(trainer))
    )
    assert rays - ours == {"DatasetsCallback", "PlacementGroupCleanerCallback"}
    monkeypatch.setattr(TorchTrainer, "_initialize_and_run_controller", lambda _, **given: given)
    given = trainer._initialize_and_run_controller()
    for made in (trainer, given["scaling_policy"], given["failure_policy"]):
        own, base = vars(type(made)), type(made).__base__
        assert [name for name in own if not hasattr(base, name)] == [], base
    # Of amad, Ray's processes import what these name: not MLflow, which takes each of them seconds.
    sent = [trainer.run_config.callbacks, given["scaling_policy"], given["failure_policy"]]
    named = {
        word
        for operation, word, _ in pickletools.genops(cloudpickle.dumps(sent))
        if "UNICODE" in operation.name and word.startswith("amad.")
    }
    modules = {name for name in sys.modules if name.startswith("amad.")} & named
    assert "amad.engines.train.trainer" in modules
    code = f"import sys, {', '.join(modules)}; print('mlflow' in sys.modules)"
    told = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert told == "False\n", modules


def test_a_checkpoint_under_the_name_of_another_run_is_refused(
    store: WindowStore, trained: tuple
) -> None:
    home, digest = trained[0], trained[1]["digest"]
    checkpoint = home / "runs" / "toy" / "ray" / f"train-{digest}" / "checkpoint"
    replace(Checkpoint.read(checkpoint), digest="another").write(checkpoint)
    assert (checkpoint / STATE).is_file()
    with pytest.raises(DataError, match="another"):
        fit(store, home)
    assert runs_in(home)[0].info.status == "FAILED"


def test_a_flipped_bit_in_a_finished_run_is_told_with_the_way_out(
    store: WindowStore, trained: tuple
) -> None:
    """torch itself would load it, and the weights would differ in silence."""
    home, digest = trained[0], trained[1]["digest"]
    ray = home / "runs" / "toy" / "ray"
    state = ray / f"train-{digest}" / "checkpoint" / STATE
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    with pytest.raises(DataError, match=r"state\.pt: no readable checkpoint.*remove its folder"):
        fit(store, home)
    (ray / f"train-{digest}.json").write_text('{"run_id": "x')
    with pytest.raises(DataError, match=rf"train-{digest}\.json is damaged.*delete it"):
        fit(store, home)


def test_the_name_follows_what_changes_the_weights_and_not_the_machine(store: WindowStore) -> None:
    base = training_digest(engine_params(), store, HERE)
    assert base == training_digest(engine_params(), store, PROFILE)
    assert base == training_digest(engine_params(evaluate={"bootstrap": 99}), store, HERE)
    for changes in ({"train": {"epochs": 9}}, {"mask": {"ratio": 0.2}}, {"model": {"layers": 2}}):
        assert base != training_digest(engine_params(**changes), store, HERE)
    other = WindowStore(path=store.path, content=store.content | {"meta": {}}, scaler=store.scaler)
    assert base != training_digest(engine_params(), other, HERE)


def test_code_is_part_of_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "somecode"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "a.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_digest("somecode")
    assert before == code_digest("somecode") != code_digest("somecode.a")
    (package / "a.py").write_text("x = 2\n")
    assert code_digest("somecode") != before
    assert work_digest({"a": 1}, ("somecode",)) != work_digest({"a": 2}, ("somecode",))


def test_the_state_of_a_run_is_read_back(tmp_path: Path) -> None:
    one, other = RunState(tmp_path / "s.json"), RunState(tmp_path / "s.json")
    one.put("run_id", "r1")
    other.put("trials", [1])
    assert one.get("trials") == [1] and other.get("run_id") == "r1" and one.get("?") is None


def test_a_curve_has_neither_repeats_nor_gaps_after_a_crash(tmp_path: Path) -> None:
    client = connect(Settings(home=with_tracking_store(tmp_path)))
    epochs = [{"epoch": n, "loss": 1 / n, "note": "text"} for n in (1, 2, 3)]
    with open_run(client, "toy", "train") as run:
        TrainingCurve(client, run.info.run_id, "loss").log(epochs[1])  # the first was never logged
    again = TrainingCurve(client, run.info.run_id, "loss")
    for metrics in [*epochs, *epochs]:
        again.log(metrics)
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((m.step, m.value) for m in history) == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    assert set(client.get_run(run.info.run_id).data.metrics) == {"loss"}


def test_every_line_of_another_process_is_handled_once(tmp_path: Path) -> None:
    seen: list[dict] = []
    with followed(tmp_path / "events.jsonl", seen.append):
        for n in range(50):
            append_event(tmp_path / "events.jsonl", {"n": n})
    assert seen == [{"n": n} for n in range(50)]


def test_a_local_ray_counts_enough_cpus_for_its_profile() -> None:
    assert local_cpus(ClusterProfile(cpus=1, workers=3, cpus_per_worker=2)) == 6
    assert local_cpus(ClusterProfile(cpus=8, workers=2)) == 8


@pytest.mark.engine
def test_a_cluster_that_does_not_answer_is_one_sentence() -> None:
    profile = PROFILE.model_copy(update={"address": "127.0.0.1:1"})
    with pytest.raises(ServiceError, match="AMAD_CLUSTER=local"), ray_session(profile):
        pass


@pytest.mark.engine
def test_a_local_ray_litters_no_home_and_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "import os, psutil, ray\n"
        "from amad.config import ClusterProfile\n"
        "from amad.engines.shared.ray_cluster import ray_session\n"
        "with ray_session(ClusterProfile(cpus=1, workers=0, object_store_mb=100)):\n"
        "    assert ray.get(ray.remote(lambda: 1).remote()) == 1\n"
        "    children = psutil.Process().children(recursive=True)\n"
        "assert not ray.is_initialized()\n"
        "gone, alive = psutil.wait_procs(children, timeout=120)\n"
        "print(len(gone), len(alive), os.environ.get('RAY_AUTH_MODE'))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "RAY_AUTH_MODE"}
    environment |= {"HOME": str(tmp_path / "h"), "PYTHONPATH": str(ROOT)}
    (tmp_path / "h").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    gone, alive, mode = done.stdout.split()[-3:]
    assert int(gone) > 3 and alive == "0" and mode == "token"
    assert not (tmp_path / "h" / ".ray").exists()
