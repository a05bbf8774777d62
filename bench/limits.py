"""python -m bench.limits --out bench/results/limits.json

What the machine allows, counted and measured: its matmul and copy rates with one thread, and beside
them the floating-point operations and bytes of a training step and of a scored row of the network.

The operations are those of matrix products, counted by torch itself while a step runs. The bytes of
a step are a lower bound: what is kept for the backward pass, written once and read once, and what
the optimiser reads and writes. The least seconds are the larger of operations / matmul rate and
bytes / copy rate; a share is these least seconds of the measured ones. Seconds are those of the
processor, so what else runs on the machine hardly counts.

Last, what a whole detector spends its time on when it scores with the network voting at width 512:
torch's profiler tells the seconds of each operation, and they are compared with those of the call.
Products of the closed-form members, which NumPy makes, are not among them.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from amad.config import Settings, load_fleet, load_params
from amad.config.params import ModelParams
from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.model.bundle import Bundle
from amad.model.network import Amad
from bench.facts import machine_facts, write_result
from bench.model import (
    BATCH,
    CHANNELS,
    ENCODER,
    EVERY_LOSS,
    PUBLISHED,
    SIZES,
    operations,
    rounds_of,
    scoring_pass,
    training_steps,
)
from bench.options import parser_of
from bench.plain_series import plain_series
from bench.quality.tables import table

SQUARE, COPIED = 1024, 1 << 28  # rows of a matrix; bytes of a copy
ADAMW = 7 * 4  # bytes per parameter and step: weight, gradient, two moments read; three written
SCORE_BYTES = 40  # of a row of scores: time, score, contributions of the three largest channels

PRODUCTS = ("aten::addmm", "aten::mm", "aten::bmm", "aten::baddbmm")
VOTING_WIDTH = 512
VOTING_ROWS = 800, 400, 3000  # to fit on, to calibrate on, to score
VOTING_ROUNDS = 3
HALF = 0.5  # of the time is wanted in products

ROUNDS = 7


def seconds_of(work: Callable[[], object]) -> float:
    """Seconds of the processor in the best of ``ROUNDS`` rounds, after one to warm up."""
    return min(rounds_of({"work": work}, ROUNDS)["work"])


def matmul_rates(width: int) -> dict[str, float]:
    """Operations per second of a square product, and of one as the network's layers have it."""
    shapes = {"square": (SQUARE, SQUARE, SQUARE), "layer": (BATCH * 100, width, 3 * width)}
    rates = {}
    for name, (rows, inner, columns) in shapes.items():
        left, right = torch.randn(rows, inner), torch.randn(inner, columns)
        out = torch.empty(rows, columns)
        seconds = seconds_of(lambda a=left, b=right, o=out: torch.mm(a, b, out=o))
        rates[name] = 2 * rows * inner * columns / seconds
    return rates


def copy_rate() -> float:
    """Bytes read and written per second, by a copy larger than every cache."""
    source, target = (torch.zeros(COPIED, dtype=torch.uint8) for _ in range(2))
    return 2 * COPIED / seconds_of(lambda: target.copy_(source))


def kept_bytes(work: Callable[[], None]) -> int:
    """Bytes that ``work`` keeps for its backward passes, each storage once."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        work()
    return sum(kept.values())


def training(params: ModelParams, rates: dict[str, float], copy: float) -> dict[str, dict]:
    """For each kind of step: operations, bytes, seconds, and the share of what is possible."""
    steps = training_steps(CHANNELS, params)
    measured = {name: seconds_of(step) for name, step in steps.items()}
    parameters = sum(p.numel() for p in Amad(CHANNELS, params).parameters())
    found = {}
    for name, step in steps.items():
        flops = operations(step)
        moved = 2 * kept_bytes(step) + ADAMW * parameters
        least = max(flops / max(rates.values()), moved / copy)
        found[name] = {
            "operations": flops,
            "bytes": moved,
            "seconds": measured[name],
            "windows_per_second": BATCH / measured[name],
            "operations_per_second": flops / measured[name],
            "share_of_the_limit": least / measured[name],
            "limited_by": "matmul" if flops / max(rates.values()) > moved / copy else "copy",
        }
    return found


def scoring(rates: dict[str, float], copy: float) -> dict:
    """A scored row of the network: operations and bytes, and rows per second."""
    work, rows = scoring_pass()
    seconds = seconds_of(work)
    flops = operations(work) / rows
    moved = 2 * 4 * CHANNELS + SCORE_BYTES  # a value and its validity read, a score written
    return {
        "operations_per_row": flops,
        "bytes_per_row": moved,
        "rows_per_second": rows / seconds,
        "rows_per_second_at_the_matmul_rate": max(rates.values()) / flops,
        "rows_per_second_at_the_copy_rate": copy / moved,
    }


def voting() -> dict:
    """The shares of a detector's time when it scores with the network voting.

    Returns: the shares of torch's operations in the seconds of the call, of all products together
    and of each of the largest; and the share outside of torch. The median of the rounds counts.
    """
    torch.manual_seed(0)
    fleet, params = load_fleet("demo"), load_params(Settings().params_file, "demo")
    detect = params.detect.model_copy(update={"amad_weight": 1.0})
    params = params.model_copy(update={"model": SIZES[VOTING_WIDTH], "detect": detect})
    channels, rng = len(fleet.channels), np.random.default_rng(0)
    model = Amad(channels, params.model).eval()  # its weights do not matter for its speed
    bundle = Bundle(model=model, params=params, fleet=fleet, scaler=None, meta={})
    members = build_members(detect, bundle)
    detector, parts, begin = Detector(members, detect, fleet, None), [], 0
    for rows in VOTING_ROWS:
        value_TC = rng.normal(size=(rows, channels))
        parts.append(plain_series(value_TC, fleet.vehicle_classes[0].name, begin))
        begin += rows
    train, calibration, series = parts
    detector.fit([train], [calibration])
    rounds = [_profiled(lambda: detector.score(series)) for _ in range(VOTING_ROUNDS)]
    names = {name for found in rounds for name in found}
    share = {n: float(np.median([found.get(n, 0.0) for found in rounds])) for n in names}
    largest = sorted(share, key=share.__getitem__, reverse=True)[:8]
    return {
        "width": VOTING_WIDTH,
        "channels": channels,
        "load": machine_facts()["load"],
        "members": [member.name for member in members],
        "products": sum(share.get(name, 0.0) for name in PRODUCTS),
        "outside_torch": 1 - sum(share.values()),
        "largest": {name: share[name] for name in largest},
    }


def _profiled(work: Callable[[], object]) -> dict[str, float]:
    """The share of each operation of torch in the seconds of ``work``."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        work()
        seconds = time.perf_counter() - started
    return {e.key: e.self_cpu_time_total / 1e6 / seconds for e in profiler.key_averages()}


def page(report: dict) -> list[str]:
    """The page of docs/results, from what ``main`` wrote."""
    machine = report["machine"]
    lines = [
        "# What the machine allows",
        "",
        f"`python -m bench.limits`, one thread of {machine['cpu']}, {report['channels']} channels, "
        f"batches of {report['batch']} windows. Operations are those of matrix products, counted "
        "while a step runs; bytes are the least that must move. The limit is the larger of "
        "operations at the matmul rate and bytes at the copy rate; the share says how near a step "
        "comes to it.",
        "",
        f"A copy moves {report['copy_bytes_per_second'] / 1e9:.1f} GB/s (read and written).",
    ]
    for width, found in report["widths"].items():
        lines += _at_width(width, found)
    scored, voted = report["scoring"], report["voting"]
    others = ", ".join(
        f"{name.removeprefix('aten::').lstrip('_')} {share:.0%}"
        for name, share in voted["largest"].items()
        if name not in PRODUCTS
    )
    return [
        *lines,
        "",
        "## A scored row of the network",
        "",
        f"{scored['operations_per_row'] / 1e6:.2f} MFLOP and {scored['bytes_per_row']} bytes: at "
        f"the matmul rate {scored['rows_per_second_at_the_matmul_rate']:,.0f} rows/s, at the copy "
        f"rate {scored['rows_per_second_at_the_copy_rate']:,.0f}; measured "
        f"{scored['rows_per_second']:,.0f}.",
        "",
        f"## A detector with the network voting, width {voted['width']}",
        "",
        f"Of the time in which a detector scores {voted['channels']} channels with "
        f"{', '.join(voted['members'])}, {voted['products']:.0%} are matrix products of the "
        f"network ({HALF:.0%} are wanted) and {voted['outside_torch']:.0%} are outside of torch: "
        f"the closed-form members and the evidence chain. The largest of the rest: {others}.",
    ]


def _at_width(width: str, found: dict) -> list[str]:
    """The section of one width: a row per training step."""
    rates = found["matmul_operations_per_second"]
    rows = [
        [
            name, f"{step['windows_per_second']:,.0f}", f"{step['operations'] / 1e9:.1f}",
            f"{step['bytes'] / 1e9:.2f}", f"{step['operations_per_second'] / 1e9:.0f}",
            step["limited_by"], f"{step['share_of_the_limit']:.0%}",
        ]
        for name, step in found["training"].items()
    ]  # fmt: skip
    head = ["training step", "windows/s", "GFLOP", "GB", "GFLOP/s", "limited by", "share"]
    own, encoder, published = (found["training"][n] for n in (EVERY_LOSS, ENCODER, PUBLISHED))
    return [
        "",
        f"## Width {width}",
        "",
        f"A product as the layers have it reaches {rates['layer'] / 1e9:.0f} GFLOP/s, a square "
        f"one {rates['square'] / 1e9:.0f}.",
        "",
        *table(head, rows),
        "",
        f"A step with every loss makes {own['operations'] / encoder['operations']:.1f} times the "
        f"operations of torch's encoder and {own['operations'] / published['operations']:.1f} "
        "times those of the published step, and does "
        f"{own['operations_per_second'] / encoder['operations_per_second']:.2f} and "
        f"{own['operations_per_second'] / published['operations_per_second']:.2f} times as "
        "many per second.",
    ]


def main(arguments: list[str] | None = None) -> dict:
    """Measure with one thread, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    copy = copy_rate()
    sizes = {}
    for width, size in SIZES.items():
        rates = matmul_rates(width)
        sizes[str(width)] = {
            "matmul_operations_per_second": rates,
            "training": training(size, rates, copy),
        }
    result = {
        "machine": machine_facts(),
        "threads": 1,
        "channels": CHANNELS,
        "batch": BATCH,
        "copy_bytes_per_second": copy,
        "widths": sizes,
        "scoring": scoring(sizes["64"]["matmul_operations_per_second"], copy),
        "voting": voting(),
    }
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
