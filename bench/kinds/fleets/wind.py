"""A wind turbine, a row per 10 minutes."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle, lagged

DAY = 144  # rows
RATED = 2000  # kW


def simulate(vehicle: Vehicle) -> Channels:
    """Power follows the wind; temperatures follow power and speed with a lag of an hour or so.

    Faults: derate, power below its curve; bearing, it heats slowly; pitch, the blades stay where
    they are; stuck, the temperature of the gearbox; noise, on that of the bearing.
    """
    ambient = 10 + 6 * vehicle.day(DAY, -2) + 4 * vehicle.wander(600)
    gusts = 0.35 * vehicle.wander(60) + 0.08 * vehicle.wander(4)
    wind = np.exp(1.9 + gusts + 0.1 * vehicle.day(DAY, 0))
    power = _power(wind, 1 - 0.12 * vehicle.strength("derate"))
    pitch = np.where(wind > 11, (wind - 11) * 2.5, 0) + vehicle.noise(0.1)
    pitch = vehicle.held("pitch", np.clip(pitch, -1, 40))
    rotor = np.clip(wind * 1.6, 4, 16) + vehicle.noise(0.1)
    generator = rotor * 95 + vehicle.noise(4)
    gearbox = lagged(ambient * 0.4 + 30 + power / RATED * 30, 8) + vehicle.noise(0.4)
    bearing = lagged(ambient * 0.5 + 25 + generator / 1500 * 20, 6)
    bearing += lagged(vehicle.growing("bearing", 2, 10), 3) + vehicle.noise(0.4)
    winding = lagged(ambient * 0.5 + 35 + power / RATED * 45, 5) + vehicle.noise(0.5)
    voltage = 690 + 4 * vehicle.wander(30) + vehicle.noise(0.5)
    current = power * 1000 / voltage / np.sqrt(3) + vehicle.noise(5)
    return {
        "wind_speed": wind + vehicle.noise(0.3),
        "power": power + vehicle.noise(15),
        "rotor_speed": rotor,
        "generator_speed": generator,
        "pitch": pitch,
        "gearbox_temperature": vehicle.held("stuck", gearbox),
        "bearing_temperature": bearing + vehicle.shaken(2),
        "winding_temperature": winding,
        "ambient_temperature": ambient + vehicle.noise(0.2),
        "voltage": voltage,
        "current": current,
        "wind_direction": 180 + 80 * vehicle.wander(200),
    }


def _power(wind: np.ndarray, efficiency: np.ndarray) -> np.ndarray:
    """The power curve (kW): nothing below 3 m/s, and an S up to the rated power."""
    curve = RATED / (1 + np.exp(-(wind - 8.5) * 0.9))
    return np.clip(np.where(wind < 3, 0, curve * efficiency), 0, RATED)


WIND = Kind(
    name="wind",
    what="wind turbines, a row per 10 minutes: power lost, a bearing that heats, blades that do "
    "not turn, a sensor that is stuck, noise",
    seed=1,
    simulate=simulate,
    faults=("derate", "bearing", "pitch", "stuck", "noise"),
    lengths=(36, 300),
    period_seconds=600,
)
