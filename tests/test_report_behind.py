"""A page that is made after a job that failed says so first: nobody takes old scores for all."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from filelock import FileLock
from report_kit import FIRST_DAY, VERSION, an_incident, stage_of, write_data, write_fleet, write_run

from amad.config import Stage
from amad.report import build_report
from amad.report.scoring_run import ScoringRun
from amad.scores.job_log import JobLog, job_logs, known_since, save
from amad.telemetry.ingest_result import IngestResult, OutsideClass

UNKNOWN = "unknown: x-1"
LATER = datetime(2026, 1, 12, 4, 30, tzinfo=UTC)
NOTE = "Not all is done: "


@pytest.fixture
def stage(home: Path) -> Stage:
    """Three days in the lake, of which two are scored."""
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["van-1"], days=3)
    write_run(fleet, settings, {0: [an_incident(fleet, "van-1", 0, 100, 20)]}, days=[0, 1])
    return stage_of(fleet, settings)


def later_job(stage: Stage, **fields: object) -> JobLog:
    job = JobLog(id="later", number=1, started=LATER, ended=LATER, **{"dates": []} | fields)
    save(stage.runs, job)
    return job


def page_of(stage: Stage) -> str:
    report = build_report(stage)
    return report.path.read_text(encoding="utf-8")


def test_dates_that_no_job_has_come_to_are_named(stage: Stage):
    page = page_of(stage)
    assert f"{NOTE}1 date of the lake has no scores yet: 2026-01-11." in page
    assert "Not done, or left as it was" in page, "it stands under Fleet health with its remedy"
    assert build_report(stage).troubles == 1
    write_run(stage.fleet, stage.settings, {}, days=[0, 1, 2])
    assert NOTE not in page_of(stage) and build_report(stage).troubles == 0


def test_a_finding_is_new_on_one_night_and_then_known_since_it(stage: Stage):
    write_run(stage.fleet, stage.settings, {}, days=[0, 1, 2])
    found = IngestResult.require(stage.folder)
    other = [OutsideClass(vehicle="van-1", channel="x", values=3, last="2026-01-11")]
    lacking = {"vehicles_unknown": {"x-1": 7, "x-2": 7}, "outside_class": other}
    found.model_copy(update=lacking).write(stage.folder)
    (log,) = job_logs(stage.runs)[0]
    save(stage.runs, log.model_copy(update={"dates": [FIRST_DAY]}))
    first = later_job(
        stage, status="done", findings=[UNKNOWN], dates=[FIRST_DAY], model_version=VERSION
    )
    page = page_of(stage)
    assert "Fleet health: 3 findings, 3 new</a>" in page and "known since" not in page
    again = first.model_copy(update={"id": "again", "number": 2})
    again.health, again.dates = {"unknown": ["x-1 is in no class"]}, [FIRST_DAY + timedelta(days=1)]
    save(stage.runs, again)
    ahead = {"id": "ahead", "number": 0, "dates": [date(2027, 1, 9)]}  # of a wrong clock, and gone
    save(stage.runs, first.model_copy(update=ahead))
    page = page_of(stage)
    assert "Fleet health: 3 findings, 2 new</a>" in page
    assert page.count(f"<small>known since {FIRST_DAY}</small>") == 1
    assert "&#39;s class lacks: 1" in page and "&amp;#39;" not in page, "it is escaped once"
    assert page.index("<b>x-2</b>") < page.index("<b>x-1</b>"), "what is new comes first"
    for name in ("mended", "back"):
        again.number += 1
        again.id, again.findings = name, [] if name == "mended" else [UNKNOWN]
        save(stage.runs, again)
    scored = [FIRST_DAY, FIRST_DAY + timedelta(days=1)]
    assert known_since(job_logs(stage.runs)[0], scored) == {}, "it was mended in between"


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        ("failed", "the store does not answer; start it", "failed: the store does not answer"),
        ("killed", "interrupted; run the command again to go on", "was killed."),
    ],
)
def test_a_job_that_did_not_get_to_its_end_is_named_with_its_error(
    stage: Stage, status: str, error: str | None, told: str
):
    later_job(stage, status=status, error=error)
    page = page_of(stage)
    assert f"{NOTE}the last scoring job {told}" in page
    assert 'href="#health">All 2 findings' in page and "2026-01-11" in page


def test_a_job_that_was_killed_is_known_before_the_next_one_notes_it(stage: Stage):
    later_job(stage, status="running")
    lock = stage.runs / "scoring.lock"
    with FileLock(lock):
        assert job_logs(stage.runs)[0][-1].status == "running"
    assert job_logs(stage.runs)[0][-1].status == "killed"
    lock.chmod(0o444)  # as for somebody who may only look
    assert "the last scoring job was killed" in page_of(stage)


def test_what_a_job_published_before_it_was_killed_is_shown(stage: Stage):
    write_run(stage.fleet, stage.settings, {}, days=[0, 1, 2])
    day = FIRST_DAY.replace(day=FIRST_DAY.day + 2)
    job = later_job(stage, status="killed", dates=[day], model_version=VERSION)
    assert ScoringRun.last(stage).dates == [day]
    own = ScoringRun.of_date(stage.runs, day, VERSION, job_logs(stage.runs)[0])
    assert own.job is not None and own.job.id == job.id
