"""What is new, goes on, or is over since the scored date before the newest one.

The states are those of the notices (``amad.notify.changes``), as if every date but the newest had
been told to a sink that is told of every level. So the page and a message never differ.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from amad.config import Fleet
from amad.config.wording import of_causes
from amad.incidents.wording import looks_like_a_sensor
from amad.notify.changes import (
    Change,
    NotifiedIncident,
    State,
    brought_up_to_date,
    find_changes,
)
from amad.notify.grouping import LOWEST, grouped
from amad.notify.published import Window, window_of
from amad.notify.wording import headline_of_cause, notice_of
from amad.scores import partitions
from amad.scores.partition_manifest import PartitionManifest
from amad.telemetry.checksums import Checksums

Manifests = Mapping[date, Mapping[str, PartitionManifest]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One incident in its state.

    notes: what became of it beside its state, whether its vehicle still sends rows, and whether it
    looks like a fault of a sensor.
    """

    incident_id: str
    incident: NotifiedIncident
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Item:
    """Incidents that are read as one: a cause, in one state.

    headline: of several; empty where there is one line. whole: they are of the whole fleet.
    """

    headline: str
    lines: list[Line]
    whole: bool = False


@dataclass(frozen=True, kw_only=True)
class SinceLast:
    """The incidents of a date by their state.

    day: the newest scored date. before: the scored date before it within the window of the notices;
    None where there is none. window: what is published up to ``day``.
    """

    day: date
    before: date | None
    window: Window
    new: list[Item]
    ongoing: list[Item]
    over: list[Item]

    @property
    def counts(self) -> dict[str, int]:
        """By state, how many causes: incidents that are read as one count once."""
        return {"new": len(self.new), "ongoing": len(self.ongoing), "over": len(self.over)}

    @property
    def open(self) -> int:
        """How many causes go on at the end of the data, those from before included."""
        items = (*self.new, *self.ongoing)
        return sum(any(line.incident.state == "open" for line in item.lines) for item in items)

    @property
    def new_text(self) -> str:
        """``2 new incidents``, or ``1 new cause (12 incidents)``."""
        return of_causes(len(self.new), sum(len(item.lines) for item in self.new), "new")

    def critical(self, besides: Collection[str]) -> int:
        """How many causes that are new or go on have an incident that is critical now.

        besides: ids of incidents that do not count.
        """
        counting = (
            [line for line in item.lines if line.incident_id not in besides]
            for item in (*self.new, *self.ongoing)
        )
        return sum(any(i.incident.level == "critical" for i in lines) for lines in counting)

    def worst(self, besides: Collection[str]) -> Line | None:
        """The worst incident that is new or goes on; None where there is none.

        besides: ids of incidents that do not count.
        """
        counting = (line for line in self.current if line.incident_id not in besides)
        return max(counting, key=lambda line: line.incident.severity, default=None)

    @property
    def current(self) -> list[Line]:
        """The incidents that are new or go on."""
        return [line for item in (*self.new, *self.ongoing) for line in item.lines]

    @property
    def ids(self) -> set[str]:
        """The incidents of every state."""
        over = (line for item in self.over for line in item.lines)
        return {line.incident_id for line in (*self.current, *over)}


@dataclass(frozen=True, kw_only=True)
class PublishedDates:
    """The finished partitions of a fleet, read once for all pages of a run of the report.

    champion: the version whose partition of a date counts.
    """

    runs: Path
    champion: str
    manifests: Manifests
    sums: Checksums

    @classmethod
    def of(cls, runs: Path, champion: str) -> "PublishedDates":
        """What is published below ``runs/<fleet>`` now."""
        return cls(
            runs=runs,
            champion=champion,
            manifests=partitions.manifests(runs),
            sums=Checksums(runs),
        )

    def current(self, day: date) -> PartitionManifest:
        """The manifest of the partition that counts on a date."""
        versions = self.manifests[day]
        return versions[partitions.current(versions, self.champion)]

    def window(self, until: date, back_to: date | None = None) -> Window:
        """The published incidents as if no later date had been scored; see ``window_of``."""
        found = {day: versions for day, versions in self.manifests.items() if day <= until}
        return window_of(self.runs, found, self.champion, self.sums, back_to=back_to)


def since_last(published: PublishedDates, day: date, fleet: Fleet) -> SinceLast | None:
    """The states of the incidents of ``day``; None where its partition is not whole."""
    now = published.window(day)
    if day not in now.dates:
        return None
    before = max((other for other in now.dates if other < day), default=None)
    known: dict[str, NotifiedIncident] = {}
    if before is not None:
        first = find_changes({}, published.window(before), LOWEST)
        known = brought_up_to_date({c.incident_id: c.told for c in first}, now)
    changes = find_changes(known, now, LOWEST)
    changed = {change.incident_id for change in changes}
    quiet = [
        Change(incident_id=name, state="ongoing", told=item, before=item)
        for name, item in known.items()
        if item.state == "open" and name not in changed
    ]
    items = _items([*changes, *quiet], now, fleet)
    return SinceLast(
        day=day,
        before=before,
        window=now,
        new=items["new"],
        ongoing=items["ongoing"],
        over=items["over"],
    )


def _items(changes: list[Change], window: Window, fleet: Fleet) -> dict[State, list[Item]]:
    """By state, the changes as the notices group them, the ones to look at first in front."""
    found: dict[State, list[Item]] = {"new": [], "ongoing": [], "over": [], "withdrawn": []}
    for group in grouped(changes, window):
        headline, state = "", group.changes[0].state
        if len(group.changes) > 1:
            goes_on = state == "ongoing"  # what is new of it stands in its lines
            headline = (
                headline_of_cause(group, fleet) if goes_on else notice_of(group, fleet, "").headline
            )
        worst = sorted(group.changes, key=lambda c: (-c.told.severity, c.told.start, c.incident_id))
        lines = [_line(change, window) for change in worst]
        found[state].append(Item(headline=headline, lines=lines, whole=group.reporting > 0))
    return found


def _line(change: Change, window: Window) -> Line:
    now, notes = change.told, []
    of = [day for day, vehicles in window.dates.items() if now.vehicle in vehicles]
    if now.state == "open" and of and max(of) < max(window.dates):
        notes.append(f"no row after {max(of)}")
    if change.outlived:
        notes.append("alarms over, score as high")
    elif change.state == "new" and now.state == "over" and now.type != "first_move":
        notes.append("already over")
    elif change.state == "ongoing" and change.before != now:
        again = change.before is not None and change.before.state == "over"
        notes.append("going on again" if again else "now worse")
    if looks_like_a_sensor(now.type, now.shares):
        notes.append("like a sensor fault")
    return Line(incident_id=change.incident_id, incident=now, notes=notes)
