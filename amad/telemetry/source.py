"""What the raw data is, right now: each file with its size and SHA-256, and one digest of all.

Every pipeline run asks this, so a file is hashed again only if its size or modification time has
changed since the last time (kept in ``runs/<fleet>/hashes.json``).
"""

import hashlib
import json
from pathlib import Path

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.console import say
from amad.config.source import FileSet, Source
from amad.telemetry.files import staged, write_json

PARTS = ("train", "all", "test")  # the order in which a vehicle's files are read
CULPRITS = "culprits"  # the ``part`` of the file of intervals
SIMULATED = "_simulated.json"  # beside simulated raw files: which settings made them


def reading_rules(fleet: Fleet) -> Source:
    """How the raw files are read; those of a simulated fleet have one fixed form."""
    if fleet.source.format != "simulator":
        return fleet.source
    return Source(format="parquet", files=[FileSet(glob="*/*.parquet")])


def fingerprint(fleet: Fleet, settings: Settings) -> dict:
    """The raw files of a fleet: ``{fleet, format, files: [...], digest}``.

    Each file is ``{path, bytes, sha256, part}``, its path relative to the source's folder; files
    stand in reading order (train, all, test; then by name), the file of culprits last. A simulated
    fleet is simulated first if its raw files are missing or other settings made them.

    Raises:
        DataError: the folder, or what a glob names, is missing; says how to obtain it.
        ConfigError: a file belongs to two parts.
    """
    if fleet.source.format == "simulator":
        _simulate_if_stale(fleet, settings)
    found = _find(fleet, settings)
    folder = fleet.source_folder(settings)
    cache_path = settings.runs_dir(fleet.name) / "hashes.json"
    known = _read_cache(cache_path)
    files, cache = [], {}
    for path, part in found:
        stat = (folder / path).stat()
        key = [stat.st_size, stat.st_mtime_ns]
        entry = known.get(str(folder / path))
        sha = entry[1] if entry and entry[0] == key else sha256_of(folder / path)
        cache[str(folder / path)] = [key, sha]
        files.append({"path": path, "bytes": stat.st_size, "sha256": sha, "part": part})
    if cache != known:
        write_json(cache_path, cache)
    lines = "".join(f"{f['path']}\0{f['part']}\0{f['sha256']}\n" for f in files)
    return {
        "fleet": fleet.name,
        "format": fleet.source.format,
        "files": files,
        "digest": hashlib.sha256(lines.encode()).hexdigest()[:16],
    }


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _find(fleet: Fleet, settings: Settings) -> list[tuple[str, str]]:
    """(path below the folder, part) of each raw file in reading order, then of the culprits."""
    folder = fleet.source_folder(settings)
    if not folder.is_dir():
        raise DataError(_missing(fleet, folder, "there is no such folder"))
    part_of: dict[str, str] = {}
    for item in reading_rules(fleet).files:
        paths = sorted(p.relative_to(folder) for p in folder.glob(item.glob) if p.is_file())
        names = [p.as_posix() for p in paths if not any(n.startswith((".", "_")) for n in p.parts)]
        if not names:
            raise DataError(_missing(fleet, folder, f"no file in it matches {item.glob!r}"))
        for name in names:
            if part_of.setdefault(name, item.part) != item.part:
                raise ConfigError(
                    f"fleet {fleet.name}: source.files puts {name} into the parts "
                    f"{part_of[name]} and {item.part}; make the globs exclude each other"
                )
    found = sorted(part_of.items(), key=lambda f: (PARTS.index(f[1]), f[0]))
    if fleet.labels.culprits:
        if not (folder / fleet.labels.culprits).is_file():
            raise DataError(_missing(fleet, folder, f"it has no {fleet.labels.culprits}"))
        found = [f for f in found if f[0] != fleet.labels.culprits]
        found.append((fleet.labels.culprits, CULPRITS))
    return found


def _missing(fleet: Fleet, folder: Path, what: str) -> str:
    obtain = f" {fleet.source.obtain.strip()}" if fleet.source.obtain else ""
    return (
        f"fleet {fleet.name}: its raw data should lie in {folder}, but {what}.{obtain} "
        "Set AMAD_DATA_DIR to the folder that holds the data sets, or source.folder in the "
        "fleet file."
    )


def _read_cache(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _simulate_if_stale(fleet: Fleet, settings: Settings) -> None:
    raw = fleet.source_folder(settings)
    wanted = {"made_by": _simulation_digest(fleet)}
    if _read_cache(raw / SIMULATED) == wanted:
        return
    from amad.telemetry.simulator import simulate

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
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    here = Path(__file__).parent
    for path in sorted([here / "faults.py", *(here / "simulator").glob("*.py")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
