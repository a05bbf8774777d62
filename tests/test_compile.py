"""Training steps that torch's compiler has made: the numbers of those without it, up to rounding.

A program takes the compiler tens of seconds, so most of these run with the tests of a cluster.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import DATA, PROFILE, engine_params, engine_store, toy_stage
from model_kit import toy_fleet, toy_params, toy_series, toy_store
from stop_kit import CONTEXT

from amad.config import ConfigError
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep import sweep_fleet
from amad.model import (
    Bundle,
    Checkpoint,
    LocalReporter,
    TrainJob,
    hidden_residual,
    read_bundle,
    train,
    write_bundle,
)
from amad.model.batches import Windows
from amad.model.compiled import compile_steps

EVERY_LOSS = {"train": {"max_windows": 33}}  # four full batches in an epoch, and one window more
SHIPPED = EVERY_LOSS | {"loss": {"maxmin": 0.0, "contrast": 0.0}}
KERNELS = {"compile": "kernels"}
CLOSE = {"rtol": 1e-2, "atol": 2e-4}  # of a weight, as several workers differ from one

compiler = pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="there is no C++ compiler here"
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where compiled programs are kept, so that the same one is made once."""
    folder = tmp_path_factory.mktemp("programs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        patch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
        yield folder


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    store = toy_store(tmp_path_factory.mktemp("fleet"))
    return TrainJob(store=store.path, params=toy_params(**EVERY_LOSS), digest="d1")


class Cut(LocalReporter):
    """Falls over after the first epoch, as a worker that is killed."""

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        raise KeyboardInterrupt


def kept(folder: Path) -> Checkpoint:
    return Checkpoint.read(folder / "checkpoint")


def assert_same(found: Checkpoint, wanted: Checkpoint) -> None:
    """The epochs and the weights, under the same names."""
    for one, other in zip(found.epochs, wanted.epochs, strict=True):
        rate = {"windows_per_second": other["windows_per_second"]}
        assert one | rate == pytest.approx(other, rel=1e-3, abs=1e-6)
    assert list(found.objective) == list(wanted.objective)
    for name, weight in wanted.objective.items():
        torch.testing.assert_close(found.objective[name], weight, **CLOSE)


@compiler
@pytest.mark.cluster
@pytest.mark.usefixtures("programs")
def test_compiled_training_is_that_without_a_compiler_and_goes_on_from_either(
    job: TrainJob, tmp_path: Path
) -> None:
    """One program serves all epochs; the last batch of each, of another size, makes none."""
    with_compiler = replace(job, **KERNELS)
    train(job, LocalReporter(tmp_path / "plain"))
    counters = torch._dynamo.utils.counters
    counters.clear()
    train(with_compiler, LocalReporter(tmp_path / "compiled"))
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]
    for name, before, after in (
        ("forth", job, with_compiler), ("back", with_compiler, job),
    ):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            train(before, Cut(tmp_path / name))
        train(after, LocalReporter(tmp_path / name))
    plain = kept(tmp_path / "plain")
    for name in ("compiled", "forth", "back"):
        assert_same(kept(tmp_path / name), plain)
    first, second = (kept(tmp_path / name).objective for name in ("plain", "compiled"))
    assert any(not torch.equal(first[name], second[name]) for name in first), "it was compiled"
    assert_scores_alike(tmp_path, job)


def assert_scores_alike(folder: Path, job: TrainJob) -> None:
    """The bundles of both trainings give the same residuals."""
    series, found = toy_series("b-1", rows=300, seed=5), []
    for name in ("plain", "compiled"):
        network = kept(folder / name).network(job.params.model)
        scaler = toy_store(folder / f"{name}-store").scaler
        bundle = Bundle(model=network, params=job.params, fleet=toy_fleet(), scaler=scaler, meta={})
        write_bundle(folder / f"{name}-bundle", bundle)
        model = read_bundle(folder / f"{name}-bundle").model
        found.append(hidden_residual(model, series, 4))
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)


def _worker(rank: int, job: TrainJob, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    train(job, LocalReporter(folder))
    torch.distributed.destroy_process_group()


@compiler
@pytest.mark.cluster
@pytest.mark.usefixtures("programs")
def test_two_workers_with_a_compiler_make_the_steps_of_one_without(
    job: TrainJob, tmp_path: Path
) -> None:
    """Real processes over gloo; the program runs within torch's DistributedDataParallel."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "two").mkdir()
    torch.multiprocessing.start_processes(
        _worker, (replace(job, **KERNELS), tmp_path / "two", port), nprocs=2,
        start_method=CONTEXT.get_start_method(),
    )  # fmt: skip
    train(job, LocalReporter(tmp_path / "one"))
    assert_same(kept(tmp_path / "two"), kept(tmp_path / "one"))


@compiler
@pytest.mark.cluster
@pytest.mark.usefixtures("programs")
def test_the_stage_trains_with_a_compiler_under_ray(tmp_path: Path) -> None:
    """The key alone begins nothing anew. One worker, since each makes a program of its own."""
    store, params = engine_store(tmp_path), engine_params(**SHIPPED)
    profile = PROFILE.model_copy(update=KERNELS | {"workers": 1})
    compiled = toy_stage(tmp_path / "compiled", params, profile, store)
    plain = toy_stage(tmp_path / "plain", params, PROFILE.model_copy(update={"workers": 0}), store)
    found, wanted = train_fleet(compiled), train_fleet(plain)
    assert found.digest == wanted.digest
    one, other = (
        read_bundle(tmp_path / name / DATA / "bundle").model.state_dict()
        for name in ("compiled", "plain")
    )
    assert list(one) == list(other)
    for name, weight in other.items():
        torch.testing.assert_close(one[name], weight, **CLOSE)
    again = train_fleet(toy_stage(tmp_path / "compiled", params, PROFILE))
    assert again.run_id == found.run_id


@compiler
@pytest.mark.cluster
@pytest.mark.usefixtures("programs")
def test_trials_search_with_a_compiler_under_ray(tmp_path: Path) -> None:
    tune = {"trials": 1, "batch": 1, "epochs": 1, "cases": 4}
    params, profile = engine_params(**SHIPPED, tune=tune), PROFILE.model_copy(update=KERNELS)
    swept = sweep_fleet(toy_stage(tmp_path, params, profile, engine_store(tmp_path)))
    assert swept.trials == 1 and swept.objective is not None


def test_a_rank_knows_how_many_windows_its_full_steps_have(job: TrainJob, tmp_path: Path) -> None:
    """For which its program is made: also where the ranks' shares differ, or one batch is all."""
    from amad.model.training import new_network
    from amad.windows import WindowStore

    store = WindowStore.open(job.store)
    owners = new_network(store, job.params).owners
    for most, world_size in ((33, 1), (33, 3), (5, 1), (2, 3)):
        params = toy_params(train={"max_windows": most})
        for rank in range(world_size):
            reporter = LocalReporter(tmp_path)
            reporter.rank, reporter.world_size = rank, world_size
            windows = Windows(store, owners, params, reporter)
            steps = list(windows.steps(windows.batches(0), 0))
            assert windows.per_step == len(steps[0][0]), (most, world_size, rank)


@pytest.mark.parametrize("fit", [train_fleet, sweep_fleet])
@pytest.mark.usefixtures("no_compiler")
def test_stages_tell_a_missing_compiler_before_ray_starts(fit: Callable, tmp_path: Path) -> None:
    store = engine_store(tmp_path)
    stage = toy_stage(tmp_path, engine_params(), PROFILE.model_copy(update=KERNELS), store)
    with pytest.raises(ConfigError, match=r"compile: kernels .* no /nowhere/g\+\+"):
        fit(stage)


@pytest.mark.usefixtures("no_compiler")
def test_a_worker_without_a_compiler_tells_the_key_and_the_way_out(
    job: TrainJob, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        train(replace(job, **KERNELS), LocalReporter(tmp_path))
    for text in ("compile: kernels", "(or what CXX names)", "or set compile: none"):
        assert text in str(caught.value)


class Sine(torch.nn.Module):
    """The least that can be compiled in the place of an objective."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor, self.weight = factor, torch.nn.Parameter(torch.ones(1))

    def on_skip(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x.sin() + self.weight


@pytest.mark.slow
@pytest.mark.usefixtures("programs")
def test_a_compiler_that_fails_is_told_in_the_same_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import config

    monkeypatch.setenv("CXX", "/bin/false")  # it is there, and makes nothing
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    objective = Sine()
    compile_steps(objective, 3, "kernels")
    told = pytest.raises(ConfigError, match=r"compile: kernels .*, or set compile: none")
    with config.patch({"cpp.cxx": (None, "/bin/false")}), told:  # torch read it when imported
        objective.compiled(torch.ones(3))


@compiler
@pytest.mark.slow
@pytest.mark.usefixtures("programs")
def test_a_process_compiles_for_any_number_of_trials_one_after_the_other() -> None:
    x = torch.ones(3)
    with torch._dynamo.config.patch(recompile_limit=1):
        for factor in (2.0, 3.0, 4.0):
            objective = Sine(factor)
            compile_steps(objective, 3, "kernels")
            torch.testing.assert_close(objective.compiled(x), objective.on_skip(x))
