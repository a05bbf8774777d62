"""Changes that a person reads as one: of one vehicle, or of the whole fleet at one time."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations

from amad.detect.incident_words import main_channels
from amad.notify.changes import Change
from amad.notify.published import Window

NEAR_US = 6 * 3_600_000_000  # changes of one vehicle at most this far apart are told as one
TOGETHER_US = 3_600_000_000  # incidents of several vehicles that begin this near begin together
FLEET_SHARE, FLEET_LEAST = 0.5, 3  # of the vehicles that report, and how many at the least


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Changes that are told as one. reporting: vehicles, if this is one of the whole fleet; else 0.

    channels: those that all changes share, the largest share first; of a single change its own.
    """

    changes: list[Change]
    channels: list[str]
    reporting: int = 0

    @property
    def vehicles(self) -> list[str]:
        """The vehicles, sorted."""
        return sorted({change.told.vehicle for change in self.changes})


def grouped(changes: Sequence[Change], window: Window) -> list[Group]:
    """The changes in groups, the ones to look at first in front. Each change is in one group.

    Only changes to the same state are told together.
    """
    groups, rest = _of_fleet(list(changes), window)
    for of_one in _by(rest, lambda change: (change.told.vehicle, change.state)):
        groups += [_group(own) for own in _of_one_vehicle(of_one)]
    return sorted(groups, key=_order)


def _order(group: Group) -> tuple:
    severity = max(change.told.severity for change in group.changes)
    states = ["new", "ongoing", "over", "withdrawn"]
    first = group.changes[0]
    return (states.index(first.state), not group.reporting, -severity, first.key)


def _of_fleet(changes: list[Change], window: Window) -> tuple[list[Group], list[Change]]:
    """The groups of many vehicles, and the changes that belong to none."""
    groups, rest = [], list[Change]()
    for same in _by(changes, lambda c: (c.state, *c.told.channels[:1])):
        while own := _at_one_time(same):
            vehicles = {change.told.vehicle for change in own}
            dates = {change.told.last for change in own}
            reporting = vehicles.union(*(window.dates.get(day, frozenset()) for day in dates))
            if len(vehicles) < max(FLEET_LEAST, FLEET_SHARE * len(reporting)):
                break
            groups.append(_group(own, len(reporting)))
            taken = {change.key for change in own}
            same = [change for change in same if change.key not in taken]
        rest += same
    return groups, sorted(rest, key=lambda change: (change.told.start, change.incident_id))


def _at_one_time(changes: list[Change]) -> list[Change]:
    """Of changes sorted by start, those of the stretch ``TOGETHER_US`` with the most vehicles."""
    best, most, first = (0, 0), 0, 0
    inside: Counter[str] = Counter()
    for last, change in enumerate(changes):
        inside[change.told.vehicle] += 1
        while change.told.start - changes[first].told.start > TOGETHER_US:
            left = changes[first].told.vehicle
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
            first += 1
        if len(inside) >= most:
            best, most = (first, last + 1), len(inside)
    return changes[slice(*best)]


def _group(changes: list[Change], reporting: int = 0) -> Group:
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
    owner = list(range(len(changes)))
    for a, b in combinations(range(len(changes)), 2):
        if owner[a] != owner[b] and _near(changes[a], changes[b]):
            low, high = sorted((owner[a], owner[b]))
            owner = [low if held == high else held for held in owner]
    held = dict(zip((change.key for change in changes), owner, strict=True))
    return _by(changes, lambda change: held[change.key])


def _near(a: Change, b: Change) -> bool:
    apart = max(a.told.start, b.told.start) - min(a.told.end, b.told.end)
    return apart <= NEAR_US and bool(_main(a) & _main(b))


def _main(change: Change) -> set[str]:
    return set(main_channels(change.told.channels, change.told.shares))
