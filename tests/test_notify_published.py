"""What of the published scores and incidents counts for those who are told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from notify_kit import DAY, Yard, an_incident, at

from amad.notify.published import read_window
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
