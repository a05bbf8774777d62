"""The training loop: one function for this process, torchrun, Ray Train and a trial of Ray Tune.

Every random choice is a function of (seed, epoch), made for the global batch and then shared out.
So a resumed run equals an uninterrupted one (bit for bit on a CPU), and several workers make the
steps of one, up to the order of summation.

Shape legend: B windows in a batch, L steps, C channels, K complementary masks.
"""

import inspect
import math
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from amad.config import DivergenceError
from amad.config.cluster import Compile
from amad.config.console import say, until_next
from amad.config.params import Hide, Params
from amad.model.batches import Windows, seed_of
from amad.model.checkpoint import Checkpoint, Reporter
from amad.model.compiled import compile_steps
from amad.model.losses import Objective, hidden_and_counted, squared_error
from amad.model.masks import complementary_masks
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.windows import WindowStore

WARM_UP = 0.05  # share of all steps in which the learning rate rises
ERROR_NAME = "hidden-position error on hold-out rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainJob:
    """What to train; the same on every worker.

    store: folder of the window store. digest: of everything that the weights depend on (settings,
    data, code); a checkpoint with another one is refused. precision: ``float32``, ``bfloat16``, or
    ``auto``: bfloat16 on a GPU that has it. compile: see ``compile_steps``.
    """

    store: Path
    params: Params
    digest: str
    precision: str = "float32"
    compile: Compile = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training gave, beside its last checkpoint.

    epochs: the metrics of each, see ``train``. parameters: of the network. train_windows: how many
    there are in the store. epoch_windows: how many of them each epoch drew.
    """

    epochs: list[dict]
    parameters: int
    train_windows: int
    epoch_windows: int


def train(
    job: TrainJob,
    reporter: Reporter,
    on_epoch: Callable[[Amad], dict] | None = None,
) -> Trained:
    """Train, from the reporter's latest checkpoint where it has one.

    With more than one worker the caller has initialised the process group. After each epoch all
    ranks report the same metrics: epoch (from 1), loss, reconstruction, discrepancy, contrast,
    validation (mean squared error of hidden values on calibration rows, in scaled units, each
    hidden once with its row), where whole channels are trained on validation_channel (the same,
    each hidden with its channel), learning_rate, windows_per_second; and what ``on_epoch(network)``
    adds, which runs on every rank with the network in evaluation mode.

    Raises:
        DataError: no window fits, or the checkpoint is another run's.
        ConfigError: this machine cannot compile the steps.
        DivergenceError: the loss, or the error after an epoch, is no number.
    """
    params, device = job.params, reporter.device
    store = WindowStore.open(job.store)
    torch.manual_seed(params.seed)
    network = new_network(store, params)
    windows = Windows(store, network.owners, params, reporter)
    objective = Objective(network, params.loss).to(device)
    optimiser = make_optimiser(objective, params)
    history: list[dict] = []
    if (latest := reporter.latest(job.digest)) is not None:
        objective.load_state_dict(latest.objective)
        optimiser.load_state_dict(latest.optimiser)
        history = latest.epochs
        if reporter.rank == 0:
            say(f"resuming run {job.digest} after epoch {len(history)}")
    elif network.linear is not None:
        network.linear.fit(store)  # on every rank: it is cheap and gives the same numbers
    compile_steps(objective, windows.per_step, job.compile)
    model: nn.Module = objective
    if reporter.world_size > 1:
        ids = [device] if device.type == "cuda" else None
        model = DistributedDataParallel(objective, device_ids=ids, broadcast_buffers=False)

    for epoch in range(len(history), params.train.epochs):
        torch.manual_seed(seed_of(params.seed, epoch, reporter.rank))
        network.train()
        metrics = _train_epoch(job, reporter, model, optimiser, windows, epoch)
        network.eval()
        metrics["validation"] = _validate(job, reporter, network, windows, "time")
        if params.mask.family in ("channel", "mixed"):
            metrics["validation_channel"] = _validate(job, reporter, network, windows, "channel")
        _refuse_diverged(metrics, params)
        metrics |= on_epoch(network) if on_epoch else {}
        history.append(metrics)
        if reporter.rank == 0:
            say(epoch_line(metrics, params.train.epochs))
        _report(job, reporter, objective, optimiser, history)
    network.eval()
    return Trained(
        epochs=history,
        parameters=_parameters(network),
        train_windows=len(windows.train),
        epoch_windows=windows.per_epoch,
    )


def _report(
    job: TrainJob,
    reporter: Reporter,
    objective: Objective,
    optimiser: torch.optim.Optimizer,
    history: list[dict],
) -> None:
    """Report the newest epoch; rank 0 with a checkpoint."""
    network = objective.network
    with tempfile.TemporaryDirectory(prefix="amad-") as name:
        folder = Path(name) if reporter.rank == 0 else None
        if folder is not None:
            Checkpoint(
                digest=job.digest,
                channels=network.channels,
                owners=network.owners,
                block=job.params.mask.block,
                epochs=history,
                objective=objective.state_dict(),
                optimiser=optimiser.state_dict(),
            ).write(folder)
        reporter.report(history[-1], folder)


def new_network(store: WindowStore, params: Params) -> Amad:
    """The network for the channels and the owners of a store, before any training."""
    return Amad(len(store.channels), params.model, Owners.of(store), params.mask.block)


def untrained(store: WindowStore, params: Params) -> tuple[Trained, Amad]:
    """The network of a store in which no window fits: what its linear skip predicts, no more."""
    torch.manual_seed(params.seed)
    network = new_network(store, params)
    assert network.linear is not None, "without a skip, an untrained network predicts nothing"
    network.linear.fit(store)
    trained = Trained(epochs=[], parameters=_parameters(network), train_windows=0, epoch_windows=0)
    return trained, network.eval()


def _parameters(network: Amad) -> int:
    return sum(weight.numel() for weight in network.parameters())


def epoch_line(metrics: dict, epochs: int) -> str:
    """What the person who waits is told of an epoch. epochs: of the whole training."""
    return (
        f"epoch {metrics['epoch']} of {epochs}: loss {metrics['loss']:.4f}, "
        f"{ERROR_NAME} {metrics['validation']:.4f}, "
        f"{metrics['windows_per_second']:.0f} windows/s"
    )


class AdamW(torch.optim.AdamW):
    """Without torch's wrappers, which import its compiler: 2 s of every process that trains."""

    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


def make_optimiser(objective: Objective, params: Params) -> AdamW:
    """AdamW; weight decay on matrices alone, not on biases, norms and kernel frequencies."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, weight in objective.named_parameters():
        plain = weight.ndim < 2 or name.endswith("log_frequency_SF")
        (free if plain else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": params.train.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=params.train.learning_rate, fused=True)


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over WARM_UP of all steps, then half a cosine down to 0."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return peak * (step + 1) / warm
    return 0.5 * peak * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def minimising_step(
    optimiser: torch.optim.Optimizer, parameters: list[nn.Parameter], loss: Tensor,
    *, rate: float, clip: float,
) -> None:  # fmt: skip
    """One step down the gradient of ``loss``. clip: the largest norm of the gradient."""
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(parameters, clip)
    optimiser.step()


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Mixed precision as ``TrainJob.precision`` asks for it, on this device."""
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    enabled = precision == "bfloat16" or (precision == "auto" and fast)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def _train_epoch(
    job: TrainJob,
    reporter: Reporter,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    windows: Windows,
    epoch: int,
) -> dict:
    """One pass over the epoch's windows; the metrics, the same on every rank."""
    settings, world_size = job.params.train, reporter.world_size
    batches, parameters = windows.batches(epoch), list(model.parameters())
    sums_4 = torch.zeros(4, device=reporter.device, dtype=torch.float64)
    seen, started, shown = 0, time.perf_counter(), time.perf_counter()
    for i, (x_BLC, hidden_BLC, counted_BLC, *about) in enumerate(windows.steps(batches, epoch)):
        steps = settings.epochs * len(batches)
        rate = learning_rate(epoch * len(batches) + i, steps, settings.learning_rate)
        mean_count = _sum_over_ranks(counted_BLC.sum(), reporter) / world_size
        with autocast(job.precision, reporter.device):
            losses = model(x_BLC, hidden_BLC, counted_BLC, mean_count, *about)
        minimising_step(optimiser, parameters, losses.total, rate=rate, clip=settings.clip)
        parts = (losses.total.detach(), losses.error_sum / mean_count.clamp_min(1),
                 losses.discrepancy, losses.contrast)  # fmt: skip
        sums_4 += torch.stack([part.double() for part in parts]) * len(batches[i])
        seen += len(batches[i])
        now = time.perf_counter()
        if reporter.rank == 0 and now - shown > until_next(now - started):
            shown = now
            speed = seen / (shown - started)
            say(
                f"  epoch {epoch + 1}, step {i + 1} of {len(batches)}: "
                f"loss {sums_4[0].item() / seen:.4f}, {speed:.0f} windows/s"
            )
    means = (_sum_over_ranks(sums_4, reporter) / (seen * world_size)).tolist()
    seconds = time.perf_counter() - started
    names = ("loss", "reconstruction", "discrepancy", "contrast")
    return {
        "epoch": epoch + 1,
        **dict(zip(names, means, strict=True)),
        "learning_rate": rate,
        "windows_per_second": seen / seconds,
    }


def _refuse_diverged(metrics: dict, params: Params) -> None:
    """Raise where an epoch gave no number; its last step may break the weights after its loss."""
    named = {
        "loss": "loss",
        "validation": ERROR_NAME,
        "validation_channel": f"{ERROR_NAME} with whole channels hidden",
    }
    for name, words in named.items():
        if not math.isfinite(value := metrics.get(name, 0.0)):
            raise DivergenceError(
                f"the training diverged in epoch {metrics['epoch']}: the {words} is {value}; "
                f"lower train.learning_rate (now {params.train.learning_rate}) in params.yaml"
            )


@torch.inference_mode()
def _validate(
    job: TrainJob, reporter: Reporter, network: Amad, windows: Windows, family: Hide
) -> float:
    """Mean squared error of hidden measured values on calibration rows, each hidden once."""
    model, batch, block = job.params.model, job.params.train.batch, job.params.mask.block
    mask_KLC = complementary_masks(
        model.window, windows.channels, block, family, model.direction
    ).to(reporter.device)
    sums_2 = torch.zeros(2, device=reporter.device, dtype=torch.float64)
    for first in range(0, len(windows.validation_ids), batch):
        ids_B = windows.validation_ids[first : first + batch]
        x_BLC, valid_BLC, owner_B = windows.gather(windows.validation, ids_B)
        for mask_LC in mask_KLC:
            hidden_BLC, counted_BLC = hidden_and_counted(mask_LC, valid_BLC)
            if model.direction == "past":
                counted_BLC[:, :-block] = False  # scoring looks at the last block alone
            with autocast(job.precision, reporter.device):
                output = network(x_BLC, hidden_BLC, False, owner_B, asked_BL=counted_BLC.any(2))
            sums = squared_error(x_BLC, output.recon_BLC, counted_BLC)
            sums_2 += torch.stack([s.double() for s in sums])
    total, count = _sum_over_ranks(sums_2, reporter).tolist()
    return total / max(count, 1)


def _sum_over_ranks(value: Tensor, reporter: Reporter) -> Tensor:
    if reporter.world_size > 1:
        value = value.clone()
        torch.distributed.all_reduce(value)
    return value
