"""The benchmark of what verdicts are worth."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from notify_kit import an_incident

from amad.notify import learnt
from bench.feedback import TRIED, Alarmed, left_out, lines, lived, plain, rule_with

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
    assert found.counts(lived(found, 1.0, 0.0, 0)) == {"false": 1, "true": 6, "events": 6}
    assert found.counts(lived(found, 0.0, 0.0, 0)) == found.counts(found.incidents)
    with rule_with({"SLACK": 0.0}):
        assert found.counts(lived(found, 1.0, 0.0, 0))["false"] == 6, "each is a little stronger"
    assert learnt.SLACK > 0


def test_a_fleet_that_is_left_out_has_no_say_in_its_settings():
    def a_fleet_of(*counts: tuple[int, int]) -> dict:
        return {"settings": [{"n": n, "events": e, "false": f} for n, (e, f) in enumerate(counts)]}

    fleets = {"a": a_fleet_of((9, 5), (9, 4), (8, 1)), "b": a_fleet_of((3, 2), (3, 9), (3, 0))}
    assert {name: own["n"] for name, own in left_out(fleets).items()} == {"a": 2, "b": 1}
    assert left_out({"a": fleets["a"]}) == {}


@pytest.mark.parametrize(("false", "left"), [(6, 6), (3, 3), (0, 0)])
def test_the_opponent_has_no_more_false_ones(false: int, left: int):
    assert plain(a_fleet(), false) == {"false": left, "true": 6, "events": 6}


def test_the_guide_has_the_figures_that_were_measured():
    result = json.loads((ROOT / "bench" / "results" / "feedback.json").read_text())
    guide = (ROOT / "docs" / "guide" / "alerts.md").read_text(encoding="utf-8")
    assert "\n".join(lines(result)) in guide
    guide = " ".join(guide.split())
    rule = {name: getattr(learnt, name) for name in (*TRIED, "SLACK", "MOST")}
    assert result["rule"] == rule, "measured with the rule as it is"
    fleets = result["fleets"].values()

    def total(of: Iterable[dict]) -> tuple[int, int]:
        own = list(of)
        return tuple(round(sum(item[key] for item in own)) for key in ("false", "events"))

    before = total(own["before"] for own in fleets)
    all_, wrong = (
        total(own["engineers"][name] for own in fleets) for name in ("all", "one in ten wrong")
    )
    words = dict(enumerate(("no", "one", "two", "three", "four", "five", "six")))

    def lost(of: tuple[int, int]) -> str:
        return words[before[1] - of[1]]

    told = f"{all_[0]} of {before[0]} false incidents are left, and {lost(all_)} of the {before[1]}"
    assert f"{told} events are lost" in guide
    assert f"in ten wrong {wrong[0]}, and {lost(wrong)} are lost" in guide
    raised = total(own["plain"] for own in fleets)
    assert f"until as few are false loses {lost(raised)}." in guide
    left = total(result["left_out"].values())
    assert f" {left[0]} false incidents are left and {lost(left)} events are lost" in guide
