"""Who works on a fleet of a storage, as this machine heard when it last looked.

A job notes how it goes in a log, and holds a lock that its death sets free. The lock is of one
home, but with a storage the log is seen by every machine; there the lease of the storage tells.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from amad.config import DataError
from amad.telemetry.files import read_json, write_json

HOLDER = "storage.holder.json"


def note_holder(runs: Path, holder: Mapping[str, object] | None) -> None:
    """Remember who holds the fleet's lease, with its ``host`` and ``pid``; None: nobody does."""
    with suppress(OSError):  # what reads the note then takes nobody for the holder
        if holder is None:
            (runs / HOLDER).unlink(missing_ok=True)
        else:
            write_json(runs / HOLDER, {name: holder.get(name) for name in ("host", "pid")})


def is_holder(runs: Path, host: str, pid: int) -> bool:
    """Was this process at work when this machine last looked?"""
    with suppress(DataError):
        return read_json(runs / HOLDER, "delete it") == {"host": host, "pid": pid}
    return False
