"""A simulated fleet on disk: raw Parquet files and the fleet file."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from bench.kinds.fleets.events import NOT_CONTINUOUS
from bench.kinds.fleets.vehicle import Kind

START = "2024-06-01T00:00:00Z"
PARTS = ("train", "test")


def write_fleet(kind: Kind, raw: Path, conf: Path) -> Path:
    """Write two files per vehicle into ``raw/NAME``, and return the fleet file in ``conf``."""
    folder = raw / kind.name
    folder.mkdir(parents=True, exist_ok=True)
    conf.mkdir(parents=True, exist_ok=True)
    for number in range(kind.vehicles):
        for part, table in zip(PARTS, tables_of(kind, number), strict=True):
            pq.write_table(table, folder / f"{kind.name}{number}_{part}.parquet")
    file = conf / f"{kind.name}.yaml"
    file.write_text(yaml.safe_dump(contract(kind), sort_keys=False), encoding="utf-8")
    return file


def tables_of(kind: Kind, number: int) -> tuple[pa.Table, pa.Table]:
    """The raw rows of a vehicle: of its train part, and of its test part with their labels."""
    faults = kind.plan(number)
    table = pa.table(kind.channels(number, faults))
    label = pa.array(kind.label(faults)[kind.train_rows :])
    train, test = table.slice(0, kind.train_rows), table.slice(kind.train_rows)
    return train, test.append_column("label", label)


def contract(kind: Kind) -> dict:
    """The content of the fleet file."""
    names = list(kind.channels(0, []))
    return {
        "name": kind.name,
        "description": f"Simulated {kind.what}",
        "period_seconds": kind.period_seconds,
        "source": {
            "format": "parquet",
            "folder": kind.name,
            "files": [{"glob": f"*_{part}.parquet", "part": part} for part in PARTS],
            "vehicle": {"take": "path", "pattern": rf"({kind.name}\d+)_"},
            "timestamp": {"take": "index", "start": START},
            "obtain": "`python -m bench.kinds` makes it.",
        },
        "channels": [
            {"name": name, "kind": NOT_CONTINUOUS.get(name, "continuous")} for name in names
        ],
        "labels": {"kind": "column"},
        "missing": {"max_gap_seconds": 5 * kind.period_seconds, "min_segment_rows": 100},
        "quality": {"min_rows": 60},
        "split": {"calibration_share": 0.2, "purge_rows": 100},
    }
