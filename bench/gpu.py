"""python -m bench.gpu --out bench/results/gpu.json

Measures whole training steps on a GPU in windows per second: AMAD, the published step of the
Anomaly Transformer and torch's own encoder of the same size, all in one run. They are measured in
float32 and bfloat16, AMAD's also with each ``compile`` of a cluster profile, at the default size
and at width 512. A plain matrix product and a plain copy show what the GPU can reach. Without a GPU
it ends with code 3.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from amad.config.cluster import Compile
from amad.config.params import ModelParams
from amad.telemetry.files import write_json
from bench.facts import machine_facts
from bench.model import ROUNDS, rounds_of, training_steps
from bench.options import parser_of

CHANNELS, BATCH = 38, 512
SIZES = {
    "default": ModelParams(),
    "width 512": ModelParams(width=512, layers=3, heads=8),
}
FORMS: dict[str, tuple[str, Compile]] = {  # name: precision, compile
    "float32": ("float32", "none"),
    "bfloat16": ("bfloat16", "none"),
    "bfloat16, compiled": ("bfloat16", "kernels"),
    "bfloat16, CUDA graphs": ("bfloat16", "graphs"),
}
PACKAGES = ("numpy", "torch")


def best_seconds(work: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Seconds of each function in its best round."""
    times = rounds_of(work, ROUNDS, time.perf_counter, torch.cuda.synchronize)
    return {name: min(found) for name, found in times.items()}


def limits() -> dict[str, float]:
    """TFLOP/s of a bfloat16 product of 8192 x 8192 matrices, TB/s read and written by a copy."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    source = torch.randn(1 << 30, device="cuda")
    target = torch.empty_like(source)
    seconds = best_seconds({"product": lambda: a @ b, "copy": lambda: target.copy_(source)})
    return {
        "bfloat16_tflops": 2 * 8192**3 / seconds["product"] / 1e12,
        "copy_terabytes_per_second": 2 * source.nbytes / seconds["copy"] / 1e12,
    }


def measure(size: ModelParams, precision: str, how: Compile) -> dict[str, float]:
    """Windows per second of each variant's training step."""
    steps = training_steps(CHANNELS, size, batch=BATCH, device="cuda", precision=precision, how=how)
    return {name: BATCH / s for name, s in best_seconds(steps).items()}


def main() -> None:
    """Measure, write ``--out`` and print the figures."""
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results/gpu.json"))
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        print("there is no GPU here that torch can use", file=sys.stderr)
        sys.exit(3)
    result = {
        "machine": machine_facts(PACKAGES) | {"gpu": torch.cuda.get_device_name()},
        "channels": CHANNELS,
        "batch": BATCH,
        "limits": limits(),
        "sizes": {},
    }
    for name, size in SIZES.items():
        entry = {"width": size.width, "layers": size.layers, "heads": size.heads, "forms": {}}
        for form, (precision, how) in FORMS.items():
            speeds = measure(size, precision, how)
            entry["forms"][form] = {"windows_per_second": speeds}
            for variant, speed in speeds.items():
                print(f"{name:10s} {form:20s} {variant:38s} {speed:9.0f} windows/s", flush=True)
        result["sizes"][name] = entry
        write_json(arguments.out.absolute(), result)


if __name__ == "__main__":
    main()
