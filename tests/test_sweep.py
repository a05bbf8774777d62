"""The sweep: reproducible, restorable, lets go of every CPU, and leaves what is read later."""

import csv
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from engine_kit import DATA, PROFILE, engine_params, engine_store, is_there, toy_stage, wait_until
from stages_kit import TUNE, Forked, tune
from sweep_kit import expected_outputs, outputs

from amad.config import (
    ClusterProfile,
    ConfigError,
    Params,
    ServiceError,
    Settings,
    load_cluster,
)
from amad.engines.shared.identity import RunState
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.tracking import connect, experiment_id
from amad.engines.train.training import training_digest
from amad.engines.tune import sweep
from amad.engines.tune.sweep import distributions, sweep_digest, sweep_fleet
from amad.engines.tune.sweep_log import SweepLog
from amad.engines.tune.sweep_outputs import best_trial, write_outputs
from amad.engines.tune.sweep_result import (
    PLACES,
    SweepResult,
    Trial,
    described,
    differences,
    overlay,
    present_settings,
    with_settings,
)
from amad.engines.tune.trial import NUMBER
from amad.windows import WindowStore

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    """One Ray for all sweeps that run in this process."""
    with ray_session(PROFILE):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return engine_store(tmp_path_factory.mktemp("fleet"))


def search(
    store: WindowStore, home: Path, params: Params, concurrent: int = 2, max_failures: int = 0
) -> SweepResult:
    """A sweep into ``home``; by default, a failed trial is not tried again."""
    changes = {"max_concurrent_trials": concurrent, "max_failures": max_failures}
    return sweep_fleet(toy_stage(home, params, PROFILE.model_copy(update=changes), store))


def trials(home: Path) -> list[dict]:
    with (home / DATA / "sweep" / "trials.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def trial(number: int, objective: float | None, state: str = "complete", **settings) -> Trial:
    known = {
        "mask_family": "time", "mask_ratio": 0.3, "contrast": 0.1, "temperature": 0.1,
        "maxmin": 0.01,
    }  # fmt: skip
    return Trial(trial=number, objective=objective, epochs=2, state=state, **(known | settings))


def test_every_key_of_the_space_has_a_place_in_the_settings() -> None:
    params = Params()
    assert set(PLACES) == set(type(params.tune.space).model_fields)
    content = params.model_dump()
    for section, key in PLACES.values():
        assert key in content[section]
    assert set(distributions(params)) == set(PLACES)


def test_settings_of_a_trial_go_over_those_of_the_file() -> None:
    found = with_settings(Params(), overlay({"mask_family": "mixed", "contrast": 0.2}))
    assert found.mask.family == "mixed" and found.loss.contrast == 0.2
    told = "mask.family time -> mixed, loss.contrast 0 -> 0.2"
    assert differences(Params(), found) == told and not differences(found, found)
    assert found.model_copy(update={"mask": Params().mask, "loss": Params().loss}) == Params()


def test_the_present_settings_are_tried_only_where_the_space_holds_them() -> None:
    found = present_settings(Params())
    assert found is not None and with_settings(Params(), overlay(found)) == Params()
    outside = with_settings(Params(), {"mask": {"ratio": 0.95}})
    assert present_settings(outside) is None
    narrow = {"space": {"mask_family": ["channel"]}}
    assert present_settings(with_settings(Params(), {"tune": narrow})) is None


def test_the_best_had_all_its_epochs_and_a_lead_that_may_be_chance_is_none() -> None:
    found = [
        trial(1, 0.5), trial(2, 0.7), trial(3, 0.9, "stopped"), trial(4, 0.7029),
        trial(5, None, "failed"),
    ]  # fmt: skip
    assert best_trial(found).trial == 2
    assert best_trial([*found, trial(6, 0.7031)]).trial == 4
    assert best_trial([*found, trial(6, 0.71)]).trial == 6
    with pytest.raises(ServiceError, match="again"):
        best_trial(found[2:3])


def test_outputs_are_a_function_of_the_trials_without_times_and_paths(tmp_path: Path) -> None:
    found = [
        trial(1, 0.512345, mask_ratio=0.2),
        trial(2, 0.6, "stopped", mask_family="channel"),
        trial(3, None, "failed", mask_family="mixed"),
    ]
    for home in ("one", "two"):
        result = write_outputs(found, Params().tune.space, tmp_path / home / DATA)
        assert SweepResult.read(tmp_path / home / DATA) == result
    assert outputs(tmp_path / "one" / DATA) == outputs(tmp_path / "two" / DATA)
    best = json.loads((tmp_path / "one" / DATA / "best.json").read_text())
    assert best["trial"] == 1 and best["trials"] == 3 and best["settings"]["mask"]["ratio"] == 0.2
    table = trials(tmp_path / "one")
    assert [r["state"] for r in table] == ["complete", "stopped", "failed"]
    assert table[0]["objective"] == "0.512345" and table[2]["objective"] == ""
    assert (tmp_path / "one" / DATA / "sweep" / "sweep.png").read_bytes()[:4] == b"\x89PNG"


def test_a_trial_is_described_in_one_line() -> None:
    assert described(trial(3, 0.5, mask_ratio=0.123456).settings) == (
        "mask_family=time mask_ratio=0.123 contrast=0.1 temperature=0.1 maxmin=0.01"
    )


def test_the_name_follows_settings_and_data(store: WindowStore) -> None:
    base = sweep_digest(engine_params(), store, PROFILE)
    assert base == sweep_digest(engine_params(gate={"bootstrap": 99}), store, PROFILE)
    assert base != sweep_digest(engine_params(tune={"trials": 5, "batch": 2}), store, PROFILE)
    assert base != sweep_digest(engine_params().model_copy(update={"seed": 8}), store, PROFILE)


@pytest.mark.parametrize("digest", [sweep_digest, training_digest])
def test_a_profile_begins_anew_only_where_it_asks_for_another_precision(
    store: WindowStore, digest: Callable
) -> None:
    """A profile that comes with the project takes what was made on any other of them."""
    shipped = [path.stem for path in (ROOT / "conf" / "cluster").glob("*.yaml")]
    profiles = [load_cluster(Settings(home=ROOT, cluster=name)) for name in shipped]
    profiles.append(ClusterProfile(compile="kernels"))
    names = {digest(engine_params(), store, profile) for profile in profiles}
    assert names == {digest(engine_params(), store, ClusterProfile())} and len(shipped) > 3
    asked = ClusterProfile(precision="bfloat16")
    assert digest(engine_params(), store, asked) not in names


@pytest.mark.engine
@pytest.mark.usefixtures("local_ray")
def test_a_sweep_is_reproducible_stops_early_and_lets_go(
    store: WindowStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With two trials at once the bytes are those of one after the other, without Ray; every CPU
    comes back; MLflow has a parent and a child a trial."""
    import ray

    tune = {"trials": 4, "batch": 2, "epochs": 2, "cases": 12}
    params = engine_params(tune=tune, train={"max_windows": 200})
    search(store, tmp_path, params)
    wait_until(
        lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"],
        "the sweep still holds CPUs",
    )
    told = capsys.readouterr().err
    assert all(told.count(f"trial {n}/4, epoch 1: objective=") == 1 for n in range(1, 5))
    found = outputs(tmp_path / DATA)
    assert found == expected_outputs(store, params)
    table = trials(tmp_path)
    states = {r["state"] for r in table}
    assert states == {"complete", "stopped"}, "ASHA has stopped somebody"
    assert all(r["epochs"] == "1" for r in table if r["state"] == "stopped")

    client = connect(Settings(home=tmp_path))
    runs = client.search_runs([experiment_id(client, "toy")])
    parents = [r for r in runs if "mlflow.parentRunId" not in r.data.tags]
    children = [r for r in runs if "mlflow.parentRunId" in r.data.tags]
    assert len(parents) == 1 and len(children) == 4
    assert {r.data.tags["mlflow.parentRunId"] for r in children} == {parents[0].info.run_id}
    assert {r.info.status for r in runs} == {"FINISHED"}
    by_name = {r.info.run_name: r for r in children}
    for known in table:
        run = by_name[f"trial-{int(known['trial']):03d}"]
        history = client.get_metric_history(run.info.run_id, "objective")
        assert [m.step for m in history] == list(range(1, int(known["epochs"]) + 1))
        assert history[-1].value == float(known["objective"])
        assert run.data.params["mask_family"] == known["mask_family"]
    best = json.loads((tmp_path / DATA / "best.json").read_text())
    assert parents[0].data.metrics["best_objective"] == best["objective"]
    assert {a.path for a in client.list_artifacts(parents[0].info.run_id, "sweep")} >= {
        "sweep/sweep.png",
        "sweep/best.json",
    }
    # Finished: taken as it is, without Ray.
    monkeypatch.delattr(sweep, "ray_session")
    search(store, tmp_path, params)
    assert outputs(tmp_path / DATA) == found


@pytest.mark.engine
@pytest.mark.usefixtures("local_ray")
def test_a_killed_sweep_goes_on_where_it_stopped(store: WindowStore, tmp_path: Path) -> None:
    """SIGKILL of the driver: finished trials are not run again, the result is the same."""
    longer = {"max_windows": 800}
    params = engine_params(tune=TUNE, train=longer)
    home = toy_stage(tmp_path / "killed", params, store=store).settings.home
    driver = Forked(tune, home, train=longer)
    ray_folder = home / "runs" / "toy" / "ray"

    def finished() -> list[str]:
        client = connect(Settings(home=home))
        ids = [experiment_id(client, "toy")]
        runs = client.search_runs(ids, "attributes.status = 'FINISHED'")
        return sorted(r.info.run_name for r in runs)

    try:
        wait_until(lambda: is_there(ray_folder, "trial-003/checkpoint_*"), "no third trial began")
    finally:
        os.killpg(driver.pid, signal.SIGKILL)  # at once: the rest of the sweep takes a second
        driver.communicate(60)
    assert {"trial-001", "trial-002"} <= set(finished())
    (state,) = ray_folder.glob("sweep-*.json")
    assert RunState(state).get("trials") is None, "killed before the end"

    def checkpoints(name: str) -> set[tuple[str, int]]:
        files = ray_folder.rglob(f"{name}/checkpoint_*/*")
        return {(str(file), file.stat().st_mtime_ns) for file in files}

    # Of the batch before the kill: Tune's own state is written a moment after a trial has ended, so
    # one that ends in that moment runs again.
    known = ("trial-001", "trial-002")
    before = {name: checkpoints(name) for name in known}
    search(store, home, params, 1)
    for name in known:
        assert before[name] and checkpoints(name) == before[name], f"{name} ran again"
    assert outputs(home / DATA) == expected_outputs(store, params)
    client = connect(Settings(home=home))
    runs = client.search_runs([experiment_id(client, "toy")])
    assert len(runs) == 1 + TUNE["trials"], "no run was begun twice"
    assert {r.info.status for r in runs} == {"FINISHED"}


class LosesWorkers(SweepLog):
    """SIGKILL to the worker of a trial when it is done; the next one is to use the same worker."""

    def on_trial_complete(self, iteration: int, trials: list, trial, **info) -> None:
        super().on_trial_complete(iteration, trials, trial, **info)
        os.kill(trial.last_result["pid"], signal.SIGKILL)


@pytest.mark.engine
@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_fails_or_whose_worker_dies_before_its_first_report_goes_on(
    store: WindowStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second and third of four trials get a worker that is dead, and the third fails by itself.

    Without restarts the sweep says so; the next run restarts once, and ends as if undisturbed.
    """

    def run_trial(config: dict, **more: object) -> None:
        if config[NUMBER] == 2:
            raise RuntimeError("no such thing")
        sound(config, **more)

    sound = sweep.run_trial
    params = engine_params(tune={"trials": 4, "batch": 1, "epochs": 1, "cases": 4})
    monkeypatch.setattr(sweep, "SweepLog", LosesWorkers)
    monkeypatch.setattr(sweep, "run_trial", run_trial)
    with pytest.raises(ServiceError, match=r"lost the worker of trial-002 .*again"):
        search(store, tmp_path, params, 1)
    search(store, tmp_path, params, 1, max_failures=1)
    told = capsys.readouterr().err
    assert "the worker of trial-003 was lost; going on" in told
    assert "trial 3/4 failed" in told and told.count("failed") == told.count("trial 3/4 failed")
    states = [row["state"] for row in trials(tmp_path)]
    assert states == ["complete", "complete", "failed", "complete"]
    monkeypatch.setattr(sweep, "run_trial", sound)
    search(store, tmp_path, params, 1)
    assert outputs(tmp_path / DATA) == expected_outputs(store, params)


@pytest.mark.engine
@pytest.mark.usefixtures("local_ray")
def test_a_trial_that_diverges_is_tried_once_and_the_sweep_is_finished(
    store: WindowStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = tmp_path / "attempts"

    def run_trial(config: dict, *, params: Params, **more: object) -> None:
        if config[NUMBER] == 1:
            with attempts.open("a") as stream:
                stream.write("x")
            train = params.train.model_copy(update={"learning_rate": 1e30})
            params = params.model_copy(update={"train": train})
        sound(config, params=params, **more)

    sound = sweep.run_trial
    params = engine_params(tune={"trials": 3, "batch": 1, "epochs": 1, "cases": 4})
    monkeypatch.setattr(sweep, "run_trial", run_trial)
    search(store, tmp_path, params, 1, max_failures=2)
    told = capsys.readouterr().err
    assert "trial 2/3 diverged, mask_family=" in told
    assert told.count("the training diverged in epoch 1: the loss is nan") == 1
    assert attempts.read_text() == "x"
    table = trials(tmp_path)
    assert [row["state"] for row in table] == ["complete", "diverged", "complete"]
    assert (table[1]["objective"], table[1]["epochs"]) == ("", "0")
    client = connect(Settings(home=tmp_path))
    runs = client.search_runs([experiment_id(client, "toy")])
    children = [run.info for run in runs if run.data.tags["stage"] == "trial"]
    assert [run.run_name for run in children if run.status == "FAILED"] == ["trial-002"]
    search(store, tmp_path, params, 1, max_failures=2)
    assert "was finished before; taking its 3 trials" in capsys.readouterr().err


@pytest.mark.engine
@pytest.mark.usefixtures("local_ray")
def test_a_sweep_of_which_nothing_runs_tells_why(
    store: WindowStore, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tune = {"trials": 1, "batch": 1, "epochs": 1}
    params = engine_params(train={"learning_rate": 1e30}, tune=tune)
    with pytest.raises(ConfigError, match=r"^the training diverged .*in params\.yaml$"):
        search(store, tmp_path, params, 1)
    told = capsys.readouterr().err
    assert "maxmin=0.01: the training diverged in epoch 1" in told and "Traceback" not in told


@pytest.mark.parametrize(
    ("window", "why"),
    [(1200, "no window of 1200 rows"), (201, "no vehicle has 402 train rows and as many")],
)
def test_with_too_few_rows_for_a_trial_the_settings_stay(
    window: int, why: str, store: WindowStore, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    params = engine_params(model={"window": window})
    result = search(store, tmp_path, params)
    assert result.trials == 0 and why in result.reason and why in capsys.readouterr().err
    assert trials(tmp_path) == []
    assert with_settings(params, SweepResult.require(tmp_path / DATA).settings) == params
