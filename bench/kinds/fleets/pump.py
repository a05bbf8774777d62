"""A pump that is switched on and off, a row per minute."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle, lagged

DAY = 1440  # rows
TANK = 30  # the level of the tank is refilled after so much


def simulate(vehicle: Vehicle) -> Channels:
    """Pressure, flow, current and vibration follow the speed; temperatures lag by half an hour.

    Faults: clog, the flow falls slowly; leak, pressure is lost; cavitation, flow and vibration are
    rough; bearing, it vibrates and heats more and more; stuck, the pressure behind the pump.
    """
    on = _switched(vehicle)
    speed = lagged(on * (0.7 + 0.2 * np.clip(vehicle.wander(200), -1, 1)), 2)
    free = 1 - vehicle.growing("clog", 0, 0.25)
    leak, rough = 0.1 * vehicle.strength("leak"), 0.1 * vehicle.strength("cavitation")
    wear = vehicle.growing("bearing", 0.2, 1.2)
    flow = 100 * speed * free * (1 + rough * vehicle.noise())
    inlet = 2 + 0.2 * vehicle.wander(300) - 0.004 * flow
    outlet = inlet + 6 * speed**2 * (1 + 0.3 * (1 - free)) - leak * 8 * speed
    current = 2 + on * 8 + 12 * speed**2 * free + vehicle.noise(0.15)
    vibration = 0.3 + 2 * speed**2 + (wear + 5 * rough) * on + 0.1 * np.abs(vehicle.noise())
    motor = lagged(25 + 30 * speed**2 + 3 * vehicle.day(DAY, 0), 40)
    bearing = lagged(25 + 20 * speed + 8 * wear * on, 30)
    level = 50 - 0.05 * np.cumsum(speed - 0.35) % TANK
    return {
        "on": on,
        "speed": speed * 100 + vehicle.noise(0.3),
        "flow": flow + on * vehicle.noise(0.8),
        "inlet_pressure": inlet + vehicle.noise(0.02),
        "outlet_pressure": vehicle.held("stuck", outlet + vehicle.noise(0.03)),
        "current": current,
        "vibration": vibration,
        "motor_temperature": motor + vehicle.noise(0.2),
        "bearing_temperature": bearing + vehicle.noise(0.2),
        "tank_level": lagged(level, 3),
    }


def _switched(vehicle: Vehicle) -> np.ndarray:
    """1 while the pump runs, two hours in the mean; then it stands for 80 minutes."""
    found, at = np.zeros(vehicle.rows), 0
    while at < vehicle.rows:
        runs, stands = (int(vehicle.rng.gamma(shape, 40)) for shape in (3, 2))
        found[at : at + runs] = 1
        at += runs + stands
    return found


PUMP = Kind(
    name="pump",
    what="pumps that are switched on and off, a row per minute: clogging, a leak, cavitation, a "
    "bearing that wears, a sensor that is stuck",
    seed=3,
    simulate=simulate,
    faults=("clog", "leak", "cavitation", "bearing", "stuck"),
    lengths=(30, 500),
    period_seconds=60,
)
