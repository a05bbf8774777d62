"""What verdicts teach: incidents like several false ones are not told, and no other."""

import json
from dataclasses import replace

import pytest
from notify_kit import COOLANT, SPEED, VOLTAGE, Yard, an_incident, lines

from amad.cli.__main__ import run
from amad.detect.incidents import Incident
from amad.notify.delivery import preview, tell
from amad.notify.learnt import LEAST, MOST, REASON, SLACK, like_false
from amad.report.verdicts import Verdicts
from amad.scores.feedback import Feedback, Judgement, judge


def made(margin: float = 1.0, **changes) -> Incident:
    return an_incident(**changes, peak_score=5.0 + margin, threshold=5.0)


def said(*items: tuple[str, float], **changes) -> Feedback:
    """Verdicts with their margins, on the coolant of van-1."""
    judgement = {
        "by": "ana", "at": "2026-01-12T08:00:00+00:00", "vehicle": "van-1", "start": 0,
        "level": "high", "type": "level_shift", "channels": [COOLANT, SPEED], "shares": [0.7, 0.2],
    } | changes  # fmt: skip
    return Feedback(
        incidents={
            f"i-{n}": Judgement.model_validate(judgement | {"verdict": verdict, "margin": margin})
            for n, (verdict, margin) in enumerate(items)
        }
    )


FALSE = [("false", 0.4), ("false", 0.6), ("false", 0.5)]


def test_an_incident_like_three_false_ones_is_quiet() -> None:
    assert LEAST == 3
    assert like_false(made(0.6), said(*FALSE)) == ["i-0", "i-1", "i-2"]
    assert like_false(made(0.6), said(*FALSE[:2], ("planned", 0.5))) == []


@pytest.mark.parametrize(
    ("margin", "verdicts", "quiet"),
    [
        (0.6 + SLACK - 0.01, FALSE, True),
        (0.6 + SLACK + 0.01, FALSE, False),
        (MOST - 0.01, [("false", 9.0)] * 3, True),
        (MOST + 0.01, [("false", 9.0)] * 3, False),
        (0.5, [*FALSE, ("true", 0.7)], True),
        (0.7, [*FALSE, ("true", 0.7)], False),
    ],
)
def test_it_has_bounds_and_a_true_verdict_ends_it(margin, verdicts, quiet) -> None:
    assert bool(like_false(made(margin), said(*verdicts))) is quiet


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": 90.0},
        {"type": "first_move"},
        {"type": "unseen_code"},
        {"vehicle": "van-2"},
        {"channels": {VOLTAGE: 0.9, COOLANT: 0.1}},
    ],
)
def test_what_is_critical_plain_or_another_thing_is_told(changes) -> None:
    assert like_false(made(0.5), said(*FALSE))
    assert like_false(made(0.5, **changes), said(*FALSE)) == []


@pytest.mark.parametrize(
    "changes", [{"margin": None}, {"shares": []}, {"type": "first_move"}, {"vehicle": "van-2"}]
)
def test_verdicts_that_do_not_compare_teach_nothing(changes) -> None:
    feedback = said(*FALSE)
    items = {n: i.model_copy(update=changes) for n, i in feedback.incidents.items()}
    assert like_false(made(0.5), Feedback(incidents=items)) == []
    assert like_false(replace(made(0.5), channels=(), shares=()), said(*FALSE)) == []


def test_the_next_job_honours_it_lists_it_and_a_verdict_takes_it_back(home, capsys) -> None:
    yard = Yard(home)
    yard.sinks(file={})
    first = [made(0.5, hour=float(n)) for n in (1, 3, 5)]
    yard.publish(0, *first)
    tell(yard.stage)
    for item in first:
        judge(yard.runs, item.incident_id, "false")
    quiet, other = made(0.6, night=1), made(0.6, night=1, vehicle="van-2")
    yard.publish(1, quiet, other)
    assert REASON in preview(yard.stage).not_told
    tell(yard.stage)
    assert [line["incidents"][0]["vehicle"] for line in lines(yard)[1:]] == ["van-2"]
    job = json.loads(max((yard.runs / "jobs").glob("*.json")).read_text())
    assert job["hushed"][quiet.incident_id] == REASON
    verdicts = Verdicts.read(yard.stage).with_lessons(None)
    assert verdicts.said(quiet.incident_id) == ""
    capsys.readouterr()
    assert run(["feedback"]) == 0
    ids = ", ".join(sorted(item.incident_id for item in first))
    shown = capsys.readouterr().out
    assert f"{quiet.incident_id}  not told, like {ids}, which were judged false" in shown
    judge(yard.runs, first[0].incident_id, "planned")
    tell(yard.stage)
    assert lines(yard)[-1]["incidents"][0]["incident_id"] == quiet.incident_id, "it is taken back"


def test_an_incident_that_was_told_is_told_to_its_end(tmp_path) -> None:
    yard = Yard(tmp_path / "home")
    yard.sinks(file={})
    going = made(0.5, hour=23.5)
    first = [made(0.5, hour=float(n)) for n in (1, 3, 5)]
    yard.publish(0, *first, going)
    tell(yard.stage)
    for item in first:
        judge(yard.runs, item.incident_id, "false")
    yard.publish(1)
    tell(yard.stage)
    (last,) = [line for line in lines(yard) if line["state"] == "over"][-1]["incidents"]
    assert last["incident_id"] == going.incident_id
