"""Changes that a person reads as one: of one vehicle, or of the whole fleet at one time.

What is told as one is counted as one everywhere: see ``causes``.
"""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from amad.config.number_text import HOUR
from amad.config.number_text import day as day_of
from amad.notify.changes import RANK, Change, find_changes
from amad.notify.published import Window, read_window

NEAR_US = 6 * HOUR  # changes of one vehicle at most this far apart are told as one
TOGETHER_US = HOUR  # incidents of several vehicles that begin this near have one cause
FLEET_SHARE, FLEET_LEAST = 0.5, 3  # of the vehicles that report, and how many at the least
ABOUT = 0.5  # of the first channel's share of the blame
LOWEST = "low"  # with it, the incidents of every level count


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Changes that are told as one. reporting: vehicles, if this is one of the whole fleet; else 0.

    channels: those that all changes share, of the whole fleet those that half of them are about;
    the largest share first. Of a single change its own.
    """

    changes: list[Change]
    channels: list[str]
    reporting: int = 0

    @property
    def vehicles(self) -> list[str]:
        """The vehicles, sorted."""
        return sorted({change.told.vehicle for change in self.changes})

    @property
    def id(self) -> str:
        """The id of the first incident: names the group as long as it is the first one."""
        return self.changes[0].incident_id

    @property
    def worst(self) -> Change:
        """The change with the highest level, and of these the most severe."""
        return max(self.changes, key=lambda c: (RANK[c.told.level], c.told.severity))


def causes(window: Window) -> list[Group]:
    """All incidents of the window in groups, whatever their state is and whoever was told of them.

    A cause is what is told as one, and what every count of incidents for people counts.
    """
    return sorted(_found_together(find_changes({}, window, LOWEST), window), key=_order)


def read_causes(runs: Path, champion: str | None, dates: Collection[date]) -> list[Group]:
    """``causes`` of what is published now of the newest dates, and back to the first of these."""
    return causes(read_window(runs, champion, back_to=min(dates, default=None)))


def by_cause(found: Collection[Group], incidents: Iterable[str]) -> dict[str, list[str]]:
    """The ids of these incidents, by that of their cause; one that has none is its own cause."""
    of = {change.incident_id: group.id for group in found for change in group.changes}
    sets: dict[str, list[str]] = {}
    for name in incidents:
        sets.setdefault(of.get(name, name), []).append(name)
    return sets


def causes_on(found: Collection[Group], days: Collection[date]) -> list[Group]:
    """Those of the causes that have an incident on one of these dates."""

    def touches(change: Change) -> bool:
        first = day_of(change.told.start)
        return any(first <= str(day) and day <= change.told.last for day in days)

    return [group for group in found if any(map(touches, group.changes))]


def grouped(
    changes: Sequence[Change], window: Window, whole: Sequence[Group] | None = None
) -> list[Group]:
    """The changes in groups, the ones to look at first in front. Each change is in one group.

    Changes to the same state are told together if their incidents have one cause, also where what
    joins these has another state or is told to nobody. So the groups of one state are never more
    than the causes. Incidents that the window does not hold have none, and are grouped anew.

    whole: the ``causes`` of the window, where they are known already.
    """
    whole = causes(window) if whole is None else whole
    cause_of = {item.incident_id: place for place, own in enumerate(whole) for item in own.changes}
    gone = [change for change in changes if change.incident_id not in cause_of]
    groups = _found_together(gone, window)
    there = [change for change in changes if change.incident_id in cause_of]
    for own in _by(there, lambda change: (cause_of[change.incident_id], change.state)):
        reporting = whole[cause_of[own[0].incident_id]].reporting
        several = len({change.told.vehicle for change in own}) > 1
        groups.append(_group(own, reporting if several else 0))
    return sorted(groups, key=_order)


def _found_together(changes: Sequence[Change], window: Window) -> list[Group]:
    """Changes to the same state that are near each other in groups, in any order."""
    groups, rest = _of_fleet(list(changes), window)
    for of_one in _by(rest, lambda change: (change.told.vehicle, change.state)):
        groups += [_group(own) for own in _of_one_vehicle(of_one)]
    return groups


def _order(group: Group) -> tuple:
    severity = max(change.told.severity for change in group.changes)
    states = ["new", "ongoing", "over", "withdrawn"]
    first = group.changes[0]
    return (states.index(first.state), not group.reporting, -severity, first.key)


def _of_fleet(changes: list[Change], window: Window) -> tuple[list[Group], list[Change]]:
    """The groups of many vehicles, and the changes that belong to none."""
    groups, rest = [], list[Change]()
    for same in _by(changes, lambda change: change.state):
        seen: dict[str, int] = {}
        while most := _most_vehicles(same, window, seen):
            core, reporting = most
            own = _with_related(core, same)
            groups.append(_group(own, reporting))
            taken = {change.key for change in own}
            same = [change for change in same if change.key not in taken]
        rest += same
    return groups, sorted(rest, key=lambda change: (change.told.start, change.incident_id))


def _most_vehicles(
    changes: list[Change], window: Window, seen: dict[str, int]
) -> tuple[list[Change], int] | None:
    """The changes about one channel at one time with the most vehicles, and how many report.

    None where no channel has as many vehicles as one of the whole fleet needs. seen: by id of the
    incident, its vehicle's newest row ``TOGETHER_US`` before it; what is missing is added.
    """
    about: dict[str, list[Change]] = {}
    for change in changes:
        for name in _about(change):
            about.setdefault(name, []).append(change)
    # The vehicles of one moment are never more than those of all: most channels stop here.
    about = {name: own for name, own in about.items() if _reporting(own, window, any_date=True)}
    unknown = {c.incident_id: c for own in about.values() for c in own if c.incident_id not in seen}
    hour = {name: (c.told.vehicle, c.told.start - TOGETHER_US) for name, c in unknown.items()}
    before = window.seen_before(hour) if hour else {}
    seen |= {name: before.get(name, moment) for name, (_, moment) in hour.items()}
    found = [(own, many) for all_ in about.values() if (own := _at_one_time(all_, seen))
             and (many := _reporting(own, window))]  # fmt: skip
    return max(found, key=lambda pair: len({c.told.vehicle for c in pair[0]}), default=None)


def _reporting(changes: list[Change], window: Window, any_date: bool = False) -> int:
    """How many vehicles report on the dates of the changes; 0 if too few of them have a change.

    any_date: on the date with the fewest, so that too many are let through and never too few.
    """
    vehicles = {change.told.vehicle for change in changes}
    dates = [window.dates.get(day, frozenset()) for day in {change.told.last for change in changes}]
    report = min(map(len, dates)) if any_date else len(vehicles.union(*dates))
    return report * (len(vehicles) >= max(FLEET_LEAST, FLEET_SHARE * report))


def _at_one_time(changes: list[Change], seen: Mapping[str, int]) -> list[Change]:
    """The changes whose cause may have set in at one moment, of the moment with the most vehicles.

    That is at most ``TOGETHER_US`` before the incident, or while the vehicle was away, if it came
    back no longer ago than that: a roll-out meets parked vehicles, which show it on their next way.
    """
    start = np.array([change.told.start for change in changes])
    since = np.array([seen[change.incident_id] for change in changes])
    _, vehicle = np.unique([change.told.vehicle for change in changes], return_inverse=True)
    best, most = np.zeros(len(changes), bool), (0, 0)
    for moment in np.unique(start):
        inside = (start >= moment) & (since <= moment)
        if inside.sum() < most[0]:  # not even one vehicle per change
            continue
        many = (len(np.unique(vehicle[inside])), int(inside.sum()))
        if many > most:
            best, most = inside, many
    return [changes[n] for n in np.flatnonzero(best)]


def _with_related(core: list[Change], changes: list[Change]) -> list[Change]:
    """The changes of a group and those of its vehicles that are near one of them, in order."""
    taken = {change.key for change in core}
    vehicles = {change.told.vehicle for change in core}
    for own in _by([c for c in changes if c.told.vehicle in vehicles], lambda c: c.told.vehicle):
        for near in _of_one_vehicle(own):
            keys = {change.key for change in near}
            taken |= keys if keys & taken else set()
    return [change for change in changes if change.key in taken]


def _group(changes: list[Change], reporting: int = 0) -> Group:
    if reporting:
        count = Counter(name for change in changes for name in _about(change))
        shared = {name for name, many in count.items() if many >= FLEET_SHARE * len(changes)}
    else:
        shared = set.intersection(*(set(change.told.channels) for change in changes))
    weight: dict[str, float] = {}
    for change in changes:
        for name, share in zip(change.told.channels, change.told.shares, strict=True):
            if name in shared:
                weight[name] = weight.get(name, 0.0) + share
    channels = sorted(weight, key=lambda name: (-weight[name], name))
    return Group(changes=changes, channels=channels, reporting=reporting)


def _by(changes: list[Change], key: Callable[[Change], Hashable]) -> list[list[Change]]:
    """The changes with equal keys together, each in their order."""
    sets: dict[Hashable, list[Change]] = {}
    for change in changes:
        sets.setdefault(key(change), []).append(change)
    return list(sets.values())


def _of_one_vehicle(changes: list[Change]) -> list[list[Change]]:
    """Changes of one vehicle to one state, in sets in which each is near another one."""
    owner = {change.key: place for place, change in enumerate(changes)}
    open_ = list[Change]()  # earlier ones that a later one may still be near to
    for change in sorted(changes, key=lambda change: change.told.start):
        open_ = [other for other in open_ if change.told.start - other.told.end <= NEAR_US]
        for other in open_:
            if _about(other) & _about(change):
                low, high = sorted((owner[other.key], owner[change.key]))
                owner = {key: low if held == high else held for key, held in owner.items()}
        open_.append(change)
    return _by(changes, lambda change: owner[change.key])


def _about(change: Change) -> set[str]:
    """The channels that share the blame: those with at least half as much of it as the first."""
    pairs = list(zip(change.told.channels, change.told.shares, strict=True))
    return {name for name, share in pairs if share >= ABOUT * pairs[0][1]}
