"""Scoring jobs: one at a time a fleet, each with a log that says how it ended.

The lock is the kernel's (flock): it is gone with the process that held it, however that ended, so
it is never stale. On a shared file system without locks two jobs may overlap; partitions are then
still whole, see ``partitions``.
"""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from amad.config import DataError, InterruptionError, ServiceError
from amad.config.console import say
from amad.telemetry.files import read_json, write_json

LONGEST_LOG = 64 << 20  # bytes of a job's log


@contextmanager
def scoring_job(runs: Path, fleet: str) -> Iterator[dict]:
    """Hold the fleet's lock and keep the job's log; yields the log's content, to be filled.

    It is written at the start (``status: running``), by ``save``, and at the end (``done``, or
    ``failed`` with the error, or ``killed`` after Ctrl-C or SIGTERM). Jobs that died without a word
    are marked ``killed``.

    Raises:
        ServiceError: another job of this fleet is running; says which.
    """
    runs.mkdir(parents=True, exist_ok=True)
    lock = FileLock(runs / "scoring.lock")
    holder = runs / "scoring.holder.json"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ServiceError(
            f"fleet {fleet} is being scored by another job ({_read_holder(holder)}); wait for it "
            "or stop it, then start again"
        ) from None
    try:
        _mark_killed(runs)
        now = datetime.now(UTC)
        log = {
            "id": f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:6]}",
            "fleet": fleet,
            "status": "running",
            "started": now.isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "dates": [],
            "error": None,
        }
        write_json(holder, {key: log[key] for key in ("id", "pid", "host", "started")})
        save(runs, log)
        try:
            yield log
            log["status"] = "done"
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt | InterruptionError)
            log["status"] = "killed" if stopped else "failed"
            log["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            raise
        finally:
            log["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
            save(runs, log)
            holder.unlink(missing_ok=True)
    finally:
        lock.release()


def save(runs: Path, log: dict) -> None:
    """Write the log as it stands."""
    write_json(runs / "jobs" / f"{log['id']}.json", log, sealed=True)


def job_logs(runs: Path) -> tuple[list[dict], list[Path]]:
    """The logs of a fleet's scoring jobs, the newest last, and the files that are no such log."""
    logs, unreadable = [], []
    for path in sorted((runs / "jobs").glob("*.json")):
        try:
            if path.stat().st_size > LONGEST_LOG:
                raise DataError(f"{path} is too long")
            log = read_json(path, "", keys=("id", "started", "status", "dates"), required=True)
            datetime.fromisoformat(log["started"])
            int(log.get("model_version") or 0)
            for day in log["dates"]:
                date.fromisoformat(day)
        except (OSError, DataError, ValueError, TypeError):
            unreadable.append(path)
        else:
            logs.append(log)
    return sorted(logs, key=lambda log: (log["started"], log["id"])), unreadable


def _read_holder(holder: Path) -> str:
    try:
        content = read_json(holder, "wait", keys=["id", "pid", "host"], required=True)
    except DataError:
        return "it has just started or is just ending"
    return f"{content['id']}, process {content['pid']} on {content['host']}"


def _mark_killed(runs: Path) -> None:
    logs, damaged = job_logs(runs)
    for file in damaged:
        say(f"the job log {file} is damaged and left out; delete it")
    for log in logs:
        if log["status"] == "running":
            save(runs, log | {"status": "killed"})
