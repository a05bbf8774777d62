"""What of the published scores and incidents counts for those who are told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from notify_kit import COOLANT, DAY, VOLTAGE, Yard, an_incident, at

from amad.notify.changes import find_changes
from amad.notify.grouping import grouped
from amad.notify.published import read_window
from amad.notify.wording import notice_of
from amad.scores import partitions


@pytest.fixture
def yard(tmp_path) -> Yard:
    return Yard(tmp_path / "home")


def test_the_published_incidents_are_read_and_joined_over_midnight(yard):
    evening = an_incident(hour=23.5, hours=0.5, severity=30)
    morning = replace(
        evening, end=at(1, 0.5), severity=55.0, level="high", alarm_rows=4, continued=True
    )
    yard.publish(0, evening)
    (first,) = read_window(yard.runs, "1").incidents.values()
    assert first.ongoing and first.last == DAY
    yard.publish(1, morning)
    (joined,) = read_window(yard.runs, "1").incidents.values()
    assert not joined.ongoing and joined.last == DAY + timedelta(days=1)
    assert (joined.incident.start, joined.incident.end) == (evening.start, morning.end)
    assert joined.incident.level == "high" and joined.incident.alarm_rows == 14


def test_an_incident_goes_on_until_a_scored_row_shows_its_end(yard):
    """The vehicle stops within the gap after the end; the row that ends it comes a night later."""
    yard.publish(0, an_incident(hour=7, hours=1), until=8.4)
    assert [i.ongoing for i in read_window(yard.runs, "1").incidents.values()] == [True]
    yard.publish(0, an_incident(hour=7, hours=1), until=9)
    assert [i.ongoing for i in read_window(yard.runs, "1").incidents.values()] == [False]
    yard.publish(0, an_incident(hour=7, hours=1), until=8.4)
    yard.publish(1)
    assert [i.ongoing for i in read_window(yard.runs, "1").incidents.values()] == [False]


def test_the_champions_partition_counts_and_a_damaged_one_is_left_out(yard):
    yard.publish(0, an_incident(), version="1")
    yard.publish(0, version="2")
    assert read_window(yard.runs, "2").incidents == {}
    assert len(read_window(yard.runs, "1").incidents) == 1
    file = yard.runs / "incidents" / "model_version=1" / f"date={DAY}" / "incidents.parquet"
    file.write_bytes(file.read_bytes()[:-3])
    damaged = read_window(yard.runs, "1")
    assert damaged.dates == {} and damaged.incidents == {}


def test_a_date_that_an_earlier_amad_wrote_says_nothing(yard, monkeypatch):
    """Its tables may have other columns; the next job scores it again."""
    with monkeypatch.context() as patch:
        patch.setattr(partitions, "CONTRACT", partitions.CONTRACT - 1)
        yard.publish(0, an_incident())
    assert read_window(yard.runs, "1").dates == {}


def test_a_fleet_without_scores_has_nothing_to_tell(yard):
    assert read_window(yard.runs, None).incidents == {}


@pytest.mark.parametrize(
    ("threshold", "until", "outlived"),
    [(0.5, 24.0, True), (5.0, 24.0, False), (0.5, 7.5, False)],
)
def test_alarms_that_end_while_the_score_stays_high_end_no_fault(yard, threshold, until, outlived):
    """The rows after the incident have a score of 1, below the threshold that they have, 5.

    Where its peak was over a threshold of 0.5, the threshold has moved and the score has not.
    """
    item = an_incident(threshold=threshold)
    yard.publish(0, item, until=7.5)
    told = {c.incident_id: c.told for c in find_changes({}, read_window(yard.runs, "1"), "low")}
    yard.publish(0, item, until=until)
    yard.publish(1)
    now = read_window(yard.runs, "1")
    (change,) = find_changes(told, now, "low")
    notice = notice_of(grouped([change], now)[0], yard.fleet, "r.html")
    assert change.state == "over" and change.outlived == outlived
    assert notice.incidents[0].outlived == outlived
    assert ("alarms over, but the score is still as high" in notice.headline) == outlived
    (told_of,) = (line for line in notice.sentences if "lasted" in line)
    assert told_of.endswith("what is wrong may go on." if outlived else "and is over.")


def test_a_fault_that_each_trip_shows_anew_names_the_earlier_dates(yard):
    """One on another sensor, on another vehicle or of the same date is none of them."""
    first = an_incident(night=0, hour=23.5, hours=0.5)
    rest = replace(first, end=at(1, 1.0), continued=True)
    third = [an_incident(night=2, hour=hour) for hour in (7.0, 9.0)]
    others = [
        an_incident(night=1, hour=12, channels={VOLTAGE: 0.9, COOLANT: 0.1}),
        an_incident("van-2", night=1, hour=15),
    ]
    for night, items in enumerate([[first], [rest, *others], third]):
        yard.publish(night, *items)
    now = read_window(yard.runs, "1")
    known = yard.fleet.channel_by_name
    said = ["van-1 had incidents on Coolant temperature on 2 earlier dates, the first 2026-01-10."]
    assert [now.again(item.incident_id, known) for item in third] == [said, said]
    assert not any(now.again(item.incident_id, known) for item in (first, *others))
    new = [c for c in find_changes({}, now, "low") if c.incident_id == third[0].incident_id]
    assert said[0] in notice_of(grouped(new, now)[0], yard.fleet, "r.html").sentences
    judged = replace(now, none=frozenset({first.incident_id}))
    assert judged.again(third[0].incident_id, known) == [], "it was judged to be none"
    yard.publish(0)
    yard.publish(1, an_incident(night=1, hour=2.0))
    (once,) = read_window(yard.runs, "1").again(third[0].incident_id, known)
    assert once == "van-1 had incidents on Coolant temperature on an earlier date, 2026-01-11."
