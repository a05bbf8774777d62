"""Checks of what should have happened: the last scoring, its freshness, DVC, what a kill left."""

import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from amad.cli.doctor.check import Check, Subject, fail, ok, warn
from amad.scores.job_log import job_logs
from amad.scores.receipts import ScoringReceipt

NIGHTLY = timedelta(hours=36)  # a nightly job that has not run for so long has missed a night
LEFT_SECONDS = 3600.0  # a staging folder older than this belongs to no running stage
SHOWN = 4  # dates, stages or folders named in one finding
DVC_SECONDS = 120.0


def last_scoring(subject: Subject) -> Check:
    """How did the last scoring job end, and when?"""
    runs = subject.settings.runs_dir(subject.fleet.name)
    logs, _ = job_logs(runs)
    if not logs:
        receipt = ScoringReceipt.read(subject.settings.fleet_dir(subject.fleet.name))
        if receipt is not None and receipt.no_champion:
            remedy = "'amad promote VERSION --force --reason TEXT'"
            return warn("last scoring", receipt.no_champion, remedy)
        return warn("last scoring", "this fleet was never scored", "run 'amad score'")
    last = logs[-1]
    schedule = "look at its log: journalctl -u 'amad-score@*', runs/nightly.log or the RayJob's"
    if last.status == "failed":
        return fail("last scoring", f"job {last.id} failed: {last.error}", schedule)
    if last.status == "killed" or (last.status == "running" and _is_free(runs)):
        return fail(
            "last scoring",
            f"job {last.id} on {last.host} was killed",
            f"run 'amad score': it goes on where that one stopped; {schedule}",
        )
    if last.status == "running":
        where = f"process {last.pid} on {last.host}"
        return ok("last scoring", f"job {last.id} is running, {where}")
    age = datetime.now(UTC) - (last.ended or last.started)
    did = f"{len(last.dates)} dates" if last.dates else "nothing was new"
    undone = [(item.date, item.reason) for item in last.failed]
    undone += [(item.date, item.reason) for item in last.refused]
    if undone:
        finding = (
            f"job {last.id} left {len(undone)} vehicle-days or dates as they were, of "
            f"{_some(sorted({str(day) for day, _ in undone}))}: {undone[0][1]}"
        )
        return warn("last scoring", finding, "mend that and run 'amad score' again")
    finding = f"job {last.id} ended well {_ago(age)}, {did}"
    if age > NIGHTLY:
        remedy = "if scoring is scheduled, see why not: systemctl list-timers 'amad-score@*'"
        return warn("last scoring", finding, remedy)
    return ok("last scoring", finding)


def freshness(subject: Subject) -> Check:
    """Has every date of the lake that ``amad score`` takes by itself a score?"""
    from amad.scores.partitions import manifests
    from amad.telemetry.lake import Lake

    folder = subject.settings.fleet_dir(subject.fleet.name) / "lake"
    runs = subject.settings.runs_dir(subject.fleet.name)
    scored = set(manifests(runs))
    starts = [log.test_start for log in job_logs(runs)[0] if log.test_start is not None]
    if not folder.is_dir() or not scored or not starts:
        return warn("freshness", "nothing to compare yet", "run 'amad score'")
    dates = Lake(folder, subject.fleet).dates()
    newest = dates[-1]
    behind = [day for day in dates if day >= starts[-1] and day not in scored]
    if behind:
        many = f"{len(behind)} dates of the lake have no scores: {_some(behind)}"
        return warn("freshness", many, "run 'amad score'")
    return ok("freshness", f"the newest date of the lake, {newest}, is scored")


def dvc(subject: Subject) -> Check:
    """Is the project under DVC, and are its stages up to date? ``source`` always runs."""
    home = subject.settings.home
    if not (home / ".dvc").is_dir():
        return warn(
            "dvc", f"{home} is no DVC project", "run 'dvc init' ('dvc init --no-scm' outside git)"
        )
    if not (home / "dvc.lock").is_file():
        return warn("dvc", "no stage has run yet", "run 'make repro'")
    command = [shutil.which("dvc") or str(Path(sys.executable).with_name("dvc"))]
    try:
        result = subprocess.run(
            [*command, "status", "--json"],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=DVC_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return warn("dvc", f"'dvc status' took over {DVC_SECONDS:.0f} s", "run it yourself")
    if result.returncode:
        return fail("dvc", " ".join(result.stderr.split())[:200], "run 'dvc status' yourself")
    stages = [name.partition("@") for name in json.loads(result.stdout or "{}")]
    ours = (subject.fleet.name, "")
    changed = [name for name, _, fleet in stages if name != "source" and fleet in ours]
    if changed:
        many = f"changed since the last run: {_some(changed)}"
        return warn("dvc", many, "run 'dvc repro', or leave it if you schedule scoring alone")
    return ok("dvc", "every stage is up to date")


def leftovers(subject: Subject) -> Check:
    """What a killed run left behind: a broken lock of DVC's, staging folders."""
    rwlock = subject.settings.home / ".dvc" / "tmp" / "rwlock"
    if rwlock.is_file() and not _is_json(rwlock):  # holders that are gone DVC clears by itself
        return fail("leftovers", f"{rwlock} is broken, so no dvc can run", f"rm {rwlock}")
    now, name, old = time.time(), subject.fleet.name, []
    _, unreadable = job_logs(subject.settings.runs_dir(name))
    if unreadable:
        finding = f"damaged job logs, which are left out: {_some(unreadable)}"
        return warn("leftovers", finding, "remove them")
    for root in (subject.settings.fleet_dir(name), subject.settings.runs_dir(name)):
        for depth, mark in product(("", "*/", "*/*/"), (".stage-*", ".old-*")):
            pattern = depth + mark
            old += [p for p in root.glob(pattern) if now - p.stat().st_mtime > LEFT_SECONDS]
    if old:
        return warn("leftovers", f"killed runs left {_some(sorted(old))}", "remove them")
    return ok("leftovers", "none")


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True


def _is_free(runs: Path) -> bool:
    """Can the scoring lock be had? Then no job is running."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(runs / "scoring.lock", timeout=0):
            return True
    except Timeout:
        return False


def _ago(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:.0f} h ago" if hours >= 1 else f"{max(0, 60 * hours):.0f} min ago"


def _some(items: list) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more
