"""``amad prune`` removes what is old, keeps what is needed, and nothing of it comes back."""

import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from notify_kit import DAY, Yard, an_incident
from scoring_kit import FAULTY, run_job
from stop_kit import KILL, stopped

from amad.cli.__main__ import run
from amad.config import DataError, ServiceError
from amad.notify.published import read_window
from amad.report.scoring_run import ScoringRun
from amad.scores import partitions
from amad.scores.job_log import job_logs, scoring_lock
from amad.scores.retention import Retention, first_kept, old_results, prune
from tests.closed_folders import close_folders

NIGHTS = (0, 1, 30, 58, 59)


@pytest.fixture
def yard(home) -> Yard:
    yard = Yard(home, vehicles=["van-1"])
    for night in NIGHTS:
        yard.publish(night, an_incident(night=night))
    return yard


def dates(yard: Yard) -> list[int]:
    return [(day - DAY).days for day in partitions.manifests(yard.runs)]


def old(path: Path, days: float) -> Path:
    """A folder with a file, which nobody has written to for so many days."""
    path.mkdir(parents=True)
    (path / "weights").write_text("w")
    for item in (path / "weights", path):
        at = item.stat().st_mtime - days * 86_400
        os.utime(item, (at, at))
    return path


def test_what_is_old_goes_and_the_rest_stays(yard):
    aside = yard.runs / "set_aside" / "digest" / "scores" / "model_version=9" / f"date={DAY}"
    aside.mkdir(parents=True)
    (aside / "part.parquet").write_text("p")
    gone, kept = old(yard.runs / "ray" / "train-1", 60), old(yard.runs / "ray" / "train-2", 2)
    shown = old_results(yard.runs, 30)
    assert dates(yard) == list(NIGHTS), "asking removes nothing"
    assert prune(yard.runs, "kit", 30) == shown
    assert dates(yard) == [30, 58, 59]
    assert not aside.exists() and not gone.exists() and kept.exists()
    assert len(job_logs(yard.runs)[0]) == 3
    assert first_kept(yard.runs) == DAY + timedelta(days=2)
    assert not list(yard.runs.rglob(".stage-*"))
    assert len(read_window(yard.runs, "1").incidents) == 2
    assert prune(yard.runs, "kit", 30) == []


def test_what_the_report_shows_stays_whatever_its_age(yard):
    yard.log(59, dates=[DAY, DAY + timedelta(days=59)])
    prune(yard.runs, "kit", 30)
    assert dates(yard) == [0, 30, 58, 59]


def test_a_fleet_without_scores_has_nothing_to_remove(tmp_path):
    assert old_results(tmp_path / "runs", 30) == prune(tmp_path / "runs", "kit", 30) == []


def test_nothing_is_removed_under_a_running_job(yard):
    with scoring_lock(yard.runs, "kit"), pytest.raises(ServiceError, match="another job"):
        prune(yard.runs, "kit", 30)
    assert dates(yard) == list(NIGHTS)


def test_a_damaged_note_is_told_and_written_anew(yard):
    prune(yard.runs, "kit", 30)
    file = yard.runs / Retention.FILE
    file.write_text(file.read_text().replace("2026", "2025"))
    with pytest.raises(DataError, match="amad prune"):
        first_kept(yard.runs)
    yard.publish(0)
    prune(yard.runs, "kit", 30)
    assert first_kept(yard.runs) == DAY + timedelta(days=1)


def test_a_damaged_note_is_written_anew_where_nothing_is_old(yard):
    prune(yard.runs, "kit", 30)
    (yard.runs / Retention.FILE).write_text('{"first": "20')
    assert prune(yard.runs, "kit", 60) == []
    assert first_kept(yard.runs) == DAY + timedelta(days=30), "the oldest date that is there"


def prune_kit(home: Path) -> None:
    prune(home / "runs" / "kit", "kit", 30)


@pytest.mark.slow
def test_a_kill_at_any_step_of_pruning_leaves_whole_dates(yard):
    """The next job begins with ``recover`` and ``first_kept``, and so meets no half of a date."""
    for step in (1, 2, 3, 4, 5, 6):
        code, said = stopped(prune_kit, yard.home, number=KILL, where="runs/kit", at=step)
        assert code == -KILL, said
        partitions.recover(yard.runs)
        first = first_kept(yard.runs)
        left = partitions.begun(yard.runs)
        assert all(versions["1"] is not None for versions in left.values())
        assert [(day - DAY).days for day in left if day < first] in ([], [0, 1])
        assert (first > DAY) == (step > 1)
        for night in (0, 1):
            yard.publish(night)
    prune(yard.runs, "kit", 30)
    assert dates(yard) == [30, 58, 59] and not list(yard.runs.glob("*/*/.stage-*"))


def test_whoever_reads_while_old_results_are_removed_finds_whole_dates(yard, monkeypatch):
    """A status, an export or a report may run beside it, and a kill may end it."""

    def halves() -> int:
        return sum(versions["1"] is None for versions in partitions.begun(yard.runs).values())

    def watched(work, most: int):
        def one(*arguments, **options):
            assert halves() <= most
            return work(*arguments, **options)

        return one

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", watched(Path.rename, 1))
        patch.setattr(shutil, "rmtree", watched(shutil.rmtree, 0))
        prune(yard.runs, "kit", 30)
    assert dates(yard) == [30, 58, 59]


def test_what_a_kill_left_of_scores_that_were_set_aside_goes_too(yard):
    partitions.set_aside(yard.runs, {"1": "another"})
    (path,) = yard.runs.glob("set_aside/*/scores/model_version=1/date=2026-01-10")
    path.rename(path.with_name(".stage-0123abcd-date=2026-01-10"))
    partitions.recover(yard.runs)
    assert not list(yard.runs.rglob(".stage-*"))


def test_the_command_says_what_goes(yard, capsys):
    assert run(["prune", "--days", "30", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "would be removed" in shown and "scores and incidents: of 2026-01-10 to" in shown
    assert dates(yard) == list(NIGHTS)
    assert run(["prune", "--days", "30"]) == run(["prune", "--days", "30"]) == 0
    assert "nothing is older than 30 days" in capsys.readouterr().out
    assert run(["prune", "--days", "7"]) == run(["prune"]) == 2


@pytest.mark.engine
def test_dates_that_were_pruned_are_not_scored_again_unless_asked_for(place):
    fleet, settings = place
    runs = settings.runs_dir(fleet.name)
    scored = run_job(fleet, settings).dates
    Retention(first=FAULTY).write(runs)
    for kind in ("scores", "incidents"):
        for path in (runs / kind).glob("model_version=*/date=*"):
            if path.name < f"date={FAULTY}":
                for file in path.iterdir():
                    file.unlink()
                path.rmdir()
    assert min(scored) < FAULTY
    assert run_job(fleet, settings).dates == []
    assert run_job(fleet, settings, first=min(scored), last=min(scored)).dates == [min(scored)]


@pytest.mark.parametrize("name", ["set_aside", "reports", "ray", "state", "epoch-1"])
def test_a_folder_of_old_results_that_may_not_be_read_is_not_an_empty_one(yard, monkeypatch, name):
    old(yard.runs / "ray" / "train-1" / "epoch-1", 60)
    os.utime(yard.runs / "ray" / "train-1", (0, 0))
    close_folders(monkeypatch, name)
    with pytest.raises(PermissionError, match=name):
        prune(yard.runs, "kit", 30)
    assert (yard.runs / "ray" / "train-1" / "epoch-1" / "weights").exists()
    assert dates(yard) == list(NIGHTS)


def test_a_newest_date_in_the_future_removes_nothing(yard):
    """It was scored while the clock of the machine was ahead."""
    yard.publish(10_000)
    with pytest.raises(DataError, match="2053-05-28, lies in the future by the clock"):
        prune(yard.runs, "kit", 30)
    assert dates(yard) == [*NIGHTS, 10_000]


def test_dates_in_the_future_are_set_aside_once_the_lake_has_no_rows_of_them(yard, capsys):
    yard.publish(10_000, an_incident(night=10_000))
    page = yard.runs / "reports" / "2053-05-28.html"
    page.parent.mkdir()
    page.touch()
    ahead, latest = DAY + timedelta(days=10_000), DAY + timedelta(days=60)
    partitions.set_aside_future(yard.runs, [ahead], latest)
    assert dates(yard) == [*NIGHTS, 10_000], "the lake has rows of it; then it is stale or right"
    partitions.set_aside_future(yard.runs, [], ahead)
    assert dates(yard) == [*NIGHTS, 10_000], "it does not lie in the future"
    partitions.set_aside_future(yard.runs, [DAY + timedelta(days=n) for n in NIGHTS], latest)
    assert dates(yard) == list(NIGHTS) and str(ahead) in capsys.readouterr().err
    assert not page.exists() and list((yard.runs / "set_aside").rglob(page.name))
    assert partitions.was_set_aside(yard.runs, ahead, "1")
    assert not partitions.was_set_aside(yard.runs, DAY)
    assert ScoringRun.last(yard.stage).dates == [DAY + timedelta(days=59)]
    assert read_window(yard.runs, "1").incidents, "what is told follows from the other dates"
