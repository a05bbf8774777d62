"""A step of the night that fails leaves a trace where people and programs look."""

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from notify_kit import Yard, an_incident

from amad.cli.__main__ import run
from amad.cli.doctor.operation_checks import steps_of_the_night
from amad.config import DataError, InterruptionError
from amad.notify.delivery import tell
from amad.scores import run_log, step_log
from amad.scores.job_log import JobLog
from amad.scores.step_log import StepLog, noted, step_logs
from amad.scores.unscored import failed_steps, step_troubles
from pipelines import follows_storage

NEXT_YEAR = datetime.now(UTC) + timedelta(days=365)
NOW = datetime(2026, 1, 12, 4, 30, tzinfo=UTC)


@pytest.fixture
def yard(home: Path) -> Yard:
    """A fleet of which one night went well."""
    yard = Yard(home)
    yard.publish(0, an_incident("van-1"))
    return yard


def fails(error: BaseException):
    """A stage that ends with this error, wrapped as a stage is."""

    @follows_storage("ingest")
    def stage(params, settings, **options):
        raise error

    return stage


def test_the_note_says_how_a_step_ended(tmp_path: Path):
    with noted(tmp_path, "ingest"):
        assert [log.status for log in step_logs(tmp_path)] == ["running"]
    assert [log.status for log in step_logs(tmp_path)] == ["done"]
    for error, status, told in (
        (DataError("the disk is away."), "failed", "failed: the disk is away"),
        (ValueError("a bug"), "failed", "failed: ValueError: a bug"),
        (InterruptionError(), "killed", "was killed"),
        (KeyboardInterrupt(), "killed", "was killed"),
    ):
        with pytest.raises(type(error)), noted(tmp_path, "ingest"):
            raise error
        (log,) = step_logs(tmp_path)
        assert (log.status, log.trouble) == (status, told)


def test_a_long_error_keeps_what_happened_and_what_to_do(tmp_path: Path):
    with pytest.raises(DataError), noted(tmp_path, "validate"):
        raise DataError(f"5 % of the rows were refused, such as {'x' * 3000}. Mend the files.")
    trouble = step_logs(tmp_path)[0].trouble or ""
    assert trouble.startswith("failed: 5 % of the rows") and trouble.endswith("Mend the files")
    assert " ... " in trouble and len(trouble) < 900


def test_a_step_that_was_killed_is_known_by_its_lock(tmp_path: Path):
    log = StepLog(step="validate", status="running", started=NOW)
    log.write_file(tmp_path / "steps" / "validate.json")
    assert [item.status for item in step_logs(tmp_path)] == ["killed"]
    note = tmp_path / "steps" / "validate.json"
    note.write_text("{")
    assert step_logs(tmp_path) == [], "a damaged note is none"
    note.unlink()
    note.mkdir()
    assert step_logs(tmp_path) == []
    with noted(tmp_path, "validate"):
        pass


def test_nothing_is_noted_of_a_second_run_beside_the_first_nor_where_nothing_can_be(tmp_path: Path):
    with noted(tmp_path, "ingest"):
        with pytest.raises(DataError), noted(tmp_path, "ingest"):
            raise DataError("another one holds the lock")
        assert [log.status for log in step_logs(tmp_path)] == ["running"]
    (tmp_path / "file").write_text("")
    with noted(tmp_path / "file", "ingest"):
        pass


@pytest.mark.parametrize(
    ("step", "after", "told"),
    [
        ("ingest", 4, True),
        ("score", 4, False),  # its job tells how it ended
        ("score", 5, True),  # it failed before it began a job
        ("export", 4, False),  # the next job came, and nobody exported again
        ("export", 5, True),
    ],
)
def test_which_failures_still_count(step: str, after: int, told: bool):
    """The clock was a year ahead when the job began, and says nothing."""
    job = JobLog(id="1", number=5, status="done", started=NOW, ended=NOW, dates=[])
    began = NOW - timedelta(days=365)
    log = StepLog(step=step, after=after, status="failed", error="away", started=began)
    found = [str(item) for item in failed_steps([log], [job])]
    assert found == ([f"the last 'amad {step}' failed: away"] if told else [])


@pytest.mark.parametrize(
    ("number", "sinks", "told"),
    [
        (5, {}, True),
        (5, {"file": "nothing to tell"}, False),  # it was killed when all was told
        (6, {}, False),  # another job came, such as that of a stage
        (4, {}, False),  # it had not begun a job; see ``test_which_failures_still_count``
    ],
)
def test_a_score_that_was_killed_behind_its_job_is_told(number: int, sinks: dict, told: bool):
    job = JobLog(
        id="1", number=number, status="done", started=NOW, ended=NOW, dates=[], sinks=sinks
    )
    log = StepLog(step="score", after=4, status="killed", started=NOW)
    found = [str(item) for item in step_troubles([log], [job])]
    assert [text for text in found if "after its job was done" in text] == found[:told]


def test_sinks_are_told_once_of_a_night_that_ends_before_a_job(yard: Yard, monkeypatch, capsys):
    yard.sinks(file={}, prometheus={"textfile": "kit.prom"}, heartbeat=False)
    tell(yard.stage)
    monkeypatch.setattr(import_module("pipelines.ingest"), "run", fails(DataError("no folder")))
    assert run(["ingest"]) == run(["ingest"]) == 3
    assert "error: no folder" in capsys.readouterr().err
    lines = [json.loads(line) for line in (yard.runs / "alerts.jsonl").read_text().splitlines()]
    assert [line["type"] for line in lines] == ["incidents", "health"]
    assert lines[1]["findings"][0]["text"] == "the last 'amad ingest' failed: no folder"
    assert "-ingest-" in lines[1]["key"]
    figures = (yard.home / "kit.prom").read_text()
    assert 'amad_job_ok{fleet="kit"} 0.0' in figures
    assert 'amad_health_findings{fleet="kit",kind="unscored"} 1.0' in figures
    status, told, _ = steps_of_the_night(yard.stage)
    assert (status, told) == ("fail", "the last 'amad ingest' failed: no folder")

    with noted(yard.runs, "ingest"):
        pass
    tell(yard.stage)
    last = json.loads((yard.runs / "alerts.jsonl").read_text().splitlines()[-1])
    assert (last["state"], last["kind"]) == ("mended", "unscored")
    assert steps_of_the_night(yard.stage)[0] == "ok"


def test_a_fleet_whose_first_night_fails_is_told_and_keeps_what_was_told_before(home: Path):
    yard = Yard(home)
    yard.sinks(file={})
    with pytest.raises(DataError), noted(yard.runs, "validate"):
        raise DataError("too many fail")
    tell(yard.stage, well=False)
    (line,) = (yard.runs / "alerts.jsonl").read_text().splitlines()
    assert "the last 'amad validate' failed: too many fail" in line


def test_a_step_notes_the_newest_job_and_a_clock_that_was_ahead_is_told(yard: Yard, monkeypatch):
    number = yard.log(0, number=4).number
    with monkeypatch.context() as clock:
        clock.setattr(step_log, "datetime", SimpleNamespace(now=lambda zone: NEXT_YEAR))
        clock.setattr(run_log, "datetime", SimpleNamespace(now=lambda zone: NEXT_YEAR))
        with pytest.raises(DataError), noted(yard.runs, "export"):
            raise DataError("the database is away")
    (log,) = step_logs(yard.runs)
    assert log.after == number
    with noted(yard.runs, "ingest"):
        pass
    yard.log(1, number=5)
    status, told, remedy = steps_of_the_night(yard.stage)
    assert status == "warn" and "which is in the future" in told and "clock" in remedy
