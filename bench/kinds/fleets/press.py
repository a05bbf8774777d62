"""A press that works in strokes with pauses between them, ten rows per second."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle, lagged

STROKE = (55, 65)  # rows
PAUSES, SHARES = (0, 5, 80), (0.8, 0.1, 0.1)  # rows, and how often


def simulate(vehicle: Vehicle) -> Channels:
    """Position, speed and force of each stroke; the oil warms over minutes of work.

    Faults: friction, more force while it moves; weak, less force in the stroke; delay, the encoder
    is late; noise, on the encoder.
    """
    phase, works = _strokes(vehicle)
    friction = 0.15 * vehicle.strength("friction")
    position = works * np.sin(np.pi * phase) ** 2
    speed = np.gradient(position)
    force = works * np.exp(-(((phase - 0.5) / 0.08) ** 2)) * (1 - 0.12 * vehicle.strength("weak"))
    force += friction * np.abs(speed) * 20
    late = np.clip(vehicle.row - (4 * vehicle.strength("delay")).astype(int), 0, None)
    encoder = position[late] * 50 + 20 + vehicle.noise(0.3)
    current = 10 + force * 30 + np.abs(speed) * 60 * (1 + friction * 4)
    return {
        "position": position * 100 + vehicle.noise(0.3),
        "speed": speed * 500 + vehicle.noise(0.3),
        "force": force * 80 + vehicle.noise(0.8),
        "current": current + vehicle.noise(0.5),
        "die_temperature": lagged(force * 50 + 20, 15) + vehicle.noise(0.4),
        "encoder": encoder + vehicle.shaken(1.5),
        "oil_temperature": lagged(30 + 20 * works, 900) + friction * 15 + vehicle.noise(0.2),
        "oil_pressure": 200 - force * 15 + vehicle.noise(1),
    }


def _strokes(vehicle: Vehicle) -> tuple[np.ndarray, np.ndarray]:
    """How far each stroke has come, from 0 to before 1, and whether the press works."""
    phase, works, at = np.zeros(vehicle.rows), np.zeros(vehicle.rows), 0
    while at < vehicle.rows:
        rows = int(vehicle.rng.integers(*STROKE))
        here = slice(at, min(at + rows, vehicle.rows))
        phase[here] = np.arange(here.stop - at) / rows
        works[here] = 1
        at += rows + int(vehicle.rng.choice(PAUSES, p=SHARES))
    return phase, works


PRESS = Kind(
    name="press",
    what="presses, ten rows per second, in strokes with pauses: friction, too little force, an "
    "encoder that is late, noise on it",
    seed=5,
    simulate=simulate,
    faults=("friction", "weak", "delay", "noise"),
    lengths=(60, 900),
    period_seconds=0.1,
)
