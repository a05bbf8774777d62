"""The counts of a whole lake, from its tables and its manifest."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from amad.ingest.raw_files import RawFile, unopened
from amad.reading.outside_class import ValuesOf, add_values
from amad.reading.row_times import iso
from amad.reading.times import date_of
from amad.reading.vehicle_spellings import likely_doubles
from amad.telemetry.ingest_result import (
    GoneFile,
    IngestResult,
    OutsideClass,
    RefusedFile,
    RepeatedFile,
)
from amad.telemetry.lake import Lake
from amad.telemetry.manifest import IngestedFile


def count_lake(lake: Lake, raw: Collection[RawFile], done: Mapping[str, Any]) -> IngestResult:
    """Count a lake.

    raw: the raw files that are in their folder. done: files_read, rows_added, days_changed and
    first_rejected of the last run.
    """
    sums: dict[str, Counter] = {
        name: Counter() for name in ("rejected", "unknown", "nulls", "ignored")
    }
    for file in lake.files.values():
        for name, counter in sums.items():
            counter.update(getattr(file, name))
    sorted_sums = {name: dict(sorted(counter.items())) for name, counter in sums.items()}
    vehicles: Counter = Counter()
    for vehicle, _, rows in lake.days():
        vehicles[vehicle] += rows
    there = {file.path for file in raw}
    here = [(path, file) for path, file in sorted(lake.files.items()) if path in there]
    refused = {path: file.refused for path, file in here if file.refused} | _not_to_open(lake, raw)
    gone = lake.files.keys() - there - unopened(raw, lake.files).keys()
    result = IngestResult(
        rows_in=sum(file.rows for file in lake.files.values()),
        rows_lake=sum(vehicles.values()),
        rows_merged=sum(file.merged for file in lake.files.values()),
        rows_rejected=sum(sums["rejected"].values()),
        rejected_by_reason=sorted_sums["rejected"],
        ignored=sorted_sums["ignored"],
        rows_short=sum(file.short for file in lake.files.values()),
        vehicles=dict(sorted(vehicles.items())),
        files=len(lake.files.keys() | refused.keys()),
        files_refused=[RefusedFile(path=p, reason=why) for p, why in sorted(refused.items())],
        files_gone=gone_files(lake, gone),
        files_twice=[RepeatedFile(path=p, original=f.copy_of) for p, f in here if f.copy_of],
        vehicles_unknown=sorted_sums["unknown"],
        likely_doubles=likely_doubles([*vehicles, *sums["unknown"]]),
        nulls_by_channel=sorted_sums["nulls"],
        outside_class=_outside_class(lake),
        days=len(lake.days()),
        newest={vehicle: f"{iso(us)}+00:00" for vehicle, us in sorted(lake.newest().items())},
        **done,
    )
    assert result.rows_in == result.rows_lake + result.rows_rejected + result.rows_merged
    return result


def rows_unopened(raw: Collection[RawFile], held: Mapping[str, IngestedFile]) -> Counter[str]:
    """Path of a raw file or a folder that cannot be opened -> rows that the lake has of it."""
    rows: Counter[str] = Counter()
    for path, file in unopened(raw, held).items():
        rows[file.path] += held[path].rows_given
    return rows


def _outside_class(lake: Lake) -> list[OutsideClass]:
    """One value alone is none: wide exports fill the columns that a vehicle does not have."""
    found: ValuesOf = {}
    for file in (file for file in lake.files.values() if not file.copy_of):
        for vehicle, of in file.outside_class.items():
            for channel, own in of.items():
                add_values(found, vehicle, channel, own)
    return [
        OutsideClass(
            vehicle=vehicle, channel=channel, values=own.number, last=str(date_of(own.last))
        )
        for vehicle, of in sorted(found.items())
        for channel, own in sorted(of.items())
        if own.least < own.greatest
    ]


def _not_to_open(lake: Lake, raw: Collection[RawFile]) -> dict[str, str]:
    """Path of a raw file or a folder that cannot be opened -> why."""
    rows = rows_unopened(raw, lake.files)
    return {
        file.path: f"unreadable file: {file.error}"
        + ("; its rows stay in the lake" if rows[file.path] else "")
        for file in raw
        if file.error
    }


def gone_files(lake: Lake, paths: Collection[str]) -> list[GoneFile]:
    """Of the files ``paths`` those that gave rows to the lake, sorted."""
    if not paths:
        return []
    table = lake.origins()
    mine = pc.and_(pc.is_in(table["path"], pa.array(sorted(paths))), pc.greater(table["rows"], 0))
    sums = table.filter(mine).group_by("path").aggregate([("rows", "sum"), ("rows", "count")])
    return [
        GoneFile(path=row["path"], rows=row["rows_sum"], days=row["rows_count"])
        for row in sums.sort_by("path").to_pylist()
    ]
