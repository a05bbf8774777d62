"""Checks of this machine and of the data on it."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

from amad.cli.doctor.check import Finding, fail, ok, warn
from amad.config import Settings, Stage
from amad.config.wording import count, some

PYTHONS = ((3, 11), (3, 13))  # from, below: requires-python of pyproject.toml
DISK_WARN_GB, DISK_FAIL_GB = 5.0, 1.0
SHOWN = 6  # packages named in one finding
INSTALL = "run 'make setup', or pip install -r requirements.lock"


def python(_: Settings) -> Finding:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return ok(found)
    wanted = f"{PYTHONS[0][0]}.{PYTHONS[0][1]} or newer, below {PYTHONS[1][0]}.{PYTHONS[1][1]}"
    return fail(f"{found}; amad wants {wanted}", "make setup PYTHON=python3.11")


def packages(settings: Settings) -> Finding:
    """Installed versions against the lock."""
    lock = settings.home / "requirements.lock"
    if not lock.is_file():
        remedy = "put that of amad's checkout there, or leave it if the packages came otherwise"
        return warn(f"there is no {lock} to compare with", remedy)
    missing, other, compared = [], [], 0
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, pinned, wanted = line.partition("#")[0].strip().partition("==")
        if not pinned:
            continue
        compared += 1
        try:
            found = version(name).partition("+")[0]  # torch calls itself 2.13.0+cpu
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found != wanted.partition("+")[0]:
            other.append(f"{name} {found} instead of {wanted}")
    if missing:
        return fail(f"not installed: {some(missing, SHOWN)}", INSTALL)
    if other:
        return warn(f"not as tested: {some(other, SHOWN)}", INSTALL)
    return ok(f"{compared} as in requirements.lock")


def disk(settings: Settings) -> Finding:
    """Free space, and write permission, where data and runs are written."""
    for folder in (settings.home, settings.home / "data", settings.home / "runs"):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            remedy = "give this user write permission there, or set AMAD_HOME to another folder"
            return fail(f"{folder} cannot be written to", remedy)
    free = shutil.disk_usage(settings.home).free / 1e9
    finding = f"{free:,.1f} GB free in {settings.home}"
    remedy = f"free some space, or set AMAD_HOME to a folder with {DISK_WARN_GB:g} GB"
    if free < DISK_FAIL_GB:
        return fail(finding, remedy)
    return warn(finding, remedy) if free < DISK_WARN_GB else ok(finding)


def rights(stage: Stage) -> Finding:
    """May this user write into the fleet's folders, two levels deep, and read the files there?"""
    closed = [
        path
        for root in (stage.folder, stage.runs)
        for path in (root, *sorted(root.glob("*")), *sorted(root.glob("*/*")))
        if path.exists() and not os.access(path, _needed(path))
    ]
    if closed:
        many = count(len(closed), "file or folder is", "files or folders are")
        remedy = "give them to the user who runs amad, or run it as their owner"
        return fail(f"{many} closed to this user: {some(closed, SHOWN)}", remedy)
    return ok("this user may read and write what earlier runs left")


def _needed(path: Path) -> int:
    """What a stage does with it: a file is replaced by another one, but a lock is opened."""
    if path.is_dir():
        return os.R_OK | os.W_OK | os.X_OK
    return os.R_OK | os.W_OK if path.suffix == ".lock" else os.R_OK


def raw_data(stage: Stage) -> Finding:
    """Are the raw files there?"""
    from amad.ingest.raw_files import raw_names

    fleet, source = stage.fleet, stage.fleet.source
    folder = fleet.source_folder(stage.settings)
    if source.format == "simulator":
        there = folder.is_dir()
        return ok(f"simulated{f', in {folder}' if there else ' at the first run'}")
    obtain = " ".join(source.obtain.split())
    before = f"{obtain} Then" if obtain else "mount the folder again, bring the files back, or"
    remedy = f"{before} set AMAD_DATA_DIR (now {stage.settings.data_dir})"
    if not source.is_stored and not folder.is_dir():
        return fail(f"there is no folder {folder}", remedy)
    place = fleet.source_place(stage.settings)
    names = raw_names(fleet, stage.settings, [item.glob for item in source.files])
    empty = [glob for glob, found in names.items() if not found]
    if empty:
        return fail(f"no file in {place} matches {', '.join(empty)}", remedy)
    return ok(f"{count(sum(map(len, names.values())), 'file')} in {place}")


def lake(stage: Stage) -> Finding:
    """What is in the lake, and which raw files are not in it?"""
    from amad.ingest.raw_files import raw_names
    from amad.reading.rules import reading_rules
    from amad.telemetry.lake import Lake

    folder = stage.folder / "lake"
    if not folder.is_dir():
        return warn(f"there is no {folder} yet", "run 'amad ingest'")
    table = Lake(folder, stage.fleet)
    dates = table.dates()
    if not dates:
        return fail(f"{folder} holds no rows", "look into rejected/ beside it for reasons")
    held = (
        f"{count(table.rows(), 'row')} of {count(len(table.vehicles()), 'vehicle')}, "
        f"{dates[0]} to {dates[-1]}"
    )
    known = table.files
    refused = sorted(path for path, file in known.items() if file.refused)
    if refused:
        many = count(len(refused), "raw file was", "raw files were")
        held += f"; {many} refused: {some(refused, SHOWN)}"
    globs = [item.glob for item in reading_rules(stage.fleet).files]
    names = raw_names(stage.fleet, stage.settings, globs)
    there = {path for found in names.values() for path in found}
    # A folder of known files is found where it cannot be opened; 'refused files' below tells it.
    folders = {str(folder) for path in known for folder in PurePosixPath(path).parents}
    new = [path.rpartition("/")[2] for path in there - known.keys() - folders]
    if new:
        many = count(len(new), "raw file is", "raw files are")
        return warn(f"{held}; {many} not in it: {some(sorted(new), SHOWN)}", "run 'amad ingest'")
    if refused:
        return warn(held, "see 'refused files' below")
    return ok(held)
