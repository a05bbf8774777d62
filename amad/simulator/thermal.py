"""Temperatures: first-order bodies, and the engine's two, held by a thermostat.

Shape legend: T rows of the day.
"""

import numpy as np
from scipy.signal import lfilter

from amad.simulator.vehicle import Individual, State, stream

STEP = 5  # seconds of the coolant's integration: stable, and 5 times fewer steps than rows
REST = 7200.0  # time constant of an engine that cools at rest, seconds


def air_temperature(seed: int, ordinal: int, second_T: np.ndarray) -> np.ndarray:
    """Air temperature of the region, Celsius: season, weather of the day, time of day.

    ``ordinal`` is the date's proleptic Gregorian ordinal; all vehicles share the weather.
    """
    here, after = (float(stream(seed, "weather", ordinal + i).normal(0, 2.5)) for i in (0, 1))
    hour_T = second_T / 3600
    season = 10 - 9 * np.cos(2 * np.pi * (ordinal % 365.25 - 20) / 365.25)
    weather_T = here + (after - here) * hour_T / 24  # no step at midnight
    return season + weather_T - 3.5 * np.cos(2 * np.pi * (hour_T - 3) / 24)


def relaxed(
    target_T: np.ndarray, seconds: float, value: float, bounds: list[tuple[int, int]],
    gaps: list[float], rest_T: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """A body that follows ``target_T`` with a time constant, and its last value.

    Through the gap before each trip it relaxes towards ``rest_T`` (default: 0) instead, at a third
    of the pace.
    """
    keep = np.exp(-1 / seconds)
    parts = []
    for (first, last), gap in zip(bounds, gaps, strict=True):
        rest = 0.0 if rest_T is None else float(rest_T[first])
        value = rest + (value - rest) * np.exp(-gap / (3 * seconds))
        part, _ = lfilter([1 - keep], [1, -keep], target_T[first:last], zi=[keep * value])
        parts.append(part)
        value = float(part[-1])
    return np.concatenate(parts), value


def engine_temperatures(
    vehicle: Individual, state: State, bounds: list[tuple[int, int]], gaps: list[float],
    watts_T: np.ndarray, rpm_T: np.ndarray, speed_T: np.ndarray, air_T: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Coolant and oil, Celsius, by Euler steps of ``STEP`` seconds.

    C dTc/dt = 0.3 P_fuel - (loss + s(Tc) radiator(v)) (Tc - Ta), s the thermostat's opening;
    dTo/dt = (Tc - To)/240 + 0.012 (n/1000)^2 - cooling(v) (To - Ta).
    """
    coolant = float(air_T[0]) if state.coolant is None else state.coolant
    oil = float(air_T[0]) if state.oil is None else state.oil
    heat, opens = vehicle.model.heat, vehicle.thermostat
    coolants, oils = [], []
    for (first, last), gap in zip(bounds, gaps, strict=True):
        air = float(air_T[first])
        coolant = air + (coolant - air) * np.exp(-gap / REST)
        oil = air + (oil - air) * np.exp(-gap / REST)
        edges = np.arange(first, last, STEP)
        span = np.diff(edges, append=last)
        kilowatts = np.add.reduceat(watts_T[first:last], edges - first) / span / 1000
        friction = 0.012 * (np.add.reduceat(rpm_T[first:last], edges - first) / span / 1000) ** 2
        speed = np.add.reduceat(speed_T[first:last], edges - first) / span
        running = rpm_T[edges] > 0
        path = [(coolant, oil)]
        inputs = zip(
            (0.3 * kilowatts).tolist(), friction.tolist(), speed.tolist(), running.tolist(),
            span.tolist(), strict=True,
        )  # fmt: skip
        for power, rub, v, runs, dt in inputs:
            opening = min(max((coolant - opens) / 12, 0.0), 1.0) if runs else 0.0
            loss = 0.012 + opening * (0.15 + 0.02 * v)
            oil += dt * ((coolant - oil) / 240 + rub - (oil - air) * (1 + v / 20) / 6000)
            coolant += dt * (power - loss * (coolant - air)) / heat
            path.append((coolant, oil))
        rows = np.arange(first, last)
        knots = np.append(edges, last)
        both = np.array(path)
        coolants.append(np.interp(rows, knots, both[:, 0]))
        oils.append(np.interp(rows, knots, both[:, 1]))
    state.coolant, state.oil = float(coolant), float(oil)
    return np.concatenate(coolants), np.concatenate(oils)
