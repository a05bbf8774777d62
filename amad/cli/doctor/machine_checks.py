"""Checks of this machine and of the data on it."""

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version

from amad.cli.doctor.check import Check, Subject, fail, ok, warn
from amad.config import Settings

PYTHONS = ((3, 11), (3, 13))  # from, below: requires-python of pyproject.toml
DISK_WARN_GB, DISK_FAIL_GB = 5.0, 1.0
SHOWN = 6  # packages named in one finding
INSTALL = "run 'make setup', or pip install -r requirements.lock"


def python(_: Settings) -> Check:
    """The interpreter's version."""
    found = ".".join(map(str, sys.version_info[:3]))
    if PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
        return ok("python", found)
    wanted = f"{PYTHONS[0][0]}.{PYTHONS[0][1]} or newer, below {PYTHONS[1][0]}.{PYTHONS[1][1]}"
    return fail("python", f"{found}; amad wants {wanted}", "make setup PYTHON=python3.11")


def packages(settings: Settings) -> Check:
    """Installed versions against the lock."""
    lock = settings.home / "requirements.lock"
    if not lock.is_file():
        return warn("packages", f"there is no {lock} to compare with", "set AMAD_HOME")
    missing, other, count = [], [], 0
    for line in lock.read_text(encoding="utf-8").splitlines():
        name, pinned, wanted = line.partition("#")[0].strip().partition("==")
        if not pinned:
            continue
        count += 1
        try:
            found = version(name).partition("+")[0]  # torch calls itself 2.13.0+cpu
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found != wanted.partition("+")[0]:
            other.append(f"{name} {found} instead of {wanted}")
    if missing:
        return fail("packages", f"not installed: {_some(missing)}", INSTALL)
    if other:
        return warn("packages", f"not as tested: {_some(other)}", INSTALL)
    return ok("packages", f"{count} as in requirements.lock")


def disk(settings: Settings) -> Check:
    """Free space where data and runs are written, and the right to write there."""
    for folder in (settings.home, settings.home / "data", settings.home / "runs"):
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            remedy = "give the right to write there, or set AMAD_HOME to another folder"
            return fail("disk", f"{folder} cannot be written to", remedy)
    free = shutil.disk_usage(settings.home).free / 1e9
    finding = f"{free:,.1f} GB free in {settings.home}"
    remedy = f"free some space, or set AMAD_HOME to a folder with {DISK_WARN_GB:g} GB"
    if free < DISK_FAIL_GB:
        return fail("disk", finding, remedy)
    return warn("disk", finding, remedy) if free < DISK_WARN_GB else ok("disk", finding)


def raw_data(subject: Subject) -> Check:
    """Are the raw files there?"""
    fleet, source = subject.fleet, subject.fleet.source
    folder = fleet.source_folder(subject.settings)
    if source.format == "simulator":
        there = folder.is_dir()
        return ok("raw data", f"simulated{f', in {folder}' if there else ' at the first run'}")
    obtain = " ".join(source.obtain.split())
    remedy = f"{obtain} Then set AMAD_DATA_DIR (now {subject.settings.data_dir})".strip()
    if not folder.is_dir():
        return fail("raw data", f"there is no folder {folder}", remedy)
    counts = {item.glob: sum(1 for _ in folder.glob(item.glob)) for item in source.files}
    empty = [glob for glob, count in counts.items() if not count]
    if empty:
        return fail("raw data", f"no file in {folder} matches {', '.join(empty)}", remedy)
    return ok("raw data", f"{sum(counts.values()):,} files in {folder}")


def lake(subject: Subject) -> Check:
    """What ingest has made of them, and what it has not seen yet."""
    from amad.reading.rules import reading_rules
    from amad.telemetry.lake import Lake

    folder = subject.settings.fleet_dir(subject.fleet.name) / "lake"
    if not folder.is_dir():
        return warn("lake", f"there is no {folder} yet", "run 'make repro' or 'amad ingest'")
    table = Lake(folder, subject.fleet)
    dates = table.dates()
    if not dates:
        return fail("lake", f"{folder} holds no rows", "look into rejected/ beside it for reasons")
    held = f"{table.rows():,} rows of {len(table.vehicles())} vehicles, {dates[0]} to {dates[-1]}"
    known = table.files
    refused = sorted(path for path, file in known.items() if file.refused)
    if refused:
        held += f"; {len(refused):,} raw files were refused: {_some(refused)}"
    raw = subject.fleet.source_folder(subject.settings)
    there = [path for item in reading_rules(subject.fleet).files for path in raw.glob(item.glob)]
    new = [path.name for path in there if path.relative_to(raw).as_posix() not in known]
    if new:
        files = f"{len(new):,} raw files are not in it: {_some(sorted(new))}"
        return warn("lake", f"{held}; {files}", "run 'amad ingest'")
    if refused:
        return warn("lake", held, "see 'refused files' below")
    return ok("lake", held)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
