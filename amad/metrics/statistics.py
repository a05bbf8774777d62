"""How sure a mean over units is.

Shape legend: U units (vehicles or cases).
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np


def bootstrap_mean(
    values, n: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``values`` (U,) and its percentile bootstrap interval: (mean, low, high).

    Draws ``n`` times U of the units with replacement. One unit has no spread: low = mean = high.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    return bootstrap_mean_of_groups([values], n, confidence, seed)


def bootstrap_mean_of_groups(
    groups: Sequence, n: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of the means of groups of units, all weighing the same, with its interval.

    groups: arrays (U,) of values. The bootstrap draws units within each group. Returns (mean, low,
    high).

    Raises:
        ValueError: no values, or one that is not finite.
    """
    rng, means, draws = np.random.default_rng(seed), [], []
    for group in groups:
        values = np.asarray(group, dtype=np.float64)
        if values.ndim != 1 or len(values) == 0 or not np.isfinite(values).all():
            raise ValueError("the bootstrap needs at least one value, all of them finite")
        means.append(values.mean())
        draws.append(values[rng.integers(0, len(values), size=(n, len(values)))].mean(axis=1))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.mean(draws, axis=0), [tail, 1 - tail])
    return float(np.mean(means)), float(low), float(high)


def bootstrap_nested_mean(
    groups: Sequence, n: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of the means of groups of units, with an interval that holds for other groups too.

    groups: arrays (U,) of values, such as the cases of each vehicle. The bootstrap draws groups,
    and units within each group that it drew; of one group, its units alone. Returns (mean, low,
    high).

    Raises:
        ValueError: no values, or one that is not finite.
    """
    rng, arrays = np.random.default_rng(seed), [np.asarray(g, dtype=np.float64) for g in groups]
    if not arrays or not all(len(a) and np.isfinite(a).all() for a in arrays):
        raise ValueError("the bootstrap needs at least one value, all of them finite")
    size_G = np.array([len(a) for a in arrays])
    values_GU = np.zeros((len(arrays), size_G.max()))
    for row_U, values in zip(values_GU, arrays, strict=True):
        row_U[: len(values)] = values
    means = np.zeros(n)
    for _ in arrays:
        group_N = rng.integers(0, len(arrays), n)
        unit_NU = rng.integers(0, size_G[group_N][:, None], (n, size_G.max()))
        drawn_NU = np.arange(size_G.max()) < size_G[group_N][:, None]
        values_NU = values_GU[group_N[:, None], unit_NU]
        means += (values_NU * drawn_NU).sum(axis=1) / size_G[group_N] / len(arrays)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(np.mean([a.mean() for a in arrays])), float(low), float(high)


def paired_bootstrap(
    a, b, n: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``a - b`` over the same units (U,), with its interval: (mean, low, high).

    Raises:
        ValueError: the units differ in number, are none, or hold a value that is not finite.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired values must be as many: {a.shape} and {b.shape}")
    return bootstrap_mean(a - b, n, confidence, seed)


def shared_values(
    ours: Mapping[str, Mapping[str, float | None]],
    theirs: Mapping[str, Mapping[str, float | None]],
    metric: str,
) -> tuple[list[float], list[float]]:
    """Both sides' values of a metric, of the units for which both have a finite one, by name.

    ours, theirs: unit -> metric -> value.
    """
    pairs = [
        (a, b)
        for unit in sorted(set(ours) & set(theirs))
        if (a := ours[unit].get(metric)) is not None and math.isfinite(a)
        and (b := theirs[unit].get(metric)) is not None and math.isfinite(b)
    ]  # fmt: skip
    return [a for a, _ in pairs], [b for _, b in pairs]
