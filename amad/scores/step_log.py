"""How the last run of each step of a night went: ``runs/<fleet>/steps/<step>.json``.

A scoring job has a log of its own, see ``job_log``. But where ``ingest`` or ``validate`` fails no
job begins, and the last one, which went well, would be all that is seen. So each step notes how it
went, for ``amad status``, ``amad doctor``, the report and the sinks.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from amad.config import DataError, ServiceError
from amad.config.file_lock import locked
from amad.scores.job_log import newest_number
from amad.scores.run_log import RunLog

STEPS = ("ingest", "validate", "score", "drift", "export", "report")  # in the order of a night
OCCASIONAL = ("drift", "export")  # those that not every night has
BESIDE_JOBS = ("score", *OCCASIONAL)  # a failure of these is told until the next job


class StepLog(RunLog):
    """The last run of one step. after: the number of the newest scoring job when it began."""

    FILE: ClassVar[str] = "steps"
    SEALED: ClassVar[bool] = True

    step: str
    after: int = 0


@contextmanager
def noted(runs: Path, step: str) -> Iterator[None]:
    """Note how a step goes, while the body does it.

    Nothing is noted while another process does the same step, whose note would be lost, and where
    the note cannot be written: what the step itself needs to write tells why.
    """
    lock = locked(_lock(runs, step), lambda: ServiceError(f"amad {step} runs already"))
    with ExitStack() as held:
        try:
            held.enter_context(lock)
        except (OSError, ServiceError):
            yield
            return
        after = _newest_job(runs) if step in BESIDE_JOBS else 0
        log = StepLog.begun(datetime.now(UTC), step=step, after=after)
        with log.kept(partial(_write, runs)):
            yield


def step_logs(runs: Path) -> list[StepLog]:
    """The last run of each step that was run, in the order of a night; a damaged log is left out.

    One that still says ``running``, while nobody does the step, was killed.
    """
    found = []
    for step in STEPS:
        log = None
        with suppress(DataError):
            log = StepLog.read_file(_file(runs, step))
        if log is not None:
            log.look_at(runs, _lock(runs, step))
            found.append(log)
    return found


def _newest_job(runs: Path) -> int:
    """The number of the newest scoring job; 0 before the first one."""
    with suppress(OSError):
        return newest_number(runs)
    return 0


def _write(runs: Path, log: StepLog) -> None:
    with suppress(OSError, DataError):
        log.write_file(_file(runs, log.step))


def _file(runs: Path, step: str) -> Path:
    return runs / StepLog.FILE / f"{step}.json"


def _lock(runs: Path, step: str) -> Path:
    return runs / f"{step}-step.lock"
