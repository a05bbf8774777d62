"""The benchmark of what verdicts are worth."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from notify_kit import an_incident

from amad.notify import learnt
from bench.feedback import Alarmed, lines, lived, plain, settings_of

ROOT = Path(__file__).resolve().parent.parent


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


def test_the_guide_has_the_figures_that_were_measured():
    result = json.loads((ROOT / "bench" / "results" / "feedback.json").read_text())
    guide = (ROOT / "docs" / "guide" / "alerts.md").read_text(encoding="utf-8")
    assert "\n".join(lines(result)) in guide
    rule = {"alike": learnt.ALIKE, "least": learnt.LEAST, "slack": learnt.SLACK}
    assert result["rule"] == rule, "measured with the rule as it is"
    fleets = result["fleets"].values()
    (before, found), (after, kept) = (
        [sum(int(of(own)[what]) for own in fleets) for what in ("false", "events")]
        for of in (lambda own: own["before"], lambda own: own["engineers"]["all"])
    )
    assert f"{after} of {before} false incidents" in guide
    assert found - kept == 1 and f"one event of {found} is lost" in guide
