"""Checks of the operation: the last scoring job, unscored dates, DVC, remains of killed runs."""

import json
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

from amad.cli.doctor.check import Finding, fail, ok, warn
from amad.config import Stage, read_params
from amad.config.wording import count, some, whole_pipeline
from amad.scores.job_log import job_logs
from amad.scores.receipts import ScoringReceipt
from amad.scores.step_log import step_logs
from amad.scores.unscored import step_troubles
from amad.telemetry.files import listed

NIGHTLY = timedelta(hours=36)  # a nightly job that has not run for longer has missed a night
LEFT_SECONDS = 3600.0  # a staging folder older than this belongs to no running stage
FIRST_SCORE = "run 'amad score'; where there is no champion yet, it says why"
SHOWN = 4  # dates, stages or folders named in one finding
LEAVE_IT = "or leave it if you schedule scoring alone"
DVC_SECONDS = 120.0
DVC_RUNS = ("it is being blocked by", "another DVC process is running")


def last_scoring(stage: Stage) -> Finding:
    """How did the last scoring job end, and when?"""
    runs = stage.runs
    logs, _ = job_logs(runs)
    if not logs:
        receipt = ScoringReceipt.read(stage.folder)
        if receipt is not None and receipt.no_champion:
            remedy = "'amad promote VERSION --force --reason TEXT'"
            return warn(receipt.no_champion, remedy)
        return warn("this fleet was never scored", FIRST_SCORE)
    last = logs[-1]
    schedule = "look at its log: journalctl -u 'amad-score@*', runs/nightly.log or the RayJob's"
    if last.status == "failed":
        return fail(f"job {last.id} failed: {last.error}", schedule)
    if last.status == "killed":
        return fail(
            f"job {last.id} on {last.host} was killed",
            f"run 'amad score': it continues where that one stopped; {schedule}",
        )
    if last.status == "running":
        where = f"process {last.pid} on {last.host}"
        return ok(f"job {last.id} is running, {where}")
    ended = last.ended or last.started
    now = datetime.now(UTC)
    did = count(len(last.dates), "date") if last.dates else "nothing was new"
    undone = [(item.date, item.reason) for item in last.failed]
    undone += [(item.date, item.reason) for item in last.refused]
    if undone:
        finding = (
            f"job {last.id} left {len(undone)} vehicle-days or dates as they were, of "
            f"{some(sorted({str(day) for day, _ in undone}), SHOWN)}: {undone[0][1]}"
        )
        return warn(finding, "mend that and run 'amad score' again")
    if last.blank:
        finding = f"job {last.id} could give no row a score of {last.dates_without_score}"
        return warn(finding, "see 'unscored quarantined days' above, and mend the data")
    if _is_ahead(ended, now):  # no missed night would be seen until the clock is there
        remedy = "see that the clock of this machine is right, then run 'amad score'"
        return warn(f"job {last.id} ended {_when(ended, now)}", remedy)
    finding = f"job {last.id} ended well {_when(ended, now)}, {did}"
    if now - ended > NIGHTLY:
        remedy = "if scoring is scheduled, see why not: systemctl list-timers 'amad-score@*'"
        return warn(finding, remedy)
    return ok(finding)


def steps_of_the_night(stage: Stage) -> Finding:
    """How did the last run of each step go? A scoring job is told by ``last_scoring``."""
    steps, (jobs, _) = step_logs(stage.runs), job_logs(stage.runs)
    if failed := step_troubles(steps, jobs):
        named = some((str(item) for item in failed), SHOWN, "; ")
        return fail(named, "mend that and run them again, in the order of the night")
    now = datetime.now(UTC)
    last = {log.step: log.ended or log.started for log in steps}
    ran = ", ".join(f"{log.step} {log.status} {_when(last[log.step], now)}" for log in steps)
    if any(_is_ahead(moment, now) for moment in last.values()):
        return warn(
            ran, "see that the clock of this machine is right; the next night notes them anew"
        )
    return ok(ran or "none has run yet")


def freshness(stage: Stage) -> Finding:
    """Is every date scored that ``amad score`` scores without being asked for it?"""
    from amad.scores.partitions import manifests
    from amad.scores.unscored import first_date, unscored_dates
    from amad.telemetry.lake import Lake

    folder, scored = stage.folder / "lake", manifests(stage.runs)
    first = first_date(job_logs(stage.runs)[0], stage.runs)
    if not folder.is_dir() or not scored or first is None:
        return warn("nothing to compare yet", FIRST_SCORE)
    lake = Lake(folder, stage.fleet)
    behind = unscored_dates(lake, first, scored)
    if behind:
        many = f"{count(len(behind), 'date')} of the lake without scores: {some(behind, SHOWN)}"
        return warn(many, "run 'amad score'")
    return ok(f"the newest date of the lake, {lake.dates()[-1]}, is scored")


def dvc(stage: Stage) -> Finding:
    """Is the project under DVC, and are its stages up to date? ``source`` always runs."""
    home = stage.settings.home
    if not (home / ".dvc").is_dir():
        return warn(f"{home} is no DVC project", "run 'dvc init' ('dvc init --no-scm' outside git)")
    if not (home / "dvc.lock").is_file():
        return warn("no stage has run yet", whole_pipeline(stage.fleet.name))
    named = read_params(stage.settings.params_file).fleets
    if stage.fleet.name not in named:
        left_out = f"'dvc repro' leaves {stage.fleet.name} out: params.yaml names {some(named)}"
        return ok(f"{left_out} under 'fleets'")
    command = shutil.which("dvc") or str(Path(sys.executable).with_name("dvc"))
    try:
        result = subprocess.run(
            [command, "status", "--json"],
            cwd=home,
            capture_output=True,
            text=True,
            timeout=DVC_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return warn(f"'dvc status' took over {DVC_SECONDS:.0f} s", "run it yourself")
    if result.returncode:
        said = " ".join(result.stderr.split())
        if any(words in said for words in DVC_RUNS):
            return ok("another dvc runs in this project; look again once it has ended")
        return fail(said.partition(" If there are no processes")[0], "run 'dvc status' yourself")
    changed, unmade = list[str](), list[str]()
    for full, states in json.loads(result.stdout or "{}").items():
        name, _, fleet = full.partition("@")
        if name != "source" and fleet in (stage.fleet.name, ""):
            lacks = any(not (home / out).exists() for out in _changed_outs(states))
            (unmade if lacks else changed).append(name)
    if unmade:  # also in a clone, which has the lock file of another machine
        leave = "leaves" if len(unmade) == 1 else "leave"
        many = f"not made here yet, or removed: what {some(unmade, SHOWN)} {leave}"
        return warn(many, f"{whole_pipeline(stage.fleet.name)}, {LEAVE_IT}")
    if changed:
        many = f"changed since the last run: {some(changed, SHOWN)}"
        return warn(many, f"run 'dvc repro', {LEAVE_IT}")
    return ok("every stage is up to date")


def _changed_outs(states: list) -> list[str]:
    """The outputs that ``dvc status`` names for a stage. states: what it says of the stage."""
    told = [state for state in states if isinstance(state, dict)]
    return [out for state in told for out in state.get("changed outs", {})]


def leftovers(stage: Stage) -> Finding:
    """What a killed run left behind: a broken lock of DVC, staging folders."""
    rwlock = stage.settings.home / ".dvc" / "tmp" / "rwlock"
    # DVC itself removes a sound lock whose process is gone.
    if rwlock.is_file() and not _is_json(rwlock):
        return fail(f"{rwlock} is broken, so no dvc can run", f"rm {rwlock}")
    _, unreadable = job_logs(stage.runs)
    if unreadable:
        finding = f"damaged job logs, which are left out: {some(unreadable, SHOWN)}"
        return warn(finding, "delete them")
    places = product((stage.folder, stage.runs), range(3), (".stage-*", ".old-*"))
    found = (path for root, depth, mark in places for path in listed(root, *["*"] * depth, mark))
    if old := [path for path in found if _is_old(path)]:
        return warn(f"killed runs left {some(sorted(old), SHOWN)}", "delete them")
    return ok("none")


def _is_old(path: Path) -> bool:
    """Does it belong to no running stage? A time that lies ahead is of a clock that was wrong."""
    try:
        return abs(time.time() - path.stat().st_mtime) > LEFT_SECONDS
    except FileNotFoundError:  # the stage has ended meanwhile
        return False


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError:
        return False
    return True


def _when(moment: datetime, now: datetime) -> str:
    """How long ago a moment is, in words; it may lie ahead, where a clock was put back."""
    hours = (now - moment).total_seconds() / 3600
    if _is_ahead(moment, now):
        return f"at {moment:%Y-%m-%d %H:%M} UTC, which is in the future"
    if hours >= 48:
        return f"{count(int(hours // 24), 'day')} ago"
    return f"{hours:.0f} h ago" if hours >= 1 else f"{max(0, 60 * hours):.0f} min ago"


def _is_ahead(moment: datetime, now: datetime) -> bool:
    return moment - now > timedelta(hours=1)
