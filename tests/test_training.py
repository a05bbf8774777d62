"""The loop: it learns, resumes bit for bit, refuses another run's checkpoint, and several workers
make the steps of one."""

import socket
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from model_kit import toy_params, toy_store
from stop_kit import CONTEXT

from amad.config import ConfigError, DataError, DivergenceError
from amad.model import Checkpoint, LocalReporter, TrainJob, train, training
from amad.model.training import learning_rate, make_optimiser


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> TrainJob:
    store = toy_store(tmp_path_factory.mktemp("fleet"))
    return TrainJob(store=store.path, params=toy_params(), digest="d1")


def of_epochs(job: TrainJob, epochs: int) -> TrainJob:
    """The job with another number of epochs."""
    train = job.params.train.model_copy(update={"epochs": epochs})
    return replace(job, params=job.params.model_copy(update={"train": train}))


def plain(history: list[dict]) -> list[dict]:
    """Metrics without the one that a clock makes."""
    return [{k: v for k, v in m.items() if k != "windows_per_second"} for m in history]


class Crashing(LocalReporter):
    """Falls over after a number of reports, as a worker that is killed."""

    def __init__(self, folder: Path, reports: int) -> None:
        super().__init__(folder)
        self.left = reports

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        super().report(metrics, checkpoint)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.slow
def test_it_learns_and_reports_each_epoch(job: TrainJob, tmp_path: Path) -> None:
    params = toy_params(
        mask={"family": "time"}, train={"epochs": 8, "max_windows": 96, "learning_rate": 1e-2}
    )
    result = train(replace(job, params=params), LocalReporter(tmp_path))
    history = result.epochs
    assert [m["epoch"] for m in history] == list(range(1, 9))
    assert history[-1]["validation"] < 0.7 * history[0]["validation"]
    assert all(0 < m["discrepancy"] < 1 and m["contrast"] > 0 for m in history)
    network = Checkpoint.read(tmp_path / "checkpoint").network(job.params.model)
    assert result.parameters == sum(p.numel() for p in network.parameters())


MIXED = {"mask": {"family": "mixed"}}
ONLINE = MIXED | {"model": {"direction": "past"}}
SHIPPED = {"loss": {"maxmin": 0.0, "contrast": 0.0}}  # the last layer then computes some steps


@pytest.fixture(scope="module", params=[{}, {"model": {"skip": "none"}}, MIXED, ONLINE, SHIPPED])
def whole(
    job: TrainJob, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[TrainJob, list[dict], Checkpoint]:
    """A job, and the metrics and the checkpoint of its run that nothing interrupted."""
    job = replace(job, params=toy_params(**request.param))
    folder = tmp_path_factory.mktemp("whole")
    history = train(job, LocalReporter(folder)).epochs
    return job, plain(history), Checkpoint.read(folder / "checkpoint")


@pytest.mark.parametrize("reports", [1, 2])
def test_a_crash_and_a_resume_equal_an_uninterrupted_run_bit_for_bit(
    whole: tuple[TrainJob, list[dict], Checkpoint], tmp_path: Path, reports: int
) -> None:
    job, history, a = whole
    with pytest.raises(KeyboardInterrupt):
        train(job, Crashing(tmp_path, reports))
    torch.manual_seed(99)  # whatever happened in between
    assert plain(train(job, LocalReporter(tmp_path)).epochs) == history
    b = Checkpoint.read(tmp_path / "checkpoint")
    assert a.owners == b.owners
    for name, weight in a.objective.items():
        assert torch.equal(weight, b.objective[name]), name


def test_a_finished_run_trains_no_more(job: TrainJob, tmp_path: Path) -> None:
    first = train(job, LocalReporter(tmp_path))
    stamp = (tmp_path / "checkpoint" / "state.pt").stat().st_mtime_ns
    assert train(job, LocalReporter(tmp_path)) == first
    assert (tmp_path / "checkpoint" / "state.pt").stat().st_mtime_ns == stamp


def test_the_seed_decides(job: TrainJob, tmp_path: Path) -> None:
    job = of_epochs(job, 1)
    other = replace(job, params=job.params.model_copy(update={"seed": 8}))
    one, again = (train(job, LocalReporter(tmp_path / n)) for n in "ab")
    assert plain(one.epochs) == plain(again.epochs)
    assert plain(train(other, LocalReporter(tmp_path / "c")).epochs) != plain(one.epochs)


def test_another_runs_checkpoint_is_refused(job: TrainJob, tmp_path: Path) -> None:
    train(of_epochs(job, 1), LocalReporter(tmp_path))
    with pytest.raises(DataError, match="made by other settings, data or code"):
        train(replace(job, digest="d2"), LocalReporter(tmp_path))
    (tmp_path / "checkpoint" / "state.pt").write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"state\.pt: no readable checkpoint"):
        train(job, LocalReporter(tmp_path))


def test_on_epoch_sees_the_network_and_adds_its_metrics(job: TrainJob, tmp_path: Path) -> None:
    seen = []

    def on_epoch(network: torch.nn.Module) -> dict:
        seen.append(network.training)
        return {"objective": 0.5}

    result = train(of_epochs(job, 2), LocalReporter(tmp_path), on_epoch)
    assert seen == [False, False]
    assert all(m["objective"] == 0.5 for m in result.epochs)


def test_a_diverging_run_says_what_to_change(job: TrainJob, tmp_path: Path) -> None:
    params = toy_params(train={"learning_rate": 1e30})
    with pytest.raises(ConfigError, match=r"diverged in epoch .* lower train\.learning_rate"):
        train(replace(job, params=params), LocalReporter(tmp_path))


def test_weights_that_the_very_last_step_breaks_are_no_result(
    job: TrainJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its loss is of the weights before the step, so no loss of the training shows it."""

    def step(optimiser, parameters: list, loss: torch.Tensor, **settings: float) -> None:
        sound(optimiser, parameters, loss, **settings)
        rates.append(settings["rate"])
        if len(rates) == 2 * steps:
            parameters[0].data.fill_(torch.nan)

    rates, sound, reporter = [], training.minimising_step, LocalReporter(tmp_path)
    monkeypatch.setattr(training, "minimising_step", step)
    steps = 10**9
    train(of_epochs(job, 1), LocalReporter(tmp_path / "one"))
    steps, rates[:] = len(rates), []
    with pytest.raises(DivergenceError, match=r"epoch 2: the hidden-position error .* is nan; "):
        train(of_epochs(job, 2), reporter)
    assert len(rates) == 2 * steps
    assert len(reporter.latest("d1").epochs) == 1, "what came before is kept"


@pytest.mark.parametrize("family", ["time", "channel", "mixed"])
def test_every_mask_family_trains_in_mixed_precision(
    job: TrainJob, tmp_path: Path, family: str
) -> None:
    params = toy_params(mask={"family": family}, train={"epochs": 1, "max_windows": 16})
    result = train(
        replace(job, params=params, precision="bfloat16"), LocalReporter(tmp_path / family)
    )
    exact = train(replace(job, params=params), LocalReporter(tmp_path / "exact"))
    (low,), (high,) = result.epochs, exact.epochs
    assert low["validation"] != high["validation"]
    assert low["validation"] == pytest.approx(high["validation"], rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [MIXED, ONLINE])
def test_on_a_linear_skip_it_starts_at_the_linear_prediction_and_adds_to_it(
    job: TrainJob, tmp_path: Path, changes: dict
) -> None:
    still = {"train": {"epochs": 1, "learning_rate": 1e-12}}
    moving = {"train": {"epochs": 6, "max_windows": 96, "learning_rate": 1e-2}}
    bare = changes | {"model": changes.get("model", {}) | {"skip": "none"}}
    runs = {
        name: train(replace(job, params=toy_params(**settings)), LocalReporter(tmp_path / name))
        for name, settings in (
            ("none", bare | still), ("linear", changes | still), ("trained", changes | moving),
        )
    }  # fmt: skip
    for key in ("validation", "validation_channel"):
        none, linear, trained = (runs[n].epochs[-1][key] for n in ("none", "linear", "trained"))
        assert trained < linear < none, key


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(step, 100, 1.0) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(a >= b for a, b in pairwise(rates[5:]))
    assert 0 < rates[-1] < 0.01
    assert learning_rate(0, 1, 1.0) == 1.0


def test_weight_decay_is_on_matrices_alone(job: TrainJob) -> None:
    from amad.model import Amad
    from amad.model.losses import Objective

    objective = Objective(Amad(4, job.params.model), job.params.loss)
    names = {id(weight): name for name, weight in objective.named_parameters()}
    decayed, free = (
        {names[id(w)] for w in group["params"]}
        for group in make_optimiser(objective, job.params).param_groups
    )
    assert "network.layers.0.attention.kernel.log_frequency_SF" in free
    assert all(n.endswith("weight") and "norm" not in n for n in decayed)
    assert len(decayed) + len(free) == len(names)


# Three workers cannot have equal shares of 8 windows, nor shares of the one that is the rest.
FORMS = {
    "every loss": {}, "shipped": SHIPPED, "mixed": MIXED, "a rest": {"train": {"max_windows": 33}},
}  # fmt: skip


def _worker(rank: int, workers: int, job: TrainJob, folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=workers
    )
    for form, changes in FORMS.items():
        (folder / form).mkdir(exist_ok=True)
        history = train(
            replace(job, params=toy_params(**changes)), LocalReporter(folder / form)
        ).epochs
        torch.save(history, folder / form / f"history-{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.fixture(scope="module", params=[2, 3])
def together(
    job: TrainJob, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What several workers, real processes over gloo, have trained of each form."""
    folder, workers = tmp_path_factory.mktemp("together"), request.param
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments, method = (workers, job, folder, port), CONTEXT.get_start_method()
    torch.multiprocessing.start_processes(_worker, arguments, nprocs=workers, start_method=method)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_several_workers_make_the_steps_of_one(
    job: TrainJob, together: Path, tmp_path: Path, form: str
) -> None:
    """The same masks, the same windows, gradients of the whole batch."""
    folder = together / form
    job = replace(job, params=toy_params(**FORMS[form]))
    one = train(job, LocalReporter(tmp_path)).epochs
    first, *others = [plain(torch.load(file)) for file in folder.glob("history-*.pt")]
    assert others and all(other == first for other in others)
    for several, alone in zip(first, plain(one), strict=True):
        assert several == pytest.approx(alone, rel=1e-3)
    a, b = (Checkpoint.read(path / "checkpoint").objective for path in (tmp_path, folder))
    for name, weight in a.items():  # AdamW turns a gradient that is all rounding into a full step
        torch.testing.assert_close(weight, b[name], atol=1e-3, rtol=1e-2)


OPTIMISERS = """
import sys, torch
from amad.model.training import AdamW

def trained(kind):
    weight = torch.nn.Parameter(torch.arange(3.0))
    optimiser = kind([weight], lr=0.1, weight_decay=0.01, fused=True)
    for _ in range(3):
        optimiser.zero_grad()
        weight.square().sum().backward()
        optimiser.step()
        optimiser.load_state_dict(optimiser.state_dict())
    return weight

ours = trained(AdamW)
assert "torch._dynamo" not in sys.modules, "it imports torch's compiler"
assert torch.equal(ours, trained(torch.optim.AdamW)), "it makes other steps"
assert "torch._dynamo" in sys.modules, "torch's own does not import it either: take that one"
"""


@pytest.mark.slow
def test_the_optimiser_is_torchs_without_its_compiler() -> None:
    """It unwraps private decorators of torch, which another version may change."""
    done = subprocess.run([sys.executable, "-c", OPTIMISERS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_each_epoch_draws_as_many_windows_as_the_settings_give_the_fleet(
    job: TrainJob, tmp_path: Path
) -> None:
    found = {}
    for most in (16, "auto"):
        params = toy_params(train={"epochs": 1, "max_windows": most})
        result = train(replace(job, params=params), LocalReporter(tmp_path / str(most)))
        found[most] = result.epoch_windows
        assert result.train_windows > 16
    assert found == {16: 16, "auto": result.train_windows}  # fewer than 2,400 there are
