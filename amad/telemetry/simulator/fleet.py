"""Write a simulated fleet as raw files: any number of vehicles and days, one day in memory."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import ConfigError, DataError, Fleet
from amad.config.console import track
from amad.telemetry.files import staged, write_json
from amad.telemetry.schemas import TIMESTAMP
from amad.telemetry.simulator.breakdowns import Scene, break_down
from amad.telemetry.simulator.catalogue import KINDS, SENSORS, kind_of
from amad.telemetry.simulator.cycle import DAY_SECONDS, drive_day
from amad.telemetry.simulator.dynamics import day_of
from amad.telemetry.simulator.sensing import Instruments, arrive, lose_values
from amad.telemetry.simulator.thermal import air_temperature
from amad.telemetry.simulator.vehicle import Individual, State, draw_vehicle, stream

SUMMARY, FAULTS = "simulation.json", "faults.csv"
FIRST_REST = 12 * 3600.0  # seconds that a vehicle stood before its first day


def simulate(fleet: Fleet, out: Path) -> dict:
    """Write ``out/<vehicle>/<date>.parquet``, ``out/faults.csv`` and ``out/simulation.json``.

    Files hold ``vehicle``, ``timestamp`` and a column for each of the fleet's channels under its
    raw header (null where the vehicle's class lacks it), in the order of arrival. A vehicle-day
    depends on the seed, the vehicle and the days before it alone: a longer or larger run has the
    same files and more. ``out`` appears whole or not at all.

    Returns:
        fleet, vehicles, days, rows, faults and faulty_rows, as in ``simulation.json``.

    Raises:
        ConfigError: the fleet names a channel or vehicle class that cannot be simulated.
        DataError: ``out`` holds something that no simulation wrote.
    """
    plan = fleet.source.simulator
    vehicles = vehicle_ids(fleet)
    for vehicle in vehicles:
        _check_channels(fleet, vehicle)
    if out.exists() and not (out / SUMMARY).is_file() and any(out.iterdir()):
        raise DataError(f"{out} holds files that no simulation wrote; name another or empty folder")
    totals = {"rows": 0, "faults": 0, "faulty_rows": 0}
    with staged(out) as stage:
        stage.mkdir()
        with (stage / FAULTS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["vehicle", "start", "end", "channels", "type", "strength"])
            for vehicle in track(vehicles, "simulate vehicles"):
                folder = stage / vehicle
                folder.mkdir()
                individual, state = draw_vehicle(vehicle, plan.seed), State()
                for number in range(plan.days):
                    table, events = _vehicle_day(fleet, individual, state, number)
                    writer.writerows(event[:-1] for event in events)
                    day = (plan.start + timedelta(days=number)).date()
                    pq.write_table(
                        table, folder / f"{day}.parquet", compression="zstd", use_dictionary=False
                    )
                    totals["rows"] += table.num_rows
                    totals["faults"] += len(events)
                    totals["faulty_rows"] += sum(event[-1] for event in events)
        summary = {"fleet": fleet.name, "vehicles": len(vehicles), "days": plan.days, **totals}
        write_json(stage / SUMMARY, summary)
    return summary


def vehicle_ids(fleet: Fleet) -> list[str]:
    """``ice-01, bev-02, van-03, ice-04`` and so on, of the kinds that the fleet has classes for.

    Raises:
        ConfigError: no vehicle class matches any kind that can be simulated.
    """
    kinds = [kind for kind in KINDS if _has_class(fleet, f"{kind}-01")]
    if not kinds:
        raise ConfigError(
            f"fleet {fleet.name}: no vehicle class matches a simulated vehicle; give "
            f"vehicle_classes patterns such as {', '.join(f'{kind}-*' for kind in KINDS)}"
        )
    return [f"{kinds[i % len(kinds)]}-{i + 1:02d}" for i in range(fleet.source.simulator.vehicles)]


def _has_class(fleet: Fleet, vehicle: str) -> bool:
    try:
        fleet.class_of(vehicle)
    except ConfigError:
        return False
    return True


def _check_channels(fleet: Fleet, vehicle: str) -> None:
    kind = kind_of(vehicle)
    known = sorted({name for sensors in SENSORS.values() for name in sensors})
    for channel, has in zip(
        fleet.channels, fleet.has_channel(fleet.class_of(vehicle)), strict=True
    ):
        if channel.name not in known:
            raise ConfigError(
                f"fleet {fleet.name}: channels: the simulator knows no {channel.name!r}; "
                f"accepted: {', '.join(known)}"
            )
        if has and channel.name not in SENSORS[kind]:
            having = [k for k in KINDS if channel.name in SENSORS[k]]
            raise ConfigError(
                f"fleet {fleet.name}: a simulated {kind} has no {channel.name}; give the channel "
                f"'classes' of {' and '.join(having)} only"
            )


def _vehicle_day(
    fleet: Fleet, vehicle: Individual, state: State, number: int
) -> tuple[pa.Table, list[list]]:
    """The file of one vehicle-day, and a row of faults.csv for each fault with its row count."""
    plan = fleet.source.simulator
    hours = plan.hours_per_day

    def draws(purpose: str) -> np.random.Generator:
        return stream(plan.seed, vehicle.name, number, purpose)

    date_ = (plan.start + timedelta(days=number)).date()
    day = drive_day(vehicle.model, vehicle.style, hours, vehicle.kind == "bev", draws("drive"))
    second_T = number * DAY_SECONDS + day.second_T
    begins = [int(second_T[first]) for first, _ in day.bounds]
    ends = [int(second_T[last - 1]) + 1 for _, last in day.bounds]
    before = begins[0] - FIRST_REST if state.second is None else state.second
    gaps = [b - e for b, e in zip(begins, [before, *ends[:-1]], strict=True)]
    state.second = ends[-1]
    air_T = air_temperature(plan.seed, date_.toordinal(), day.second_T)
    true = day_of(vehicle, day, state, gaps, air_T, draws("consumers"))

    sensors = SENSORS[vehicle.kind]
    instruments = Instruments.of(sensors, vehicle.noise_factor)
    value_TC = instruments.measured(
        np.stack([true[name] for name in sensors], axis=1), draws("noise")
    )
    has = fleet.has_channel(fleet.class_of(vehicle.name))
    names = [c.name for c, there in zip(fleet.channels, has, strict=True) if there]
    columns = [instruments.names.index(name) for name in names]
    value_TC, instruments = value_TC[:, columns], instruments.only(columns)

    epoch = int(datetime.combine(date_, datetime.min.time(), UTC).timestamp())
    events: list[list] = []
    faulty = plan.faults and number >= plan.fault_free_days
    if faulty:
        scene = Scene(
            vehicle=vehicle, day=day, instruments=instruments,
            index={name: i for i, name in enumerate(names)},
        )  # fmt: skip
        value_TC, faults = break_down(value_TC, scene, state, hours, plan.seed, draws("faults"))
        for fault in faults:
            first, last = day.second_T[[fault.start, fault.end - 1]].tolist()
            events.append([
                vehicle.name, _iso(epoch + first), _iso(epoch + last + 1),
                " ".join(names[i] for i in fault.channels), fault.type, fault.strength,
                fault.end - fault.start,
            ])  # fmt: skip
    link = draws("link")
    value_TC = lose_values(value_TC, hours, faulty, link)
    jitter_T = np.clip(link.normal(0, 0.015, len(second_T)), -0.1, 0.1)
    stamp_T = (epoch + day.second_T) * 1000 + np.rint(1000 * (vehicle.phase + jitter_T)).astype(int)
    arrival = arrive(len(second_T), hours, link)

    row_R = arrival.row_R
    value_of = dict(zip(names, value_TC[row_R].astype(np.float32).T, strict=True))
    columns_R = [
        pa.array(value_of[channel.name], from_pandas=True)
        if channel.name in value_of
        else pa.nulls(len(row_R), pa.float32())
        for channel in fleet.channels
    ]
    stamp_R = pa.array(stamp_T[row_R] * 1000, mask=arrival.clockless_R).cast(TIMESTAMP)
    table = pa.table(
        [pa.repeat(vehicle.name, len(row_R)), stamp_R, *columns_R],
        names=["vehicle", "timestamp", *(channel.header for channel in fleet.channels)],
    )
    arrived = pa.concat_tables([*state.late, table.filter(pa.array(~arrival.late_R))])
    state.late = [table.filter(pa.array(arrival.late_R))]
    return arrived, events


def _iso(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
