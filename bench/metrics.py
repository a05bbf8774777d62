"""python -m bench.metrics --out metrics.json --rows 20000 200000

Measures the seconds of every metric on series of given lengths, and how much faster VUS is than a
plain loop over buffers and thresholds, on the same series in the same run.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from amad import metrics
from bench.facts import machine_facts, write_result
from bench.options import parser_of, positive

MEASURED = (
    metrics.vus,
    metrics.auc_pr,
    metrics.auc_roc,
    metrics.best_f1,
    metrics.range_f1,
    metrics.event_f1,
    metrics.affiliation_f1,
    metrics.pa_k_curve,
)


def made_series(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with about 5 % of rows in events of 5 to 400 rows, and a smoothed noisy score."""
    rng = np.random.default_rng(seed)
    label = np.zeros(rows, dtype=np.int8)
    while label.mean() < 0.05:
        start = rng.integers(0, rows - 400)
        label[start : start + rng.integers(5, 400)] = 1
    noise = rng.normal(size=rows) + 0.7 * label
    return label, np.convolve(noise, np.ones(11) / 11, mode="same")


def loop_vus(
    label: np.ndarray, score: np.ndarray, buffer: int, thresholds: int = 250
) -> tuple[float, float]:
    """VUS-PR and VUS-ROC the plain way, with a pass over all rows per buffer and threshold.

    The tests hold the metric to it.
    """
    rows = len(label)
    starts, ends = metrics.events_of(label)
    levels = np.sort(score)[::-1][np.linspace(0, rows - 1, thresholds).astype(int)]
    pr = roc = 0.0
    for size in range(buffer + 1):
        half = size // 2
        worth = label.astype(np.float64)
        grown: list[list[int]] = []
        for start, end in zip(starts, ends, strict=True):
            after = np.arange(end, min(end + half, rows))
            worth[after] += np.sqrt(1 - (after - end + 1) / max(size, 1))
            before = np.arange(max(start - half, 0), start)
            worth[before] += np.sqrt(1 - (start - before) / max(size, 1))
            if grown and grown[-1][1] > start - half:
                grown[-1][1] = end + half
            else:
                grown.append([max(start - half, 0), end + half])
        worth = np.minimum(worth, 1)
        recall, false, precision = [0.0], [0.0], [1.0]
        for level in levels:
            alarm = score >= level
            true = np.dot(worth, alarm)
            positive = (label.sum() + np.where(label == 1, 1, worth * alarm).sum()) / 2
            touched = sum(alarm[start:end].any() for start, end in grown) / len(grown)
            recall.append(min(true / positive, 1) * touched)
            false.append((alarm.sum() - true) / (rows - positive))
            precision.append(true / alarm.sum())
        pr += np.sum(np.diff(recall) * precision[1:])
        roc += np.trapezoid([*recall, 1.0], [*false, 1.0])
    return pr / (buffer + 1), roc / (buffer + 1)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The fastest of ``repeats`` calls."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - started)
    return best


def measure(rows: int, buffer: int, repeats: int) -> dict:
    """Seconds of each metric, and of VUS against the loop, on one series."""
    label, score = made_series(rows, seed=7)
    timed = {
        metric.__name__: seconds(lambda metric=metric: metric(label, score), repeats)
        for metric in MEASURED
    }
    both = seconds(lambda: metrics.vus(label, score, buffer), repeats)
    started = time.perf_counter()
    expected = loop_vus(label, score, buffer)
    loop = time.perf_counter() - started
    difference = np.abs(np.subtract(expected, metrics.vus(label, score, buffer)))
    return {
        "rows": rows,
        "events": len(metrics.events_of(label)[0]),
        "seconds": timed,
        "vus_both_seconds": both,
        "vus_loop_seconds": loop,
        "vus_times_faster": loop / both,
        "vus_largest_difference": float(difference.max()),
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    parser.add_argument("--rows", type=positive, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--repeats", type=positive, default=3)
    parser.add_argument("--buffer", type=positive, default=100)
    options = parser.parse_args(arguments)
    sizes = []
    for rows in options.rows:
        print(f"{rows} rows", file=sys.stderr)
        sizes.append(measure(rows, options.buffer, options.repeats))
    result = {"machine": machine_facts(), "buffer": options.buffer, "sizes": sizes}
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    main()
