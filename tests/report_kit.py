"""A small scored fleet for the tests of the report: real raw files, lake and store, made scores."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from evaluation_kit import evaluation_metrics, method_figures

from amad.config import Fleet, Params, Settings, Stage, load_fleet
from amad.incidents.incident import Incident, incident_id
from amad.incidents.severity import level_of
from amad.ingest.ingestion import ingest
from amad.scores import partitions
from amad.scores.feedback import Judgement, Said, Verdict, keep
from amad.scores.partition_manifest import Provenance
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.schemas import PROFILE, QUARANTINE, SCORES, TIMESTAMP
from amad.windows.build import build_store

SECOND = 1_000_000
FIRST_DAY = date(2026, 1, 9)
START_OF_DAY = 6 * 3600  # seconds after midnight of a day's first row
THRESHOLD = 5.0
VERSION = "3"
GAP = 60 * SECOND


def write_fleet(home: Path, name: str = "kit", **changes: object) -> Fleet:
    """A fleet file of four channels, its raw files below ``home/raw``."""
    content = {
        "name": name,
        "description": "A fleet for tests.",
        "channels": [
            {"name": "Vehicle.Speed", "label": "Speed", "unit": "km/h", "range": [0, 250]},
            {"name": "Vehicle.Coolant", "label": "Coolant temperature", "unit": "°C"},
            {"name": "Vehicle.Voltage", "label": "Battery voltage", "unit": "V"},
            {"name": "Vehicle.Gear", "label": "Gear", "kind": "categorical", "range": [0, 8]},
        ],
        "source": {"format": "parquet", "files": [{"glob": "*.parquet"}]},
        "missing": {"max_gap_seconds": 30, "min_segment_rows": 50},
    } | changes
    path = home / "conf" / "fleet" / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return load_fleet(name, Settings(home=home))


def write_data(fleet: Fleet, home: Path, vehicles: list[str], days: int = 2) -> Settings:
    """Raw files, ingested and prepared: speed and gear wave, the coolant is warm."""
    rows = 600  # per vehicle-day
    settings = Settings(home=home, data_dir=home / "raw")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    for number, vehicle in enumerate(vehicles):
        rng = np.random.default_rng(number)
        for n in range(days):
            at = np.arange(rows)
            speed = np.clip(60 + 40 * np.sin(at / 90 + number) + rng.normal(0, 1, rows), 0, None)
            table = pa.table({
                "vehicle": [vehicle] * rows,
                "timestamp": pa.array(day_start(n) + at * SECOND, pa.int64()).view(TIMESTAMP),
                "Vehicle.Speed": speed,
                "Vehicle.Coolant": 88 + 2 * np.sin(at / 200) + rng.normal(0, 0.3, rows),
                "Vehicle.Voltage": 13.8 + rng.normal(0, 0.05, rows),
                "Vehicle.Gear": np.clip(np.round(speed / 20), 1, 6),
            })  # fmt: skip
            pq.write_table(table, settings.data_dir / f"{number}-{n}.parquet")
    folder = settings.fleet_dir(fleet.name)
    counts = ingest(fleet, settings)
    counts.write(folder)
    build_store(Lake(folder / "lake", fleet), fleet, "vehicle", folder / "store")
    return settings


def stage_of(fleet: Fleet, settings: Settings) -> Stage:
    """What the stage ``report`` is given; it reads no parameters."""
    return Stage(fleet=fleet, settings=settings, params=Params(fleet=fleet.name))


def day_start(n: int) -> int:
    """Microseconds of the first row of day ``n``."""
    day = datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day, tzinfo=UTC)
    return round((day + timedelta(days=n, seconds=START_OF_DAY)).timestamp()) * SECOND


def an_incident(fleet: Fleet, vehicle: str, day: int, first: int, rows: int, **changes) -> Incident:
    """Rows ``first`` to ``first + rows`` of a day are one incident; the coolant is to blame."""
    start = day_start(day) + first * SECOND
    found = Incident(
        incident_id=incident_id(fleet.name, vehicle, start),
        vehicle=vehicle,
        vehicle_class=fleet.class_of(vehicle),
        start=start,
        end=start + rows * SECOND,
        peak=start + rows // 2 * SECOND,
        peak_score=THRESHOLD + 3,
        threshold=THRESHOLD,
        severity=60.0,
        level="high",
        type="level_shift",
        alarm_rows=rows,
        open_from=0,
        open_until=0,
        channels=("Vehicle.Coolant", "Vehicle.Speed"),
        shares=(0.7, 0.2),
        deviation=60.0,
    )
    found = replace(found, **changes)
    return replace(
        found,
        level=level_of(found.severity),
        open_from=found.start,
        open_until=found.end,
    )


def write_run(
    fleet: Fleet,
    settings: Settings,
    incidents: dict[int, list[Incident]],
    *,
    days: Sequence[int] = (0, 1),
    quarantined: tuple[tuple[str, int], ...] = (),
    withheld: dict[str, list[str]] | None = None,
) -> None:
    """Score and incident tables of a finished job, as the scoring job leaves them."""
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    runs = settings.runs_dir(fleet.name)
    for n in days:
        day = FIRST_DAY + timedelta(days=n)
        tables = {
            vehicle: score_table(
                vehicle,
                lake.read_day(vehicle, day)["timestamp"].cast(pa.int64()).to_numpy(),
                incidents.get(n, []),
                quarantined=(vehicle, n) in quarantined,
            )
            for vehicle in sorted(lake.vehicles())
        }
        out = {vehicle for vehicle, night in quarantined if night == n}
        publish(runs, VERSION, day, tables, incidents.get(n, []), GAP, out, withheld)
    job = {
        "id": "20260111T043000-abc123", "fleet": fleet.name, "status": "done",
        "started": "2026-01-11T04:30:00+00:00", "ended": "2026-01-11T04:31:12+00:00",
        "host": "node", "pid": 1, "error": None, "model_version": VERSION,
        "threshold": THRESHOLD, "test_start": str(FIRST_DAY),
        "dates": [str(FIRST_DAY + timedelta(days=n)) for n in days],
    }  # fmt: skip
    write_json(runs / "jobs" / f"{job['id']}.json", job)


def publish(
    runs: Path,
    version: str,
    day: date,
    tables: dict[str, pa.Table],
    incidents: Sequence[Incident],
    gap_us: int,
    quarantined: Collection[str] = (),
    withheld: dict[str, list[str]] | None = None,
) -> None:
    """Publish a date: the score table of each vehicle, and their incidents."""
    partitions.publish(
        runs,
        version,
        day,
        tables=[lambda table=table: table for table in tables.values()],
        incidents=list(incidents),
        vehicles={
            vehicle: partitions.VehicleDay(
                rows=table.num_rows, quarantined=vehicle in quarantined, inputs="i"
            )
            for vehicle, table in tables.items()
        },
        provenance=Provenance(
            detector="d", history_us=0, gap_us=gap_us, inputs="i", carried="c", made_null={},
            withheld=withheld or {}, unmeasured={},
        ),
    )  # fmt: skip


def score_table(
    vehicle: str, us_T: np.ndarray, incidents: Sequence[Incident], *, quarantined: bool = False
) -> pa.Table:
    """The score rows of a vehicle, which are alarms during its incidents."""
    rows = len(us_T)
    alarm_T = np.zeros(rows, bool)
    for incident in incidents:
        if incident.vehicle == vehicle:
            alarm_T |= (us_T >= incident.start) & (us_T < incident.end)
    score_T = np.where(alarm_T, THRESHOLD + 2, 1.0).astype(np.float32)
    return pa.table(
        [
            pa.array([vehicle] * rows, pa.string()),
            pa.array(us_T, pa.int64()).view(TIMESTAMP),
            pa.array(score_T, mask=np.full(rows, quarantined)),
            pa.array(np.full(rows, THRESHOLD, np.float32), mask=np.full(rows, quarantined)),
            pa.array(alarm_T & (not quarantined)),
            pa.array(np.arange(rows) % 100 == 0),
            pa.array(["quarantined" if quarantined else "scored"] * rows),
            pa.array([[]] * rows, SCORES.field("top_channels").type),
            pa.array([[]] * rows, SCORES.field("top_shares").type),
        ],
        schema=SCORES,
    )


def write_profile(fleet: Fleet, settings: Settings) -> None:
    """What the stage validate measures of the lake as it is; nothing is quarantined."""
    folder = settings.fleet_dir(fleet.name)
    write_parquet(profile(Lake(folder / "lake", fleet), fleet), folder / "profile.parquet", PROFILE)
    write_parquet(QUARANTINE.empty_table(), folder / "quarantine.parquet", QUARANTINE)


def write_verdicts(fleet: Fleet, settings: Settings, version: str = VERSION) -> None:
    """What the other stages say of the model and the data."""
    folder = settings.fleet_dir(fleet.name)
    methods = {
        "amad": method_figures([0.6, 0.7, 0.65]),
        "ridge": method_figures([0.5, 0.72, 0.6]),
        "random": method_figures([0.05, 0.06, 0.04]),
    }
    point = {"median_delay_seconds": 14.0}
    evaluation_metrics(methods, "ridge", point, fleet=fleet.name).write(folder)
    write_json(
        folder / "validation.json",
        {
            "ok": True,
            "vehicle_days": 4,
            "quarantined": 1,
            "checks": [{"check": "gaps", "failed": 1}],
            "data_hash": Lake(folder / "lake", fleet).hash(),
        },
    )
    write_json(
        folder / "receipt.json",
        {
            "version": version, "champion": int(version), "decision": "promote", "figures": {},
            "reasons": ["promoted: the fleet had no champion yet"],
        },
    )  # fmt: skip


def judge(runs: Path, incident_id: str, verdict: Verdict, note: str = "") -> Judgement:
    """Keep a verdict on one incident."""
    said = Said(incident_id=incident_id, verdict=verdict, note=note)
    return keep(runs, [said])[incident_id]
