"""Channels of events that have nothing to do with the machine's faults, or with its other channels.

Real telemetry has such channels: a door, a count of fault codes, a set point that somebody changes,
a mode. Every event is ordinary.
"""

import numpy as np

DOOR, CODES, SET_POINT, MODE = 1 / 300, 1 / 1000, 1 / 1000, 1 / 500  # events per row
OPEN_ROWS = (1, 4)  # rows for which a door is open, from the least to before the most
SET_POINTS, MODES = np.array([20.0, 40.0, 60.0, 90.0]), np.arange(3.0)
NOT_CONTINUOUS = {"fault_codes": "counter", "mode": "categorical"}  # the others are


def event_channels(rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Four channels of events, each (rows,)."""
    door = np.zeros(rows)
    for first in np.flatnonzero(rng.random(rows) < DOOR):
        door[first : first + rng.integers(*OPEN_ROWS)] = 1.0
    return {
        "door": door,
        "fault_codes": np.cumsum(rng.random(rows) < CODES).astype(np.float64),
        "set_point": _changed(SET_POINTS, SET_POINT, rows, rng),
        "mode": _changed(MODES, MODE, rows, rng),
    }


def _changed(values: np.ndarray, share: float, rows: int, rng: np.random.Generator) -> np.ndarray:
    """One of the values, drawn anew in about this share of the rows."""
    number = np.cumsum(rng.random(rows) < share)
    return rng.choice(values, number[-1] + 1)[number]
