"""Score and incident partitions on disk: written as a whole or not at all, checked before use.

    runs/<fleet>/scores/model_version=<v>/date=<d>/part.parquet
    runs/<fleet>/scores/model_version=<v>/date=<d>/_manifest.json
    runs/<fleet>/incidents/model_version=<v>/date=<d>/incidents.parquet, incidents.jsonl

A partition is written beside its final place. Its rows are counted against the lake's, and a
rename puts it in place: the incidents first, then the scores with the manifest. A date is done when
all files that the manifest names have the hashes that it names. Two jobs that overlap write the
same bytes, so neither leaves a mixture.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import DataError
from amad.config.console import say
from amad.config.digest import file_sha256
from amad.config.number_text import utc
from amad.config.wording import count, some
from amad.incidents.incident import Incident
from amad.scores.daily import day_bounds
from amad.scores.partition_manifest import PartitionManifest, Provenance
from amad.telemetry.checksums import Checksums
from amad.telemetry.files import listed, read_table, staged
from amad.telemetry.schemas import INCIDENTS, SCORES, check
from amad.telemetry.temporary import remove_unfinished

CONTRACT = 10  # raise it when the meaning of a score row or of an incident changes
TABLES = {"scores": "part.parquet", "incidents": "incidents.parquet"}
RESULTS = tuple(TABLES)  # the kinds of partitions
FILES = (*TABLES.items(), ("incidents", "incidents.jsonl"))
REPORTS = "reports"  # the folder of the report's pages, one per date
TIMES = ("start", "end", "peak", "open_from", "open_until")
OPTIONS = {"compression": "zstd", "write_page_checksum": True}  # see ``files.write_parquet``
ROW_GROUP = 1 << 20
REWRITE = "run 'amad score --date {}' to write it again"

Manifests = dict[date, dict[str, PartitionManifest]]  # by date and model version


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleDay:
    """What the scores of one vehicle-day depend on, apart from the detector.

    inputs: hash of the lake's files of the day and of its history, the days before it whose rows
    are read, and of whether the day is quarantined.
    """

    rows: int
    quarantined: bool
    inputs: str


def fields_of(item: Any) -> dict[str, Any]:
    """The fields of a dataclass by name. Unlike ``asdict``, none is copied, which takes longer."""
    return {field.name: getattr(item, field.name) for field in fields(item)}


def folder(runs: Path, kind: str, version: str, day: date) -> Path:
    """The partition of ``kind`` (``scores`` or ``incidents``)."""
    return runs / kind / f"model_version={version}" / f"date={day}"


def table_file(runs: Path, kind: str, version: str, day: date) -> Path:
    """The Parquet file of a partition of ``kind``."""
    return folder(runs, kind, version, day) / TABLES[kind]


def read_manifest(runs: Path, version: str, day: date) -> PartitionManifest | None:
    """The manifest of a finished partition; None where there is none, or a damaged one."""
    with suppress(DataError):
        found = PartitionManifest.read(folder(runs, "scores", version, day))
        if found is not None and (found.date, found.model_version) == (day, version):
            return found
    return None


def manifests(runs: Path) -> Manifests:
    """The manifest of every finished partition, by date and model version."""
    return finished(begun(runs))


def finished(found: Mapping[date, Mapping[str, PartitionManifest | None]]) -> Manifests:
    """Those that are finished. found: as ``begun`` returns it."""
    return {
        day: whole
        for day, versions in found.items()
        if (whole := {version: item for version, item in versions.items() if item is not None})
    }


def begun(
    runs: Path, left_out: Collection[tuple[date, str]] = ()
) -> dict[date, dict[str, PartitionManifest | None]]:
    """The manifest of every partition folder, by date and version; None: see ``read_manifest``.

    left_out: date and version of partitions that count as not there.
    """
    found: dict[date, dict[str, PartitionManifest | None]] = {}
    for kind in RESULTS:
        for day, version, _ in folders(runs / kind):
            if (day, version) in left_out:
                continue
            versions = found.setdefault(day, {})
            if version not in versions:
                versions[version] = read_manifest(runs, version, day)
    return dict(sorted(found.items()))


def folders(kind: Path) -> Iterator[tuple[date, str, Path]]:
    """Date, version and folder of each partition in ``runs/<fleet>/scores``, or another kind."""
    for place in listed(kind, "model_version=*", "date=*"):
        version = place.parent.name.removeprefix("model_version=")
        try:
            day, _ = date.fromisoformat(place.name.removeprefix("date=")), int(version)
        except ValueError:  # a folder of another program
            continue
        yield day, version, place


def current(found: Mapping[str, object], champion: str) -> str:
    """Which version's partition of a date counts: the champion's, else the newest version's."""
    return champion if champion in found else max(found, key=int)


def is_whole(runs: Path, manifest: PartitionManifest, sums: Checksums) -> bool:
    """Are all files of a partition there, with the hashes that its manifest names?"""
    return all(
        sums.of(folder(runs, kind, manifest.model_version, manifest.date) / name)
        == manifest.files.get(name)
        for kind, name in FILES
    )


def of_other_detectors(runs: Path, digests: Mapping[str, str]) -> list[PartitionManifest]:
    """What another detector scored under a version number that is in use again.

    A registry that was lost and begun anew counts from 1 again.

    digests: of the registry's detectors, by version.
    """
    return [
        manifest
        for versions in manifests(runs).values()
        for version, manifest in versions.items()
        if digests.get(version, manifest.detector) != manifest.detector
    ]


def set_aside(runs: Path, digests: Mapping[str, str]) -> None:
    """Move the scores ``of_other_detectors`` to ``set_aside/<digest>/``."""
    others = of_other_detectors(runs, digests)
    for manifest in others:
        _move_aside(runs, manifest)
    if others:
        say(
            f"{count(len(others), 'date was', 'dates were')} scored by other detectors under the "
            "numbers of present versions (the registry was begun anew?): moved to "
            f"{runs / 'set_aside'}"
        )


def set_aside_future(runs: Path, lake_dates: Collection[date], latest: date) -> None:
    """Move away the dates after ``latest`` of which the lake has no rows, with their pages.

    They were scored while this machine's clock was ahead. As the newest dates, they would keep what
    comes from being told and let ``amad prune`` remove everything else.
    """
    moved = []
    for day, versions in manifests(runs).items():
        if day <= latest or day in lake_dates:
            continue
        for manifest in versions.values():
            page = page_of(runs, day)
            if page.exists():
                kept = runs / "set_aside" / manifest.detector / REPORTS / page.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                page.replace(kept)
            _move_aside(runs, manifest)
        moved.append(day)
    if moved:
        say(
            f"the scores of {count(len(moved), 'date')} in the future ({some(moved)}), of which "
            f"the lake has no rows any more, were moved to {runs / 'set_aside'}"
        )


def page_of(runs: Path, day: date) -> Path:
    """Where the report's page of a date lies."""
    return runs / REPORTS / f"{day}.html"


def pages(runs: Path) -> list[tuple[date, Path]]:
    """The date and the file of each page of the report, in order of date."""
    found = []
    for path in listed(runs / REPORTS, "*.html"):
        with suppress(ValueError):  # the index of the pages, or a page of another program
            found.append((date.fromisoformat(path.stem), path))
    return sorted(found)


def was_set_aside(runs: Path, day: date, version: str = "*") -> bool:
    """Were the scores of a date moved away, with none in their place? version: default, any."""
    names = ("scores", f"model_version={version}", f"date={day}")
    return not any(listed(runs, *names)) and any(listed(runs / "set_aside", "*", *names))


def _move_aside(runs: Path, manifest: PartitionManifest) -> None:
    """Move a date below ``set_aside/<digest of its detector>``."""
    # The scores hold the manifest and are moved last, so that the next job continues here after a
    # kill.
    for kind in ("incidents", "scores"):
        version, day = manifest.model_version, manifest.date
        source = folder(runs, kind, version, day)
        target = folder(runs / "set_aside" / manifest.detector, kind, version, day)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            source.rename(target)


def publish(
    runs: Path,
    version: str,
    day: date,
    *,
    tables: Iterable[Callable[[], pa.Table]],
    incidents: list[Incident],
    vehicles: dict[str, VehicleDay],
    provenance: Provenance,
) -> PartitionManifest:
    """Write the partition of one date and return its manifest.

    tables: functions that each read the score table of one vehicle, in the order of ``vehicles``,
    which is sorted. incidents: of all vehicles.

    Raises:
        DataError: a vehicle has more or fewer score rows than lake rows.
    """
    scores = folder(runs, "scores", version, day)
    files = _publish_incidents(runs, version, day, incidents, vehicles)
    with staged(scores) as stage:
        stage.mkdir()
        counts = _write_scores(stage / "part.parquet", tables, vehicles, scores)
        files["part.parquet"] = file_sha256(stage / "part.parquet")
        manifest = PartitionManifest(
            contract=CONTRACT,
            date=day,
            model_version=version,
            vehicle_days=len(vehicles),
            vehicles=list(vehicles),
            quarantined=[name for name, item in vehicles.items() if item.quarantined],
            incidents=len(incidents),
            sha256=files["part.parquet"],
            files=files,
            **counts,
            **provenance.model_dump(exclude_unset=True),
        )
        manifest.write(stage)
    return manifest


def recover(runs: Path) -> None:
    """Clean up after a killed job: delete half-written files and folders, bring old ones back.

    The caller holds the fleet's lock, or the staging folder of a running job would be deleted.
    """
    for root in (runs, *listed(runs / "set_aside", "*")):
        for kind in RESULTS:
            for place in listed(root / kind, "model_version=*"):
                remove_unfinished(place, alone=True)
    for place in (runs, *listed(runs, "*")):
        remove_unfinished(place)


def open_incidents(
    runs: Path, champion: str, day: date, gap_us: int, sums: Checksums
) -> dict[str, Incident]:
    """The incidents still open at the end of a date, by vehicle.

    They are those of the partition that counts, whichever version wrote it, so that an incident
    goes on over the midnight at which another model begins.
    A date without an alarm of an incident ends it, however high the score stayed.
    gap_us: an incident may go on in a row at most this long after it closed.
    """
    places = listed(runs / "scores", "model_version=*", f"date={day}")
    versions = [place.parent.name.removeprefix("model_version=") for place in places]
    found = {name: read_manifest(runs, name, day) for name in versions if name.isdecimal()}
    manifest = found[current(found, champion)] if found else None
    if manifest is None or manifest.contract != CONTRACT or not is_whole(runs, manifest, sums):
        return {}
    end = day_bounds(day)[1]
    published = incidents_of_date(runs, manifest.model_version, day)
    return {i.vehicle: i for i in published if i.open_until + gap_us >= end}


def read_scores(
    runs: Path,
    version: str,
    day: date,
    columns: Sequence[str] | None = None,
    rows: pc.Expression | None = None,
) -> pa.Table:
    """The score rows of a published date, of the schema SCORES; default: all columns and rows.

    Raises:
        DataError: the file is damaged or missing; names it and the way out.
    """
    file = table_file(runs, "scores", version, day)
    return read_table(file, SCORES, REWRITE.format(day), columns=columns, rows=rows)


def incidents_of_date(runs: Path, version: str, day: date) -> list[Incident]:
    """The incidents that a version found on a date; see ``read_scores`` for the errors."""
    file = table_file(runs, "incidents", version, day)
    table = read_table(file, INCIDENTS, REWRITE.format(day))
    for name in TIMES:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.int64()))
    return [Incident.from_row(row) for row in table.to_pylist()]


def _write_scores(
    file: Path,
    tables: Iterable[Callable[[], pa.Table]],
    vehicles: dict[str, VehicleDay],
    target: Path,
) -> dict:
    """Write one row group per vehicle and return the counts that the manifest holds."""
    rows = alarms = 0
    statuses: Counter[str] = Counter()
    with pq.ParquetWriter(file, SCORES, **OPTIONS) as writer:
        for read, (vehicle, wanted) in zip(tables, vehicles.items(), strict=True):
            table = check(read(), SCORES, f"{target}, vehicle {vehicle}")
            if table.num_rows != wanted.rows:
                raise DataError(f"{target}: {miscounted(vehicle, table.num_rows, wanted.rows)}")
            writer.write_table(table, row_group_size=ROW_GROUP)
            rows += table.num_rows
            alarms += table["alarm"].to_numpy().sum().item()
            for item in table["status"].value_counts().to_pylist():
                statuses[item["values"]] += item["counts"]
    assert pq.read_metadata(file).num_rows == rows
    scored = statuses.pop("scored", 0)
    return {"rows": rows, "scored": scored, "alarms": alarms, "unscored": dict(statuses)}


def miscounted(vehicle: str, found: int, wanted: int) -> str:
    """The message for a vehicle-day with more or fewer score rows than lake rows."""
    return (
        f"{found} score rows of vehicle {vehicle} for {wanted} lake rows; the lake changed while "
        "it was scored: score the date again"
    )


def _publish_incidents(
    runs: Path,
    version: str,
    day: date,
    incidents: list[Incident],
    vehicles: dict[str, VehicleDay],
) -> dict[str, str]:
    """Write the incidents and return the hash of each file."""
    rows = [
        fields_of(item)
        | {
            "model_version": version,
            "data_hash": vehicles[item.vehicle].inputs,
            "validation": "passed",  # a quarantined vehicle-day has no incidents
        }
        for item in sorted(incidents, key=lambda i: (i.vehicle, i.start))
    ]
    table = pa.table({name: [row[name] for row in rows] for name in INCIDENTS.names}, INCIDENTS)
    with staged(folder(runs, "incidents", version, day)) as stage:
        stage.mkdir()
        pq.write_table(table, stage / "incidents.parquet", **OPTIONS)
        lines = [json.dumps(_readable(row), sort_keys=True) + "\n" for row in rows]
        (stage / "incidents.jsonl").write_text("".join(lines), encoding="utf-8")
        return {file.name: file_sha256(file) for file in sorted(stage.iterdir())}


def _readable(row: dict) -> dict:
    """The row with its times as ISO text, for people and log shippers."""
    return row | {name: utc(row[name]).isoformat() for name in TIMES}
