"""Incidents of which nobody is told, since people have judged them or a rule says so.

They stay in the tables of incidents and in the report.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase

from amad.config.number_text import day
from amad.config.sinks import Rule
from amad.config.wording import of_causes
from amad.incidents.incident import Incident
from amad.incidents.wording import main_channels
from amad.notify.changes import RANK, overlap
from amad.notify.grouping import Group, by_cause
from amad.notify.published import Window
from amad.scores.feedback import Feedback, Judgement

LEAST = 0.5  # of an incident that a verdict on a part of it is about
JUDGED = {"false": "judged as false", "planned": "judged as planned"}


def followed(feedback: Feedback, window: Window) -> Feedback:
    """The judgements, also under the ids that their incidents have since their start moved.

    A judged incident that is not published any more is the one of its vehicle that overlaps it and
    has no verdict of its own, if there is one of which it was at least half: of a longer one, which
    later rows made of several, nobody has said anything yet.
    """
    found = dict(feedback.incidents)
    for name, judged in feedback.incidents.items():
        if name in window.incidents or judged.end is None:
            continue
        for new, item in window.incidents.items():
            now = item.incident
            share = overlap(judged, now) / max(1, now.end - now.start)
            if share >= LEAST and now.vehicle == judged.vehicle and new not in found:
                found[new] = judged
                break
    return Feedback(incidents=found)


def judged_none(judged: Mapping[str, Judgement]) -> frozenset[str]:
    """The ids of those of these incidents that people judged false or planned."""
    return frozenset(name for name, item in judged.items() if item.verdict in JUDGED)


def suppressed(window: Window, rules: list[Rule], feedback: Feedback) -> dict[str, str]:
    """By id of the incident, why nobody is told of it; a person's verdict comes before a rule."""
    found = {}
    for name, item in window.incidents.items():
        if (judged := feedback.incidents.get(name)) is not None:
            if judged.verdict in JUDGED:
                found[name] = JUDGED[judged.verdict]
        elif (rule := next((r for r in rules if applies(r, item.incident)), None)) is not None:
            found[name] = f"rule '{rule.reason}'"
    return found


def applies(rule: Rule, incident: Incident) -> bool:
    """Does every key of the rule hold for the incident?"""
    # A rule on channels says nothing of an incident without channels; "*" matches the empty name.
    main = main_channels(incident.channels, incident.shares) or [""]
    start = day(incident.start)
    return (
        any(fnmatchcase(incident.vehicle, pattern) for pattern in rule.vehicles)
        and all(any(fnmatchcase(name, pattern) for pattern in rule.channels) for name in main)
        and (not rule.types or incident.type in rule.types)
        and (rule.below is None or RANK[incident.level] < RANK[rule.below])
        and (rule.first is None or start >= str(rule.first))
        and (rule.last is None or start <= str(rule.last))
    )


def not_told(reasons: Mapping[str, str], found: Collection[Group]) -> str:
    """``not told: 1 cause (4 incidents), rule 'workshop'``; empty where everything is told.

    reasons: by id of an incident. found: the causes of the window.
    """
    of: dict[str, list[str]] = {}
    for name, why in reasons.items():
        of.setdefault(why, []).append(name)
    parts = [
        f"{of_causes(len(by_cause(found, names)), len(names))}, {why}"
        for why, names in sorted(of.items())
    ]
    return f"not told: {'; '.join(parts)}" if parts else ""
