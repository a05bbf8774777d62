"""The files of a fleet as work on vehicle-days reads and writes them, whatever node it runs on.

Such work names files by their paths on the disk of the driver. Where that disk is mounted, these
functions are those of the file system. On a node without it, ``take_from`` is called first, and
they ask the driver.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pyarrow as pa


class DriversDisk(Protocol):
    """The disk of the driver, as another node reaches it."""

    def size(self, path: Path) -> int:
        """The bytes of a file; raises FileNotFoundError."""

    def read(self, path: Path, first: int, count: int) -> bytes:
        """At most ``count`` bytes of a file, from ``first`` on; raises FileNotFoundError."""

    def write(self, path: Path, content: bytes) -> None:
        """Put a file in its place in one piece; its folder is made."""


_drivers: DriversDisk | None = None


def take_from(drivers: DriversDisk | None) -> None:
    """Let this process ask ``drivers`` for every file from now on; None: the file system."""
    global _drivers
    _drivers = drivers


def read_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises:
        FileNotFoundError: there is none.
    """
    if _drivers is None:
        return path.read_bytes()
    return _drivers.read(path, 0, _drivers.size(path))


def open_to_read(path: Path) -> pa.NativeFile:
    """A file of which a part is read.

    Raises:
        FileNotFoundError: there is none.
    """
    if _drivers is None:
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
    with TemporaryDirectory(prefix="amad-") as folder:
        here = Path(folder, path.name)
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
