"""The files of a fleet as work on vehicle-days reads and writes them, wherever they are.

Such work names files by their paths on the disk of the driver. Where that disk is mounted, these
functions are those of the file system; a file that it lacks is brought there first, if it is one of
a folder that ``bring_from`` was told of. On a node without that disk, ``take_from`` is called
first, and they ask the driver.
"""

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from amad.telemetry.temporary import temporary_folder


class DriversDisk(Protocol):
    """The disk of the driver, as another node reaches it."""

    def size(self, path: Path) -> int:
        """The bytes of a file; raises FileNotFoundError."""

    def read(self, path: Path, first: int, count: int) -> bytes:
        """At most ``count`` bytes of a file, from ``first`` on; raises FileNotFoundError."""

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in its place in one piece; its folder is made."""


# Brings a file of a folder to its place; False where there is no such file.
Bring = Callable[[Path], bool]

_drivers: DriversDisk | None = None
_bring: dict[Path, Bring] = {}  # by folder


def take_from(drivers: DriversDisk | None) -> None:
    """Let this process ask ``drivers`` for every file from now on; None: the file system."""
    global _drivers
    _drivers = drivers


def bring_from(folders: Mapping[Path, Bring]) -> None:
    """Let files of these folders be brought when they are read."""
    _bring.update(folders)


def brought() -> dict[Path, Bring]:
    """What ``bring_from`` was told, for another process."""
    return dict(_bring)


def bring(path: Path) -> None:
    """Bring a file to this disk, if it is missing and one of a folder of ``bring_from``."""
    if not path.exists():
        for folder, bring_file in _bring.items():
            if path.is_relative_to(folder):
                bring_file(path)


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    if _drivers is not None:
        return _drivers.read(path, 0, _drivers.size(path))
    bring(path)
    return path.read_bytes()


def open_to_read(path: Path) -> pa.NativeFile:
    """A file of which a part is read.

    Raises:
        FileNotFoundError: there is none.
    """
    if _drivers is None:
        bring(path)
        return pa.OSFile(str(path))
    return pa.PythonFile(_Pieces(_drivers, path), mode="r")


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


class _Pieces(io.RawIOBase):
    """A file of the driver's disk, of which each read asks for no more than it needs."""

    def __init__(self, drivers: DriversDisk, path: Path) -> None:
        self._drivers, self._path = drivers, path
        self._size, self._at = drivers.size(path), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size is None or size < 0 else min(size, left)
        content = self._drivers.read(self._path, self._at, wanted) if wanted else b""
        self._at += len(content)
        return content
