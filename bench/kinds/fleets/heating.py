"""Heating and air of a building with five zones, a row per 15 minutes."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle, lagged

HOUR, DAY = 4, 96  # rows
ZONES = 5


def simulate(vehicle: Vehicle) -> Channels:
    """A timetable of working days, the weather, and zones that follow their set point slowly.

    Faults: valve, it stays where it is; leak, warm air is supplied through the closed valve;
    schedule, the fan runs at night too; drift, the sensor of the first zone; stuck, that of the
    second.
    """
    used = _used(vehicle)
    outside = 12 + 7 * vehicle.day(DAY, -2 * np.pi * 9 / 24) + 5 * vehicle.wander(700)
    wanted = 0.5 * used + (18 - outside) * 0.03 + 0.05 * vehicle.wander(10)
    valve = vehicle.held("valve", np.clip(wanted, 0, 1))
    fan = np.where(vehicle.strength("schedule") > 0, 0.9, used * 0.8 + 0.1)
    supply = lagged(outside * 0.3 + 10 + 12 * valve + 4 * vehicle.strength("leak"), 2)
    zones = [_zone(vehicle, used, outside, supply, number) for number in range(ZONES)]
    zones[0] = zones[0] + vehicle.growing("drift", 0, 1.5)
    zones[1] = vehicle.held("stuck", zones[1])
    co2 = lagged(420 + 500 * used * (0.8 + 0.2 * vehicle.wander(50)), 3)
    return {
        "outside_temperature": outside + vehicle.noise(0.2),
        "valve": valve * 100,
        "fan": fan * 100 + vehicle.noise(0.5),
        "supply_temperature": supply + vehicle.noise(0.2),
        **{f"zone_{number + 1}": zone for number, zone in enumerate(zones)},
        "co2": co2 + vehicle.noise(8),
        "power": 5 + 20 * fan**3 + 8 * valve + vehicle.noise(0.4),
        "pressure": 101 + 0.8 * vehicle.wander(400),
    }


def _used(vehicle: Vehicle) -> np.ndarray:
    """1 from 7 to 18 o'clock on five days of seven, 0 elsewhere."""
    hour, day = vehicle.row / HOUR % 24, vehicle.row // DAY % 7
    return ((hour > 7) & (hour < 18) & (day < 5)).astype(float)


def _zone(
    vehicle: Vehicle, used: np.ndarray, outside: np.ndarray, supply: np.ndarray, number: int
) -> np.ndarray:
    """Degrees of a zone; each one is slower than the one before."""
    wanted = np.where(used > 0, 21, 17) + 0.05 * (outside - 12) + 0.03 * (supply - 18)
    return lagged(wanted + 0.3 * vehicle.wander(40), 6 + number) + vehicle.noise(0.1)


HEATING = Kind(
    name="heating",
    what="heating of buildings, a row per 15 minutes: a valve that is stuck, one that leaks, a "
    "fan that runs at night, a sensor that drifts, one that is stuck",
    seed=4,
    simulate=simulate,
    faults=("valve", "leak", "schedule", "drift", "stuck"),
    lengths=(24, 300),
    period_seconds=900,
)
