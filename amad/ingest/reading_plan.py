"""Which raw files a run of ingest reads, and what it keeps of the lake so far."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.console import say
from amad.config.wording import count, some
from amad.ingest.lake_counts import gone_files, rows_unopened
from amad.ingest.lost_days import Former
from amad.ingest.raw_files import RawFile, globs_found, unopened
from amad.reading.rules import PARTS, reading_rules
from amad.reading.unpack import PACKED
from amad.telemetry.lake import Lake, part_path
from amad.telemetry.manifest import IngestedFile, Manifest, lake_contract, reading_contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be read, and what of the lake so far is kept.

    culprits: SHA-256 of the file of intervals. globs: those that find a file. before: the lake so
    far, None to forget it. stays: its raw files whose rows are kept. anew: every part is made again
    from both. replaces: file that is read -> file of the lake whose rows it replaces, the same
    where its content has changed. former: the lake so far, if the fleet file has changed.
    lacks: channels of the fleet file that the lake so far does not have.
    """

    read: list[RawFile]
    culprits: str | None
    globs: list[str]
    before: Lake | None = None
    stays: frozenset[str] = frozenset()
    anew: bool = True
    replaces: dict[str, str] = field(default_factory=dict)
    former: Former | None = None
    lacks: tuple[str, ...] = ()


def refuse_to_forget(raw: list[RawFile], manifest: Manifest) -> None:
    """Before a rebuild: what cannot be opened is not gone, and nobody wants to lose its rows.

    manifest: of the lake that would be forgotten.

    Raises:
        DataError: the lake holds rows of files that cannot be opened now, or lie in such a folder.
    """
    rows = rows_unopened(raw, manifest.files)
    for file in raw:
        if lost := rows[file.path]:
            raise DataError(
                f"{file.path} cannot be opened ({file.error}), and a rebuild would lose "
                f"{lost:,} rows of it: give the user who runs amad the right to read it, or take "
                "it away if it shall not be read. The lake stays as it is"
            )


def make_plan(
    fleet: Fleet, settings: Settings, manifest: Manifest | None, raw: list[RawFile],
    culprits: str | None,
) -> Plan | None:  # fmt: skip
    """What to read of the files ``raw``, and what to keep; None where there is nothing to do.

    What gave rows to the lake and cannot be opened now is not read: its rows stay.

    manifest: of the lake so far, None to forget it.

    Raises:
        DataError: all files must be read anew, and some of them are gone or cannot be opened.
    """
    closed = {} if manifest is None else unopened(raw, manifest.files)
    shut = {closed[path].path for path in closed if manifest and manifest.files[path].rows_given}
    raw = [file for file in raw if file.path not in shut]
    everything = Plan(read=raw, culprits=culprits, globs=globs_found(fleet, settings))
    if manifest is None:
        return everything
    lake = settings.fleet_dir(fleet.name) / "lake"
    known, former = fleet, None
    new_contract = manifest.contract != lake_contract(fleet)
    simulated = fleet.source.format == "simulator"
    if simulated and (new_contract or manifest.files.keys() - {file.path for file in raw}):
        return everything  # its raw files were made anew
    if new_contract:
        lost, former = _lost(manifest, raw), Former.of(lake, manifest)
        if not lost:
            say(f"the fleet file has changed: all {len(raw):,} raw files are read anew")
            return replace(everything, former=former)
        known = _known_before(lake, former, fleet)
        if not _same_for_known(manifest, known):
            raise DataError(
                f"fleet {fleet.name}: the fleet file has changed, so that all raw files must be "
                f"read anew, but {_are_gone(lost, closed, fleet, settings)}"
            )
    before = Lake(lake, known, any_classes=True)
    lacks = tuple(c for c in fleet.channel_names if c not in known.channel_by_name)
    changes = _changes(before, raw)
    by_index = reading_rules(fleet).timestamp.take == "index"
    why = ["the fleet file changed"] if new_contract else []
    if other := sorted(changes.replaces.keys() - set(changes.due)):
        why.append(f"{_some(other)} changed or moved")
    if changes.due:
        told = f"rows of {_some(sorted(changes.due))} lie in the future no more"
        if changes.replaces.keys() & set(changes.due):
            why.append(told)
        else:
            say(f"{told}: they are read again")
    if manifest.culprits != culprits:
        why.append(f"{fleet.labels.culprits} changed")
    if by_index and not why and _slips_in(changes.new, before.files):
        why.append(f"{_some([file.path for file in changes.new])} stand before others in the lake")
    if not why:
        if not changes.new:
            say(f"nothing new: all {len(raw):,} raw files were read before")
            return None
        stays = frozenset(before.files.keys() - set(changes.changed))
        return replace(everything, read=changes.new, before=before, stays=stays, anew=False)
    stays = frozenset(changes.gone) - set(changes.replaces.values())
    if by_index and stays:
        raise DataError(
            f"fleet {fleet.name}: {' and '.join(why)}, so that all raw files must be read anew, "
            "since their rows are told by position, but "
            f"{_are_gone(stays, closed, fleet, settings)}"
        )
    kept = (
        f"; the rows of {_some(sorted(stays))}, which are gone or closed, are kept" if stays else ""
    )
    say(f"{' and '.join(why)}: all {len(raw):,} raw files are read anew{kept}")
    return replace(
        everything,
        before=before,
        stays=stays,
        replaces=changes.replaces,
        former=former,
        lacks=lacks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """How the raw files differ from those in the lake.

    new: files to read, which the lake does not hold as they are. changed: paths of those of them
    that it holds otherwise, or is to read again. due: of these, the files that are as they were,
    with rows that were refused as of the future and no longer lie in it. gone: paths of files that
    gave rows to it, and are no longer there. replaces: as in ``Plan``.
    """

    new: list[RawFile]
    changed: list[str]
    due: list[str]
    gone: list[str]
    replaces: dict[str, str]


def _changes(before: Lake, raw: list[RawFile]) -> Changes:
    known = before.files
    now = datetime.now(UTC).replace(tzinfo=None).isoformat()
    due = [
        file.path
        for file in raw
        if file.path in known
        and "" < known[file.path].ahead <= now
        and file.sha256 == known[file.path].sha256
    ]
    new = [
        file
        for file in raw
        if file.path not in known
        or (file.sha256, file.part) != (known[file.path].sha256, known[file.path].part)
        or file.path in due
    ]
    changed = [file.path for file in new if file.path in known]
    gone = [file.path for file in gone_files(before, known.keys() - {file.path for file in raw})]
    replaces = {path: path for path in changed if known[path].rows_given}
    path_of = {known[path].sha256: path for path in gone}
    path_of |= {_unpacked(path): path for path in gone}
    for file in new:
        moved = next((key for key in (file.sha256, _unpacked(file.path)) if key in path_of), None)
        if moved is not None and file.path not in known:
            replaces[file.path] = path_of[moved]
    return Changes(new=new, changed=changed, due=due, gone=gone, replaces=replaces)


def _slips_in(new: list[RawFile], known: Mapping[str, IngestedFile]) -> bool:
    """Does a new file stand before one of the lake? That changes the times told by position."""
    last = max((PARTS.index(file.part), path) for path, file in known.items())
    return any((PARTS.index(file.part), file.path) <= last for file in new)


def _are_gone(
    paths: Collection[str], closed: Mapping[str, RawFile], fleet: Fleet, settings: Settings
) -> str:
    """closed: by path, what cannot be opened: it is not gone."""
    if shut := {closed[path].path: closed[path].error for path in sorted(paths) if path in closed}:
        told = [f"{place} ({why})" for place, why in shut.items()]
        return (
            f"{some(told)} cannot be opened: give the user who runs amad the right to read "
            "there and run the command again. The lake stays as it is"
        )
    return (
        f"{_some(sorted(paths))} of the lake are no longer in {fleet.source_place(settings)}. "
        "Bring them back, or run `amad ingest --rebuild` to make the lake of the files that are "
        "there; the rows of the others are then lost. The lake stays as it is"
    )


def _lost(manifest: Manifest, raw: list[RawFile]) -> list[str]:
    """Raw files that gave rows to the lake, and whose content is no longer in the folder."""
    there, hashes = {file.path for file in raw}, {file.sha256 for file in raw}
    return [
        path
        for path, file in sorted(manifest.files.items())
        if path not in there and file.sha256 not in hashes and file.rows_given
    ]


def _known_before(lake: Path, former: Former, fleet: Fleet) -> Fleet:
    """The fleet file without the channels that came later and are not in the lake yet."""
    with suppress(IndexError, OSError, pa.ArrowException):
        vehicle, date, _ = former.days[0]
        names = pq.read_schema(lake / part_path(vehicle, date)).names
        channels = [c for c in fleet.channels if c.name in names or not c.since]
        return fleet.model_copy(update={"channels": channels})
    return fleet


def _same_for_known(manifest: Manifest, fleet: Fleet) -> bool:
    """Would each vehicle of the lake be read as it was?"""
    try:
        classes = {vehicle: fleet.class_of(vehicle) for vehicle in manifest.class_of}
    except ConfigError:
        return False
    return manifest.class_of == classes and manifest.reading == reading_contract(fleet)


def _unpacked(path: str) -> str:
    """The path without the ending of a compressed file: ``x.csv.gz`` is ``x.csv`` packed."""
    name, dot, ending = path.rpartition(".")
    return name if dot and ending in PACKED else path


def _some(paths: list[str]) -> str:
    """A text such as ``3 raw files (a.csv, b.csv, c.csv)``."""
    return f"{count(len(paths), 'raw file')} ({some(paths)})"
