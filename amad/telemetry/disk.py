"""The files of a fleet as work on vehicle-days reads and writes them, wherever they are.

Such work names files by their paths on the disk of the driver. Where that disk is mounted, these
functions are those of the file system; a file that it lacks is brought there first, if it is one of
a folder that ``bring_from`` was told of. On a node without that disk, ``take_from`` is called
first, and they ask the driver.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from amad.telemetry.temporary import temporary_folder

Stretch = tuple[Path, int, int]  # a file, its first byte to read, and how many; -1: all that follow


class DriversDisk(Protocol):
    """The disk of the driver, as another node reaches it."""

    def read(self, stretches: Sequence[Stretch]) -> list[bytes]:
        """The bytes of each stretch; raises FileNotFoundError."""

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
        bring(path)
        with path.open("rb", buffering=0) as file:
            file.seek(first)
            found.append(file.read(count))
    return found


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
