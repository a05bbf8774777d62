"""python -m bench.model --out bench/results/model.json --channels 18 38

Measures training steps and the scoring of hidden positions, in windows per second.

Beside AMAD it measures a step of the Anomaly Transformer and a plain transformer of the same size,
in the same run. Every round times each variant once, and the best round counts, so that a busy
machine hardly changes the ratios.

Shape legend: B windows, L steps, C channels, D model width, H heads.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from amad.config.params import LossParams, MaskParams, ModelParams
from amad.model import Amad, draw_mask, hidden_residual
from amad.model.losses import Objective
from amad.model.training import autocast
from amad.telemetry.files import write_json
from amad.windows.series import TRAIN, Series
from bench.facts import machine_facts

BATCH, ROUNDS, SCORED_WINDOWS = 64, 12, 64
NO_LOSSES = {"maxmin": 0.0, "contrast": 0.0}
MAXMIN, CONTRAST = {"maxmin": 0.01}, {"contrast": 0.1}
VARIANTS = {  # name: (model settings, loss settings)
    "amad, every loss": ({}, MAXMIN | CONTRAST),
    "amad, reconstruction alone": ({}, NO_LOSSES),
    "gaussian prior and Max-Min": ({"kernel": "gaussian"}, NO_LOSSES | MAXMIN),
    "plain transformer": ({"kernel": "none"}, NO_LOSSES),
}
PUBLISHED = "anomaly transformer, published form"


class AnomalyTransformerStep(nn.Module):
    """The published Max-Min step (arXiv 2110.02642) on our embedding and layers.

    It has explicit maps of prior and series, computes both divergences by logarithms with a small
    constant, each with one side detached, and runs one backward pass per phase.
    """

    def __init__(self, channels: int, params: ModelParams, k: float = 3.0) -> None:
        super().__init__()
        self.k, self.heads = k, params.heads
        self.body = Amad(channels, params.model_copy(update={"kernel": "none", "skip": "none"}))
        self.sigma = nn.ModuleList(
            nn.Linear(params.width, params.heads) for _ in range(params.layers)
        )
        step_L = torch.arange(params.window, dtype=torch.float32)
        self.register_buffer("lag_LL", (step_L[:, None] - step_L).abs())

    def step(
        self, x_BLC: Tensor, precision: Callable[[], AbstractContextManager] = nullcontext
    ) -> None:
        """Run both backward passes of one batch; they add to the gradients of the weights.

        precision: returns the context of the forward pass.
        """
        with precision():
            max_loss, min_loss = self._losses(x_BLC)
        max_loss.backward(retain_graph=True)
        min_loss.backward()

    def _losses(self, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """The losses of the Max and the Min phase."""
        body, nothing_BLC = self.body, torch.zeros_like(x_BLC, dtype=torch.bool)
        token_BLD = body._embed(x_BLC, nothing_BLC)
        prior_phase = series_phase = x_BLC.new_zeros(())
        for layer, to_sigma in zip(body.layers, self.sigma, strict=True):
            normed_BLD = layer.attention_norm(token_BLD)
            qkv_BHLE = layer.attention.qkv(normed_BLD).unflatten(2, (3, self.heads, -1))
            q_BHLE, k_BHLE, v_BHLE = qkv_BHLE.permute(2, 0, 3, 1, 4)
            scale = q_BHLE.shape[-1] ** -0.5
            series_BHLL = (scale * q_BHLE @ k_BHLE.transpose(-1, -2)).softmax(-1)
            sigma_BHL1 = 3 ** (torch.sigmoid(5 * to_sigma(normed_BLD)) + 1e-5) - 1
            sigma_BHL1 = sigma_BHL1.transpose(1, 2)[..., None]
            prior_BHLL = torch.exp(-self.lag_LL.square() / (2 * sigma_BHL1**2)) / sigma_BHL1
            prior_BHLL = prior_BHLL / prior_BHLL.sum(-1, keepdim=True)
            series_phase = series_phase + symmetric(series_BHLL, prior_BHLL.detach())
            prior_phase = prior_phase + symmetric(prior_BHLL, series_BHLL.detach())
            mixed_BLD = layer.attention.out((series_BHLL @ v_BHLE).transpose(1, 2).flatten(2))
            token_BLD = token_BLD + mixed_BLD
            fed_BLD = layer.feed_in(layer.feed_norm(token_BLD))
            token_BLD = token_BLD + layer.feed_out(nn.functional.gelu(fed_BLD))
        error = (body.head(body.norm(token_BLD)) - x_BLC).square().mean()
        return error - self.k * series_phase, error + self.k * prior_phase


def symmetric(p_BHLL: Tensor, q_BHLL: Tensor) -> Tensor:
    """Mean of KL(p||q) + KL(q||p), with logarithms."""
    forth = p_BHLL * (torch.log(p_BHLL + 1e-4) - torch.log(q_BHLL + 1e-4))
    back = q_BHLL * (torch.log(q_BHLL + 1e-4) - torch.log(p_BHLL + 1e-4))
    return (forth.sum(-1) + back.sum(-1)).mean()


def training_steps(
    channels: int,
    size: ModelParams | None = None,
    *,
    batch: int = BATCH,
    device: str = "cpu",
    precision: str = "float32",
    compiled: bool = False,
) -> dict[str, Callable[[], None]]:
    """For each variant, a function that makes one whole step on a batch of windows.

    size: of the networks. precision: as in ``TrainJob``. compiled: with ``torch.compile``.
    """
    torch.manual_seed(0)
    size, where = size or ModelParams(), torch.device(device)
    x_BLC = torch.randn(batch, size.window, channels, device=where)
    mask_BLC = draw_mask(MaskParams(), tuple(x_BLC.shape), torch.Generator().manual_seed(0))
    hidden_BLC = mask_BLC.to(where)
    steps = {}
    for name, (model, loss) in VARIANTS.items():
        network = Amad(channels, size.model_copy(update=model))
        objective = Objective(network, LossParams(**loss)).to(where)
        optimiser = torch.optim.AdamW(objective.parameters())
        run = torch.compile(objective) if compiled else objective

        def step(run=run, optimiser=optimiser) -> None:
            optimiser.zero_grad()
            with autocast(precision, where):
                losses = run(x_BLC, hidden_BLC, hidden_BLC)
            losses.total.backward()
            optimiser.step()

        steps[name] = step
    opponent = AnomalyTransformerStep(channels, size).to(where)
    opponent_optimiser = torch.optim.AdamW(opponent.parameters())

    def published() -> None:
        opponent_optimiser.zero_grad()
        opponent.step(x_BLC, lambda: autocast(precision, where))
        opponent_optimiser.step()

    return steps | {PUBLISHED: published}


def scoring_passes(channels: int) -> tuple[dict[str, Callable[[], None]], int]:
    """For each kernel, a function that scores a series; and the number of rows of that series."""
    params = ModelParams()
    rows = SCORED_WINDOWS * params.window
    series = Series(
        vehicle="v",
        vehicle_class="all",
        timestamp_T=np.arange(rows, dtype=np.int64) * 1_000_000,
        value_TC=np.random.default_rng(0).normal(size=(rows, channels)).astype(np.float32),
        valid_TC=np.ones((rows, channels), np.uint8),
        segment_T=np.zeros(rows, np.int32),
        split_T=np.full(rows, TRAIN, np.uint8),
    )
    passes = {}
    for kernel in ("automask", "gaussian", "none"):
        model = Amad(channels, ModelParams(kernel=kernel))
        passes[kernel] = lambda model=model: hidden_residual(model, series, params.window, 10)
    return passes, rows


def seconds_of(
    work: dict[str, Callable[[], None]], finish: Callable[[], None] = lambda: None
) -> dict[str, float]:
    """Seconds of each function in the best of ``ROUNDS`` rounds, after one round to warm up.

    finish: waits until the work of a function is done, for a GPU, which works in the background.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(ROUNDS + 1):
        for name, function in work.items():
            started = time.perf_counter()
            function()
            finish()
            if number:
                times[name].append(time.perf_counter() - started)
    return {name: min(values) for name, values in times.items()}


def measure(channels: int) -> dict:
    """Speeds and ratios for one number of channels."""
    training = {n: BATCH / s for n, s in seconds_of(training_steps(channels)).items()}
    passes, rows = scoring_passes(channels)
    scoring = {name: rows / seconds for name, seconds in seconds_of(passes).items()}
    amad = training["amad, every loss"]
    return {
        "channels": channels,
        "training_windows_per_second": training,
        "amad_to_others": {n: amad / v for n, v in training.items() if n != "amad, every loss"},
        "scoring_rows_per_second": scoring,
        "scoring_windows_per_second": {n: v / ModelParams().window for n, v in scoring.items()},
    }


def main() -> None:
    """Measure, write ``--out`` and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("--out", type=Path, default=Path("bench/results/model.json"))
    parser.add_argument("--channels", type=int, nargs="+", default=[18, 38])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    params = ModelParams()
    result = {
        "machine": machine_facts(),
        "threads": arguments.threads,
        "window": params.window,
        "width": params.width,
        "layers": params.layers,
        "batch": BATCH,
        "sizes": [measure(channels) for channels in arguments.channels],
    }
    write_json(arguments.out.absolute(), result)
    for size in result["sizes"]:
        print(f"{size['channels']} channels")
        for name, speed in size["training_windows_per_second"].items():
            print(f"  train  {name:38s} {speed:7.0f} windows/s")
        for name, speed in size["scoring_windows_per_second"].items():
            print(f"  score  {name:38s} {speed:7.0f} windows/s")


if __name__ == "__main__":
    main()
