"""Which files of a folder may be raw data, by their names."""

import csv
import os
import re
from pathlib import Path
from typing import NamedTuple

from amad.config import DataError
from amad.reading.rules import is_left_out
from amad.reading.unpack import PACKED

NO_DATA = {
    ".md", ".py", ".yaml", ".yml", ".html", ".pdf", ".xml", ".sh", ".png", ".jpg", ".toml",
    ".ipynb", ".doc", ".docx", ".mat", ".pkl", ".npy", ".npz", ".bak", ".old", ".tmp", ".ini",
    ".db", ".part", ".partial", ".filepart", ".crdownload", ".swp", ".lock",
}  # fmt: skip
# What a program that rotates its logs puts behind their names, and those of raw data.
ROTATED = re.compile(r"(?<=\.csv|\.tsv|\.txt|\.log|\.dat)\.\d{1,3}(?!\d)", re.I)
FORMATS = "CSV and JSON (also packed), Parquet and Arrow are read: export the table as one of them"
LOG = re.compile(r"_delta_log|\.hoodie|.+\.metadata\.json")


def suffix_of(path: str) -> str:
    """The ending of a file's name that shows its format: ``.csv``, ``.csv.gz``, ``.csv.2``."""
    name = Path(path)
    is_packed = name.suffix.lower().removeprefix(".") in PACKED
    if Path(name.stem).suffix and (is_packed or ROTATED.search(name.name)):
        return suffix_of(name.stem) + name.suffix
    return name.suffix


class Listed(NamedTuple):
    """Sorted paths below a folder.

    names: files that may be raw data. unnamed: those whose names are no UTF-8. culprits: the table
    of known events, if there is one. no_data: files whose names say that they are none. Those that
    ``is_left_out`` tells are in neither. links: those to folders, which neither a draft nor ``**``
    follows. logs: of tables whose files do not all count. closed: folders that cannot be opened.
    """

    folder: Path
    names: list[str]
    unnamed: list[str]
    culprits: str | None
    no_data: list[str]
    links: list[str]
    logs: list[str]
    closed: list[str]


def list_files(folder: Path) -> Listed:
    """The files below a folder.

    Raises:
        DataError: there is no such folder, it cannot be opened, or there is nothing in it.
    """
    if folder.is_file():
        raise DataError(f"{folder} is a file; name the folder that holds it")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    errors: list[OSError] = []
    walked = os.walk(folder, onerror=errors.append)
    below = sorted(Path(root, name) for root, within, names in walked for name in within + names)
    closed = [Path(error.filename).relative_to(folder).as_posix() for error in errors]
    if "." in closed:
        why = (errors[0].strerror or str(errors[0])).lower()
        raise DataError(
            f"{folder} cannot be opened ({why}): give the user who runs amad the right to list it "
            "and to read what is in it"
        )
    closed = sorted(path for path in closed if not is_left_out(path))
    links = [
        path.relative_to(folder).as_posix() for path in below if path.is_symlink() and path.is_dir()
    ]
    paths = [path.relative_to(folder) for path in below if path.is_file()]
    logs = [path.relative_to(folder).as_posix() for path in below if LOG.fullmatch(path.name)]
    shown = [path for path in paths if not is_left_out(path.as_posix())]
    names = [path.as_posix() for path in shown if not _is_no_data(path)]
    no_data = [path.as_posix() for path in shown if _is_no_data(path)]
    if not names:
        seen = ", ".join([*no_data, *links, *closed][:3])
        some = f" (left out by name, a link, or not to be opened: {seen})" if seen else ""
        raise DataError(f"{folder} holds no files that could be raw data{some}; {FORMATS}")
    culprits = next((path for path in names if is_culprits(folder / path)), None)
    told = [path for path in names if path != culprits and _text(path) == path]
    unnamed = [_text(path) for path in names if _text(path) != path]
    return Listed(folder, told, unnamed, culprits, [*map(_text, no_data)], links, logs, closed)


def _text(path: str) -> str:
    """The path, or how one that is no UTF-8 is shown."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return ascii(path)[1:-1]
    return path


def _is_no_data(path: Path) -> bool:
    """Does the name say that it is no raw data, or not yet: a backup, or half a download?"""
    return path.suffix.lower() in NO_DATA or path.name.endswith("~")


def is_culprits(path: Path) -> bool:
    """Is it a table of known events, with the columns entity, start, end and channels?"""
    if path.suffix != ".csv" or path.stat().st_size > 1 << 22:
        return False
    try:
        with path.open(encoding="utf-8") as file:
            header = next(csv.reader(file), [])
    except (OSError, UnicodeError, csv.Error):
        return False
    return {"start", "end", "channels"} <= {name.strip() for name in header}
