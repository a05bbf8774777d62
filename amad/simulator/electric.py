"""The electric side: the 12 V system of every vehicle, and the traction side of a battery car.

Shape legend: T rows of the day.
"""

import numpy as np
from scipy.signal import lfilter

from amad.simulator import catalogue as c
from amad.simulator.cycle import CHARGING, PARKED, Day
from amad.simulator.thermal import relaxed
from amad.simulator.vehicle import Individual, State

RPM = 60 / (2 * np.pi)  # revolutions per minute for one radian per second
PACK_OHM = 0.09
FAST_CHARGER, HOME_CHARGER = 58_000.0, 11_000.0  # watts
REGEN_NM, REGEN_WATTS = 130.0, 60_000.0
BLOCK = 10  # seconds of the state of charge's integration


def low_voltage(
    vehicle: Individual, day: Day, on_T: np.ndarray, overrun_T: np.ndarray, air_T: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Voltage (V) and battery current (A) of the 12 V battery.

    Running, the alternator (or converter) holds a voltage that falls with temperature and load;
    the battery takes a charge that dies away after the start, and what a step of the voltage
    drives through its resistance. At rest the battery feeds what is on.
    """
    rows = len(on_T)
    row_T = np.arange(rows)
    switched_T = _switched(rows, rng)  # heating, wipers, lights
    load_T = vehicle.consumers + switched_T
    warm = 0.012 * (20 - air_T) * 0.6
    boost_T = lfilter([0.3], [1, -0.7], 0.25 * overrun_T)  # recuperates when coasting in gear
    held_T = vehicle.regulator + warm - 0.006 * load_T + boost_T
    swing_T = held_T - lfilter([0.02], [1, -0.98], held_T, zi=[0.98 * held_T[0]])[0]

    if vehicle.kind == "bev":  # the converter runs whenever the car is awake
        on_T = np.ones(rows, bool)
    begins = np.array([first for first, _ in day.bounds])[day.trip_T]
    since_T = row_T - np.maximum(np.maximum.accumulate(np.where(on_T, 0, row_T)), begins)
    spent_T = 4 + 0.25 * load_T
    voltage_T = np.where(on_T, held_T, 12.68 - 0.018 * spent_T)
    current_T = np.where(on_T, 0.6 + 14 * np.exp(-since_T / 260) + swing_T / 0.03, -spent_T)
    crank_T = on_T & ~np.append(True, on_T[:-1])
    return {
        c.VOLTAGE: _settling(voltage_T) - 1.0 * crank_T,
        c.CURRENT: _settling(current_T) - 45.0 * crank_T,
    }


def _settling(x_T: np.ndarray) -> np.ndarray:
    """The alternator's load response and the battery's surface charge: steps take some seconds."""
    return lfilter([0.2], [1, -0.8], x_T, zi=[0.8 * x_T[0]])[0]


def _switched(rows: int, rng: np.random.Generator) -> np.ndarray:
    """Consumers that people switch, A: a level that holds for one to five minutes."""
    holds = rng.integers(60, 300, rows // 60 + 1)
    return np.repeat(rng.gamma(2.0, 4.0, len(holds)), holds)[:rows]


def traction(
    vehicle: Individual, day: Day, state: State, gaps: list[float], force_T: np.ndarray,
    air_T: np.ndarray,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Channels of motor and traction battery. Battery: U = U0(charge) + R I, I into the battery."""
    model = vehicle.model
    motor_T = day.speed_T / model.wheel_radius * model.ratios[0]  # rad/s
    torque_T = force_T * model.wheel_radius / model.ratios[0]
    brake_T = np.minimum(REGEN_NM, REGEN_WATTS / np.maximum(motor_T, 1))
    brake_T *= np.clip(day.speed_T / 3, 0, 1)  # at walking pace the friction brake stops the car
    torque_T = np.clip(torque_T, -brake_T, model.torque)
    shaft_T = torque_T * motor_T
    loss_T = (1 - model.efficiency) * np.abs(shaft_T) + 250 * (day.speed_T > 0)
    comfort_T = 90 * np.abs(21 - air_T) + 300  # heat pump and electronics
    draw_T = shaft_T + loss_T + comfort_T * (day.mode_T != PARKED) + 60

    charge_T = _charge(vehicle, day, state, gaps, draw_T)
    taper_T = np.clip((92 - charge_T) / 15, 0, 1)
    draw_T = np.where(day.mode_T == CHARGING, -FAST_CHARGER * taper_T + comfort_T, draw_T)
    source_T = 345 + 0.62 * charge_T
    current_T = -draw_T / source_T

    kilowatt_T = loss_T / 1000
    start = float(air_T[0])
    coolant_T, state.motor_coolant = relaxed(
        air_T + kilowatt_T / (0.028 + 0.0026 * day.speed_T), 500,
        start if state.motor_coolant is None else state.motor_coolant, day.bounds, gaps, air_T,
    )  # fmt: skip
    heat_T, state.motor = relaxed(
        17 * kilowatt_T, 380, 0.0 if state.motor is None else state.motor, day.bounds, gaps
    )
    return {
        c.MOTOR_SPEED: motor_T * RPM,
        c.MOTOR_TORQUE: torque_T,
        c.MOTOR_COOLANT: coolant_T,
        c.MOTOR_TEMPERATURE: coolant_T + heat_T,
        c.CHARGE: charge_T,
        c.TRACTION_CURRENT: current_T,
        c.TRACTION_VOLTAGE: source_T + PACK_OHM * current_T,
    }


def _charge(
    vehicle: Individual, day: Day, state: State, gaps: list[float], draw_T: np.ndarray
) -> np.ndarray:
    """State of charge, percent: integrated, fast charging tapers, a long rest is at home."""
    percent = 100 / (vehicle.model.battery_kwh * 3.6e6)  # per joule
    charge = state.charge
    parts = []
    for (first, last), gap in zip(day.bounds, gaps, strict=True):
        if gap > 6 * 3600 and charge < 70:
            charge = max(charge, min(85.0, charge + HOME_CHARGER * gap * percent))
        edges = np.arange(first, last, BLOCK)
        joule = np.add.reduceat(draw_T[first:last], edges - first).tolist()
        plugged = (day.mode_T[edges] == CHARGING).tolist()
        path = [charge]
        for step, charging in zip(joule, plugged, strict=True):
            if charging:
                step = -FAST_CHARGER * BLOCK * min(max((92 - charge) / 15, 0.0), 1.0)
            charge = min(max(charge - step * percent, 3.0), 100.0)
            path.append(charge)
        parts.append(np.interp(np.arange(first, last), np.append(edges, last), path))
    state.charge = charge
    return np.concatenate(parts)
