"""Small fleets on disk, of a kind that the repository does not ship, for the quality benchmark."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

START_US = 1_767_571_200_000_000  # 2026-01-05, a midnight
PERIOD = 7  # seconds
ROWS = 1500  # a vehicle; the last 40 % are its test part
PARAMS = {
    "model": {"window": 20, "width": 16, "layers": 1, "heads": 2},
    "mask": {"block": 4},
    "train": {"epochs": 1, "batch": 16, "stride": 10, "max_windows": 64},
    "detect": {
        "members": ["relation", "amad"],
        "baseline_rows": 300,
        "alarm_budget": 4.0,
    },
    "evaluate": {"bootstrap": 30},
}


def write_fleet(folder: Path, name: str, vehicles: int, kind: str = "column") -> Path:
    """Raw Parquet files and the fleet file beside them; the last vehicle has no event."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(vehicles):
        columns = _columns(number, eventful=number < vehicles - 1)
        if kind != "column":
            columns.pop("fault")
        pq.write_table(pa.table(columns), folder / f"unit{number}.parquet")
    content = {
        "name": name,
        "description": "Three coupled channels of a made-up machine",
        "period_seconds": PERIOD,
        "channels": [{"name": n} for n in ("flow", "pressure", "heat")],
        "source": {
            "format": "parquet",
            "folder": str(folder),
            "files": [{"glob": "unit*.parquet"}],
            "vehicle": {"take": "path", "pattern": r"(unit\d+)"},
        },
        "labels": {"kind": kind, "column": "fault", "injection": {"cases_per_vehicle": 8}},
        "split": {"test_share": 0.4, "purge_rows": 20},
        "missing": {"max_gap_seconds": 30, "min_segment_rows": 40},
        "evaluation": {"buffer_rows": 20},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def write_params(folder: Path) -> Path:
    """Settings under which a network trains in a moment."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(PARAMS), encoding="utf-8")
    return path


def _columns(number: int, *, eventful: bool) -> dict:
    rng = np.random.default_rng(number)
    row = np.arange(ROWS)
    flow = np.sin(row / 11 + number) + 0.4 * np.sin(row / 37)
    value = np.stack([flow, 0.7 * flow, np.convolve(flow, np.ones(30) / 30, mode="same")], axis=1)
    value += 0.05 * rng.normal(size=value.shape)
    fault = np.zeros(ROWS, np.int8)
    if eventful:
        fault[1200:1240] = 1
        value[1200:1240, number % 3] += 2.0
    return {
        "timestamp": pa.array(START_US + row * PERIOD * 1_000_000, pa.timestamp("us", tz="UTC")),
        **{name: value[:, c] for c, name in enumerate(("flow", "pressure", "heat"))},
        "fault": fault,
    }
