"""Typed, graded faults on arrays: what injection and the simulator put into telemetry.

Shape legend: T rows, C channels, N rows of the fault.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

SHAPELESS = ("stuck", "delay", "decoupling")  # no amplitude of their own: strength is measured
LEAST_EFFECT = 0.2  # spreads, root mean square over the fault: below, nothing happened


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: rows ``start`` (inclusive) to ``end`` (exclusive) of the named channels.

    ``strength`` is in units of a channel's normal spread. For the types in ``SHAPELESS`` it only
    sets the lag of a delay when applied; ``settled`` then replaces it by the change achieved.
    """

    type: str
    channels: tuple[int, ...]
    start: int
    end: int
    strength: float


def apply_fault(
    value_TC: np.ndarray, fault: Fault, scale_C: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return a copy of ``value_TC`` with the fault in it.

    ``scale_C`` is each channel's normal spread, in the unit of the values. Only the rows and
    channels of the fault change. With s the strength times the spread:

    - spike: impulses of about s, first and last row included, a tenth of the rows between
    - level_shift: a constant s is added; drift: a ramp from 0 to s
    - stuck: the value of the first row stays
    - noise_burst: white noise of standard deviation s is added
    - delay: the channel arrives ``2 * strength`` rows late
    - decoupling: the channel is replaced by itself from another time that looks alike, so that
      its own distribution stays and its relation to the others breaks
    - degradation: gain is lost and an offset grows to s, smoothly, on all channels alike

    Raises:
        ValueError: the type is not in ``FAULT_TYPES``.
    """
    if fault.type not in _SHAPES:
        raise ValueError(f"unknown fault type {fault.type!r}; accepted: {', '.join(FAULT_TYPES)}")
    assert 0 <= fault.start < fault.end <= len(value_TC), "the fault lies outside the rows"
    out_TC = value_TC.copy()
    sign = rng.choice([-1.0, 1.0])
    for channel in fault.channels:
        size = sign * fault.strength * float(scale_C[channel])
        out_TC[fault.start : fault.end, channel] = _SHAPES[fault.type](
            value_TC[:, channel], fault, size, float(scale_C[channel]), rng
        )
        if fault.type != "degradation":
            sign = rng.choice([-1.0, 1.0])
    return out_TC


def settled(
    fault: Fault, before_TC: np.ndarray, after_TC: np.ndarray, scale_C: np.ndarray
) -> Fault | None:
    """The fault as it came out: its true extent, and its strength where the type has no amplitude.

    None where it changed too little to be called a fault (``LEAST_EFFECT``).
    """
    index = list(fault.channels)
    rows = slice(fault.start, fault.end)
    change_NC = np.abs(after_TC[rows, index] - before_TC[rows, index], dtype=np.float64)
    change_N = (change_NC / scale_C[index]).max(axis=1)
    changed = np.flatnonzero(change_N > 0)
    if len(changed) == 0:
        return None
    first, last = int(changed[0]), int(changed[-1]) + 1
    effect = float(np.sqrt(np.mean(change_N[first:last] ** 2)))
    if effect < LEAST_EFFECT:
        return None
    return replace(
        fault,
        start=fault.start + first,
        end=fault.start + last,
        strength=round(effect if fault.type in SHAPELESS else fault.strength, 3),
    )


# Each shape gives the rows (N,) of a fault in one channel. x_T: the channel. size: s with its sign.
# scale: the channel's normal spread.
Shape = Callable[[np.ndarray, Fault, float, float, np.random.Generator], np.ndarray]


def _spike(x_T, fault, size, scale, rng):
    n = fault.end - fault.start
    hit_N = rng.random(n) < 0.1
    hit_N[[0, -1]] = True
    sign_N = rng.choice([-1.0, 1.0], n)
    return x_T[fault.start : fault.end] + size * sign_N * hit_N * rng.uniform(0.7, 1.3, n)


def _level_shift(x_T, fault, size, scale, rng):
    return x_T[fault.start : fault.end] + size


def _drift(x_T, fault, size, scale, rng):
    n = fault.end - fault.start
    return x_T[fault.start : fault.end] + size * np.arange(1, n + 1) / n


def _stuck(x_T, fault, size, scale, rng):
    return np.full(fault.end - fault.start, x_T[fault.start])


def _noise_burst(x_T, fault, size, scale, rng):
    n = fault.end - fault.start
    return x_T[fault.start : fault.end] + size * rng.standard_normal(n)


def _delay(x_T, fault, size, scale, rng):
    lag = max(1, round(2 * fault.strength))
    return x_T[np.maximum(np.arange(fault.start, fault.end) - lag, 0)]


def _decoupling(x_T, fault, size, scale, rng):
    """Of 48 other times, one of the four that look most alike: mean, spread and both ends."""
    n = fault.end - fault.start
    own_N = x_T[fault.start : fault.end]
    starts = rng.integers(0, len(x_T) - n + 1, 48)
    starts = starts[np.abs(starts - fault.start) >= n]
    if len(starts) == 0:
        return own_N
    other_SN = x_T[starts[:, None] + np.arange(n)]
    far_S = (
        np.abs(other_SN.mean(axis=1) - own_N.mean())
        + np.abs(other_SN.std(axis=1) - own_N.std())
        + 0.5 * np.abs(other_SN[:, 0] - own_N[0])
        + 0.5 * np.abs(other_SN[:, -1] - own_N[-1])
    )
    alike = np.argsort(far_S, kind="stable")[:4]
    return other_SN[rng.choice(alike)]


def _degradation(x_T, fault, size, scale, rng):
    n = fault.end - fault.start
    onset_N = 0.5 - 0.5 * np.cos(np.pi * np.minimum(np.arange(1, n + 1) / (0.7 * n), 1))
    x_N = x_T[fault.start : fault.end]
    gain = min(0.1 * abs(size) / scale, 0.6)
    return x_N + onset_N * (size - gain * (x_N - x_N.mean()))


_SHAPES: dict[str, Shape] = {
    "spike": _spike,
    "level_shift": _level_shift,
    "drift": _drift,
    "stuck": _stuck,
    "noise_burst": _noise_burst,
    "delay": _delay,
    "decoupling": _decoupling,
    "degradation": _degradation,
}
FAULT_TYPES = tuple(_SHAPES)
