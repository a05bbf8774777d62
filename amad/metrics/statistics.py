"""How sure a mean over units is.

A mean of few units varies more than its resamples do, because they are drawn from these few: the
narrowness bias of Hesterberg, "What teachers should know about the bootstrap", The American
Statistician 2015. So both ends of a percentile interval are moved away from the mean, by the factor
by which an interval of Student's t is wider than a normal one with the spread of the resamples. For
many units it is 1, for twelve 1.2 and for two 9 (at a confidence of 95 %).

Shape legend: U units (vehicles or cases), N resamples.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np


def bootstrap_mean(
    values, n: int = 1000, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of ``values`` (U,) and its bootstrap interval: (mean, low, high).

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
    rng, means, variances, freedoms = np.random.default_rng(seed), [], [], []
    deviation_N = np.zeros(n)
    for group in groups:
        values = _finite(group)
        units = len(values)
        means.append(values.mean())
        drawn_N = values[rng.integers(0, units, size=(n, units))].mean(axis=1)
        if units > 1:
            deviation_N += math.sqrt(units / (units - 1)) * (drawn_N - means[-1]) / len(groups)
            variances.append(values.var(ddof=1) / units)
            freedoms.append(units - 1)
    mean = float(np.mean(means))
    low, high = _ends(deviation_N, confidence, _freedom(variances, freedoms))
    return mean, mean + low, mean + high


def _finite(values) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise ValueError("the bootstrap needs at least one value, all of them finite")
    return array


def _freedom(variances: Sequence[float], freedoms: Sequence[int]) -> float:
    """Degrees of freedom of a sum of means (Welch-Satterthwaite), infinite without any spread."""
    spread = sum(v * v / f for v, f in zip(variances, freedoms, strict=True))
    return sum(variances) ** 2 / spread if spread > 0 else math.inf


def _ends(deviation_N: np.ndarray, confidence: float, freedom: float) -> tuple[float, float]:
    """The quantiles of the deviations from the mean, stretched as Student's t asks for."""
    from scipy.special import stdtrit  # on demand: it takes a quarter of a second

    tail = (1 - confidence) / 2
    stretch = stdtrit(freedom, 1 - tail) / stdtrit(math.inf, 1 - tail)
    low, high = stretch * np.quantile(deviation_N, [tail, 1 - tail])
    return float(low), float(high)


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
    rng, arrays = np.random.default_rng(seed), [_finite(group) for group in list(groups) or [[]]]
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
    mean = float(np.mean([a.mean() for a in arrays]))
    units = len(arrays) if len(arrays) > 1 else len(arrays[0])  # what the interval is over
    lost = math.sqrt(units / (units - 1)) if units > 1 else 1.0
    low, high = _ends(lost * (means - mean), confidence, max(units - 1, 1))
    return mean, mean + low, mean + high


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
