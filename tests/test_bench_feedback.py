"""The benchmark of what verdicts are worth."""

from dataclasses import replace

import pytest
from notify_kit import an_incident

from amad.notify import learnt
from bench.feedback import Alarmed, lived, plain, settings_of


def a_fleet() -> Alarmed:
    """A false incident each night on one vehicle, a true one each night on another."""
    made = [
        replace(an_incident(vehicle, night), peak_score=5.0 + margin)
        for night in range(6)
        for vehicle, margin in (("van-1", 0.2 + night / 100), ("van-2", 2.0))
    ]
    events = [(i.vehicle, i.start, i.end) for i in made if i.vehicle == "van-2"]
    return Alarmed(incidents=made, events=events)


def test_verdicts_of_earlier_dates_alone_count():
    found = a_fleet()
    assert found.counts(found.incidents) == {"false": 6, "true": 6, "events": 6}
    assert found.counts(lived(found, 1.0, 0.0, 0)) == {"false": 3, "true": 6, "events": 6}
    assert found.counts(lived(found, 0.0, 0.0, 0)) == found.counts(found.incidents)
    with settings_of(0.8, 1):
        assert found.counts(lived(found, 1.0, 0.0, 0))["false"] == 1
    assert learnt.LEAST == 3


@pytest.mark.parametrize(("false", "left"), [(6, 6), (3, 3), (0, 0)])
def test_the_opponent_has_no_more_false_ones(false: int, left: int):
    assert plain(a_fleet(), false) == {"false": left, "true": 6, "events": 6}
