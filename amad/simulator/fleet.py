"""Write a simulated fleet as raw files: any number of vehicles and days, one day in memory."""

import csv
from pathlib import Path

import pyarrow.parquet as pq

from amad.config import ConfigError, DataError, Fleet
from amad.config.console import track
from amad.simulator.catalogue import KINDS, SENSORS, kind_of
from amad.simulator.daily import date_of, fault_rows, raw_table, readings
from amad.simulator.vehicle import State, draw_vehicle
from amad.telemetry.files import staged, write_json

SUMMARY, FAULTS = "simulation.json", "faults.csv"


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
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / SUMMARY).is_file()):
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
                    day = readings(fleet, individual, state, number)
                    table = raw_table(fleet, individual, state, day)
                    pq.write_table(
                        table,
                        folder / f"{date_of(plan, number)}.parquet",
                        compression="zstd",
                        use_dictionary=False,
                    )
                    writer.writerows(fault_rows(individual, day))
                    totals["rows"] += table.num_rows
                    totals["faults"] += len(day.faults)
                    totals["faulty_rows"] += sum(f.end - f.start for f in day.faults)
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
