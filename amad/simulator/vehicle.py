"""One simulated vehicle: what makes it an individual, and what it carries from day to day."""

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pyarrow as pa

from amad.simulator.catalogue import MODELS, Model, kind_of


def stream(seed: int, *key: object) -> np.random.Generator:
    """Random numbers that depend on the seed and the key alone, not on what else was drawn."""
    digest = blake2b("|".join(map(str, key)).encode(), digest_size=16).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, np.uint32).tolist()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Individual:
    """A vehicle's own constants: driver, load, tolerances of parts and sensors.

    style scales acceleration and speed; load in kg; thermostat in Celsius; tyre_kpa cold, in the
    order of ``catalogue.TYRES``; phase: where in the second it samples, in seconds.
    """

    name: str
    kind: str
    model: Model
    style: float
    load: float
    thermostat: float
    tyre_kpa: np.ndarray
    steering_offset: float
    regulator: float  # volts of the alternator or converter at 20 Celsius
    consumers: float  # amperes of the 12 V consumers that are always on
    fuel_factor: float
    noise_factor: float
    phase: float

    @property
    def mass(self) -> float:
        """kg, with load."""
        return self.model.mass + self.load


def draw_vehicle(name: str, seed: int) -> Individual:
    """The individual called ``name`` of the fleet with this seed."""
    rng = stream(seed, name, "vehicle")
    kind = kind_of(name)
    model = MODELS[kind]
    front, rear = model.tyre_kpa
    return Individual(
        name=name,
        kind=kind,
        model=model,
        style=float(np.clip(rng.normal(1.0, 0.12), 0.7, 1.35)),
        load=float(rng.uniform(70, 900 if kind == "van" else 260)),
        thermostat=float(rng.normal(86.5, 1.2)),
        tyre_kpa=np.array([front, front, rear, rear]) + rng.normal(0, 4, 4),
        steering_offset=float(rng.normal(0, 1.5)),
        regulator=float(rng.normal(13.9 if kind == "bev" else 14.25, 0.08)),
        consumers=float(rng.uniform(16, 26)),
        fuel_factor=float(rng.normal(1.0, 0.04)),
        noise_factor=float(rng.uniform(0.8, 1.25)),
        phase=float(rng.uniform(0.2, 0.8)),
    )


@dataclass(slots=True, kw_only=True)
class State:
    """What a vehicle carries over the night. Temperatures in Celsius; None: not yet known."""

    second: int | None = None  # of the last row, since the start of the simulation
    coolant: float | None = None
    oil: float | None = None
    tyre: float | None = None
    motor: float | None = None
    motor_coolant: float | None = None
    charge: float = 80.0  # percent
    odometer: float = 0.0  # km
    faults: int = 0  # made so far
    late: list[pa.Table] = field(default_factory=list)  # rows that arrive with the next file
