"""A cause counts once, wherever incidents are counted for people: log, status, metrics, export."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from notify_kit import DAY, VOLTAGE, Yard, an_incident
from prometheus_client import generate_latest
from sqlalchemy import create_engine, select

from amad.cli import scoring
from amad.config.wording import of_causes
from amad.engines.score.ledger import DateEntry, _count_causes
from amad.export.database import address_of
from amad.export.export import export
from amad.export.tables import INCIDENTS
from amad.notify.grouping import by_cause, causes, causes_on, read_causes
from amad.notify.metrics import job_metrics
from amad.notify.published import DAYS, read_window
from amad.notify.suppressed import not_told
from amad.scores import partitions
from amad.scores.feedback import Said, keep

VANS = ["van-1", "van-2", "van-3", "van-4"]


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """A quiet night, and one with a roll-out on all vehicles and something else on one of them."""
    made = Yard(tmp_path / "home")
    made.publish(0)
    roll_out = [an_incident(van, 1, severity=80.0) for van in VANS]
    made.publish(1, *roll_out, an_incident("van-2", 1, 20.0, 4.0, channels={VOLTAGE: 0.9}))
    return made


def exported(yard: Yard) -> list[dict]:
    address = f"sqlite:///{yard.home}/fleet.db"
    export(yard.stage, address_of(address))
    engine = create_engine(address)
    with engine.connect() as connection:
        rows = connection.execute(select(INCIDENTS).order_by(INCIDENTS.c.incident_id)).mappings()
        found = [dict(row) for row in rows]
    engine.dispose()
    return found


def test_incidents_of_one_cause_count_once(yard):
    found = causes(read_window(yard.runs, "1"))
    assert [len(cause.changes) for cause in found] == [4, 1]
    ids = [change.incident_id for change in found[0].changes]
    assert by_cause(found, [*ids, "of none"]) == {ids[0]: ids, "of none": ["of none"]}
    assert causes_on(found, [DAY]) == [] and causes_on(found, [DAY + timedelta(days=1)]) == found
    assert of_causes(1, 4, "new") == "1 new cause (4 incidents)"
    assert of_causes(2, 2, "new") == "2 new incidents"


def test_the_log_of_a_job_and_the_status_count_causes(yard):
    log = yard.log(1, incidents=5)
    assert len(causes_on(read_causes(yard.runs, "1", log.dates), log.dates)) == 2
    days = [DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)]
    entries = [DateEntry(date=d, state="scored", incidents=5 * (d == days[2])) for d in days]
    _count_causes(entries, read_window(yard.runs, "1"))
    assert [entry.causes for entry in entries] == [None, 0, 2]


def test_the_metrics_count_causes_that_somebody_is_told_of(yard):
    log = yard.log(1, causes=2)
    window = read_window(yard.runs, "1")

    def figures() -> str:
        return generate_latest(job_metrics(yard.stage, [log], window, {}, True)).decode()

    assert 'amad_job_causes{fleet="kit"} 2.0' in figures()
    assert 'amad_open_causes{fleet="kit",level="high"} 1.0' in figures(), "the others are over"
    yard.publish(1, *(an_incident(van, 1, 23.5, severity=80.0) for van in VANS))
    window = read_window(yard.runs, "1")
    assert 'amad_open_causes{fleet="kit",level="critical"} 1.0' in figures()
    (of_fleet,) = causes(window)
    log.suppressed = {change.incident_id: "campaign" for change in of_fleet.changes[1:]}
    assert 'amad_open_causes{fleet="kit",level="critical"} 1.0' in figures(), "one is told of"
    log.suppressed |= {of_fleet.id: "campaign"}
    assert 'amad_open_causes{fleet="kit",level="critical"} 0.0' in figures()


def test_fail_on_critical_names_one_cause(yard, capsys):
    wanted = [scoring.FailOn.CRITICAL]
    assert scoring._found(yard.stage, wanted, scored=True) == {9}
    assert "1 critical cause (4 incidents) on van-1, van-2, van-3, van-4" in capsys.readouterr().err
    (of_fleet, _) = causes(read_window(yard.runs, "1"))
    keep(yard.runs, [Said(incident_id=c.incident_id, verdict="planned") for c in of_fleet.changes])
    assert scoring._found(yard.stage, wanted, scored=True) == set()


def test_fail_on_critical_follows_a_verdict_to_the_new_id_of_its_incident(yard):
    """Later rows move the start of a judged incident, and its id with it."""
    before = an_incident("van-1", 2, hour=8.0, hours=2.0, severity=90.0)
    yard.publish(2, before)
    keep(yard.runs, [Said(incident_id=before.incident_id, verdict="false")])
    yard.publish(2, an_incident("van-1", 2, hour=7.5, hours=2.5, severity=90.0))
    assert scoring._found(yard.stage, [scoring.FailOn.CRITICAL], scored=True) == set()


def test_what_nobody_is_told_of_is_counted_in_causes(yard):
    found = of_fleet, other = causes(read_window(yard.runs, "1"))
    reasons = {change.incident_id: "rule 'campaign'" for change in of_fleet.changes}
    assert not_told(reasons, found) == "not told: 1 cause (4 incidents), rule 'campaign'"
    reasons |= {other.id: "judged as false"}
    told = "not told: 1 incident, judged as false; 1 cause (4 incidents), rule 'campaign'"
    assert not_told(reasons, found) == told and not_told({}, found) == ""


def test_exported_incidents_name_their_cause_and_keep_it_when_nothing_changes(yard):
    first = exported(yard)
    roll_out = [row for row in first if row["cause"].startswith("Whole fleet: 4 of 4 vehicles")]
    assert len(first) == 5 and len(roll_out) == 4
    assert {row["cause_id"] for row in roll_out} == {roll_out[0]["incident_id"]}
    (other,) = (row for row in first if row not in roll_out)
    assert other["cause"] == "van-2: Battery voltage; high"
    assert other["cause_id"] == other["incident_id"]
    for night in range(2, DAYS + 3):
        yard.publish(night, *([an_incident("van-1", night)] if night == DAYS else []))
    later = exported(yard)
    assert [row["cause"] for row in later] == [
        *(row["cause"] for row in first),
        "van-1: Coolant temperature; high",
    ]
    (yard.home / "fleet.db").unlink()
    assert exported(yard) == later, "a new database has the same, though the notices forgot it"


def test_an_old_cause_follows_the_incidents_that_it_is_found_from(yard):
    first = exported(yard)
    for night in range(2, DAYS + 3):
        yard.publish(night)
    yard.publish(1, an_incident("van-1", 1, severity=80.0))  # the others are over after all
    later = {row["incident_id"]: row for row in exported(yard)}
    assert len(later) == len(first) and sum(row["withdrawn"] for row in later.values()) == 4
    (alone,) = (row for row in later.values() if not row["withdrawn"])
    assert alone["cause"].startswith("van-1: ") and alone["cause_id"] == alone["incident_id"]


def test_a_cause_that_began_on_a_removed_date_stays(yard):
    """A headline of the whole fleet is not lost with the date of its first incident."""
    yard.publish(2, an_incident("van-1", 2, 0.2))
    yard.publish(1, an_incident("van-1", 1, 23.0, 0.5))
    before = {row["incident_id"]: row["cause_id"] for row in exported(yard)}
    assert len(set(before.values())) == len(before) - 1, "two are one cause over midnight"
    day = DAY + timedelta(days=1)
    for kind in ("scores", "incidents"):
        shutil.rmtree(partitions.folder(yard.runs, kind, "1", day))
    assert {row["incident_id"]: row["cause_id"] for row in exported(yard)} == before
