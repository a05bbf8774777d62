"""The faults of a simulated vehicle-day: which, when, how strong, and what they do.

Sensor faults and decoupling come from ``amad.simulator.faults``; what breaks in the vehicle itself
(cooling, alternator, tyre) changes the measured values here. Every fault lies in reported time.

Shape legend: T rows of the day, C channels, K channels of a fault, N rows of a fault.
"""

from dataclasses import dataclass, replace

import numpy as np

from amad.simulator import catalogue as c
from amad.simulator.cycle import CHARGING, PARKED, Day
from amad.simulator.faults import Fault, apply_fault, settled
from amad.simulator.sensing import Instruments
from amad.simulator.vehicle import Individual, State, stream

SENSOR_FAULTS = ("stuck", "drift", "spike", "level_shift", "noise_burst", "delay")
SIMULATED_TYPES = (*SENSOR_FAULTS, "overheating", "alternator_failure", "tyre_leak", "decoupling")
PER_HOUR = 1.45  # of reported time
APART = 120  # rows between two faults
TRIES = 60
VISIBLE, SHORTEST = 0.4, 30  # least strength, and rows

# Strengths, drawn evenly in the logarithm: spreads of the channel; else the unit in the comment.
STRENGTHS = {
    "drift": (1.5, 8.0),
    "spike": (1.5, 8.0),
    "level_shift": (0.8, 5.0),
    "noise_burst": (0.4, 2.5),
    "delay": (1.5, 8.0),
    "overheating": (6.0, 35.0),  # K of the coolant
    "alternator_failure": (0.6, 2.4),  # V below the regulated voltage
    "tyre_leak": (12.0, 90.0),  # kPa lost by the end of the day
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the faults of a day need to know of it; ``index`` finds a channel by its VSS name."""

    vehicle: Individual
    day: Day
    instruments: Instruments
    index: dict[str, int]


def break_down(
    value_TC: np.ndarray, scene: Scene, state: State, hours: float, seed: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[Fault]]:  # fmt: skip
    """Put the day's faults into the measured values; return both.

    Types take turns in an order of the vehicle's own, so that each vehicle sees several.
    Changed values are digitised again: a faulty sensor still has its steps and limits.
    """
    order = stream(seed, scene.vehicle.name, "fault order").permutation(SIMULATED_TYPES).tolist()
    value_TC = value_TC.copy()
    free_T = np.ones(len(value_TC), bool)
    faults = []
    for _ in range(int(PER_HOUR * hours + rng.random())):
        kind = order[state.faults % len(order)]
        state.faults += 1
        for _ in range(TRIES):
            fault = _draw(kind, scene, free_T, rng)
            if fault is None:
                continue
            columns = list(fault.channels)
            value_TK, fault = _happened(value_TC[:, columns], fault, scene, rng)
            if fault is None or fault.strength < VISIBLE or fault.end - fault.start < SHORTEST:
                continue
            value_TC[:, columns] = value_TK
            free_T[max(fault.start - APART, 0) : fault.end + APART] = False
            faults.append(fault)
            break
    return value_TC, sorted(faults, key=lambda fault: fault.start)


def _happened(
    value_TK: np.ndarray, fault: Fault, scene: Scene, rng: np.random.Generator
) -> tuple[np.ndarray, Fault | None]:
    """The fault's own K channels with it in them, and the fault as it came out (None: unseen)."""
    sensors = scene.instruments.only(list(fault.channels))
    local = replace(fault, channels=tuple(range(len(fault.channels))))
    change = {"overheating": _overheat, "alternator_failure": _discharge, "tyre_leak": _leak}
    rows = slice(fault.start, fault.end)
    if fault.type in change:
        broken_TK = value_TK.copy()
        change[fault.type](dict(zip(sensors.names, broken_TK[rows].T, strict=True)), fault, scene)
    else:
        broken_TK = apply_fault(value_TK, local, sensors.spread_C, rng)
    broken_TK[rows] = sensors.digitised(broken_TK[rows])
    came = settled(local, value_TK, broken_TK, sensors.spread_C)
    return broken_TK, came and replace(came, channels=fault.channels)


def _draw(kind: str, scene: Scene, free_T: np.ndarray, rng: np.random.Generator) -> Fault | None:
    """A fault of this type at a free place of the day, or None where this draw found none."""
    channels = _channels(kind, scene, rng)
    day = scene.day
    rows = len(free_T)
    if kind == "tyre_leak":  # starts late in the day, is mended over night
        length = min(rng.uniform(0.35, 0.55) * rows, rng.uniform(3600, 10800))
        start, end = rows - int(length), rows
    else:
        first, last = day.bounds[rng.integers(len(day.bounds))]
        length = _duration(kind, rng)
        if length > 0.7 * (last - first):
            return None
        start = int(rng.integers(first, last - length + 1))
        end = start + length
    moving = np.mean(day.speed_T[start:end] > 0)
    if not channels or not free_T[start:end].all() or moving < 0.4:
        return None
    if kind == "alternator_failure" and np.isin(day.mode_T[start:end], (PARKED, CHARGING)).any():
        return None
    low, high = STRENGTHS.get(kind, (1.0, 1.0))
    strength = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return Fault(type=kind, channels=channels, start=start, end=end, strength=round(strength, 3))


def _duration(kind: str, rng: np.random.Generator) -> int:
    """Rows: one to five minutes, some up to twenty; the engine heats up slowly."""
    low, high = (200, 500) if kind == "overheating" else (60, 300)
    if rng.random() < 0.04:
        low, high = 300, 1200
    return int(np.exp(rng.uniform(np.log(low), np.log(high))))


def _channels(kind: str, scene: Scene, rng: np.random.Generator) -> tuple[int, ...]:
    """Columns that the fault shows in; empty where the vehicle has none of them."""
    if kind in SENSOR_FAULTS:
        faulty = np.flatnonzero(scene.instruments.faulty_C)
        return (int(rng.choice(faulty)),) if len(faulty) else ()
    names = {
        "overheating": (c.COOLANT, c.OIL, c.MOTOR_COOLANT, c.MOTOR_TEMPERATURE),
        "alternator_failure": (c.VOLTAGE, c.CURRENT),
        "tyre_leak": (rng.choice(c.TYRES),),
        "decoupling": (rng.choice((c.STEERING, c.LATERAL)),),
    }[kind]
    return tuple(scene.index[name] for name in names if name in scene.index)


def _overheat(value_N: dict[str, np.ndarray], fault: Fault, scene: Scene) -> None:
    """The radiator fails: the coolant rises, the oil (or motor) follows, until the fan wins."""
    n = fault.end - fault.start
    t_N = np.arange(1, n + 1) / n
    rise_N = (1 - np.exp(-3 * t_N)) * np.minimum((1 - t_N) / 0.15, 1)
    after_N = (1 - np.exp(-2 * t_N**2)) * np.minimum((1 - t_N) / 0.1, 1)
    for name, channel_N in value_N.items():
        first = name in (c.COOLANT, c.MOTOR_COOLANT)
        channel_N += fault.strength * (rise_N if first else 0.8 * after_N)


def _discharge(value_N: dict[str, np.ndarray], fault: Fault, scene: Scene) -> None:
    """The alternator gives too little: the voltage falls, the battery feeds the consumers."""
    second_N = np.arange(1, fault.end - fault.start + 1)
    share = min(fault.strength / 1.6, 1.0)
    for name, channel_N in value_N.items():
        if name == c.VOLTAGE:
            channel_N -= fault.strength * (1 - np.exp(-second_N / 15)) + 0.0006 * second_N
        else:
            fed_N = (scene.vehicle.consumers + 8) * share * (1 - np.exp(-second_N / 4))
            channel_N *= 1 - share
            channel_N -= fed_N


def _leak(value_N: dict[str, np.ndarray], fault: Fault, scene: Scene) -> None:
    """Gas leaves at a steady pace by the clock: the tyre goes on losing while the car is parked."""
    second_N = scene.day.second_T[fault.start : fault.end]
    share_N = (second_N - second_N[0]) / max(int(second_N[-1] - second_N[0]), 1)
    for channel_N in value_N.values():
        channel_N -= fault.strength * share_N
