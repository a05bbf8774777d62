"""What the logs of a step and of a scoring job have in common: how a run went.

A run that is killed writes no end: its log says ``running`` while nobody holds the run's lock.
"""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AwareDatetime, ConfigDict, PlainSerializer

from amad.config import InterruptionError, usable_error
from amad.config.wording import ends_of
from amad.telemetry.artifact import Artifact
from amad.telemetry.holder import is_holder

LONGEST = 800  # characters of an error that a log keeps, which may quote the content of a file
Moment = Annotated[AwareDatetime, PlainSerializer(lambda at: at.isoformat(timespec="seconds"))]


class RunLog(Artifact):
    """How a run went; it is filled while it runs.

    status: ``running``, ``done``, ``failed`` (with the error, in words) or ``killed`` (by a signal,
    or the process ended without writing its status).
    """

    model_config = ConfigDict(frozen=False)

    REMEDY: ClassVar[str] = "delete it"

    status: Literal["running", "done", "failed", "killed"]
    started: Moment
    ended: Moment | None = None
    host: str = ""
    pid: int = 0
    error: str | None = None

    @classmethod
    def begun(cls, started: datetime, **more: Any) -> Self:
        """The log of a run of this process. more: the other fields."""
        host, pid = socket.gethostname(), os.getpid()
        return cls(status="running", started=started, host=host, pid=pid, **more)

    @contextmanager
    def kept(self, write: Callable[[Self], None]) -> Iterator[None]:
        """Write the log before the body and after it, then with how the body ended."""
        write(self)
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | InterruptionError)
            self.status, self.error = "killed" if stopped else "failed", _words_of(error)
            raise
        else:
            self.status, self.error = "done", None
        finally:
            self.ended = datetime.now(UTC)
            write(self)

    def look_at(self, runs: Path, lock: Path) -> None:
        """Take a run that has not ended for killed where nobody does it any more.

        lock: what it holds while it works. Another home of the same storage holds one of its own,
        so there the lease of the storage tells.
        """
        if self.status != "running" or not _is_free(lock):
            return
        if not is_holder(runs, self.host, self.pid):
            self.status = "killed"

    @property
    def trouble(self) -> str | None:
        """What went wrong, as the end of a sentence."""
        if self.status == "killed":
            return "was killed"
        return f"failed: {self.error}" if self.status == "failed" else None


def _is_free(lock: Path) -> bool:
    """Is a lock file held by nobody? Whoever may only read the file can ask."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _words_of(error: BaseException) -> str:
    """An error, to stand in a sentence: what a user can mend without its type."""
    if isinstance(error, KeyboardInterrupt):
        return str(InterruptionError())
    known = usable_error(error)
    words = ends_of(" ".join(str(known or error).split()), LONGEST).rstrip(".")
    return words if known else f"{type(error).__name__}: {words}"
