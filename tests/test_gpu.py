"""On a GPU: the same numbers as on the CPU, a bundle that goes there and back, an exact resume.

With kernels of torch's compiler and with CUDA graphs the numbers are those without.

Skipped where torch finds no GPU.
"""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from model_kit import toy_fleet, toy_params, toy_series, toy_store

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
from amad.model.device_rows import DeviceRows
from amad.windows import WindowIndex, WindowStore

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
]

compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("gcc", "clang"))), reason="there is no C compiler here"
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    store = toy_store(tmp_path_factory.mktemp("fleet"))
    return TrainJob(store=store.path, params=toy_params(), digest="d1")


def validation(history: list[dict]) -> list[float]:
    return [metrics["validation"] for metrics in history]


def test_training_on_a_gpu_follows_training_on_the_cpu(job: TrainJob, tmp_path: Path) -> None:
    on_cpu = train(job, LocalReporter(tmp_path / "cpu", "cpu"))
    on_gpu = train(job, LocalReporter(tmp_path / "gpu", "cuda"))
    assert validation(on_gpu.epochs) == pytest.approx(validation(on_cpu.epochs), rel=2e-2)


def test_the_rows_of_a_small_fleet_lie_on_the_gpu(job: TrainJob) -> None:
    store, device = WindowStore.open(job.store), torch.device("cuda")
    held = DeviceRows.where_they_fit(store, device)
    assert held is not None
    index = WindowIndex(store, job.params.model.window, 7)
    ids_B = np.arange(len(index))
    x_BLC, valid_BLC = held.windows(index, ids_B)
    assert x_BLC.device.type == valid_BLC.device.type == "cuda"
    np.testing.assert_array_equal(x_BLC.cpu().numpy(), index.gather(ids_B))


@compiler
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("how", ["kernels", "graphs"])
@pytest.mark.parametrize("loss", [{}, {"maxmin": 0.0, "contrast": 0.0}], ids=["every", "shipped"])
def test_compiled_training_on_a_gpu_follows_that_without_a_compiler(
    job: TrainJob, tmp_path: Path, loss: dict, how: str, precision: str
) -> None:
    """Graphs are recorded at the second step and played from the third on, in all epochs; the last
    batch of each epoch, of another size, is computed between them."""
    params = toy_params(loss=loss, train={"max_windows": 33})
    job = replace(job, params=params, precision=precision)
    plain = train(job, LocalReporter(tmp_path / "plain", "cuda"))
    counters = torch._dynamo.utils.counters
    counters.clear()
    compiled = train(replace(job, compile=how), LocalReporter(tmp_path / "compiled", "cuda"))
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["inductor"]["cudagraph_skips"]
    near = 2e-2 if precision == "float32" else 1e-1
    assert validation(compiled.epochs) == pytest.approx(validation(plain.epochs), rel=near)
    found, wanted = (
        Checkpoint.read(tmp_path / name / "checkpoint").objective for name in ("compiled", "plain")
    )
    assert list(found) == list(wanted)


@compiler
@pytest.mark.parametrize("how", ["none", "kernels", "graphs"])
def test_a_run_with_cuda_graphs_goes_on_in_any_form(
    job: TrainJob, tmp_path: Path, how: str
) -> None:
    graphs = replace(job, compile="graphs")
    whole = train(graphs, LocalReporter(tmp_path / "whole", "cuda"))
    with pytest.raises(KeyboardInterrupt):
        train(graphs, CutShort(tmp_path / "cut", "cuda"))
    resumed = train(replace(job, compile=how), LocalReporter(tmp_path / "cut", "cuda"))
    assert validation(resumed.epochs) == pytest.approx(validation(whole.epochs), rel=1e-2)


def test_bfloat16_ends_near_float32(job: TrainJob, tmp_path: Path) -> None:
    job = replace(job, params=toy_params(train={"epochs": 8}))
    full = train(job, LocalReporter(tmp_path / "full", "cuda"))
    half = train(replace(job, precision="bfloat16"), LocalReporter(tmp_path / "half", "cuda"))
    assert validation(half.epochs)[-1] == pytest.approx(validation(full.epochs)[-1], rel=0.1)
    assert half.epochs[-1]["loss"] != full.epochs[-1]["loss"]


def test_a_bundle_scores_alike_on_the_cpu_on_the_gpu_and_back(
    job: TrainJob, tmp_path: Path
) -> None:
    train(job, LocalReporter(tmp_path / "run", "cuda"))
    network = Checkpoint.read(tmp_path / "run" / "checkpoint").network(job.params.model)
    scaler = toy_store(tmp_path).scaler
    bundle = Bundle(model=network, params=job.params, fleet=toy_fleet(), scaler=scaler, meta={})
    write_bundle(tmp_path / "bundle", bundle)
    series = toy_series("b-1", rows=300, seed=5)
    block = job.params.mask.block
    bundled = read_bundle(tmp_path / "bundle").model
    before_TC = hidden_residual(bundled, series, block)
    on_gpu_TC = hidden_residual(bundled.to("cuda"), series, block)
    after_TC = hidden_residual(bundled.to("cpu"), series, block)
    np.testing.assert_allclose(on_gpu_TC, before_TC, atol=2e-3)
    np.testing.assert_array_equal(after_TC, before_TC)


class CutShort(LocalReporter):
    """Falls over after the first epoch, as a worker that is killed."""

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        raise KeyboardInterrupt


def test_a_run_cut_short_on_a_gpu_ends_as_an_undisturbed_one(job: TrainJob, tmp_path: Path) -> None:
    whole = train(job, LocalReporter(tmp_path / "whole", "cuda"))
    with pytest.raises(KeyboardInterrupt):
        train(job, CutShort(tmp_path / "cut", "cuda"))
    resumed = train(job, LocalReporter(tmp_path / "cut", "cuda"))
    assert len(resumed.epochs) == len(whole.epochs)
    assert validation(resumed.epochs) == pytest.approx(validation(whole.epochs), rel=1e-3)
