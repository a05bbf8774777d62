"""One writer at a time over all machines: a lease that lies beside what it protects.

``leases/<number>.json`` names who holds the fleet. The highest number counts. Taking the lease is
creating the next number, which the storage grants to one machine alone. Its holder writes it again
every ``BEAT`` seconds; when that stops for ``EXPIRES`` seconds, anybody may create the next number.
Whether it has stopped is told by the clock of the storage, since that of a machine may be wrong.
"""

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import PurePosixPath

import psutil

from amad.config import ServiceError
from amad.config.console import say
from amad.storage.objects import Listed, Objects

LEASES = "leases"
CLOCK = f"{LEASES}/clock.json"  # an object that is written to see what time the storage has
BEAT, EXPIRES = 20.0, 120.0  # seconds


class LostLeaseError(ServiceError):
    """Another process has taken over what this one worked on."""


class Lease:
    """A lease that this process holds. Made by ``held``."""

    def __init__(self, objects: Objects, number: int, content: dict) -> None:
        self._objects, self._number, self._content = objects, number, content

    def check(self) -> None:
        """Does this process still hold the lease?

        Raises:
            LostLeaseError: another one took it, as this one was silent for too long.
        """
        newest = _newest(self._objects)
        if newest is None or _number(newest) != self._number:
            holder = _read(self._objects, newest)
            raise LostLeaseError(
                f"this process was silent for more than {EXPIRES:.0f} s, and "
                f"{named(holder)} has taken over {self._objects.address}: nothing of this job "
                "was put there; run the command again"
            )

    def renew(self) -> None:
        """Tell that the holder is alive."""
        self._objects.put(_key(self._number), _bytes(self._content))

    def release(self) -> None:
        """Let others take the lease at once, and remove those of the past."""
        self._content["released"] = True
        self.renew()
        past = [item.key for item in self._objects.list(LEASES) if _number(item) < self._number]
        self._objects.delete(past)


@contextmanager
def held(objects: Objects, work: str) -> Iterator[Lease]:
    """Hold the lease of what lies below ``objects``. work: what it is held for, such as ``score``.

    Raises:
        ServiceError: another process holds it; the message names it.
    """
    content = _content(work)
    newest = _newest(objects)
    if newest is not None:
        _refuse_if_held(objects, newest)
    number = 1 if newest is None else _number(newest) + 1
    if not objects.create(_key(number), _bytes(content)):
        _refuse_if_held(objects, _newest(objects), at_once=True)
    lease = Lease(objects, number, content)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with suppress(Exception):  # whoever puts asks whether the lease is still held
                lease.renew()

    beats = threading.Thread(target=beat, name="lease", daemon=True)
    beats.start()
    try:
        yield lease
    finally:
        over.set()
        beats.join()
        with suppress(ServiceError):  # then it expires
            lease.release()


def _content(work: str) -> dict:
    """What a lease of this process says."""
    me = psutil.Process()
    return {
        "token": uuid.uuid4().hex, "work": work, "host": socket.gethostname(), "pid": me.pid,
        "born": _born(me), "since": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "released": False,
    }  # fmt: skip


def _born(process: psutil.Process) -> float:
    """Seconds from the boot of the machine to the start of a process; no clock moves it."""
    return round(process.create_time() - psutil.boot_time(), 2)


def holder_of(objects: Objects) -> dict | None:
    """Who holds the lease, as the lease says; None where nobody does or has for too long.

    Nothing is written for it, so that is told by the clock of this machine.
    """
    newest = _newest(objects)
    holder = _read(objects, newest)
    if newest is None or holder.get("released") or _silent(newest, datetime.now(UTC)) > EXPIRES:
        return None
    return holder


def _silent(lease: Listed, now: datetime) -> float:
    """Seconds since the last sign of life of whoever holds a lease."""
    return (now - lease.modified).total_seconds()


def _now(objects: Objects) -> datetime:
    """The time by the clock of the storage."""
    objects.put(CLOCK, b"{}")
    return next(item.modified for item in objects.list(LEASES) if item.key == CLOCK)


def _refuse_if_held(objects: Objects, newest: Listed | None, at_once: bool = False) -> None:
    """at_once: somebody has just been quicker, so that the lease is held whatever it says."""
    holder = _read(objects, newest)
    if newest is None or (not at_once and holder.get("released")):
        return
    if not at_once and (_is_dead(holder) or _silent(newest, _now(objects)) > EXPIRES):
        say(f"{named(holder)} ended without giving back {objects.address}: taken over")
        return
    raise ServiceError(
        f"{objects.address} is held by {named(holder)}; wait for it or stop it, then start again "
        f"(where it was killed, it is free {EXPIRES:.0f} s after its last sign of life)"
    )


def _is_dead(holder: dict) -> bool:
    """Is the holder a process of this machine that is no longer there?"""
    if holder.get("host") != socket.gethostname():
        return False
    try:
        return _born(psutil.Process(holder["pid"])) != holder["born"]
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, KeyError, TypeError, ValueError):
        return False


def named(holder: dict) -> str:
    """The holder of a lease, as a text for people."""
    if not holder:
        return "another process"
    return (
        f"'{holder.get('work')}', process {holder.get('pid')} on {holder.get('host')}, "
        f"since {holder.get('since')}"
    )


def _newest(objects: Objects) -> Listed | None:
    leases = (item for item in objects.list(LEASES) if item.key != CLOCK)
    return max(leases, key=_number, default=None)


def _read(objects: Objects, lease: Listed | None) -> dict:
    """What a lease says; nothing where there is none, or it is damaged."""
    content = None if lease is None else objects.read(lease.key)
    with suppress(ValueError):
        found = json.loads(content or b"{}")
        return found if isinstance(found, dict) else {}
    return {}


def _number(lease: Listed) -> int:
    name = PurePosixPath(lease.key).stem
    return int(name) if name.isdecimal() else 0


def _key(number: int) -> str:
    return f"{LEASES}/{number:010d}.json"


def _bytes(content: dict) -> bytes:
    return json.dumps(content, sort_keys=True).encode()
