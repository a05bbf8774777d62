"""A day of driving: when the vehicle reports, in which mode, how fast, and along what road.

Shape legend: T rows of the day (one per second), K knots of the speed profile, N trips.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from amad.simulator.catalogue import Model

DAY_SECONDS = 86_400
PARKED, IDLE, CITY, RURAL, MOTORWAY, CHARGING = range(6)

# By mode: target speed (km/h), share of stops, hold (s), acceleration (m/s^2), knots in a block.
_TARGET = np.array([[0, 0], [0, 0], [22, 58], [58, 98], [100, 135]], float)
_STOPS = np.array([1, 1, 0.3, 0.05, 0])
_HOLD = np.array([[60, 200], [20, 90], [6, 35], [15, 60], [30, 150]], float)
_ACCELERATION = np.array([[0.8, 1.6], [0.8, 1.6], [0.8, 1.7], [0.5, 1.2], [0.3, 0.8]])
_KNOTS = np.array([[1, 1], [1, 1], [6, 16], [4, 9], [3, 8]])
_CURVATURE = np.array([8e-3, 8e-3, 8e-3, 2e-3, 3.5e-4])  # 1/m, typical of the roads of a mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One vehicle-day before any sensor. Speed in m/s, curvature in 1/m, grade and bank as tan."""

    second_T: np.ndarray  # int64, since midnight
    trip_T: np.ndarray  # int, number of the trip
    bounds: list[tuple[int, int]]  # rows of each trip, last exclusive
    mode_T: np.ndarray  # int8
    speed_T: np.ndarray
    curvature_T: np.ndarray
    grade_T: np.ndarray
    bank_T: np.ndarray


def drive_day(
    model: Model, style: float, hours: float, charger: bool, rng: np.random.Generator
) -> Day:
    """Draw a day of ``round(hours * 3600)`` rows.

    ``style`` scales acceleration and speed (1: average). With ``charger`` the vehicle ends some
    of its trips at a charging station.
    """
    lengths = _trip_lengths(round(hours * 3600), hours, rng)
    starts = _trip_starts(lengths, rng)
    speeds, modes = [], []
    plugged = _charging_rows(lengths, hours, rng) if charger else [0] * len(lengths)
    for length, rows in zip(lengths, plugged, strict=True):
        speed_T, mode_T = _trip(model, style, length - rows, rng)
        speeds += [speed_T, np.zeros(rows)]
        modes += [mode_T, np.full(rows, CHARGING, np.int8)]
    edges = np.cumsum([0, *lengths])
    mode_T = np.concatenate(modes)
    speed_T = _smooth(np.concatenate(speeds), style, rng)
    curvature_T, grade_T, bank_T = _road(speed_T, mode_T, rng)
    return Day(
        second_T=np.concatenate([s + np.arange(n) for s, n in zip(starts, lengths, strict=True)]),
        trip_T=np.repeat(np.arange(len(lengths)), lengths),
        bounds=list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)),
        mode_T=mode_T,
        speed_T=speed_T,
        curvature_T=curvature_T,
        grade_T=grade_T,
        bank_T=bank_T,
    )


def wander(n: int, steps: float, rng: np.random.Generator) -> np.ndarray:
    """n values of a unit Ornstein-Uhlenbeck process with correlation length ``steps``."""
    keep = np.exp(-1 / steps)
    white = rng.standard_normal(n)
    white[0] /= np.sqrt(1 - keep**2)  # starts in its stationary distribution
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], white)


def _trip_lengths(rows: int, hours: float, rng: np.random.Generator) -> list[int]:
    count = max(1, min(round(hours * 1.8 + rng.uniform(0, 0.9)), rows // 300))
    edges = np.cumsum(rng.uniform(0.6, 1.4, count))
    return np.diff(np.round(rows * edges / edges[-1]), prepend=0).astype(int).tolist()


def _trip_starts(lengths: list[int], rng: np.random.Generator) -> list[int]:
    """Share the unreported rest of the day out: most of it is the night."""
    weights = rng.uniform(0.6, 1.4, len(lengths) + 1)
    weights[0], weights[-1] = rng.uniform(0.30, 0.40), rng.uniform(0.14, 0.24)
    inner = weights[1:-1]
    inner *= (1 - weights[0] - weights[-1]) / max(inner.sum(), 1e-9)
    gaps = np.floor((DAY_SECONDS - sum(lengths)) * weights / max(weights.sum(), 1)).astype(int)
    return (np.cumsum(gaps[:-1]) + np.cumsum([0, *lengths[:-1]])).tolist()


def _charging_rows(lengths: list[int], hours: float, rng: np.random.Generator) -> list[int]:
    """Rows at a fast charger at the end of each trip; a vehicle that never rests always charges."""
    share = rng.uniform(0.2, 0.34, len(lengths))
    every = hours > 5
    chosen = np.ones(len(lengths), bool) if every else rng.random(len(lengths)) < 0.3
    return np.where(chosen, share * np.asarray(lengths), 0).astype(int).tolist()


def _trip(
    model: Model, style: float, rows: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Target speed (m/s) and mode of a trip: ramps and holds, from standstill to standstill."""
    count = rows // 60 + 6
    block = rng.choice(5, count, p=model.blocks)
    block[0] = IDLE
    block[1:][(block[1:] < CITY) & (block[:-1] < CITY)] = CITY  # no two halts in a row
    low, high = _KNOTS[block].T
    mode_K = np.repeat(block, rng.integers(low, high + 1))
    u_K = rng.random((4, len(mode_K)))

    limits_K = _TARGET[mode_K]
    limits_K[mode_K == MOTORWAY] = model.motorway_kmh
    target_K = (limits_K[:, 0] + np.ptp(limits_K, axis=1) * u_K[0]) / 3.6 * style**0.5
    target_K[u_K[1] < _STOPS[mode_K]] = 0
    hold_K = _HOLD[mode_K, 0] + np.ptp(_HOLD[mode_K], axis=1) * u_K[2] ** 1.5
    rate_K = (_ACCELERATION[mode_K, 0] + np.ptp(_ACCELERATION[mode_K], axis=1) * u_K[3]) * style

    before_K = np.concatenate([[0], target_K[:-1]])
    ramp_K = np.abs(target_K - before_K) / rate_K + 0.5
    end_K = np.cumsum(ramp_K + hold_K)
    start_K = end_K - ramp_K - hold_K
    time = np.arange(rows)
    speed_T = np.interp(
        time,
        np.stack([start_K, start_K + ramp_K], axis=1).ravel(),
        np.stack([before_K, target_K], axis=1).ravel(),
    )
    speed_T = np.minimum(speed_T, np.maximum(1.2 * (rows - 12 - time), 0))  # comes to its end
    mode_T = mode_K[np.minimum(np.searchsorted(end_K, time, "right"), len(mode_K) - 1)]
    mode_T[:5] = mode_T[-6:] = IDLE  # it reports from the start of the engine to its stop
    return speed_T, mode_T.astype(np.int8)


def _smooth(speed_T: np.ndarray, style: float, rng: np.random.Generator) -> np.ndarray:
    """Speed with a bounded jerk and the driver's hunting about the target."""
    hunting_T = 0.45 * style * wander(len(speed_T), 9, rng) * np.clip(speed_T / 8, 0, 1)
    keep = 0.6  # two poles of about 2 s
    speed_T = lfilter([(1 - keep) ** 2], [1, -2 * keep, keep**2], speed_T + hunting_T)
    return np.where(speed_T < 0.25, 0.0, speed_T)


def _road(
    speed_T: np.ndarray, mode_T: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Curvature, grade and bank, as functions of the way made: at a standstill nothing moves."""
    progress_T = np.cumsum(speed_T / (speed_T + 6))  # about seconds, standing still when stopped
    grid = np.arange(int(progress_T[-1]) + 2)
    bend_T = np.interp(progress_T, grid, wander(len(grid), 5, rng))
    driving = np.maximum.accumulate(np.where(mode_T >= CITY, np.arange(len(mode_T)), 0))
    typical_T = _CURVATURE[np.clip(mode_T[driving], 0, MOTORWAY)]
    typical_T = lfilter([0.2], [1, -0.8], typical_T, zi=[0.8 * typical_T[0]])[0]
    curvature_T = typical_T * bend_T * (0.4 + 0.4 * bend_T**2)
    limit_T = np.minimum(3.2 / (speed_T**2 + 9), 0.12)  # drivers keep below 3.2 m/s^2
    curvature_T = limit_T * np.tanh(curvature_T / limit_T)

    metre_T = np.cumsum(speed_T)
    grid = np.arange(int(metre_T[-1] / 40) + 2)
    grade_T = 0.016 * np.interp(metre_T / 40, grid, wander(len(grid), 10, rng))
    bank_T = 0.012 * np.interp(metre_T / 40, grid, wander(len(grid), 4, rng))
    return curvature_T, grade_T, bank_T
