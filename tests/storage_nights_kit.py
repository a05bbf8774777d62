"""Nights of the fleet ``nights`` on machines with disks of their own."""

import hashlib
import re
import shutil
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
from scoring_kit import FLEET, VEHICLES, kit_params, night, validated
from storage_kit import kill_this, machine, stage_of

from amad.config import Settings
from amad.engines.score import fleet_scoring
from amad.storage import step
from amad.telemetry import disk
from amad.telemetry.lake import named_files
from pipelines import ingest, report, score

PARAMS = kit_params(members=["innovation", "amad"])
# What differs between two runs of the same work: clocks, hosts and processes.
OF_THE_RUN = ("runs/jobs/", "runs/steps/", "runs/timings.json", "data/report.html")
JOB = rb"Scoring job [^<]*"  # its id and its times, at the foot of the page of a date


def moved_in(home: Path, name: str, address: str | None) -> Settings:
    """A machine that has what the disk of ``home`` has."""
    own = machine(home, name, address)
    for folder in ("data", "runs"):
        if (home / folder).is_dir():
            shutil.copytree(home / folder, own.home / folder)
    return own


def send(settings: Settings, days: list[date]) -> None:
    """The vehicles send the raw files of some nights."""
    folder = settings.data_dir / FLEET
    for day in days:
        for vehicle in VEHICLES:
            pq.write_table(night(day, vehicle), folder / f"{day}-{vehicle}-0.parquet")


def judge_days(settings: Settings) -> None:
    """What the stage ``validate`` leaves, without Great Expectations."""
    stage = stage_of(settings)
    with step(stage, "validate"):
        validated(stage.fleet, settings)


def whole_night(settings: Settings) -> dict:
    """What runs every night; returns the receipt of the scoring job."""
    ingest.run(PARAMS, settings)
    judge_days(settings)
    receipt = score.run(PARAMS, settings).content()
    report.run(PARAMS, settings)
    return receipt


def lake_parts(settings: Settings) -> list[Path]:
    """The parts of the lake that are on a disk."""
    return sorted((settings.fleet_dir(FLEET) / "lake").glob("vehicle=*/date=*/*.parquet"))


def read_the_lake(settings: Settings) -> None:
    """Read each file of the lake, so that those come that are in the storage alone."""
    lake = settings.fleet_dir(FLEET) / "lake"
    for path in named_files(lake):
        disk.read_bytes(lake / path)


def bytes_of(settings: Settings, *without: str) -> dict[str, str]:
    """The hash of every file of state on a disk, without caches and what tells of a run.

    without: what is left out as well, such as ``data/store``, which no step of the night asks for.
    """
    found = {}
    for top, folder in (
        ("data", settings.fleet_dir(FLEET)),
        ("runs", settings.runs_dir(FLEET)),
    ):
        for file in sorted(folder.rglob("*")):
            path = f"{top}/{file.relative_to(folder).as_posix()}"
            ours = any(
                path.startswith(("runs/storage", "runs/ray", "runs/hashes", "runs/checksums"))
                or part.startswith(".old")
                for part in path.split("/")
            )
            if file.is_file() and not ours and not path.endswith(".lock"):
                found[path] = hashlib.sha256(re.sub(JOB, b"", file.read_bytes())).hexdigest()
    return {
        path: sha for path, sha in found.items() if not path.startswith((*OF_THE_RUN, *without))
    }


def killed_after_a_date(settings: Settings) -> None:
    fleet_scoring._note = kill_this
    score.run(PARAMS, settings)
