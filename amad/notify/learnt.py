"""What verdicts teach: incidents like several that were judged false are not told.

An incident is quiet if, of its vehicle, at least ``LEAST`` incidents on much the same channels were
judged false, it is hardly rarer than the rarest of them, and none as weak as it was judged true:

    margin = score of the peak - threshold of its row
    alike  = cosine of the two incidents' shares of the blame >= ALIKE
    quiet  = margin <= largest margin of those that are alike and false + SLACK, at the most MOST,
             and margin < least margin of those that are alike and true

A critical incident is never quiet, nor one whose type says what happened whatever the score: a
first move, an unseen code. Nothing else changes: scores, alarms and incidents are what they were,
so another verdict takes the lesson back. ``bench/feedback.py`` measures what it is worth.
"""

import math
from collections.abc import Mapping

from amad.detect.alarms import TAIL_SCALE
from amad.detect.incidents import Incident
from amad.notify.published import Window
from amad.scores.feedback import Feedback, Judgement

LEAST = 3  # verdicts
ALIKE = 0.8
SLACK = TAIL_SCALE  # such a score is e times as rare
MOST = 3 * TAIL_SCALE  # at the threshold plus this, scores are 20 times as rare
REASON = f"like {LEAST} or more that were judged false"
PLAIN = frozenset({"first_move", "unseen_code"})


def learnt(window: Window, feedback: Feedback) -> dict[str, list[str]]:
    """By id of each quiet incident without a verdict, the ids of those like it, judged false."""
    found = {}
    for name, item in window.incidents.items():
        if name not in feedback.incidents and (like := like_false(item.incident, feedback)):
            found[name] = like
    return found


def like_false(incident: Incident, feedback: Feedback) -> list[str]:
    """The ids of the false incidents for which this one is quiet; empty where it is told."""
    if incident.level == "critical" or incident.type in PLAIN:
        return []
    margins: dict[str, dict[str, float]] = {"false": {}, "true": {}, "planned": {}}
    for name, judged in feedback.incidents.items():
        if _comparable(judged, incident):
            assert judged.margin is not None
            margins[judged.verdict][name] = judged.margin
    false, true = margins["false"], margins["true"]
    margin = incident.peak_score - incident.threshold
    if len(false) < LEAST or margin > min(max(false.values()) + SLACK, MOST):
        return []
    return sorted(false) if margin < min(true.values(), default=math.inf) else []


def _comparable(judged: Judgement, incident: Incident) -> bool:
    return (
        judged.vehicle == incident.vehicle
        and judged.type not in PLAIN
        and judged.margin is not None
        and len(judged.shares) == len(judged.channels)
        and _cosine(
            dict(zip(judged.channels, judged.shares, strict=True)),
            dict(zip(incident.channels, incident.shares, strict=True)),
        )
        >= ALIKE
    )


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """0 to 1; 0 where either has no channel."""
    size = math.hypot(*one.values()) * math.hypot(*other.values())
    return sum(value * other.get(name, 0.0) for name, value in one.items()) / size if size else 0.0
