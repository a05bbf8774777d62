"""From a day of driving to what every sensor should read: longitudinal and lateral dynamics.

F = m a + rho/2 c_d A v^2 + c_r m g + m g sin(grade)        road load (Gillespie, Fundamentals of
delta = i_s (L + K v^2) kappa,  a_y = v^2 kappa + g bank    Vehicle Dynamics, ch. 4 and 6)
P_fuel = (T + T_loss(n)) omega / eta                        Willans line of the engine

Shape legend: T rows of the day.
"""

import numpy as np

from amad.simulator import catalogue as c
from amad.simulator.cycle import CHARGING, IDLE, PARKED, Day
from amad.simulator.electric import RPM, low_voltage, traction
from amad.simulator.thermal import engine_temperatures, relaxed
from amad.simulator.vehicle import Individual, State

G, AIR_DENSITY = 9.81, 1.22
ACCESSORIES = 12.0  # Nm at the crankshaft for pumps, alternator and air conditioning


def true_channels(
    vehicle: Individual, day: Day, state: State, gaps: list[float], air_T: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every channel of the vehicle's kind over the day, free of noise, by its VSS name.

    ``gaps`` are the seconds before each trip in which the vehicle rested. ``state`` is read and
    brought forward to the end of the day.
    """
    speed_T = day.speed_T
    acceleration_T = np.diff(speed_T, prepend=0.0)
    mass = vehicle.mass
    force_T = (
        1.04 * mass * acceleration_T  # 4 % for the rotating parts
        + 0.5 * AIR_DENSITY * vehicle.model.drag * speed_T**2
        + (vehicle.model.rolling * mass * G + mass * G * day.grade_T) * (speed_T > 0)
    )
    on_T = (day.mode_T != PARKED) & (day.mode_T != CHARGING)
    kmh_T = 3.6 * speed_T
    odometer_T = state.odometer + np.cumsum(speed_T) / 1000
    state.odometer = float(odometer_T[-1])
    angle_T = (vehicle.model.wheelbase + vehicle.model.understeer * speed_T**2) * day.curvature_T
    soaked_T = relaxed(1.5 * np.exp(-speed_T / 5), 180, 0.0, day.bounds, [1e9] * len(gaps))[0]
    channels = {
        c.SPEED: kmh_T,
        c.STEERING: np.degrees(vehicle.model.steering_ratio * np.arctan(angle_T))
        + vehicle.steering_offset,
        c.LATERAL: speed_T**2 * day.curvature_T + G * day.bank_T,
        c.AIR: air_T + soaked_T,  # a slow or standing vehicle warms its own sensor
        c.ODOMETER: odometer_T,
        **_tyres(vehicle, day, state, gaps, air_T),
    }
    if vehicle.kind == "bev":
        channels |= traction(vehicle, day, state, gaps, force_T, air_T)
        driven_T = channels[c.MOTOR_TORQUE] * vehicle.model.ratios[0]
        share_T = channels[c.MOTOR_TORQUE] / vehicle.model.torque
        overrun_T = np.zeros(len(speed_T))
    else:
        engine, driven_T = _engine(vehicle, day, state, gaps, force_T, acceleration_T, on_T, air_T)
        channels |= engine
        share_T = (engine[c.ENGINE_TORQUE] - ACCESSORIES) / vehicle.model.torque
        overrun_T = (engine[c.FUEL] == 0) & on_T
    channels[c.PEDAL] = 100 * np.clip(share_T, 0, 1) ** 0.75 * (speed_T > 0)
    braking_T = np.maximum(driven_T / vehicle.model.wheel_radius - force_T, 0) * (speed_T > 0)
    holding_T = 14.0 * (on_T & (speed_T == 0) & (day.mode_T != IDLE))
    channels[c.BRAKE] = np.where(braking_T > 250, 12 * braking_T / mass, 0) + holding_T
    channels |= low_voltage(vehicle, day, on_T, overrun_T, air_T, rng)
    return channels


def _tyres(
    vehicle: Individual, day: Day, state: State, gaps: list[float], air_T: np.ndarray
) -> dict[str, np.ndarray]:
    """Gauge pressures, kPa: a fixed volume of gas, warmed by the rolling (Gay-Lussac's law)."""
    cold = float(air_T[0]) if state.tyre is None else state.tyre
    warm_T, state.tyre = relaxed(air_T + 0.75 * day.speed_T, 1200, cold, day.bounds, gaps, air_T)
    pressures = {}
    for name, gauge, share in zip(c.TYRES, vehicle.tyre_kpa, (1.06, 1.04, 0.96, 0.94), strict=True):
        kelvin_T = 273.15 + air_T + share * (warm_T - air_T)
        pressures[name] = (gauge + 101.3) * kelvin_T / 293.15 - 101.3
    return pressures


def _engine(
    vehicle: Individual, day: Day, state: State, gaps: list[float], force_T: np.ndarray,
    acceleration_T: np.ndarray, on_T: np.ndarray, air_T: np.ndarray,
) -> tuple[dict[str, np.ndarray], np.ndarray]:  # fmt: skip
    """Channels of the combustion engine, and the torque that reaches the wheels."""
    model = vehicle.model
    gear_T = _gear(model, 3.6 * day.speed_T - 6 * acceleration_T / vehicle.style, day.speed_T)
    ratio_T = np.array([model.ratios[0], *model.ratios])[gear_T]
    locked_T = day.speed_T / model.wheel_radius * ratio_T * RPM
    rpm_T = np.maximum(locked_T, model.idle_rpm) * on_T
    friction_T = model.loss[0] + model.loss[1] * rpm_T
    drag_T = -0.6 * friction_T
    wanted_T = force_T * model.wheel_radius / (0.93 * ratio_T) * (gear_T > 0)
    driven_T = np.clip(wanted_T, drag_T, model.torque)
    overrun_T = (wanted_T < drag_T) & (locked_T > model.idle_rpm + 250)
    torque_T = (driven_T + ACCESSORIES * ~overrun_T) * on_T

    watts_T = (torque_T + friction_T) * rpm_T / RPM / model.efficiency
    watts_T = np.where(overrun_T, 0.0, np.maximum(watts_T, 0)) * vehicle.fuel_factor
    coolant_T, oil_T = engine_temperatures(
        vehicle, state, day.bounds, gaps, watts_T, rpm_T, day.speed_T, air_T
    )
    cold_T = np.clip((62 - coolant_T) / 70, 0, 1)  # enriched, and idling faster, until warm
    idle_T = (model.idle_rpm + 320 * cold_T) * on_T
    return {
        c.ENGINE_SPEED: np.maximum(rpm_T, idle_T),
        c.ENGINE_TORQUE: torque_T,
        c.GEAR: gear_T.astype(float),
        c.COOLANT: coolant_T,
        c.OIL: oil_T,
        c.FUEL: watts_T * (1 + 0.25 * cold_T) * 3600 / (model.litre * 1e6),
    }, 0.93 * driven_T * ratio_T * (gear_T > 0)


def _gear(model: c.Model, demand_T: np.ndarray, speed_T: np.ndarray) -> np.ndarray:
    """The gear in use, 0 at a standstill: each change up and down has its own speed."""
    row_T = np.arange(len(demand_T))
    gear_T = np.ones(len(demand_T), int)
    for upshift in model.upshift:
        over_T = demand_T >= upshift
        decided_T = over_T | (demand_T <= upshift - 7)
        last_T = np.maximum.accumulate(np.where(decided_T, row_T, 0))
        gear_T += over_T[last_T]
    return np.where(speed_T > 0, gear_T, 0)
