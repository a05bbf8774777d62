"""What verdicts teach: how strong and how long an incident must be to be told.

An incident is quiet if those that were judged false outweigh those that were judged true:

    false = false ones of the class that it is hardly stronger than, and not longer than
    true  = true ones of the class that it is not weaker than, and not shorter than
    quiet = worth of the false ones >= ELSEWHERE ** 2 + ODDS * worth of the true ones

How strong an incident is: its margin, the score of its peak above the threshold of that row. A
verdict on the same vehicle and alike channels is worth ELSEWHERE ** 2, one on the same vehicle or
alike channels ELSEWHERE, any other of the class 1. So a single verdict is enough for what comes
back alike, and many raise what is told of a vehicle, of a channel in a class, and at last of a
class.

A critical incident is never quiet, nor a margin above ``MOST``, nor one whose type says what
happened whatever the score: a first move, an unseen code. Nothing else changes: scores, alarms and
incidents are what they were, so another verdict takes the lesson back. ``bench/feedback.py``
measures what it is worth.

Shape legend: J verdicts, C channels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from amad.config.wording import count, some
from amad.detect.alarms import TAIL_SCALE
from amad.incidents.incident import Incident
from amad.notify.published import Window
from amad.scores.feedback import Feedback, Judgement

SAME_CHANNELS = 0.9  # cosine of the two incidents' shares of the blame
ELSEWHERE = 10  # verdicts on another vehicle, or on other channels, that are worth one
ODDS = 3  # false ones that a true one outweighs
SLACK = TAIL_SCALE  # such a score is e times as rare
MOST = 3 * TAIL_SCALE  # at the threshold plus this, scores are 20 times as rare
REASON = "hardly stronger and no longer than ones that were judged false"
PLAIN = frozenset({"first_move", "unseen_code"})


def learnt(window: Window, feedback: Feedback) -> dict[str, dict[str, int]]:
    """By id of each quiet incident without a verdict, its lesson, see ``Lessons.of``."""
    lessons, found = Lessons(feedback), {}
    for name, item in window.incidents.items():
        if name not in feedback.incidents and (lesson := lessons.of(item.incident)):
            found[name] = lesson
    return found


def in_words(lesson: Mapping[str, int]) -> str:
    """``it is hardly stronger, and no longer, than 1 incident judged false on this ...: a``."""
    counts, (least, middle, most) = Counter(lesson.values()), (ELSEWHERE**n for n in range(3))
    kinds = {
        most: "on this vehicle and much the same channels",
        middle: "on this vehicle or these channels",
        least: "elsewhere in its class",
    }
    found = {where: counts[worth] for worth, where in kinds.items() if counts[worth]}
    of = next(iter(found))
    if len(found) > 1:
        of = f"({', '.join(f'{many} {where}' for where, many in found.items())})"
    many = count(len(lesson), "incident")
    return f"it is hardly stronger, and no longer, than {many} judged false {of}: {some(lesson)}"


class Lessons:
    """What a fleet's verdicts teach of each class of vehicles."""

    def __init__(self, feedback: Feedback) -> None:
        """A verdict that stands there under two ids, since its incident moved, counts once."""
        once = {(j.vehicle, j.start): (n, j) for n, j in feedback.incidents.items() if _compares(j)}
        classes: dict[str | None, list[tuple[str, Judgement]]] = {}
        for name, judged in once.values():
            classes.setdefault(judged.vehicle_class, []).append((name, judged))
        self._classes = {name: _Class(items) for name, items in classes.items()}

    def of(self, incident: Incident) -> dict[str, int]:
        """The false ones for which this incident is quiet, the most important first.

        Returns: what each is worth, by its id; empty where the incident is told.
        """
        margin = incident.peak_score - incident.threshold
        if incident.level == "critical" or incident.type in PLAIN or margin > MOST:
            return {}
        known = self._classes.get(incident.vehicle_class)
        return known.lesson(incident, margin) if known else {}


class _Class:
    """The verdicts of one class as arrays; ``share_JC`` has rows of length 1."""

    def __init__(self, items: Sequence[tuple[str, Judgement]]) -> None:
        self.names = [name for name, _ in items]
        judged = [item for _, item in items]
        self.true_J = np.array([item.verdict == "true" for item in judged])
        self.vehicle_J = np.array([item.vehicle for item in judged])
        self.margin_J = np.array([item.margin for item in judged], np.float64)
        self.length_J = np.array([(item.end or 0) - item.start for item in judged])
        channels = sorted({name for item in judged for name in item.channels})
        self.position = {name: c for c, name in enumerate(channels)}
        self.share_JC = np.stack([self._direction(i.channels, i.shares) for i in judged])

    def _direction(self, channels: Sequence[str], shares: Sequence[float]) -> np.ndarray:
        """The shares by channel, divided by the length of the whole vector; 0 without channels."""
        share_C, size = np.zeros(len(self.position)), float(np.linalg.norm(shares))
        for name, share in zip(channels, shares, strict=True):
            if name in self.position:
                share_C[self.position[name]] = share / size if size else 0.0
        return share_C

    def lesson(self, incident: Incident, margin: float) -> dict[str, int]:
        length = incident.end - incident.start
        own_C = self._direction(incident.channels, incident.shares)
        same_J = self.vehicle_J == incident.vehicle
        worth_J = ELSEWHERE ** (same_J.astype(int) + (self.share_JC @ own_C >= SAME_CHANNELS))
        weaker_J = (margin <= self.margin_J + SLACK) & (length <= self.length_J)
        stronger_J = (margin >= self.margin_J) & (length >= self.length_J)
        against, for_ = ~self.true_J & weaker_J, self.true_J & stronger_J
        if worth_J[against].sum() < ELSEWHERE**2 + ODDS * worth_J[for_].sum():
            return {}
        found = {self.names[j]: int(worth_J[j]) for j in np.flatnonzero(against)}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _compares(judged: Judgement) -> bool:
    """Whether a verdict is on something that verdicts teach of, and says enough of it."""
    return (
        judged.verdict != "planned"
        and judged.type not in PLAIN
        and None not in (judged.margin, judged.end, judged.vehicle_class)
        and len(judged.shares) == len(judged.channels)
    )
