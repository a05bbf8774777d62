"""A step of the pipeline on a fleet whose truth lies in a storage: fetch, work, put."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from amad.config import ServiceError, Stage
from amad.config.console import say
from amad.config.file_lock import locked
from amad.config.wording import count
from amad.storage.lease import LostLeaseError, held, holder_of, named
from amad.storage.objects import Objects
from amad.storage.roots import Root
from amad.storage.scratch import Scratch
from amad.telemetry.holder import note_holder

LAKE = {"data/lake", "data/rejected", "data/profile.parquet"}
RESULTS = {"runs/scores", "runs/incidents", "runs/set_aside", "runs/reports"}
# What is large is fetched and put by those steps alone that read or write it.
LARGE = LAKE | RESULTS | {"data/raw", "data/docs", "data/store"}
NEEDS: dict[str, set[str]] = {
    "source": LAKE | {"data/raw"},
    "ingest": LAKE | {"data/raw"},
    "validate": LAKE | {"data/docs"},
    "prepare": LAKE | {"data/store"},
    "tune": {"data/store"},
    "train": {"data/store", "data/lake"},
    "evaluate": {"data/store", "data/lake"},
    "register": {"data/store", "data/lake"},
    "score": LAKE | RESULTS,
    "report": LAKE | RESULTS,
    "notify": LAKE | RESULTS,
    "prune": RESULTS,
    "drift": LAKE | RESULTS | {"data/store"},
    "status": LAKE | RESULTS,
    "summary": LAKE,
    "export": RESULTS,
    "feedback": RESULTS,
}
PUT_SECONDS = 300.0  # between two puts of a long step
WAIT = 600.0  # seconds for another process of this machine that is fetching

# Puts the work of the step that is running. Its argument: is the step over?
_putting: ContextVar[Callable[[bool], None] | None] = ContextVar("putting", default=None)


class BusyError(ServiceError):
    """Another process of this machine works on the same folders."""


@contextmanager
def step(stage: Stage, work: str) -> Iterator[None]:
    """Do a step: before it this disk gets what it needs, after it the storage gets what it made.

    Without ``storage`` in the profile, and in a temporary experiment, nothing is done. What a step
    finished before it failed is put too, as it would stay on a disk.

    Raises:
        ServiceError: another process works on the fleet (the message names it), this one was
            silent for so long that another took over, or the storage does not answer. What was
            done is then on this disk, and the next step here puts it, unless another machine was
            quicker.
    """
    address = storage_of(stage)
    if address is None:
        yield
        return

    wanted = _needed_by(work)
    objects = Objects(address)
    with held(objects, work) as lease, _lock(stage, WAIT):
        note_holder(stage.runs, None)
        scratch = Scratch(stage, objects)
        root = scratch.bring(wanted)
        put_at = time.monotonic()

        def put(done: bool) -> None:
            nonlocal root, put_at
            if done or time.monotonic() - put_at >= PUT_SECONDS:
                root = scratch.put(root, wanted, work, lease, done=done)
                put_at = time.monotonic()

        token = _putting.set(put)
        try:
            yield
        except LostLeaseError:
            raise
        except BaseException:
            try:
                put(True)
            except Exception as second:  # the first error counts
                say(str(second))
            raise
        else:
            put(True)
        finally:
            _putting.reset(token)


def put_finished() -> None:
    """Put what the step that is running has finished so far, if it is time; else do nothing.

    For a place in a long step at which a kill would lose nothing on a disk. A storage that fails is
    told and tried again later.

    Raises:
        LostLeaseError: another process has taken over, so that the work is in vain.
    """
    put = _putting.get()
    if put is None:
        return
    try:
        put(False)
    except LostLeaseError:
        raise
    except ServiceError as error:
        say(str(error))


def look(stage: Stage, work: str) -> None:
    """Bring this disk up to date for a command that only reads.

    Where a step is running here, or was killed, what is on this disk is looked at.

    Raises:
        ServiceError: the storage does not answer.
    """
    address = storage_of(stage)
    if address is None:
        return
    try:
        with _lock(stage, 0):
            objects = Objects(address)
            scratch = Scratch(stage, objects)
            note_holder(stage.runs, holder_of(objects))
            if not scratch.is_unfinished:
                scratch.bring(_needed_by(work), for_work=False)
    except BusyError:
        return


@contextmanager
def edit(stage: Stage, name: str) -> Iterator[None]:
    """Change one small artifact, such as ``runs/feedback.json``, also while a step is running.

    Raises:
        ServiceError: somebody else changed it at the same moment; nothing is changed then.
    """
    address = storage_of(stage)
    if address is None:
        yield
        return
    scratch = Scratch(stage, Objects(address))
    base = scratch.bring(lambda other: other == name, for_work=False)
    yield
    scratch.put(base, lambda other: other == name, f"edit {name}", None)


def state(stage: Stage) -> str:
    """Where the truth of a fleet lies, and who is working on it, as a text for people.

    Raises:
        ServiceError: the storage does not answer.
    """
    address = storage_of(stage)
    if address is None:
        return "on this disk"
    objects = Objects(address)
    root, holder = Root.newest(objects), holder_of(objects)
    held_by = f"held by {named(holder)}" if holder is not None else "held by nobody"
    return f"{address}, {count(len(root.artifacts), 'artifact')}, {held_by}"


def storage_of(stage: Stage) -> str | None:
    """The address of a fleet's storage; None where its truth is on this disk."""
    if stage.settings.is_temporary:
        return None
    storage = stage.profile.storage
    return None if storage is None else f"{storage}/{stage.fleet.name}"


def _needed_by(work: str) -> Callable[[str], bool]:
    """Which artifacts a step or command fetches and puts."""
    return lambda name: name not in LARGE or name in NEEDS[work]


def _lock(stage: Stage, seconds: float) -> AbstractContextManager[None]:
    """Keep other processes of this machine from changing what is fetched."""
    file = stage.runs / "storage.lock"
    held = (
        f"another process of this machine has held {file} for {seconds:.0f} s; wait until it "
        "has ended, then start again"
    )
    return locked(file, lambda: BusyError(held), seconds=seconds)
