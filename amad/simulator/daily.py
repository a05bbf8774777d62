"""One vehicle-day: driven, measured, broken, and sent.

Shape legend: T rows of the day, C channels that the vehicle has in the fleet file, R rows sent.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.config.number_text import SECOND, machine_time
from amad.config.source import SimulatorSettings
from amad.simulator.breakdowns import Scene, break_down
from amad.simulator.catalogue import SENSORS
from amad.simulator.cycle import DAY_SECONDS, Day, drive_day
from amad.simulator.dynamics import true_channels
from amad.simulator.faults import Fault
from amad.simulator.sensing import Instruments, arrive, lose_values
from amad.simulator.thermal import air_temperature
from amad.simulator.vehicle import Individual, State, stream
from amad.telemetry.schemas import TIMESTAMP

FIRST_REST = 12 * 3600  # seconds that a vehicle stood before its first day


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """What the sensors of a vehicle-day show, before the link.

    number counts days from 0; epoch is its midnight in seconds; value_TC float64 in the order of
    ``names``; faults are in rows and columns of value_TC; faulty: a day on which things may break.
    """

    number: int
    epoch: int
    day: Day
    names: list[str]
    value_TC: np.ndarray
    faults: list[Fault]
    faulty: bool


def date_of(plan: SimulatorSettings, number: int) -> date:
    """The date (UTC) of day ``number``, counted from 0."""
    return (plan.start + timedelta(days=number)).date()


def readings(fleet: Fleet, vehicle: Individual, state: State, number: int) -> Readings:
    """Drive the day and measure it; brings ``state`` forward to its end."""
    plan = fleet.source.simulator

    def draws(purpose: str) -> np.random.Generator:
        return stream(plan.seed, vehicle.name, number, purpose)

    date_ = date_of(plan, number)
    charger = vehicle.kind == "bev"
    day = drive_day(vehicle.model, vehicle.style, plan.hours_per_day, charger, draws("drive"))
    air_T = air_temperature(plan.seed, date_.toordinal(), day.second_T)
    rests = _rests(day, state, number)
    true = true_channels(vehicle, day, state, rests, air_T, draws("consumers"))

    sensors = SENSORS[vehicle.kind]
    instruments = Instruments.of(sensors, vehicle.noise_factor)
    true_TC = np.stack([true[name] for name in sensors], axis=1)
    value_TC = instruments.measured(true_TC, draws("noise"))
    has_C = fleet.has_channel(fleet.class_of(vehicle.name))
    names = [c.name for c, has in zip(fleet.channels, has_C, strict=True) if has]
    columns = [instruments.names.index(name) for name in names]
    value_TC = value_TC[:, columns]

    faulty = plan.faults and number >= plan.fault_free_days
    faults: list[Fault] = []
    if faulty:
        scene = Scene(
            vehicle=vehicle,
            day=day,
            instruments=instruments.only(columns),
            index={name: i for i, name in enumerate(names)},
        )
        value_TC, faults = break_down(
            value_TC, scene, state, plan.hours_per_day, plan.seed, draws("faults")
        )
    return Readings(
        number=number,
        epoch=int(datetime(date_.year, date_.month, date_.day, tzinfo=UTC).timestamp()),
        day=day,
        names=names,
        value_TC=value_TC,
        faults=faults,
        faulty=faulty,
    )


def raw_table(fleet: Fleet, vehicle: Individual, state: State, made: Readings) -> pa.Table:
    """The rows of the day's file as the link delivers them: late ones of the day before first."""
    plan = fleet.source.simulator
    rng = stream(plan.seed, vehicle.name, made.number, "link")
    value_TC = lose_values(made.value_TC, plan.hours_per_day, made.faulty, rng)
    jitter_T = np.clip(rng.normal(0, 0.015, len(value_TC)), -0.1, 0.1)
    second_T = made.epoch + made.day.second_T
    stamp_T = second_T * 1000 + np.rint(1000 * (vehicle.phase + jitter_T)).astype(np.int64)
    arrival = arrive(len(value_TC), plan.hours_per_day, rng)

    value_CR = value_TC[arrival.row_R].astype(np.float32).T
    value_of = dict(zip(made.names, value_CR, strict=True))
    columns = [
        pa.array(value_of[channel.name], from_pandas=True)
        if channel.name in value_of
        else pa.nulls(len(arrival.row_R), pa.float32())
        for channel in fleet.channels
    ]
    stamp_R = pa.array(stamp_T[arrival.row_R] * 1000, mask=arrival.clockless_R).cast(TIMESTAMP)
    table = pa.table(
        [pa.repeat(vehicle.name, len(stamp_R)), stamp_R, *columns],
        names=["vehicle", "timestamp", *(channel.header for channel in fleet.channels)],
    )
    arrived = pa.concat_tables([*state.late, table.filter(pa.array(~arrival.late_R))])
    state.late = [table.filter(pa.array(arrival.late_R))]
    return arrived


def fault_rows(vehicle: Individual, made: Readings) -> list[list]:
    """A line of ``faults.csv`` for each fault of the day; whole seconds, the end exclusive."""
    rows = []
    for fault in made.faults:
        first, last = made.day.second_T[[fault.start, fault.end - 1]].tolist()
        channels = " ".join(made.names[i] for i in fault.channels)
        start, end = (machine_time((made.epoch + second) * SECOND) for second in (first, last + 1))
        rows.append([vehicle.name, start, end, channels, fault.type, fault.strength])
    return rows


def _rests(day: Day, state: State, number: int) -> list[float]:
    """Seconds that the vehicle stood before each trip."""
    second_T = number * DAY_SECONDS + day.second_T
    begins = [int(second_T[first]) for first, _ in day.bounds]
    ends = [int(second_T[last - 1]) + 1 for _, last in day.bounds]
    before = begins[0] - FIRST_REST if state.second is None else state.second
    state.second = ends[-1]
    return [float(b - e) for b, e in zip(begins, [before, *ends[:-1]], strict=True)]
