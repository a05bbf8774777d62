"""A small fleet with a lake and a fitted detector, for the tests of registry and scoring.

Three vehicles report every 10 s from 21:00 to 03:00, over midnight, with gaps; the last nights are
the test part. A fault on ``b-1`` goes on over a midnight.
"""

import hashlib
import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml
from shared_kit import made_once
from windows_kit import split_series

from amad.config import Fleet, Params, Settings, Stage, load_fleet
from amad.detect.detector import Detector, build_detector
from amad.detect.detector_folder import detector_digest, save_detector
from amad.detect.members.build import build_members
from amad.engines.score.fleet_scoring import score_fleet
from amad.engines.score.scoring_plan import ScoringRequest
from amad.engines.shared.model_registry import version_number
from amad.engines.shared.tracking import connect
from amad.evaluation.harness import examine
from amad.ingest.ingestion import ingest
from amad.model.bundle import Bundle
from amad.model.network import Amad
from amad.scores import partitions
from amad.scores.job_log import JobLog
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import INCIDENTS, PROFILE, QUARANTINE
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.store import WindowStore, write_store

VEHICLES = ("a-1", "a-2", "b-1")
PERIOD = 10
NIGHTS = 6
START = date(2026, 1, 5)  # the first night begins on it
FAULTY = START + timedelta(days=NIGHTS - 1)  # the night of the fault, 23:30 to 00:30
AFTER = FAULTY + timedelta(days=1)
FLEET = "nights"
REGISTERED = "amad-nights"  # its name in the registry
CONTENT = {
    "name": "nights",
    "description": "A test fleet.",
    "period_seconds": PERIOD,
    "source": {
        "format": "parquet",
        "files": [{"glob": "*.parquet"}],
        "folder": "nights",
        "vehicle": {"take": "column", "column": "vehicle"},
        "timestamp": {"take": "column", "column": "timestamp"},
    },
    "channels": [
        {"name": "speed", "unit": "km/h", "range": [-50, 300]},
        {"name": "torque", "range": [-50, 300]},
        {"name": "heat"},
        {"name": "charge", "classes": ["b"]},
    ],
    "vehicle_classes": [
        {"name": "b", "vehicles": ["b-*"]},
        {"name": "a", "vehicles": ["*"]},
    ],
    "missing": {"max_gap_seconds": 60, "min_segment_rows": 30},
    "split": {"test_share": 0.3, "purge_rows": 10},
    "quality": {"min_rows": 30},
    "labels": {"kind": "injected", "injection": {"cases_per_vehicle": 3, "seed": 3}},
    "evaluation": {"buffer_rows": 20, "unit": "case"},
}


def kit_params(**detect: object) -> Params:
    """Linear members, short history."""
    settings = {
        "members": ["innovation", "two_sided"],
        "widths": [3, 9],
        "baseline_rows": 200,
        "alarm_budget": 1.0,
    }
    return Params.model_validate(
        {
            "fleet": "nights",
            "model": {"window": 20, "width": 16, "layers": 1, "heads": 2},
            "detect": settings | detect,
            "evaluate": {"baselines": ["l2"], "bootstrap": 50},
            "gate": {"bootstrap": 200},
        }
    )


def night(day: date, vehicle: str, seed: int = 0) -> pa.Table:
    """The raw rows of one vehicle and night."""
    rng = np.random.default_rng([VEHICLES.index(vehicle), day.toordinal(), seed])
    begin = datetime(day.year, day.month, day.day, 21, tzinfo=UTC).timestamp()
    second = np.arange(0, 6 * 3600, PERIOD)
    kept = (second < 7200) | (second > 7500)  # a gap of five minutes
    time = begin + second[kept]
    speed = 60 + 30 * np.sin(time / 700) + 10 * np.sin(time / 190)
    torque = 0.7 * speed + rng.normal(0, 1, len(time))
    heat = 80 + 5 * np.sin(time / 3000) + rng.normal(0, 0.2, len(time))
    if vehicle == "b-1" and day == FAULTY:
        fault = (second[kept] >= 9000) & (second[kept] < 12600)
        torque = np.where(fault, torque + rng.normal(0, 60, len(time)), torque)
    charge = None if vehicle.startswith("a") else 50 - second[kept] / 900
    return pa.table({
        "vehicle": [vehicle] * len(time),
        "timestamp": pa.array((time * 1e6).astype(np.int64)).cast(pa.timestamp("us", "UTC")),
        "speed": speed + rng.normal(0, 1, len(time)),
        "torque": torque,
        "heat": heat,
        "charge": pa.array([None] * len(time) if charge is None else charge, pa.float64()),
    })  # fmt: skip


def make_lake(home: Path, nights: int = NIGHTS) -> tuple[Fleet, Settings]:
    """Write fleet file and raw data into the home, and ingest them."""
    settings = Settings(home=home, data_dir=home / "raw")
    (home / "conf" / "fleet").mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(CONTENT)
    (home / "conf" / "fleet" / "nights.yaml").write_text(text, encoding="utf-8")
    fleet = load_fleet("nights", settings)
    add_nights(fleet, settings, [START + timedelta(days=n) for n in range(nights)])
    return fleet, settings


def add_nights(fleet: Fleet, settings: Settings, days: list[date]) -> None:
    """More raw files, and the lake brought up to date."""
    folder = settings.data_dir / "nights"
    folder.mkdir(parents=True, exist_ok=True)
    for day in days:
        for vehicle in VEHICLES:
            pq.write_table(night(day, vehicle), folder / f"{day}-{vehicle}-0.parquet")
    refresh(fleet, settings)


def refresh(fleet: Fleet, settings: Settings) -> Lake:
    """Ingest what is new."""
    folder = settings.fleet_dir(fleet.name)
    ingest(fleet, settings)
    return Lake(folder / "lake", fleet)


def validated(
    fleet: Fleet, settings: Settings, failed: tuple[tuple[str, date, str | None], ...] = ()
) -> None:
    """What the stage validate leaves for the lake as it is, with these days quarantined.

    failed: vehicle, date, and the channel that failed; None for the whole day.
    """
    folder = settings.fleet_dir(fleet.name)
    days = Lake(folder / "lake", fleet).day_table().to_pylist()
    known = ("vehicle", "date", "rows", "sha256")
    rows = [{name: day[name] for name in known} | {"channel": "speed"} for day in days]
    write_parquet(pa.Table.from_pylist(rows, PROFILE), folder / "profile.parquet", PROFILE)
    names = ("vehicle", "date", "channel")
    common = {"check": "nulls", "reason": "a test"}
    rows = [dict(zip(names, item, strict=True)) | common for item in failed]
    table = pa.Table.from_pylist(rows, QUARANTINE)
    write_parquet(table, folder / "quarantine.parquet", QUARANTINE)


def series_of(fleet: Fleet, lake: Lake) -> list[Series]:
    """Every vehicle on its grid, split in time."""
    return [split_series(lake.read(vehicle), fleet, vehicle) for vehicle in lake.vehicles()]


def fit_detector(fleet: Fleet, lake: Lake, **detect: object) -> Detector:
    """A detector, fitted as the stages do it; a network among its members is not trained."""
    whole = series_of(fleet, lake)
    scaler = Scaler.fit(whole, fleet, "vehicle")
    scaled = [scaler.apply(series) for series in whole]
    params = kit_params(**detect)
    if "amad" in params.detect.members:
        torch.manual_seed(1)
        network = Amad(len(fleet.channels), params.model).eval()
        bundle = Bundle(model=network, params=params, fleet=fleet, scaler=scaler, meta={})
        detector = build_detector(bundle, params.detect)
    else:
        detector = Detector(build_members(params.detect), params.detect, fleet, scaler)
    return detector.fit([s.part(TRAIN) for s in scaled], [s.part(CALIBRATION) for s in scaled])


def make_artifacts(fleet: Fleet, settings: Settings, **detect: object) -> Params:
    """What the stages before ``register`` leave behind, from the lake as it is.

    It follows from lake and settings alone, and is made once for each.
    """
    folder = settings.fleet_dir(fleet.name)
    lake = Lake(folder / "lake", fleet)
    key = json.dumps([fleet.digest, lake.hash(), detect], sort_keys=True)
    made = made_once(
        f"artifacts-{hashlib.sha256(key.encode()).hexdigest()[:16]}",
        lambda folder: _artifacts(folder, fleet, lake, **detect),
    )
    for name in ("detector", "store"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return kit_params(**detect)


def _artifacts(folder: Path, fleet: Fleet, lake: Lake, **detect: object) -> None:
    detector = fit_detector(fleet, lake, **detect)
    save_detector(detector, folder / "detector")
    meta = {"data_hash": lake.hash()}
    write_store(folder / "store", series_of(fleet, lake), fleet, detector.scaler, meta)
    store = WindowStore.open(folder / "store")
    metrics = examine(store, detector, fleet, kit_params(**detect), lake.events()).metrics
    named = {"detector_digest": detector_digest(detector), **meta}
    metrics.model_copy(update=named).write(folder)
    verdict = {"ok": True, "vehicle_days": len(lake.days()), "quarantined": 0, "checks": []}
    write_json(
        folder / "validation.json", verdict | {"data_hash": lake.hash(), "digest": fleet.digest}
    )
    write_json(folder / "train.json", {"digest": None, "epochs": [{"loss": 0.5}]})


def run_job(
    fleet: Fleet,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    **request: object,
) -> JobLog:
    """A scoring job over some dates, or over everything new."""
    dates = (first, last) if first and last else None
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    return score_fleet(stage, ScoringRequest(dates=dates, **request))


def digests(settings: Settings) -> dict[str, str]:
    """The hash of every score and incident file."""
    runs = settings.runs_dir(FLEET)
    return {
        str(file.relative_to(runs)): hashlib.sha256(file.read_bytes()).hexdigest()
        for kind in ("scores", "incidents")
        for file in sorted((runs / kind).rglob("*"))
        if file.is_file()
    }


def scores(settings: Settings, day: date, version: str = "1") -> pa.Table:
    """The score table of a date."""
    folder = partitions.folder(settings.runs_dir(FLEET), "scores", version, day)
    return pq.read_table(folder / "part.parquet", partitioning=None)


def incidents(settings: Settings, day: date, version: str = "1") -> list[dict]:
    """The incidents of a date, the same in both files."""
    folder = partitions.folder(settings.runs_dir(FLEET), "incidents", version, day)
    table = pq.read_table(folder / "incidents.parquet", partitioning=None)
    assert table.schema == INCIDENTS
    lines = (folder / "incidents.jsonl").read_text().splitlines()
    assert [json.loads(line)["incident_id"] for line in lines] == table["incident_id"].to_pylist()
    return table.to_pylist()


def read_json(path: Path) -> dict:
    """Its content, the seal left out."""
    return {k: v for k, v in json.loads(path.read_text("utf-8")).items() if k != "seal"}


def versions(settings: Settings) -> list[int]:
    """The numbers of the fleet's versions in the registry."""
    found = connect(settings).search_model_versions(f"name = '{REGISTERED}'")
    return sorted(version_number(version) for version in found)
