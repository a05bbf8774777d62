"""Injects faults into copies of a clean series, to have labels where there are none.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.simulator.faults import FAULT_TYPES, Fault, apply_fault, settled
from amad.windows.series import TRAIN, Series

TRIES = 60  # draws of a place and channels before a case is given up
STRENGTH = {
    "spike": (1.0, 8.0),
    "noise_burst": (0.3, 3.0),
    "delay": (1.0, 8.0),
}  # lowest and highest, in spreads, even in the logarithm; other types: (0.5, 5)
ROWS = {"spike": (1, 8)}  # shortest and longest; other types: (10, 240)
COUPLED = 0.5  # channels with at least this correlation are called coupled
GOLDEN = (5**0.5 - 1) / 2


def injected_cases(
    series: Series,
    has_channel_C: Sequence[bool] | np.ndarray,
    cases: int,
    seed: int,
    types: Sequence[str] = FAULT_TYPES,
) -> list[tuple[Series, Fault]]:
    """Copies of ``series``, each with one fault and with ``label_T`` 1 in the fault's rows only.

    The types take turns. Strengths run evenly from weak to strong, in units of the channel's spread
    over the train rows of ``series``, or over all its rows if it has no train rows. A fault lies
    within one segment, where at least half of the values that it changes were measured. If it would
    change nothing (a stuck sensor at a standstill), another place or channel is drawn. A counter or
    angle that is stuck has no increment, and channels of codes get codes only, where
    ``series.behaviour`` tells which these are.

    has_channel_C: which channels the vehicle has; of these, only channels that vary get a fault.
    Channels with a correlation of at least ``COUPLED`` are partners: a decoupling takes a channel
    that has one, a degradation a channel with its partners.
    seed: the same arguments give the same cases.

    Returns:
        ``cases`` pairs of a series and its fault, whose ``start`` and ``end`` are the rows that it
        really changes. There are fewer pairs if the series is too short or varies too little.

    Raises:
        ValueError: a type is not in ``FAULT_TYPES``.
    """
    unknown = sorted(set(types) - set(FAULT_TYPES))
    if unknown:
        raise ValueError(f"unknown fault types {unknown}; accepted: {', '.join(FAULT_TYPES)}")
    scale_C = _spread(series)
    usable = np.flatnonzero(np.asarray(has_channel_C, bool) & (scale_C > 1e-6))
    if len(usable) == 0 or not types:
        return []
    partners = _partners(series, usable)
    offset = np.random.default_rng([seed, len(types)]).random()
    made = []
    for case in range(cases):
        rng = np.random.default_rng([seed, case])
        turn, position = divmod(case, len(types))
        kind = types[position]
        grade = (offset + position / len(types) + turn * GOLDEN) % 1.0
        for _ in range(TRIES):
            fault = _draw(kind, grade, series, partners, rng)
            if fault is None:
                continue
            value_TC = apply_fault(series.value_TC, fault, scale_C, rng)
            _as_it_can_be(value_TC, fault, series)
            fault = settled(fault, series.value_TC, value_TC, scale_C)
            if fault is None:
                continue
            label_T = np.zeros(series.rows, np.int8)
            label_T[fault.start : fault.end] = 1
            made.append((series.with_values(value_TC, label_T), fault))
            break
    return made


def _as_it_can_be(value_TC: np.ndarray, fault: Fault, series: Series) -> None:
    """Change the fault, in place, to what its channels can show.

    A stuck counter or angle has no increment any more, and a channel of codes has codes only.
    """
    if series.behaviour is None:
        return
    rows = slice(fault.start, fault.end)
    for c in fault.channels:
        if fault.type == "stuck" and np.isfinite(series.behaviour.still_C[c]):
            value_TC[rows, c] = series.behaviour.still_C[c]
        if series.behaviour.coded_C[c]:
            known = np.unique(series.value_TC[:, c])
            between = (known[1:] + known[:-1]) / 2
            value_TC[rows, c] = known[np.searchsorted(between, value_TC[rows, c])]


def _spread(series: Series) -> np.ndarray:
    """Standard deviation of each channel over the train rows, or over all rows if none."""
    if series.rows == 0:
        return np.zeros(series.value_TC.shape[1])
    train_T = series.split_T == TRAIN
    value_TC = series.value_TC[train_T] if train_T.any() else series.value_TC
    return np.std(value_TC, axis=0, dtype=np.float64)


def _partners(series: Series, usable: np.ndarray) -> dict[int, list[int]]:
    """For each usable channel, the channels coupled to it, the closest first."""
    r_CC = np.corrcoef(series.value_TC[:, usable], rowvar=False).reshape(len(usable), -1)
    r_CC = np.abs(np.nan_to_num(r_CC))
    np.fill_diagonal(r_CC, 0)
    closest_CC = np.argsort(-r_CC, axis=1, kind="stable")
    return {
        int(c): [int(usable[j]) for j in closest_CC[i] if r_CC[i, j] >= COUPLED]
        for i, c in enumerate(usable)
    }


def _draw(
    kind: str, grade: float, series: Series, partners: dict[int, list[int]],
    rng: np.random.Generator,
) -> Fault | None:  # fmt: skip
    """A fault at a random place; None if there is no room or too little was measured."""
    least, most = ROWS.get(kind, (10, 240))
    length = round(least * (most / least) ** rng.random())
    segments = [(a, b) for a, b in series.segments() if b - a >= 2 * length]
    if not segments:
        return None
    room = np.array([b - a for a, b in segments], float)
    first, last = segments[rng.choice(len(segments), p=room / room.sum())]
    start = int(rng.integers(first, last - length + 1))
    chosen = _channels(kind, partners, rng)
    rows = slice(start, start + length)
    measured = [c for c in sorted(chosen) if series.valid_TC[rows, c].mean() >= 0.5]
    if not measured:
        return None
    low, high = STRENGTH.get(kind, (0.5, 5.0))
    return Fault(
        type=kind,
        channels=tuple(measured),
        start=start,
        end=start + length,
        strength=float(round(low * (high / low) ** grade, 3)),
    )


def _channels(kind: str, partners: dict[int, list[int]], rng: np.random.Generator) -> list[int]:
    """Decoupling: one with a partner; degradation: one and its partners; other types: any."""
    pool, count = list(partners), 1
    if kind in ("decoupling", "degradation"):
        pool = [c for c in pool if partners[c]] or pool
    else:
        count = rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])
    chosen = rng.choice(pool, min(int(count), len(pool)), replace=False).tolist()
    return chosen + partners[chosen[0]][:2] if kind == "degradation" else chosen
