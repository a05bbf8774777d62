"""What people said of the incidents of a page, and how precise alarms were so far."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from amad.config.number_text import share
from amad.config.wording import count
from amad.notify.learnt import REASON, in_words, learnt
from amad.notify.published import Window
from amad.notify.suppressed import JUDGED, followed
from amad.scores.feedback import Feedback, Judgement


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """The judgements of a fleet, and what they teach.

    by_id: also under ids that incidents have since they moved. lessons: see ``amad.notify.learnt``.
    """

    feedback: Feedback
    by_id: dict[str, Judgement]
    lessons: dict[str, dict[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, feedback: Feedback) -> Self:
        """The judgements alone."""
        return cls(feedback=feedback, by_id=feedback.incidents)

    def with_lessons(self, window: Window) -> Self:
        """The same with the incidents of the window of which nobody is told for their sake."""
        feedback = followed(self.feedback, window)
        return type(self)(
            feedback=self.feedback, by_id=feedback.incidents, lessons=learnt(window, feedback)
        )

    def said(self, incident_id: str) -> str:
        """What was said of an incident, as a sentence; empty where nothing was."""
        if (item := self.by_id.get(incident_id)) is not None:
            note = f": {item.note}" if item.note else ""
            return f"Judged {item.verdict} by {item.by} on {item.at:%Y-%m-%d}{note}"
        if lesson := self.lessons.get(incident_id):
            return f"Nobody is told: {in_words(lesson)}"
        return ""

    def verdict(self, incident_id: str) -> str:
        """``true``, ``false``, ``planned``, or empty."""
        item = self.by_id.get(incident_id)
        return item.verdict if item is not None else ""

    def set_aside(self, incidents: Iterable[str]) -> dict[str, str]:
        """By id, those of these incidents that no headline names, and why: of them nobody is told.

        A person judged them, or they are like ones that were judged false.
        """
        found = {}
        for name in incidents:
            if self.verdict(name) in JUDGED:
                found[name] = JUDGED[self.verdict(name)]
            elif name in self.lessons:
                found[name] = REASON
        return found

    @property
    def summary(self) -> str:
        """How many were true, and what was learnt; empty where nobody has judged."""
        true, judged = self.feedback.precision
        planned = sum(item.verdict == "planned" for item in self.feedback.incidents.values())
        if not (judged or planned):
            return ""
        parts = []
        if judged:
            parts.append(f"{true} of {count(judged, 'judged incident')} true so far")
            parts[0] += f" ({share(true / judged)})"
        if planned:
            parts.append(f"{planned} planned")
        if self.lessons:
            parts.append(f"of {count(len(self.lessons), 'incident')} nobody is told: {REASON}")
        return "; ".join(parts)


def of_set_aside(found: Mapping[str, str]) -> str:
    """``2 incidents judged as false, 1 incident judged as planned``; empty where none is."""
    many = Counter(found.values())
    parts = [
        f"{count(many[why], 'incident')} {why}" for why in (*JUDGED.values(), REASON) if many[why]
    ]
    return ", ".join(parts)
