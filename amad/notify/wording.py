"""Notices: the sentences that a reliability engineer gets, and the same facts for a program."""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from pydantic import Field

from amad.config import Fleet
from amad.config.number_text import MINUTE, machine_time, moment, share, span
from amad.config.wording import count, some
from amad.incidents.incident import gaps_of
from amad.incidents.severity import LEVELS
from amad.incidents.wording import (
    context_words,
    ended,
    gap_words,
    looks_like_a_sensor,
    main_channels,
    meaning,
    named_partner,
    rarity,
    strayed,
    type_name,
    what_to_check,
)
from amad.notify.changes import RANK, Change, IncidentFigures, NotifiedIncident, State
from amad.notify.grouping import Group
from amad.telemetry.artifact import Entry
from amad.telemetry.trouble import KINDS, parts_of

LEAST = 0.05  # share of the blame of a sensor that is named beside others
LISTED = 10  # incidents of a group that are listed one by one
HEALTH = "Fleet health, which no incident can show"
MOST = 50  # notices of a digest that are written out; a program gets all of them


class NoticeIncident(IncidentFigures):
    """One incident of a notice, for a program. key: of its change. Times: ISO 8601, UTC.

    ongoing: no row yet shows its end. suspect: what the fault looks like. check: where to look
    first. outlived: its alarms ended while its score stayed as high. replaces: the id under which
    it was told before its start moved. part_of: of a withdrawn one, the incident that later rows
    joined it with.
    """

    key: str
    incident_id: str
    state: State
    start: str
    end: str
    ongoing: bool
    suspect: Literal["sensor", "vehicle"] = "vehicle"
    check: list[str] = []
    outlived: bool = False
    replaces: str | None = None
    part_of: str | None = None


class Notice(Entry):
    """What is told as one. key: of its first change; the same key is never used for another notice.

    level: of the worst incident. vehicles_reporting: for an incident of the whole fleet, else None.
    """

    type: Literal["incidents"] = "incidents"
    key: str
    fleet: str
    state: State
    level: str
    headline: str
    sentences: list[str]
    report: str
    vehicles_reporting: int | None = None
    incidents: list[NoticeIncident] = Field(min_length=1)


def notice_of(group: Group, fleet: Fleet, report: str) -> Notice:
    """The notice of a group. report: path or address of the page that shows the incidents."""
    first = group.changes[0]
    worst = group.worst
    return Notice(
        key=first.key,
        fleet=fleet.name,
        state=first.state,
        level=worst.told.level,
        headline=_headline(group, worst, fleet),
        sentences=[*_sentences(group, worst, fleet), f"Report: {report}"],
        report=report,
        vehicles_reporting=group.reporting or None,
        incidents=[_for_programs(change, fleet) for change in group.changes],
    )


def subject(notices: Sequence[Notice], fleet: str) -> str:
    """The subject of a digest: how many causes of which state, and the worst level there is now.

    Of the new ones also how many are of the whole fleet, and how many look like faults of a sensor.
    Without notices it tells fleet health alone.
    """
    if not notices:
        return f"amad {fleet}: fleet health, something new"
    parts = []
    for state, name in (("new", "new"), ("ongoing", "changed"), ("over", "over"),
                        ("withdrawn", "withdrawn")):  # fmt: skip
        own = [notice for notice in notices if notice.state == state]
        parts += [f"{len(own):,} {name}{_kinds(own) if state == 'new' else ''}"] if own else []
    told = [notice for notice in notices if notice.state in ("new", "ongoing")]
    told = told or [notice for notice in notices if notice.state == "over"]
    worst = max((notice.level for notice in told), key=RANK.__getitem__, default=None)
    return f"amad {fleet}: {', '.join(parts)}" + (f"; worst {worst}" if worst else "")


def _kinds(notices: Sequence[Notice]) -> str:
    whole = sum(notice.vehicles_reporting is not None for notice in notices)
    sensors = sum(
        notice.vehicles_reporting is None
        and any(item.suspect == "sensor" for item in notice.incidents)
        for notice in notices
    )
    parts = [f"{whole:,} of the whole fleet"] if whole else []
    parts += [f"{count(sensors, 'sensor fault')}"] if sensors else []
    return f" ({', '.join(parts)})" if parts else ""


def plain_text(notices: Sequence[Notice], health: Sequence[str], report: str) -> str:
    """The notices as text, then what the fleet lacks, the report named once at the end."""
    blocks = []
    for place, notice in enumerate(notices[:MOST], 1):
        body = notice.sentences[:-1]
        blocks.append("\n".join([f"{place}. {notice.headline}", *(f"   {s}" for s in body)]))
    blocks += left_out(notices)
    if health:
        blocks.append("\n".join([f"{HEALTH}:", *(f"   {line}" for line in health)]))
    return "\n\n".join([*blocks, f"Report: {report}"]) + "\n"


def health_lines(found: Mapping[str, str], known: Collection[str]) -> list[str]:
    """A line per kind of finding that is new; then one that names those that were told before.

    found: a sentence per finding, by its id. known: the ids of those that were told.
    """
    new, before = [], []
    for kind in KINDS:
        own = [name for name in found if parts_of(name)[0] == kind.name]
        if fresh := [found[name] for name in own if name not in known]:
            new.append(f"{kind.title}: {some(fresh, separator='; ')}.")
        if old := [parts_of(name)[1] for name in own if name in known]:
            before.append(f"{kind.title.lower()} ({some(old)})")
    return [*new, *([f"Told before, and not mended: {', '.join(before)}."] if before else [])]


def left_out(notices: Sequence[Notice]) -> list[str]:
    """How many notices of which level a digest does not write out; nothing where it has all."""
    rest = notices[MOST:]
    if not rest:
        return []
    going_on = [notice.level for notice in rest if notice.state in ("new", "ongoing")]
    counts = [(going_on.count(name), name) for name in sorted(RANK, key=RANK.__getitem__)[::-1]]
    counts.append((len(rest) - len(going_on), "over or withdrawn"))
    told = ", ".join(f"{number:,} {name}" for number, name in counts if number)
    return [f"And {len(rest):,} more of lower severity, or over ({told}); see the report."]


def _what(changes: Sequence[Change], noun: str = "incident") -> str:
    """What happened to the incidents, in a few words."""
    state = changes[0].state
    if state == "new":
        return f"new {noun}"
    if state == "ongoing":
        again = all(c.before is not None and c.before.state == "over" for c in changes)
        return f"known {noun} going on again" if again else f"known {noun}, now worse"
    return f"{noun} {state}"


def _headline(group: Group, worst: Change, fleet: Fleet) -> str:
    main = group.changes
    state, level = main[0].state, worst.told.level
    if group.reporting:
        where, on = _share_of_fleet(group), _main_sensors(group, fleet)
        return f"Whole fleet: {_what(main)} on {where} at the same time, on {on}; worst {level}"
    vehicle = main[0].told.vehicle
    if len(main) > 1:
        many = f"{len(main)} {_what(main, 'incidents')}"
        on = f"{' ' if state == 'new' else ', '}on the same sensors"
        return f"{vehicle}: {many}{on}; worst {level}"
    going = "; still going on" if main[0].ongoing and state in ("new", "ongoing") else ""
    outlived = state == "over" and main[0].outlived
    what = "alarms over, but the score is still as high" if outlived else _what(main)
    if _sensor(main[0].told):
        what += f", like a fault of the sensor of {fleet.title_of(main[0].told.channels[0])}"
    was = {"withdrawn": f"; it was {level}"}.get(state, f"; {level}")
    return f"{vehicle}: {what}{was}{going}"


def headline_of_cause(group: Group, fleet: Fleet) -> str:
    """``Whole fleet: 12 of 12 vehicles at the same time, on Tyre rear left; worst high``.

    It says nothing of a state, since a cause has incidents that are over and others that go on.
    """
    on, level = _main_sensors(group, fleet), group.worst.told.level
    if group.reporting:
        return f"Whole fleet: {_share_of_fleet(group)} at the same time, on {on}; worst {level}"
    first, many = group.changes[0].told, len(group.changes)
    if many > 1:
        return f"{first.vehicle}: {many} incidents on {on}; worst {level}"
    return f"{first.vehicle}: {'sensor of ' if _sensor(first) else ''}{on}; {level}"


def _share_of_fleet(group: Group) -> str:
    return f"{len(group.vehicles)} of {count(group.reporting, 'vehicle')}"


def _main_sensors(group: Group, fleet: Fleet) -> str:
    """The sensors that the changes share; else those that the worst one is mostly about."""
    names, worst = group.channels, group.worst.told
    if len(group.changes) == 1 or not names:
        names = main_channels(worst.channels, worst.shares)
    return some([fleet.title_of(name) for name in names]) or "no sensor in particular"


def _sentences(group: Group, worst: Change, fleet: Fleet) -> list[str]:
    main, told = group.changes, worst.told
    state = main[0].state
    found = []
    if state == "withdrawn":
        found += _gone(main, fleet)
    if group.reporting:
        found.append(
            f"Vehicles: {some(group.vehicles, LISTED)}. Look first at what they share, such as "
            "units, software or the export of the data, and then at each vehicle."
        )
    if len(main) == 1:
        found.append(_when(main[0]))
    else:
        found += [f"{c.told.vehicle}: {_when(c)} Level {c.told.level}." for c in main[:LISTED]]
        found += [f"And {len(main) - LISTED:,} more."] if len(main) > LISTED else []
    if state != "withdrawn":
        found.append(_severity(main, worst))
        if worst.window is not None and state == "new" and not group.reporting:
            found += worst.window.again(worst.incident_id, fleet.channel_by_name)
        found += [sentence] if (sentence := rarity(told.return_days)) else []
        found.append(f"Sensors: {_sensors(group, main, told, fleet)}.")
        of = f"{told.vehicle}: " if len(main) > 1 else ""
        known, kind = fleet.channel_by_name, told.type
        own = _of_first_channel(told, fleet, alone=not group.reporting)
        own += gap_words(told.channels, told.shares, gaps_of(told), known, kind)
        found += [f"{of}{sentence}" for sentence in own]
        found += context_words(told.context, known)
        types = dict.fromkeys(_type(change.told, fleet) for change in [worst, *main])
        found.append(f"Type: {'; '.join(types)}.")
        # What one vehicle's incident suggests is no cause of the same on many.
        found += [] if group.reporting else _checks(told, fleet)
    found += [
        f"It was told before as incident {change.replaces}, before later rows moved its start."
        for change in main
        if change.replaces
    ]
    ids = some([change.incident_id for change in main], LISTED)
    many = "Incident" if len(main) == 1 else "Incidents"
    return [*found, f"{many} {ids}, model version {told.model_version}."]


def _gone(changes: Sequence[Change], fleet: Fleet) -> list[str]:
    """What became of incidents that are withdrawn."""
    found = [
        f"Later rows joined incident {change.incident_id} with incident {change.part_of}, under "
        "whose id the whole is told."
        for change in changes
        if change.part_of is not None
    ]
    if gone := [change for change in changes if change.part_of is None]:
        found.append(
            f"A later run scored the same {'date' if len(gone) == 1 else 'dates'} and no longer "
            f"finds {'it' if len(gone) == 1 else 'them'}: {_why_gone(gone, fleet)}."
        )
    return found


def _why_gone(changes: Sequence[Change], fleet: Fleet) -> str:
    names = dict.fromkeys(name for change in changes for name in change.withheld)
    if names:
        failed = some([fleet.title_of(name) for name in names])
        return f"{failed} failed the checks of the data, and nothing of that is scored any more"
    return "rows have changed, or another version of the model scored them"


def _when(change: Change) -> str:
    """Since when, or how long it lasted."""
    told = change.told
    fine = told.start // MINUTE == told.end // MINUTE  # else both are the same minute
    start, end = (moment(us, seconds=fine) for us in (told.start, told.end))
    if change.state == "withdrawn":
        return f"It had been told from {start} to {end} UTC."
    if change.ongoing:
        return (
            f"It began on {start} UTC; its newest alarm ends at {end} UTC, and no later row shows "
            "that it is over."
        )
    what, over = ended(told.type, change.outlived)
    return f"{what} lasted {span(told.end - told.start)}, from {start} to {end} UTC, and {over}."


def _severity(main: list[Change], worst: Change) -> str:
    told = worst.told
    place = [name for _, name in LEVELS].index(told.level)  # the highest level is the first
    below = f"to below {LEVELS[place - 1][0]:g}" if place else "on"
    where = f"from {LEVELS[place][0]:g} {below}"
    before = worst.before if len(main) == 1 and worst.state != "new" else None
    rise = before is not None and before.highest != told.level
    was = f"; it was told as {before.highest}" if before is not None and rise else ""
    of = "Severity" if len(main) == 1 else f"Worst severity, of {told.vehicle}:"
    return f"{of} {told.severity:g} of 100; level {told.level} is {where}{was}."


def _sensors(group: Group, main: list[Change], told: NotifiedIncident, fleet: Fleet) -> str:
    """The channels with their shares; of several incidents those that they have in common."""
    if len(main) > 1 and group.channels:
        where = "in half of them or more" if group.reporting else "in all of them"
        return f"{some([_title(name, fleet) for name in group.channels])} ({where})"
    pairs = [pair for pair in zip(told.channels, told.shares, strict=True) if pair[1] >= LEAST]
    pairs = pairs or [(told.channels[0], told.shares[0])] if told.channels else []
    return ", ".join(f"{_title(name, fleet)} {share(part)}" for name, part in pairs) + (
        " of the blame"
    )


def _of_first_channel(told: NotifiedIncident, fleet: Fleet, alone: bool) -> list[str]:
    """How far the first channel strayed, and if ``alone`` which one it no longer fits, if known."""
    if not told.channels:
        return []
    title = _title(told.channels[0], fleet)
    found = [strayed(told.type, title, told.deviation)]
    if alone and (partner := named_partner(told.type, told.channels, told.shares, told.partner)):
        found.append(f"{title} no longer fits {_title(partner, fleet)}.")
    return [sentence for sentence in found if sentence]


def _type(told: NotifiedIncident, fleet: Fleet) -> str:
    of = (told.type, told.end - told.start, fleet)
    return ", ".join(filter(None, (type_name(*of), meaning(*of))))


def _checks(told: NotifiedIncident, fleet: Fleet) -> list[str]:
    return what_to_check(told.type, told.channels, told.shares, told.partner, fleet.channel_by_name)


def _sensor(told: NotifiedIncident) -> bool:
    return looks_like_a_sensor(told.type, told.shares)


def _title(name: str, fleet: Fleet) -> str:
    """The channel's name for people, with its own name where that has other words."""
    title = fleet.title_of(name)
    own = name.removeprefix("Vehicle.").replace("_", " ")
    return title if title.replace("_", " ") == own else f"{title} ({name})"


def _for_programs(change: Change, fleet: Fleet) -> NoticeIncident:
    told = change.told
    return NoticeIncident(
        key=change.key,
        incident_id=change.incident_id,
        state=change.state,
        start=machine_time(told.start),
        end=machine_time(told.end),
        ongoing=change.ongoing,
        suspect="sensor" if _sensor(told) else "vehicle",
        check=_checks(told, fleet),
        outlived=change.outlived,
        replaces=change.replaces,
        part_of=change.part_of,
        **{name: getattr(told, name) for name in IncidentFigures.model_fields},
    )
