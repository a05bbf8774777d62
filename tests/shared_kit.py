"""What is made once for all processes that share the tests."""

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

FOLDER: Path | None = None  # conftest.py sets it


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name`` that these processes have in common; the first one makes it.

    Nothing may change it: other processes copy it.
    """
    folder = FOLDER
    assert folder is not None
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / f"{name}.made").exists():
            shutil.rmtree(folder / name, ignore_errors=True)  # of one that failed
            (folder / name).mkdir()
            make(folder / name)
            (folder / f"{name}.made").touch()
    return folder / name
