"""What the raw data is, right now: each file with its size and SHA-256, and one digest of all.

Every run of the pipeline asks this. A file is hashed again only if its size, its inode, its time of
modification or its time of change differs from the last time (``runs/<fleet>/hashes.json``).
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator
from glob import has_magic
from itertools import chain
from pathlib import Path, PurePath, PurePosixPath
from typing import ClassVar

from amad import simulator
from amad.config import ConfigError, DataError, Fleet, Settings, load_fleet
from amad.config.console import say
from amad.config.digest import file_sha256, text_digest
from amad.config.wording import count, some
from amad.ingest.escaped_names import escaped, unescaped
from amad.ingest.raw_objects import RawObjects
from amad.reading.rules import PARTS, is_left_out, reading_rules
from amad.reading.unpack import PACKED
from amad.telemetry.artifact import Artifact, Entry
from amad.telemetry.files import listed, read_json, staged, write_json
from amad.telemetry.manifest import Manifest

CULPRITS = "culprits"  # the ``part`` of the file of intervals
PASSED_LINK = (
    "{0} is a link to a folder, which '**' does not follow: nothing in it is read. To read it, add "
    "a glob that begins with {0}/ to source.files"
)
NOT_FOUND = (
    "no glob of source.files finds {} of its folder, which are not read: {}; if they are raw files "
    "of the fleet, widen a glob"
)
TABLES = {
    "csv",
    "parquet",
    "jsonl",
    "ndjson",
}  # endings of what is told wherever it lies beside raw files
SIMULATED = "_simulated.json"  # beside simulated raw files: which settings made them


class RawFile(Entry):
    """One raw file, or a folder that cannot be opened, since it may hold raw files.

    path: relative to the source's folder (see ``escaped``). error: why it cannot be opened; such a
    file has no sha256.
    """

    path: str
    part: str
    bytes: int = 0
    sha256: str = ""
    error: str | None = None


class Source(Artifact):
    """``source.json``: the raw files of a fleet, and a digest of their names and contents.

    files: in reading order (train, all, test; then by name), the file of culprits last.
    """

    FILE: ClassVar[str] = "source.json"
    REMEDY: ClassVar[str] = "run 'amad ingest'"

    fleet: str
    format: str
    files: list[RawFile]
    digest: str


def fingerprint(fleet: Fleet, settings: Settings) -> Source:
    """Find the raw files of a fleet and hash them.

    A simulated fleet is simulated first if its raw files are missing or other settings made them.

    Raises:
        DataError: the folder, or what a glob names, is missing; says how to obtain it. A glob that
            found files when the lake was written may find none now, unless none finds any. Or the
            folder cannot be opened.
        ConfigError: a file belongs to two parts.
    """
    if fleet.source.format == "simulator":
        _simulate_if_stale(fleet, settings)
    files = _stored(fleet, settings) if fleet.source.is_stored else _on_disk(fleet, settings)
    lines = "".join(f"{file.path}\0{file.part}\0{file.sha256}\n" for file in files)
    return Source(
        fleet=fleet.name, format=fleet.source.format, files=files, digest=text_digest(lines)
    )


def _on_disk(fleet: Fleet, settings: Settings) -> list[RawFile]:
    """The raw files in a folder, each with its hash."""
    folder = fleet.source_folder(settings)
    cache_path = settings.runs_dir(fleet.name) / "hashes.json"
    known = _read_cache(cache_path)
    files, cache = [], {}
    for path, part in _find(fleet, settings):
        real, name = folder / unescaped(path), f"{escaped(str(folder))}/{path}"
        try:
            stat = real.stat()
            if real.is_dir():
                list(real.iterdir())  # tells why it cannot be opened
            key = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
            entry = known.get(name)
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == key:
                sha256 = entry[1]
            else:
                sha256 = file_sha256(real)
        except OSError as error:
            why = error.strerror or str(error)
            files.append(RawFile(path=path, part=part, bytes=0, sha256="", error=why))
            continue
        cache[name] = [key, sha256]
        files.append(RawFile(path=path, part=part, bytes=stat.st_size, sha256=sha256))
    if cache != known:
        write_json(cache_path, cache)
    return files


def _stored(fleet: Fleet, settings: Settings) -> list[RawFile]:
    """The raw files in an object store, each with its hash."""
    objects = RawObjects(fleet, settings)
    found = _find(fleet, settings, objects)
    hashes = objects.hashes(path for path, _ in found)
    return [
        RawFile(path=path, part=part, bytes=objects.listed[path].size, sha256=hashes[path])
        for path, part in found
    ]


def unopened(raw: Iterable[RawFile], held: Iterable[str]) -> dict[str, RawFile]:
    """Held path -> what cannot be opened now: the raw file itself, or a folder that it lies in."""
    closed = {file.path: file for file in raw if file.error}
    found = {}
    for path in held if closed else ():
        places = (path, *map(str, PurePosixPath(path).parents))
        place = next((place for place in places if place in closed), None)
        if place is not None:
            found[path] = closed[place]
    return found


def bring(fleet: Fleet, settings: Settings, files: list[RawFile]) -> None:
    """Have raw files on this disk to be read, where they lie in an object store."""
    if fleet.source.is_stored:
        RawObjects(fleet, settings).bring({file.path: file.sha256 for file in files})


def raw_names(fleet: Fleet, settings: Settings, globs: Collection[str]) -> dict[str, list[str]]:
    """Glob -> the raw files that it finds, relative to the source's folder.

    Raises:
        DataError: the folder cannot be opened.
    """
    objects = RawObjects(fleet, settings) if fleet.source.is_stored else None
    return _names(fleet.source_folder(settings), globs, objects)


def globs_found(fleet: Fleet, settings: Settings) -> list[str]:
    """The globs of the fleet file that find a file, now or when the lake was written."""
    globs = [item.glob for item in reading_rules(fleet).files]
    held = held_manifest(fleet, settings).globs
    new = [glob for glob in globs if glob not in held]
    found = raw_names(fleet, settings, new) if new else {}
    return [glob for glob in globs if glob in held or found[glob]]


def passed_by(fleet: Fleet, settings: Settings, paths: list[str]) -> Iterator[str]:
    """Sentences on what no glob finds: links to folders, and files that look like raw files.

    Their ending is that of a glob, or one of TABLES. Those of other fleets do not count.

    A link is passed by by ``**``, as it may run in a circle. paths: of the raw files that are read.
    One of them in a link: another glob follows it.
    """
    globs = [item.glob for item in reading_rules(fleet).files]
    if fleet.source.is_stored or fleet.source.format == "simulator":
        return
    folder = fleet.source_folder(settings)
    read = {unescaped(path) for path in paths}
    endings = {_ending(glob) for glob in globs} - {""} | TABLES
    links: dict[str, None] = {}
    missed: dict[str, None] = {}
    of_others = fleet.source.folder == "."  # where the data of other fleets may lie, too
    for start in sorted({_fixed(glob) if of_others else "" for glob in globs}):
        for root, folders, names in os.walk(folder / start):
            folders[:] = sorted(name for name in folders if not is_left_out(name))
            below = Path(root).relative_to(folder)
            for link in (below / name for name in folders if (Path(root) / name).is_symlink()):
                inside = any(path.startswith(f"{link.as_posix()}/") for path in read)
                if any("**" in glob for glob in globs) and not inside:
                    links[link.as_posix()] = None
            found = ((below / name).as_posix() for name in names if _ending(name) in endings)
            missed |= {path: None for path in found if path not in read and not is_left_out(path)}
    yield from (PASSED_LINK.format(escaped(link)) for link in links)
    of_other = _of_other_fleets(fleet, settings) if missed else set()
    missed = {path: None for path in missed if (folder / path).resolve() not in of_other}
    if missed:
        yield NOT_FOUND.format(count(len(missed), "file"), some(map(escaped, sorted(missed))))


def _of_other_fleets(fleet: Fleet, settings: Settings) -> set[Path]:
    """The raw files of the other fleets that have their folder, or one below or above it."""
    mine, found = fleet.source_folder(settings).resolve(), set[Path]()
    for path in sorted((settings.conf_dir / "fleet").glob("*.yaml")):
        try:
            other = load_fleet(path.stem, settings)
            theirs = other.source_folder(settings).resolve()
            near = theirs.is_relative_to(mine) or mine.is_relative_to(theirs)
            if other.name == fleet.name or other.source.is_stored or not near:
                continue
            names = raw_names(other, settings, [item.glob for item in other.source.files])
        except (ConfigError, DataError):
            continue  # its own ingest tells
        found |= {(theirs / unescaped(name)).resolve() for name in chain(*names.values())}
    return found


def _fixed(glob: str) -> str:
    """The folders of a glob before its first wildcard."""
    parents = PurePosixPath(glob).parent.parts
    at = next((at for at, name in enumerate(parents) if has_magic(name)), len(parents))
    return "/".join(parents[:at])


def _ending(name: str) -> str:
    """The ending of a file's name or of a glob, without that of a packed file; empty if unknown."""
    stem, _, ending = name.lower().rpartition(".")
    if ending in PACKED:
        ending = stem.rpartition(".")[2]
    return "" if has_magic(ending) or "/" in ending else ending


def _names(
    folder: Path, globs: Collection[str], objects: RawObjects | None
) -> dict[str, list[str]]:
    if objects is not None:
        found = {glob: objects.names(glob) for glob in globs}
    else:
        _see_that_it_opens(folder)
        found = {glob: _names_on_disk(folder, glob) for glob in globs}
    return {
        glob: [name for name in names if not is_left_out(name)] for glob, names in found.items()
    }


def _see_that_it_opens(folder: Path) -> None:
    """A folder that cannot be opened is not one without files.

    Raises:
        DataError: the folder of the raw files cannot be opened; names it.
    """
    try:
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise DataError(
            f"the folder of the raw files, {folder}, cannot be opened "
            f"({(error.strerror or str(error)).lower()}): give the user who runs amad the right to "
            "list it and to read what is in it. The lake stays as it is"
        ) from None


def _names_on_disk(folder: Path, glob: str) -> list[str]:
    paths = {path.relative_to(folder) for path in _below(folder, PurePath(glob).parts)}
    return [escaped(path.as_posix()) for path in sorted(paths)]


def _below(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    """The files that ``Path.glob`` finds, and each folder on the way that cannot be opened.

    ``Path.glob`` takes such a folder for an empty one. A link to a file that is missing is found
    too, and is then named as one that cannot be opened.
    """
    first, rest = patterns[0], patterns[1:]
    anywhere = first == "**"
    if anywhere:  # which also stands for no folder at all
        yield from _below(folder, rest)
    try:
        found = listed(folder, first) if has_magic(first) else [folder / first]
        paths = [path for path in found if not is_left_out(path.name)]
        folders = [path for path in paths if rest and path.is_dir()]
        if anywhere:
            folders = [path for path in folders if not path.is_symlink()]
    except OSError:
        yield folder
        return
    for path in folders:
        yield from _below(path, patterns if anywhere else rest)
    if not rest:
        yield from filter(_may_be_read, paths)


def _may_be_read(path: Path) -> bool:
    """Is it a file, or something that cannot be opened and is then named with the reason?"""
    try:
        return path.is_file() or (path.is_symlink() and not path.exists())
    except OSError:
        return True


def _find(
    fleet: Fleet, settings: Settings, objects: RawObjects | None = None
) -> list[tuple[str, str]]:
    """(path below the folder, part) of each raw file in reading order, then of the culprits."""
    folder = fleet.source_folder(settings)
    if objects is None and not folder.is_dir():
        raise DataError(_missing(fleet, settings, "there is no such folder"))
    part_of: dict[str, str] = {}
    empty = []
    files = reading_rules(fleet).files
    names = _names(folder, [item.glob for item in files], objects)
    for item in files:
        if not names[item.glob]:
            empty.append(item.glob)
        for name in names[item.glob]:
            other = part_of.setdefault(name, item.part) != item.part
            if other and not (folder / unescaped(name)).is_dir():
                raise ConfigError(
                    f"fleet {fleet.name}: source.files puts {name} into the parts "
                    f"{part_of[name]} and {item.part}; make the globs exclude each other"
                )
    never = set(empty) - set(held_manifest(fleet, settings).globs)
    if empty and (never or not part_of):
        globs = ", ".join(repr(glob) for glob in sorted(never or empty))
        raise DataError(_missing(fleet, settings, f"no file in it matches {globs}"))
    found = sorted(part_of.items(), key=lambda f: (PARTS.index(f[1]), f[0]))
    if fleet.labels.culprits:
        there = objects.listed if objects is not None else ()
        if fleet.labels.culprits not in there and not (folder / fleet.labels.culprits).is_file():
            raise DataError(_missing(fleet, settings, f"it has no {fleet.labels.culprits}"))
        found = [f for f in found if f[0] != fleet.labels.culprits]
        found.append((fleet.labels.culprits, CULPRITS))
    return found


def held_manifest(fleet: Fleet, settings: Settings) -> Manifest:
    """The manifest of the lake; an empty one where there is none, or a damaged one.

    Ingest itself tells of the damage.
    """
    try:
        found = Manifest.read(settings.fleet_dir(fleet.name) / "lake")
    except DataError:
        found = None
    return found or Manifest(contract="", files={})


def _missing(fleet: Fleet, settings: Settings, what: str) -> str:
    folder = fleet.source_place(settings)
    obtain = f" {fleet.source.obtain.strip()}" if fleet.source.obtain else ""
    held = held_manifest(fleet, settings).files
    kept = (
        f" The lake holds {len(held):,} raw files of that folder and stays as it is: mount the "
        "folder again, or bring the files back."
        if held
        else ""
    )
    return (
        f"fleet {fleet.name}: its raw data should lie in {folder}, but {what}.{kept}{obtain} "
        "Set AMAD_DATA_DIR to the folder that holds the data sets, or source.folder in the "
        "fleet file."
    )


def _read_cache(path: Path) -> dict:
    try:
        return read_json(path, "") or {}
    except DataError:
        return {}  # it is only a cache


def _simulate_if_stale(fleet: Fleet, settings: Settings) -> None:
    raw = fleet.source_folder(settings)
    wanted = {"made_by": _simulation_digest(fleet)}
    if _read_cache(raw / SIMULATED) == wanted:
        return
    from amad.simulator.fleet import simulate

    made = fleet.source.simulator
    say(f"simulate {made.vehicles} vehicles for {made.days} days into {raw}")
    with staged(raw) as stage:
        simulate(fleet, stage)
        write_json(stage / SIMULATED, wanted)


def _simulation_digest(fleet: Fleet) -> str:
    """Changes with what the simulated files depend on: their settings and the simulator's code."""
    content = fleet.model_dump(
        mode="json", include={"source", "channels", "vehicle_classes", "period_seconds"}
    )
    code = json.dumps(content, sort_keys=True).encode()
    for path in sorted(Path(simulator.__file__).parent.glob("*.py")):
        code += path.read_bytes()
    return text_digest(code)
