"""The logs of scoring jobs: the newest is the last one, whatever the clock says."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from amad.cli.doctor import diagnose
from amad.config import Settings
from amad.scores import job_log
from amad.scores.job_log import JobLog, job_logs, newest_number, save, scoring_job
from amad.storage import lease


def run(runs: Path) -> JobLog:
    with scoring_job(runs, "kit") as log:
        pass
    return log


def test_a_job_after_the_clock_was_put_back_is_the_newest(tmp_path: Path, capsys):
    first = run(tmp_path)
    ahead = run(tmp_path).model_copy(update={"started": datetime.now(UTC) + timedelta(days=2)})
    save(tmp_path, ahead)
    assert "clock" not in capsys.readouterr().err
    back = run(tmp_path)
    assert "this machine's clock was put back: the last job began at" in capsys.readouterr().err
    found, _ = job_logs(tmp_path)
    assert [log.id for log in found] == [first.id, ahead.id, back.id]
    assert back.started < ahead.started


def test_the_number_of_the_newest_job_takes_a_look_at_that_log_alone(tmp_path: Path, monkeypatch):
    assert newest_number(tmp_path) == 0
    day = datetime(2026, 1, 5, tzinfo=UTC)
    for number in (2, 4, 3, 1):
        save(tmp_path, JobLog(id=f"{number}", number=number, status="done", started=day, dates=[]))
    looked_at: list[str] = []
    read = JobLog.read_file
    monkeypatch.setattr(JobLog, "read_file", lambda file: looked_at.append(file.stem) or read(file))
    assert newest_number(tmp_path) == 4 and looked_at == ["4"]
    jobs = tmp_path / "jobs"
    (jobs / "4.json").write_text((jobs / "4.json").read_text().replace('"done"', '"gone"'))
    (jobs / "5.json").write_text("{")
    (jobs / "6.json").mkdir()
    assert newest_number(tmp_path) == 3, "a damaged log is none"


def test_of_many_logs_the_newest_stay_and_the_newest_of_each_date(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(job_log, "KEPT", 4)
    day = datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(1, 11):
        dates = [(day + timedelta(days=number // 4)).date()]  # jobs 1 to 3, 4 to 7, 8 to 10
        log = JobLog(id=f"{number:02}", number=number, status="done", started=day, dates=dates)
        save(tmp_path, log.model_copy(update={"model_version": "2" if number == 1 else "1"}))
    run(tmp_path)
    assert [log.number for log in job_logs(tmp_path)[0]] == [1, 3, 7, 8, 9, 10, 11]
    run(tmp_path)
    assert len(job_logs(tmp_path)[0]) == 5 + 3, "there are too few to look again"


def test_a_file_that_may_not_be_read_is_told_in_the_log_with_the_way_out(tmp_path: Path):
    with pytest.raises(PermissionError), scoring_job(tmp_path, "kit"):
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/scores")
    [log], _ = job_logs(tmp_path)
    assert log.error is not None and log.error.startswith("/srv/scores: permission denied; give")


def test_a_log_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch):
    log = run(tmp_path)

    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(JobLog, "read_file", closed)
    with pytest.raises(PermissionError, match=log.id):
        job_logs(tmp_path)


def test_logs_of_earlier_releases_come_first_in_the_order_of_their_starts(tmp_path: Path):
    now = datetime.now(UTC)
    for days in (1, 3, 2):
        started = now - timedelta(days=days)
        save(tmp_path, JobLog(id=f"old-{days}", status="done", started=started, dates=[]))
    new = run(tmp_path)
    found, _ = job_logs(tmp_path)
    assert [log.id for log in found] == ["old-3", "old-2", "old-1", new.id]


def test_the_holder_of_a_lease_is_known_again_after_the_clock_jumped(monkeypatch):
    """The kernel tells starts of processes from the boot, whose time moves with the clock."""
    holder = lease._content("score")
    boot, create = psutil.boot_time(), psutil.Process().create_time()
    jump = 2 * 86_400.0
    monkeypatch.setattr(psutil, "boot_time", lambda: boot + jump)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create + jump)
    assert not lease._is_dead(holder)
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create + jump + 5)
    assert lease._is_dead(holder), "another process has its number"


@pytest.mark.parametrize("name", ["scoring.lock", "jobs"])
def test_the_doctor_names_what_is_closed_to_the_user_who_runs_amad(home: Path, monkeypatch, name):
    settings = Settings(home=home)
    closed = settings.runs_dir("demo") / name
    (closed.parent / "jobs").mkdir(parents=True)
    (closed.parent / "scoring.lock").touch()
    (closed.parent / "told.json").touch()

    def access(path: Path, mode: int) -> bool:
        """As for files of another user that may be read."""
        return Path(path) not in (closed, closed.parent / "told.json") or mode == os.R_OK

    monkeypatch.setattr(os, "access", access)
    found = {check.name: check for check in diagnose(settings, "demo")}["rights"]
    assert found.status == "fail" and found.finding.endswith(f"closed to this user: {closed}")
    monkeypatch.undo()
    found = {check.name: check for check in diagnose(settings, "demo")}["rights"]
    assert found.status == "ok"
