"""python -m bench.model --out bench/results/model.json --widths 64 512

Measures training steps at each width and the scoring of hidden positions, in windows per second.

Beside AMAD it measures torch's own ``nn.TransformerEncoder`` and the Anomaly Transformer in its
published form, of the same size and in the same run. Every round times each step once, in seconds
of the processor; a ratio is the median over the rounds of the ratio within a round, so that a busy
machine hardly changes it.

Shape legend: B windows, L steps, C channels.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from amad.config.cluster import Compile
from amad.config.params import LossParams, MaskParams, ModelParams
from amad.model import Amad, draw_mask, hidden_residual
from amad.model.compiled import compile_steps
from amad.model.losses import Objective
from amad.model.training import autocast
from bench.facts import machine_facts, write_result
from bench.opponents import AnomalyTransformer, Encoder
from bench.options import parser_of, positive
from bench.plain_series import plain_series

BATCH, CHANNELS, ROUNDS, SCORED_WINDOWS = 64, 38, 12, 64
SIZES = {64: ModelParams(), 512: ModelParams(width=512, layers=3, heads=8)}
EVERY_LOSS = "amad, every loss"
SHIPPED = "amad, reconstruction alone"  # params.yaml: the other losses are off
PUBLISHED, ENCODER = "anomaly transformer, published form", "nn.TransformerEncoder"
VARIANTS = {  # of AMAD's step, by name: the weights of the losses
    EVERY_LOSS: {"maxmin": 0.01, "contrast": 0.1},
    SHIPPED: {"maxmin": 0.0, "contrast": 0.0},
}


def training_steps(
    channels: int,
    size: ModelParams | None = None,
    *,
    batch: int = BATCH,
    device: str = "cpu",
    precision: str = "float32",
    how: Compile = "none",
) -> dict[str, Callable[[], None]]:
    """For each network and form of its losses, a function that makes a step on one batch.

    size: of the networks. precision: as in ``TrainJob``. how: AMAD's steps are compiled.
    """
    torch.manual_seed(0)
    size, where = size or ModelParams(), torch.device(device)
    x_BLC = torch.randn(batch, size.window, channels, device=where)
    mask_BLC = draw_mask(MaskParams(), tuple(x_BLC.shape), torch.Generator().manual_seed(0))
    hidden_BLC = mask_BLC.to(where)
    steps = {}
    for name, loss in VARIANTS.items():
        objective = Objective(Amad(channels, size), LossParams(**loss)).to(where)
        optimiser = torch.optim.AdamW(objective.parameters(), fused=True)
        compile_steps(objective, batch, how)

        def step(objective=objective, optimiser=optimiser) -> None:
            optimiser.zero_grad()
            with autocast(precision, where):
                losses = objective(x_BLC, hidden_BLC, hidden_BLC)
            losses.total.backward()
            optimiser.step()

        steps[name] = step
    for name, network in ((PUBLISHED, AnomalyTransformer), (ENCODER, Encoder)):
        opponent = network(channels, size).to(where)
        optimiser = torch.optim.AdamW(opponent.parameters(), fused=True)

        def other(opponent=opponent, optimiser=optimiser) -> None:
            optimiser.zero_grad()
            opponent.step(x_BLC, lambda: autocast(precision, where))
            optimiser.step()

        steps[name] = other
    return steps


def scoring_pass() -> tuple[Callable[[], object], int]:
    """A function that scores a series; and the number of rows of that series."""
    params = ModelParams()
    rows = SCORED_WINDOWS * params.window
    series = plain_series(np.random.default_rng(0).normal(size=(rows, CHANNELS)))
    model = Amad(CHANNELS, params)
    return lambda: hidden_residual(model, series, 10), rows


def operations(work: Callable[[], None]) -> int:
    """Floating-point operations of the matrix products in ``work``."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def rounds_of(
    work: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.process_time,
    finish: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Seconds of each function in each round, after one round to warm up.

    finish: waits until the work of a function is done, for a GPU, which works in the background.
    """
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, function in work.items():
            started = clock()
            function()
            finish()
            if number:
                times[name].append(clock() - started)
    return times


def ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median of the ratios within a round."""
    return median(a / b for a, b in zip(numerator, denominator, strict=True))


def measure(width: int, names: list[str], rounds: int) -> dict:
    """Speeds of the named training steps at one width, and the shipped one's against the others."""
    steps = training_steps(CHANNELS, SIZES[width])
    steps = {name: steps[name] for name in names}
    times = rounds_of(steps, rounds)
    count = {name: operations(step) for name, step in steps.items()}
    own, others = times[SHIPPED], [name for name in names if name != SHIPPED]
    windows = {name: ratio(times[name], own) for name in others}
    return {
        "width": width,
        "layers": SIZES[width].layers,
        "heads": SIZES[width].heads,
        "rounds": rounds,
        "load": machine_facts()["load"],
        "windows_per_second": {name: BATCH / median(found) for name, found in times.items()},
        "operations_per_step": count,
        "windows_shipped_to_others": windows,
        "operations_per_second_shipped_to_others": {
            name: windows[name] * count[SHIPPED] / count[name] for name in others
        },
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    parser.add_argument(
        "--widths", type=positive, nargs="+", default=list(SIZES), choices=list(SIZES)
    )
    parser.add_argument("--rounds", type=positive, default=ROUNDS)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    names = [SHIPPED, PUBLISHED, ENCODER]
    training = [measure(width, names, options.rounds) for width in options.widths]
    work, rows = scoring_pass()
    seconds = rounds_of({"score": work}, options.rounds)["score"]
    result = {
        "machine": machine_facts(),
        "threads": 1,
        "window": ModelParams().window,
        "channels": CHANNELS,
        "batch": BATCH,
        "training": training,
        "scoring_rows_per_second": rows / median(seconds),
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
