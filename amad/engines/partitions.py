"""Score and incident partitions on disk: written whole or not at all, and when they are stale.

    runs/<fleet>/scores/model_version=<v>/date=<d>/part.parquet
    runs/<fleet>/scores/model_version=<v>/date=<d>/_manifest.json
    runs/<fleet>/incidents/model_version=<v>/date=<d>/incidents.parquet, incidents.jsonl

A partition is written beside its place, its rows are counted against the lake's, and a rename puts
it there: incidents first, then the scores with the manifest, which is the mark that the date is
done. The manifest says what the partition was made of and holds no wall clock, so the same inputs
give the same bytes. Two jobs that overlap write the same bytes; neither leaves a mixture.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import DataError
from amad.detect.daily import day_bounds
from amad.detect.incidents import Incident
from amad.telemetry.files import staged, write_json
from amad.telemetry.schemas import INCIDENTS, SCORES, check

if TYPE_CHECKING:
    from amad.engines.freshness import VehicleDay

CONTRACT = 1  # raise it when the meaning of a score row changes
MANIFEST = "_manifest.json"
TIMES = ("start", "end", "peak")
OPTIONS = {"compression": "zstd", "row_group_size": 1 << 20}


def folder(runs: Path, kind: str, version: str, day: date) -> Path:
    """The partition of ``kind`` (``scores`` or ``incidents``)."""
    return runs / kind / f"model_version={version}" / f"date={day}"


def read_manifest(runs: Path, version: str, day: date) -> dict | None:
    """The manifest of a finished partition; None where the date is not scored."""
    try:
        text = (folder(runs, "scores", version, day) / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return json.loads(text)


def manifests(runs: Path) -> dict[date, dict[str, dict]]:
    """The manifest of every finished partition, by date and model version."""
    found: dict[date, dict[str, dict]] = {}
    for file in sorted((runs / "scores").glob(f"model_version=*/date=*/{MANIFEST}")):
        day = date.fromisoformat(file.parent.name.removeprefix("date="))
        version = file.parent.parent.name.removeprefix("model_version=")
        found.setdefault(day, {})[version] = json.loads(file.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))


def current(found: Mapping[str, dict], champion: str) -> str:
    """Which version's partition of a date counts: the champion's, else the newest version's."""
    return champion if champion in found else max(found, key=int)


def publish(
    runs: Path,
    version: str,
    day: date,
    *,
    tables: Iterable[Callable[[], pa.Table]],
    incidents: list[Incident],
    vehicles: "dict[str, VehicleDay]",
    about: dict,
) -> dict:
    """Write the partition of one date and return its manifest.

    tables: reads one score table a vehicle, in the order of ``vehicles``, which is sorted.
    incidents: of all vehicles. about: what else the partition was made of, for the manifest.

    Raises:
        DataError: the score rows are not as many as the lake's rows.
    """
    scores = folder(runs, "scores", version, day)
    _publish_incidents(runs, version, day, incidents, vehicles)
    with staged(scores) as stage:
        stage.mkdir()
        counts = _write_scores(stage / "part.parquet", tables, vehicles, scores)
        manifest = {
            "contract": CONTRACT,
            "date": str(day),
            "model_version": version,
            "vehicle_days": len(vehicles),
            "quarantined": [name for name, item in vehicles.items() if item.quarantined],
            "incidents": len(incidents),
            "sha256": _sha256(stage / "part.parquet"),
            **counts,
            **about,
        }
        write_json(stage / MANIFEST, manifest)
    return manifest


def recover(runs: Path) -> None:
    """Undo what a killed job left: half-written folders go, swapped-out ones come back.

    Only under the fleet's lock: another job's staging folder would go as well.
    """
    for kind in ("scores", "incidents"):
        for old in (runs / kind).glob("model_version=*/.old-*"):
            place = old.with_name(old.name.split("-", 2)[2])
            if place.exists():
                shutil.rmtree(old)
            else:
                old.rename(place)
        for stage in (runs / kind).glob("model_version=*/.stage-*"):
            shutil.rmtree(stage)


def open_incidents(runs: Path, version: str, day: date, gap_us: int) -> dict[str, Incident]:
    """What was still going on at the end of a date that this version scored, by vehicle.

    gap_us: an incident may go on in a row at most so much after its end.
    """
    file = folder(runs, "incidents", version, day) / "incidents.parquet"
    if read_manifest(runs, version, day) is None or not file.is_file():
        return {}
    table = pq.read_table(file, partitioning=None)
    for name in TIMES:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.int64()))
    end = day_bounds(day)[1]
    going_on = [row for row in table.to_pylist() if row["end"] + gap_us >= end]
    return {row["vehicle"]: _incident(row) for row in going_on}


def _write_scores(
    file: Path,
    tables: Iterable[Callable[[], pa.Table]],
    vehicles: "dict[str, VehicleDay]",
    target: Path,
) -> dict[str, int]:
    """One row group a vehicle; returns how many rows, scored rows and alarms there are."""
    rows = scored = alarms = 0
    with pq.ParquetWriter(file, SCORES, compression=OPTIONS["compression"]) as writer:
        for read, (vehicle, wanted) in zip(tables, vehicles.items(), strict=True):
            table = check(read(), SCORES, f"{target}, vehicle {vehicle}")
            if table.num_rows != wanted.rows:
                raise DataError(
                    f"{target}: {table.num_rows} score rows of vehicle {vehicle} for "
                    f"{wanted.rows} lake rows; the lake changed while it was scored: score the "
                    "date again"
                )
            writer.write_table(table, row_group_size=OPTIONS["row_group_size"])
            rows += table.num_rows
            scored += table.num_rows - table["score"].null_count
            alarms += table["alarm"].to_numpy().sum().item()
    assert pq.read_metadata(file).num_rows == rows
    return {"rows": rows, "scored": scored, "alarms": alarms}


def _publish_incidents(
    runs: Path,
    version: str,
    day: date,
    incidents: list[Incident],
    vehicles: "dict[str, VehicleDay]",
) -> None:
    rows = [
        asdict(item)
        | {
            "channels": list(item.channels),
            "shares": list(item.shares),
            "model_version": version,
            "data_hash": vehicles[item.vehicle].inputs,
            "validation": "passed",  # a vehicle-day that fails is quarantined and has no incident
        }
        for item in sorted(incidents, key=lambda i: (i.vehicle, i.start))
    ]
    table = pa.table({name: [row[name] for row in rows] for name in INCIDENTS.names}, INCIDENTS)
    with staged(folder(runs, "incidents", version, day)) as stage:
        stage.mkdir()
        pq.write_table(table, stage / "incidents.parquet", **OPTIONS)
        lines = [json.dumps(_readable(row), sort_keys=True) + "\n" for row in rows]
        (stage / "incidents.jsonl").write_text("".join(lines), encoding="utf-8")


def _readable(row: dict) -> dict:
    """Times as ISO text, for people and log shippers."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return row | {name: (epoch + timedelta(microseconds=row[name])).isoformat() for name in TIMES}


def _incident(row: dict) -> Incident:
    known = {name: row[name] for name in Incident.__dataclass_fields__}
    return Incident(**known | {name: tuple(row[name]) for name in ("channels", "shares")})


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
