"""What is there for a while, of which nothing is left for ever where its process is killed.

Temporary folders lie in one folder per process, and these in one per user. A process locks its own,
and the kernel frees the lock when the process ends, however that is. So an unlocked one is a
leftover, which the next process that makes such a folder removes.

What is being written has a name that begins with ``.stage-``, and a folder that is being replaced
one with ``.old-``. Whoever writes shares a lock of the folder that they lie in. So where that can
be locked alone, such names are leftovers.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from amad.config import ServiceError

STAGE, OLD = ".stage-", ".old-"

_outside: str | None = None  # where temporary files were before this process kept them apart


def user_folder() -> Path:
    """The folder of this user among the temporary files of this machine, ``amad-<uid>``.

    Raises:
        ServiceError: another user has made it.
    """
    own = Path(_outside or tempfile.gettempdir(), f"amad-{os.getuid()}")
    own.mkdir(mode=0o700, parents=True, exist_ok=True)
    if own.lstat().st_uid != os.getuid():
        raise ServiceError(
            f"{own} belongs to another user, and what it holds is not trusted; remove it, or "
            "set TMPDIR to another folder on this node"
        )
    return own


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A new folder that is removed after the body.

    purpose: begins its name, so that whoever looks there can tell what it is.

    Raises:
        ServiceError: another user has made the folder that it is to lie in.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=_own(user_folder(), os.getpid())))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep_apart() -> None:
    """Let ``tempfile`` make files and folders of this process in the folder of this process.

    For a worker of Ray, which is killed when it is no longer needed.
    """
    global _outside
    if _outside is None:
        folder = _own(user_folder(), os.getpid())
        _outside, tempfile.tempdir = tempfile.gettempdir(), str(folder)


def remove_leftovers() -> None:
    """Remove the temporary folders of processes that were killed."""
    with _all_locked(user_folder()) as place:
        _remove_unlocked(place)


@contextmanager
def written_into(folder: Path) -> Iterator[None]:
    """Keep ``remove_unfinished`` away from a folder; where it has no locks, nothing is removed."""
    try:
        handle = _lock(folder, fcntl.LOCK_SH)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        os.close(handle)


def remove_unfinished(folder: Path, *, alone: bool = False, of: str | None = None) -> None:
    """Remove what is half written in a folder, and bring folders back that were swapped out.

    Nothing is done while another process writes into it, or where it cannot be locked.

    alone: the caller knows by another lock that nobody writes there. of: only what was to get this
    name, in a folder that holds files of other programs.
    """
    if not folder.is_dir():  # to lock a file might keep others from it
        return
    try:
        handle = None if alone else _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    try:
        for left in sorted(folder.iterdir()):
            if of is not None and left.name.split("-", 2)[2:] != [of]:
                continue
            if left.name.startswith(OLD) and left.name.count("-") > 1:
                place = left.with_name(left.name.split("-", 2)[2])
                if not place.exists():
                    left.rename(place)
                    continue
            elif not left.name.startswith(STAGE):
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)
    finally:
        if handle is not None:
            os.close(handle)


@cache
def _own(user: Path, process: int) -> Path:
    """The folder of a process, locked until it ends; leftovers are removed when it is made.

    process: this one, so that one that is forked off has a folder of its own.
    """
    with _all_locked(user) as place:  # nobody takes the folder for a leftover before it is locked
        _remove_unlocked(place)
        folder = Path(tempfile.mkdtemp(prefix=f"{process}-", dir=place))
        _lock(folder, fcntl.LOCK_SH)  # shared with what is written into it
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    """Remove the folder of a process, unless this is one that was forked off it."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_unlocked(place: Path) -> None:
    for folder in place.iterdir():
        with suppress(BlockingIOError, FileNotFoundError):  # its process is alive; or done
            os.close(_lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB))
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _all_locked(user: Path) -> Iterator[Path]:
    """The folder of the folders of all processes, of which no other one makes or removes one."""
    place = user / "processes"
    place.mkdir(exist_ok=True)
    lock = _lock(place, fcntl.LOCK_EX)
    try:
        yield place
    finally:
        os.close(lock)


def _lock(folder: Path, how: int) -> int:
    """The open handle of a folder; closing it, or the end of the process, unlocks the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, how)
    except OSError:
        os.close(handle)
        raise
    return handle
