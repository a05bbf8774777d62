"""A night of which no row could get a score is no good night: code, words, status and sinks say so.

Nobody knows how the vehicles were. A job that is tried again has nothing to do, and says the same.
"""

from datetime import UTC, datetime
from importlib import import_module

import pytest
from notify_kit import DAY, Yard, an_incident
from scoring_kit import AFTER, FLEET, kit_params, run_job, validated

from amad.cli.__main__ import run
from amad.cli.doctor.operation_checks import last_scoring
from amad.config import Stage
from amad.engines.score.ledger import read_ledger
from amad.scores.job_log import JobLog, left_undone, save
from amad.scores.partition_manifest import PartitionManifest
from amad.scores.receipts import ScoringReceipt
from pipelines import score


def manifest(day=DAY, scored: int = 0) -> PartitionManifest:
    """A published date of one vehicle, with 10 rows."""
    counts = {"rows": 10, "scored": scored, "unscored": {"quarantined": 10 - scored}}
    return PartitionManifest.model_construct(
        date=day, alarms=0, incidents=0, vehicle_days=1, quarantined=[], made_null={}, unseen={},
        withheld={}, unmeasured={}, **counts,
    )  # fmt: skip


def job(started: datetime = datetime(2026, 1, 12, tzinfo=UTC), **fields: object) -> JobLog:
    return JobLog(id="1", status="done", started=started, ended=started, dates=[], **fields)


def test_a_date_without_a_score_is_noted_and_found():
    log = job()
    log.add(manifest())
    assert log.blank and log.dates_without_score == "2026-01-10 (10 quarantined)"
    assert [str(item) for item in left_undone(log)] == [
        "2026-01-10 has no row with a score: 10 quarantined"
    ]
    log.add(manifest(DAY.replace(day=11), scored=9))
    assert not log.blank, "the newest date has scores"
    assert [item.since for item in left_undone(log)] == [DAY]


def test_a_day_that_goes_on_may_have_too_few_rows_yet():
    log = job(datetime(2026, 1, 10, 0, 5, tzinfo=UTC))
    log.add(manifest())
    assert not log.blank and left_undone(log) == []


def test_the_code_and_the_sinks_say_it(home, monkeypatch, capsys):
    yard = Yard(home)
    yard.publish(0, an_incident("van-1"))
    yard.sinks(prometheus={"textfile": "kit.prom"})
    told = ScoringReceipt(dates=[], blank="no row has a score of 2026-01-10")
    monkeypatch.setattr(import_module("pipelines.score"), "run", lambda *a, **k: told)
    assert run(["score"]) == run(["score", "--fail-on", "nothing-new"]) == 11
    assert "error: no row has a score of 2026-01-10" in capsys.readouterr().err
    assert 'amad_job_ok{fleet="kit"} 0.0' in (yard.home / "kit.prom").read_text()


@pytest.mark.slow
def test_a_night_that_is_quarantined_as_a_whole(place):
    fleet, settings = place
    everybody = tuple((vehicle, AFTER, None) for vehicle in ("a-1", "a-2", "b-1"))
    validated(fleet, settings, failed=everybody)
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    for _ in range(2):  # the second job has nothing to do
        receipt = score.run(kit_params(), settings)
        assert receipt.blank is not None and f"{AFTER} (" in receipt.blank
        assert last_scoring(stage)[0] == "warn"
    ledger = read_ledger(stage)
    assert ledger.dates[-1].state == "quarantined" and "quarantined" in ledger.dates[-1].why
    assert not ledger.is_well and str(AFTER) in ledger.troubles[0]
    validated(fleet, settings)
    assert score.run(kit_params(), settings).blank is None and read_ledger(stage).is_well


@pytest.mark.slow
def test_a_date_may_have_no_score_for_other_reasons_than_the_quarantine(place):
    fleet, settings = place
    log = run_job(fleet, settings)
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    found = PartitionManifest.read(
        settings.runs_dir(FLEET) / "scores" / "model_version=1" / f"date={AFTER}"
    )
    assert found is not None
    short = found.model_copy(update={"scored": 0, "unscored": {"too_short": found.rows}})
    short.write(settings.runs_dir(FLEET) / "scores" / "model_version=1" / f"date={AFTER}")
    log.without_score = {AFTER: short.unscored}
    save(settings.runs_dir(FLEET), log)
    entry = read_ledger(stage).dates[-1]
    assert entry.state == "without scores" and not entry.is_open
    assert "in too short a stretch" in entry.why
