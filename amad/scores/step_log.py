"""How the last run of each step of a night went: ``runs/<fleet>/steps/<step>.json``.

A scoring job has a log of its own, see ``job_log``. But where ``ingest`` or ``validate`` fails no
job begins, and the last one, which went well, would be all that is seen. So each step notes how it
went, for ``amad status``, ``amad doctor``, the report and the sinks.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, PlainSerializer

from amad.config import DataError, InterruptionError, usable_error
from amad.telemetry.artifact import Artifact
from amad.telemetry.holder import is_holder

STEPS = ("ingest", "validate", "score", "drift", "export", "report")  # in the order of a night
BESIDE = ("drift", "export")  # those that not every night has

Moment = Annotated[AwareDatetime, PlainSerializer(lambda at: at.isoformat(timespec="seconds"))]


class StepLog(Artifact):
    """The last run of one step.

    status: as of a job; ``running`` is said by the log alone, see ``step_logs``. error: what it
    failed with, in words.
    """

    FILE: ClassVar[str] = "steps"
    REMEDY: ClassVar[str] = "delete it"
    SEALED: ClassVar[bool] = True

    step: str
    status: Literal["running", "done", "failed", "killed"]
    started: Moment
    ended: Moment | None = None
    host: str = ""
    pid: int = 0
    error: str | None = None

    @property
    def trouble(self) -> str | None:
        """What went wrong, as the end of a sentence."""
        if self.status == "killed":
            return "was killed"
        return f"failed: {self.error}" if self.status == "failed" else None


@contextmanager
def noted(runs: Path, step: str) -> Iterator[None]:
    """Note how a step goes, while the body does it.

    Nothing is noted while another process does the same step, whose note would be lost, and where
    the note cannot be written: what the step itself needs to write tells why.
    """
    with suppress(OSError):
        runs.mkdir(parents=True, exist_ok=True)
    try:
        lock = os.open(_lock(runs, step), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise
    except OSError:
        yield
        return
    log = StepLog(
        step=step,
        status="running",
        started=datetime.now(UTC),
        host=socket.gethostname(),
        pid=os.getpid(),
    )
    try:
        _write(runs, log)
        yield
        _end(runs, log, "done")
    except BaseException as error:
        _end(runs, log, status_after(error), words_of(error))
        raise
    finally:
        os.close(lock)


def step_logs(runs: Path) -> list[StepLog]:
    """The last run of each step that was run, in the order of a night; a damaged log is left out.

    One that still says ``running``, while nobody does the step, was killed.
    """
    found = []
    for step in STEPS:
        log = None
        with suppress(DataError):
            log = StepLog.read_file(_file(runs, step))
        if log is None:
            continue
        if log.status == "running" and is_gone(runs, _lock(runs, step), log.host, log.pid):
            log = log.model_copy(update={"status": "killed"})
        found.append(log)
    return found


def is_gone(runs: Path, lock: Path, host: str, pid: int) -> bool:
    """Has the process that a log says is at work ended without a word?

    lock: what it holds while it works. Another home of the same storage holds one of its own, so
    there the lease of the storage tells.
    """
    return is_free(lock) and not is_holder(runs, host, pid)


def is_free(lock: Path) -> bool:
    """Is a lock file held by nobody? Then nobody does what it is for.

    Whoever may only read the file can ask.
    """
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def status_after(error: BaseException) -> Literal["failed", "killed"]:
    """How a log calls work that ended with this error."""
    stopped = isinstance(error, KeyboardInterrupt | InterruptionError)
    return "killed" if stopped else "failed"


def words_of(error: BaseException) -> str:
    """An error as a log tells it, to stand in a sentence: what a user can mend without its type."""
    if isinstance(error, KeyboardInterrupt):
        return str(InterruptionError())
    known = usable_error(error)
    words = " ".join(str(known or error).split())[:500].rstrip(".")
    return words if known else f"{type(error).__name__}: {words}"


def _end(runs: Path, log: StepLog, status: str, error: str | None = None) -> None:
    _write(
        runs, log.model_copy(update={"status": status, "error": error, "ended": datetime.now(UTC)})
    )


def _write(runs: Path, log: StepLog) -> None:
    with suppress(OSError, DataError):
        log.write_file(_file(runs, log.step))


def _file(runs: Path, step: str) -> Path:
    return runs / StepLog.FILE / f"{step}.json"


def _lock(runs: Path, step: str) -> Path:
    return runs / f"{step}-step.lock"
