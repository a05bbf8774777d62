"""The files of a fleet as work on vehicle-days reads and writes them, wherever they are.

Such work names files by their paths on the disk of the driver. Where that disk is mounted, these
functions are those of the file system; a file that it lacks is fetched first, if it is in a folder
of ``fetch_from``. On a node without that disk, ``read_through`` is called first, and they ask the
driver.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from amad.telemetry.temporary import temporary_folder

Stretch = tuple[Path, int, int]  # a file, its first byte to read, and how many; -1: all that follow


class DriversDisk(Protocol):
    """The disk of the driver, as another node reaches it."""

    def read(self, stretches: Sequence[Stretch]) -> list[bytes]:
        """The bytes of each stretch; raises FileNotFoundError."""

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in its place in one piece; its folder is made."""


# Fetches a file of a folder to its place; False where there is no such file.
Fetch = Callable[[Path], bool]

_drivers: DriversDisk | None = None
_fetch: dict[Path, Fetch] = {}  # by folder


def read_through(drivers: DriversDisk | None) -> None:
    """Let this process ask ``drivers`` for every file from now on; None: the file system."""
    global _drivers
    _drivers = drivers
    _last_read.cache_clear()


def fetch_from(folders: Mapping[Path, Fetch]) -> None:
    """Let files of these folders be fetched when they are read."""
    _fetch.update(folders)


def fetchers() -> dict[Path, Fetch]:
    """The folders of ``fetch_from``, for another process."""
    return dict(_fetch)


def fetch_missing(path: Path) -> None:
    """Fetch a file to this disk, if it is missing and one of a folder of ``fetch_from``."""
    if not path.exists():
        for folder, fetch_file in _fetch.items():
            if path.is_relative_to(folder):
                fetch_file(path)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    return read_stretches([(path, 0, -1)])[0]


def read_stretches(stretches: Sequence[Stretch]) -> list[bytes]:
    """The bytes of stretches of files, which another node gets by one request.

    Raises:
        FileNotFoundError: one of the files is not there.
    """
    if _drivers is not None:
        return _drivers.read(stretches)
    found = []
    for path, first, count in stretches:
        fetch_missing(path)
        with path.open("rb", buffering=0) as file:
            file.seek(first)
            found.append(file.read(count))
    return found


def mapped(path: Path) -> pa.NativeFile:
    """A file to read from: mapped, or its content where this node lacks the driver's disk.

    Such a node keeps the content of the last one, since what is mapped is often opened again.

    Raises:
        FileNotFoundError: there is none.
    """
    return pa.memory_map(str(path)) if _drivers is None else pa.BufferReader(_last_read(path))


@lru_cache(maxsize=1)
def _last_read(path: Path) -> bytes:
    return read_bytes(path)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield where to write a file that is to lie at ``path``; it is there after the body.

    With the file system that is ``path`` itself, so it is not written in one piece.
    """
    if _drivers is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with temporary_folder("file") as folder:
        here = folder / path.name
        yield here
        _drivers.write(path, here.read_bytes())
