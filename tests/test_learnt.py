"""What verdicts teach: what is hardly stronger and no longer than false ones is not told."""

import json
from dataclasses import replace

import numpy as np
import pytest
from notify_kit import COOLANT, SPEED, VOLTAGE, Yard, an_incident, lines
from report_kit import judge

from amad.cli.__main__ import run
from amad.incidents.incident import Incident
from amad.notify.delivery import preview, tell
from amad.notify.learnt import (
    ELSEWHERE,
    MOST,
    ODDS,
    REASON,
    SAME_CHANNELS,
    SLACK,
    Lessons,
    in_words,
)
from amad.report.verdicts import Verdicts
from amad.scores.feedback import Feedback, Judgement, read_feedback


def made(margin: float = 1.0, **changes) -> Incident:
    return an_incident(**changes, peak_score=5.0 + margin, threshold=5.0)


HOUR = 3_600_000_000


def said(*items: tuple[str, float], **changes) -> Feedback:
    """Verdicts with their margins, on incidents of half an hour on the coolant of van-1."""
    judgement = {
        "by": "ana", "at": "2026-01-12T08:00:00+00:00", "vehicle": "van-1", "vehicle_class": "all",
        "level": "high", "type": "level_shift", "channels": [COOLANT, SPEED], "shares": [0.7, 0.2],
    } | changes  # fmt: skip
    return Feedback(
        incidents={
            f"i-{n:03}": Judgement.model_validate(
                {"start": n, "end": n + HOUR // 2}
                | judgement
                | {"verdict": verdict, "margin": margin}
            )
            for n, (verdict, margin) in enumerate(items)
        }
    )


def lesson(incident: Incident, feedback: Feedback) -> dict[str, int]:
    return Lessons(feedback).of(incident)


FALSE = [("false", 0.4)]
OTHER = {"vehicle": "van-2"}, {"channels": [VOLTAGE, SPEED]}  # one thing is not the same


def test_one_false_verdict_is_enough_for_what_comes_back_alike() -> None:
    assert lesson(made(0.4), said(*FALSE)) == {"i-000": ELSEWHERE**2}
    assert lesson(made(0.4), said(("planned", 0.4))) == {}
    assert lesson(made(0.4), Feedback()) == {}


@pytest.mark.parametrize(
    ("margin", "verdicts", "quiet"),
    [
        (0.4 + SLACK - 0.01, FALSE, True),
        (0.4 + SLACK + 0.01, FALSE, False),
        (MOST - 0.01, [("false", 9.0)], True),
        (MOST + 0.01, [("false", 9.0)], False),
        (0.5, [*FALSE, ("true", 0.7)], True),
        (0.7, [*FALSE, ("true", 0.7)], False),
        (0.7, [*FALSE * ODDS, ("true", 0.7)], False),
        (0.7, [*FALSE * (ODDS + 1), ("true", 0.7)], True),
    ],
)
def test_it_has_bounds_and_a_true_verdict_outweighs_some_false_ones(margin, verdicts, quiet):
    assert bool(lesson(made(margin), said(*verdicts))) is quiet


def test_what_lasts_longer_than_the_false_ones_is_told() -> None:
    assert lesson(made(0.4, hours=0.5), said(*FALSE))
    assert lesson(made(0.4, hours=0.51), said(*FALSE)) == {}
    both = Feedback(
        incidents=said(*FALSE).incidents
        | {"long": said(("true", 0.1), start=5, end=5 + HOUR).incidents["i-000"]}
    )
    assert lesson(made(0.4), both), "a true one that was longer says nothing of it"


@pytest.mark.parametrize(
    ("changes", "worth"), [(OTHER[0], ELSEWHERE), (OTHER[1], ELSEWHERE), (OTHER[0] | OTHER[1], 1)]
)
def test_the_threshold_of_a_vehicle_of_a_channel_and_of_a_class_is_learnt_slowly(changes, worth):
    needed = ELSEWHERE**2 // worth
    enough = said(*FALSE * needed, **changes)
    assert lesson(made(0.4), enough) == dict.fromkeys(enough.incidents, worth)
    assert lesson(made(0.4), said(*FALSE * (needed - 1), **changes)) == {}
    true = said(*FALSE * needed, ("true", 0.4), **changes)
    assert lesson(made(0.4), true) == {}
    assert lesson(made(0.4, vehicle_class="other"), enough) == {}


def test_alike_is_the_cosine_of_the_shares() -> None:
    for voltage in (0.15, 0.6):
        own, other = np.array([0.7, 0.0, voltage]), np.array([0.7, 0.2, 0.0])
        alike = bool(own @ other / np.linalg.norm(own) / np.linalg.norm(other) >= SAME_CHANNELS)
        assert alike is (voltage < 0.5)
        item = made(0.4, channels={COOLANT: 0.7, VOLTAGE: voltage})
        assert bool(lesson(item, said(*FALSE))) is alike


def test_the_words_say_how_many_and_where() -> None:
    found = {"a": ELSEWHERE**2, "b": ELSEWHERE, "c": ELSEWHERE} | {f"d{n}": 1 for n in range(4)}
    assert in_words(found) == (
        "it is hardly stronger, and no longer, than 7 incidents judged false (1 on this vehicle "
        "and much the same channels, 2 on this vehicle or these channels, 4 elsewhere in its "
        "class): a, b, c, d0, d1 and 2 more"
    )
    assert in_words({"a": ELSEWHERE}) == (
        "it is hardly stronger, and no longer, than 1 incident judged false on this vehicle or "
        "these channels: a"
    )


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
    assert lesson(made(0.4), said(*FALSE))
    assert lesson(made(0.4, **changes), said(*FALSE)) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"margin": None},
        {"end": None},
        {"vehicle_class": None},
        {"shares": []},
        {"type": "first_move"},
    ],
)
def test_verdicts_that_do_not_compare_teach_nothing(changes) -> None:
    feedback = said(*FALSE)
    items = {n: i.model_copy(update=changes) for n, i in feedback.incidents.items()}
    assert lesson(made(0.4), Feedback(incidents=items)) == {}
    assert lesson(replace(made(0.4), channels=(), shares=()), said(*FALSE)) == {}


def test_a_verdict_under_two_ids_counts_once() -> None:
    judged = said(("false", 0.4), **OTHER[0]).incidents["i-000"]
    twice = {f"i-{n}": judged for n in range(ELSEWHERE)}
    assert lesson(made(0.4), Feedback(incidents=twice)) == {}


def test_the_next_job_honours_it_lists_it_and_a_verdict_takes_it_back(home, capsys) -> None:
    yard = Yard(home)
    yard.sinks(file={})
    first = made(0.5, hour=1.0)
    yard.publish(0, first)
    tell(yard.stage)
    judge(yard.runs, first.incident_id, "false")
    quiet, other = made(0.6, night=1), made(0.6, night=1, vehicle="van-2")
    yard.publish(1, quiet, other)
    assert REASON in preview(yard.stage).not_told
    tell(yard.stage)
    assert [line["incidents"][0]["vehicle"] for line in lines(yard)[1:]] == ["van-2"]
    job = json.loads(max((yard.runs / "jobs").glob("*.json")).read_text())
    assert job["suppressed"][quiet.incident_id] == REASON
    verdicts = Verdicts.of(read_feedback(yard.runs))
    assert verdicts.said(quiet.incident_id) == ""
    capsys.readouterr()
    assert run(["feedback"]) == 0
    words = in_words({first.incident_id: ELSEWHERE**2})
    assert f"{quiet.incident_id}  not told: {words}" in capsys.readouterr().out
    judge(yard.runs, first.incident_id, "planned")
    tell(yard.stage)
    assert lines(yard)[-1]["incidents"][0]["incident_id"] == quiet.incident_id, "it is taken back"


def test_an_incident_that_was_told_is_told_to_its_end(tmp_path) -> None:
    yard = Yard(tmp_path / "home")
    yard.sinks(file={})
    going = made(0.5, hour=23.5)
    first = made(0.5, hour=1.0)
    yard.publish(0, first, going)
    tell(yard.stage)
    judge(yard.runs, first.incident_id, "false")
    yard.publish(1)
    tell(yard.stage)
    (last,) = [line for line in lines(yard) if line["state"] == "over"][-1]["incidents"]
    assert last["incident_id"] == going.incident_id
