"""What changed since somebody was told: the published incidents against a ledger.

An incident is told once when it is new, and again when its level rises, when it goes on although it
was told to be over, when it is over, and when a later run no longer finds it. Later rows may
move the start of an incident, and its id with it: it stays the incident that was told, and one that
still goes on is not told again for that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from amad.config.number_text import day as day_of
from amad.incidents.incident import Incident
from amad.incidents.severity import LEVELS
from amad.notify.published import DAYS, Published, Window, context_of
from amad.scores.feedback import Judgement
from amad.scores.partitions import fields_of
from amad.telemetry.artifact import Entry

State = Literal["new", "ongoing", "over", "withdrawn"]
RANK = {name: rank for rank, (_, name) in enumerate(reversed(LEVELS))}


class IncidentFigures(Entry):
    """What a message says of an incident, and a ledger keeps for it: the fields of ``Incident``.

    context: value of each channel of ``context`` when it began.
    """

    vehicle: str
    vehicle_class: str
    severity: float
    level: str
    type: str
    channels: list[str]
    shares: list[float]
    deviation: float = 0.0
    partner: str = ""
    return_days: float | None = None
    context: dict[str, float] = {}
    past_gaps: list[float | None] = []
    past_sizes: list[float | None] = []
    class_gaps: list[float | None] = []
    class_sizes: list[float | None] = []
    peers: list[int] = []
    model_version: str


class NotifiedIncident(IncidentFigures):
    """What was told of an incident last.

    highest: the highest level told. changes: how often it was told. last: the newest date with a
    part of it. known_as: the id under which it was told, where its start has moved since. earlier:
    the ids that it had before its start moved, also those of which all were told.
    """

    state: Literal["open", "over", "withdrawn"]
    highest: str
    changes: int
    last: date
    known_as: str | None = None
    earlier: list[str] = []
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of the state of one incident.

    told: as the ledger says once it is told. before: as it says now; None: nothing yet. withheld:
    of a withdrawn one, those of its channels that failed their checks; all, where its vehicle-day
    is quarantined. part_of: of a withdrawn one, the id of the incident that later rows joined it
    with. window: where it is published.
    """

    incident_id: str
    state: State
    told: NotifiedIncident
    before: NotifiedIncident | None
    withheld: tuple[str, ...] = ()
    part_of: str | None = None
    window: Window | None = field(default=None, repr=False, compare=False)

    @property
    def key(self) -> str:
        """Names this change and no other: the incident, the number of the change, the state."""
        return f"{self.incident_id}-{self.told.changes}-{self.state}"

    @property
    def replaces(self) -> str | None:
        """The id under which the incident was told before its start moved."""
        return self.before.known_as if self.before is not None else None

    @property
    def outlived(self) -> bool:
        """Did its alarms end while its score stayed as high? See ``Window.outlived``."""
        if self.window is None or self.told.state != "over":
            return False
        return self.window.outlived(self.incident_id)

    @property
    def ongoing(self) -> bool:
        """Does the incident still go on?"""
        return self.told.state == "open"


def find_changes(
    told: Mapping[str, NotifiedIncident],
    window: Window,
    least_level: str,
    suppressed: Collection[str] = (),
) -> list[Change]:
    """What changed, in the order of the incidents' start.

    least_level: an incident that is below it, and of which nobody was told, is left out.
    suppressed: ids of incidents of which nobody is to be told, except that one is now a part of
    another that is told.
    """
    found = []
    for name, item in window.incidents.items():
        if name in suppressed:
            continue
        before = told.get(name)
        known = before is not None and before.state != "withdrawn"
        if not known and RANK[item.incident.level] < RANK[least_level]:
            continue
        state = _state(before, item)
        if state is not None:
            now = _told(item, before)
            found.append(
                Change(incident_id=name, state=state, told=now, before=before, window=window)
            )
    for name, before in told.items():
        gone = before.state != "withdrawn" and name not in window.incidents
        if gone and before.last in window.dates:
            whole = _part_of(before, window)
            if name in suppressed and whole is None:
                continue
            gone_now = {"state": "withdrawn", "changes": before.changes + 1}
            found.append(
                Change(
                    incident_id=name,
                    state="withdrawn",
                    told=before.model_copy(update=gone_now),
                    before=before,
                    withheld=() if whole else _withheld(before, window),
                    part_of=whole,
                )
            )
    return sorted(found, key=lambda c: (c.told.start, c.incident_id))


def brought_up_to_date(
    told: Mapping[str, NotifiedIncident], window: Window
) -> dict[str, NotifiedIncident]:
    """What was told, with the dates and figures of now, and without what is too old to be told of.

    What was told of the newest ``DAYS`` dates that have something told stays in any case: a date
    far ahead, by a wrong clock, makes nothing be told twice once it is gone.

    An incident that goes on for weeks changes nothing that is told, and stays known all the same.
    One that is not found any more is the incident of its vehicle that overlaps it now and was not
    told, if there is one.
    """
    first, moved = window.first, _moved(told, window)
    dates = sorted({item.last for item in told.values()}, reverse=True)[:DAYS]
    found = {}
    for old, item in told.items():
        name = moved.get(old, old)
        now = window.incidents.get(name)
        if now is not None and item.state != "withdrawn":
            kept = {key: getattr(item, key) for key in ("state", "highest", "changes", "known_as")}
            if name != old:
                kept |= {"known_as": item.known_as or old, "earlier": [*item.earlier, old]}
            item = _told(now, item).model_copy(update=kept)
        if first is None or item.last >= first or item.last in dates:
            found[name] = item
    for old, item in told.items():
        whole = None if old in moved or old in window.incidents else _part_of(item, window)
        if whole in found and old not in found[whole].earlier:
            earlier = [*found[whole].earlier, *item.earlier, old]
            found[whole] = found[whole].model_copy(update={"earlier": earlier})
    return found


def _part_of(item: NotifiedIncident, window: Window) -> str | None:
    """The incident that one that is not published under its own id any more is a part of now."""
    for name, now in window.incidents.items():
        if now.incident.vehicle == item.vehicle and overlap(item, now.incident) > 0:
            return name
    return None


def overlap(one: NotifiedIncident | Judgement, other: Incident) -> int:
    """How long two incidents overlap, in microseconds; below 0, where they do not."""
    assert one.end is not None
    return min(one.end, other.end) - max(one.start, other.start)


def _withheld(item: NotifiedIncident, window: Window) -> tuple[str, ...]:
    """The channels of an incident that failed their checks on one of its dates."""
    failed = set[str]()
    for day in window.dates:
        if str(day) < day_of(item.start) or day > item.last:
            continue
        if (manifest := window.manifest(day)) is not None:
            out = item.vehicle in manifest.quarantined
            failed |= set(item.channels if out else manifest.withheld.get(item.vehicle, []))
    return tuple(name for name in item.channels if name in failed)


def _moved(told: Mapping[str, NotifiedIncident], window: Window) -> dict[str, str]:
    """The new id of each told incident that is published under another one now."""
    free = {
        name: item.incident
        for name, item in window.incidents.items()
        if name not in told or told[name].state == "withdrawn"
    }
    found = {}
    for old, before in sorted(told.items(), key=lambda pair: pair[1].start):
        gone = before.state != "withdrawn" and old not in window.incidents
        if not gone or before.last not in window.dates:
            continue
        for name, now in free.items():
            if overlap(before, now) > 0 and now.vehicle == before.vehicle:
                found[old] = name
                del free[name]
                break
    return found


def _state(before: NotifiedIncident | None, now: Published) -> State | None:
    """What is to be told of an incident that is published; None: nothing."""
    if before is None or before.state == "withdrawn":
        return "new"
    if before.state == "open" and not now.ongoing:
        return "over"
    if before.state == "over" and now.ongoing:
        return "ongoing"
    worse = RANK[now.incident.level] > RANK[before.highest]
    if worse or (before.known_as and not now.ongoing):
        return "ongoing" if now.ongoing else "over"
    return None


def _told(now: Published, before: NotifiedIncident | None) -> NotifiedIncident:
    item = now.incident
    levels = [item.level]
    if before is not None and before.state != "withdrawn":
        levels.append(before.highest)
    return NotifiedIncident(
        state="open" if now.ongoing else "over",
        highest=max(levels, key=RANK.__getitem__),
        changes=1 + (before.changes if before is not None else 0),
        last=now.last,
        earlier=before.earlier if before is not None else [],
        context=context_of(item),
        model_version=now.model_version,
        **fields_of(item),
    )
