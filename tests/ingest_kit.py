"""Small raw files of a fleet, and what ingest makes of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import Fleet, Settings
from amad.ingest.ingestion import ingest, sentences
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.lake import Lake

START = datetime(2026, 1, 5, tzinfo=UTC)
START_US = round(START.timestamp() * 1e6)
SECOND = 1_000_000
DAY = 86_400  # seconds
HEADER = "vehicle,timestamp,speed,level"


def raw_fleet(**changes: object) -> Fleet:
    """Wide CSV files in the folder raw/: vehicle, timestamp, speed, level; b-* have charge too."""
    content = {
        "name": "tiny",
        "channels": [
            {"name": "speed", "range": [0, 200]},
            {"name": "level"},
            {"name": "charge", "classes": ["b"]},
        ],
        "vehicle_classes": [
            {"name": "b", "vehicles": ["b-*"]},
            {"name": "a", "vehicles": ["a-*"]},
        ],
        "source": {"format": "csv", "folder": "raw", "files": [{"glob": "*.csv"}]},
        "missing": {"max_gap_seconds": 5, "min_segment_rows": 10},
    }
    for key, value in changes.items():
        old = content.get(key)
        content[key] = old | value if isinstance(old, dict) and isinstance(value, dict) else value
    return Fleet.model_validate(content)


def at(seconds: float) -> str:
    """ISO text of a time after START."""
    return (START + timedelta(seconds=seconds)).isoformat()


def line(vehicle: str = "a-1", seconds: float = 0.0, speed: object = 1.0, level: object = 2.0):
    """A line of a wide CSV file of ``raw_fleet``."""
    return f"{vehicle},{at(seconds)},{speed},{level}"


def of_lake(counts: IngestResult) -> dict:
    """What ingest told of the lake, without what it told of the run."""
    of_run = ("files_read", "rows_added", "days_changed", "first_rejected")
    return {key: value for key, value in counts.content().items() if key not in of_run}


def tree(lake: Path) -> dict[str, bytes]:
    """Every file of a lake, but those that tell of runs, and those that were replaced."""
    told = ("_manifest.json", "_days.parquet")
    return {
        str(path.relative_to(lake)): path.read_bytes()
        for path in sorted(lake.rglob("*"))
        if path.is_file()
        and path.name not in told
        and not path.relative_to(lake).parts[0].startswith(".")
    }


class Yard:
    """A project home with raw files: write some, ingest, look."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", data_dir=folder)
        self.raw = folder / "raw"
        self.raw.mkdir()

    def csv(self, name: str, lines: list[str], header: str = HEADER) -> None:
        (self.raw / name).write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")

    def parquet(self, name: str, **columns: list) -> None:
        pq.write_table(pa.table(columns), self.raw / name)

    def ingest(self, fleet: Fleet, rebuild: bool = False) -> tuple[IngestResult, Lake]:
        folder = self.settings.fleet_dir(fleet.name)
        counts = ingest(fleet, self.settings, rebuild=rebuild)
        return counts, Lake(folder / "lake", fleet)

    def rejected(self, fleet: Fleet) -> list[dict]:
        """Every refused row, in the order of its file and number."""
        folder = self.settings.fleet_dir(fleet.name) / "rejected"
        tables = [pq.ParquetFile(path).read() for path in sorted(folder.glob("*.parquet"))]
        rows = pa.concat_tables(tables).to_pylist()
        return sorted(rows, key=lambda row: (row["file"], row["row"] or 0))


def seconds_of(table: pa.Table) -> list[float]:
    """Times of lake rows, in seconds after START."""
    return [(us - START_US) / SECOND for us in table["timestamp"].cast(pa.int64()).to_pylist()]


def content_of(lake: Lake) -> dict[str, list[dict]]:
    """All rows of each vehicle."""
    return {vehicle: lake.read(vehicle).to_pylist() for vehicle in lake.vehicles()}


def balanced(counts: IngestResult) -> bool:
    """Is every row that came in also in the lake, merged or rejected?"""
    return counts.rows_in == counts.rows_lake + counts.rows_merged + counts.rows_rejected


def said(yard: Yard, counts: IngestResult) -> str:
    """What the stage prints for these counts."""
    return "\n".join(sentences(counts, "tiny", yard.raw))
