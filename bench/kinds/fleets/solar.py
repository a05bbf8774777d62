"""A photovoltaic inverter with three strings of modules, a row per 5 minutes."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle, lagged

DAY = 288  # rows
STRINGS = 3


def simulate(vehicle: Vehicle) -> Channels:
    """Sun and clouds drive three strings; the inverter adds up their power and warms.

    Faults: string, the first one gives less; soil, all give less; clip, the inverter is held below
    its power; fan, it cools badly; stuck, the temperature of the modules. A fault that falls into
    the night does not show before the morning.
    """
    sun = 900 * np.clip(vehicle.day(DAY, -np.pi / 2) + 0.15, 0, None) * _clouds(vehicle)
    ambient = 15 + 8 * vehicle.day(DAY, -2.2) + 3 * vehicle.wander(2000)
    module = lagged(ambient + sun * 0.03, 4)
    currents = [_current(vehicle, sun, module, string) for string in range(STRINGS)]
    voltages = [_voltage(vehicle, sun, module) for _ in range(STRINGS)]
    power = 0.97 * sum(a * b for a, b in zip(currents, voltages, strict=True)) / 1000
    limit = 0.55 * power.max()
    power = np.where(vehicle.strength("clip") > 0, np.minimum(power, limit), power)
    inverter = lagged(ambient + power * 1.2, 10) + vehicle.noise(0.3)
    inverter += _uncooled(vehicle, power)
    return {
        "irradiance": sun + vehicle.noise(3),
        "module_temperature": vehicle.held("stuck", module + vehicle.noise(0.3)),
        **{f"current_{string + 1}": current for string, current in enumerate(currents)},
        **{f"voltage_{string + 1}": voltage for string, voltage in enumerate(voltages)},
        "power": power + vehicle.noise(0.02),
        "inverter_temperature": inverter,
        "grid_frequency": 50 + 0.02 * vehicle.wander(3),
        "grid_voltage": 230 + 2 * vehicle.wander(50),
    }


def _clouds(vehicle: Vehicle) -> np.ndarray:
    """The share of light that is let through: slow haze, and on some days broken clouds."""
    haze = 0.35 * np.abs(vehicle.wander(250))
    broken = 0.25 * np.abs(vehicle.wander(5)) * (vehicle.wander(300) > 0.3)
    return np.clip(1 - haze - broken, 0.05, 1)


def _current(vehicle: Vehicle, sun: np.ndarray, module: np.ndarray, string: int) -> np.ndarray:
    """Amperes of a string, which heat makes a little less."""
    gain = 1 - 0.08 * vehicle.strength("soil")
    if string == 0:
        gain *= np.maximum(0, 1 - 0.5 * vehicle.strength("string"))
    return sun * 0.009 * gain * (1 - 0.004 * (module - 25)) * (1 + vehicle.noise(0.01))


def _voltage(vehicle: Vehicle, sun: np.ndarray, module: np.ndarray) -> np.ndarray:
    """Volts of a string: about 600 in light, none in the dark."""
    light = 600 - 1.5 * (module - 25) + vehicle.noise(3)
    return np.where(sun > 5, light, vehicle.noise(1))


def _uncooled(vehicle: Vehicle, power: np.ndarray) -> np.ndarray:
    """Degrees that the inverter is too warm while its fan fails, anew in each fault."""
    found = np.zeros(vehicle.rows)
    for fault in vehicle.named("fan"):
        found[fault.rows] = lagged(power[fault.rows] * 0.8 * fault.strength, 5)
    return found


SOLAR = Kind(
    name="solar",
    what="photovoltaic inverters, a row per 5 minutes: a string lost, soiled modules, a limit of "
    "power, a fan that fails, a sensor that is stuck",
    seed=2,
    simulate=simulate,
    faults=("string", "soil", "clip", "fan", "stuck"),
    lengths=(60, 600),
    period_seconds=300,
)
