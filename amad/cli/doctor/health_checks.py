"""Checks of what a fleet lacks: silent vehicles, vanished channels, refused files, and the rest."""

from datetime import UTC, date, datetime

from amad.cli.doctor.check import Check, Subject, fail, ok, warn
from amad.config import AmadError
from amad.telemetry.health import KINDS, fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.silence import silent_vehicles
from amad.telemetry.validation import Validation

SHOWN = 4  # findings named in one check
STAGE = {"vanished": "validate", "quarantined": "validate"}  # of the kinds that ingest cannot tell
NEWEST = "newest row"


def checks(subject: Subject) -> list[Check]:
    """A check per kind of finding; none where nothing was ingested yet."""
    folder = subject.settings.fleet_dir(subject.fleet.name)
    if not (folder / "lake").is_dir():
        return []
    try:
        lake = Lake(folder / "lake", subject.fleet)
        health = fleet_health(subject.fleet, subject.settings, lake)
    except AmadError as error:
        return [fail("fleet health", str(error), "")]  # its sentence says what to do
    found = []
    for kind in KINDS:
        name, stage = kind.title.lower(), STAGE.get(kind.name, "ingest")
        troubles = [str(t) for t in health.troubles if t.kind == kind.name]
        if troubles:
            more = f"; and {len(troubles) - SHOWN} more" if len(troubles) > SHOWN else ""
            finding = f"{len(troubles)}: {'; '.join(troubles[:SHOWN])}{more}"
            found.append(warn(name, finding, kind.remedy))
        elif stage in health.unseen and kind.name not in ("silent", "rows"):
            found.append(warn(name, "not looked at yet", f"run 'amad {stage}'"))
        else:
            found.append(ok(name, "none"))
    return [newest_row(lake.dates()), *found]


def newest_row(dates: list[date], today: date | None = None) -> Check:
    """Is the whole fleet silent? Held against the habit of its own dates and today's (UTC)."""
    today = today or datetime.now(UTC).date()
    if not dates:
        return warn(NEWEST, "the lake holds no rows", "run 'amad ingest'")
    away = (today - dates[-1]).days
    finding = f"of {dates[-1]}, {away} days ago"
    if away < -1:
        clock = "a logger's clock is ahead: find its rows, and mend or refuse them"
        return warn(NEWEST, f"of {dates[-1]}, which is in the future", clock)
    if len(dates) == 1:
        silent = away > 2
    else:
        silent = bool(silent_vehicles([("fleet", day) for day in dates], newest=today))
    if silent:
        return warn(
            NEWEST,
            f"{finding}: the whole fleet is silent",
            "look at the upload, the raw folder and the schedule of 'amad ingest'; leave it if "
            "this is a finished recording",
        )
    return ok(NEWEST, finding)


def validation(subject: Subject) -> Check:
    """Did the data pass, and is the verdict of the lake as it is?"""
    folder = subject.settings.fleet_dir(subject.fleet.name)
    again = Validation.REMEDY
    verdict = Validation.read(folder)
    if verdict is None:
        return warn("validation", "not yet", again)
    days = f"{verdict.quarantined} of {verdict.vehicle_days} vehicle-days quarantined"
    if not verdict.ok:
        why = verdict.refused_because or "too many vehicle-days fail"
        look = f"see {folder / 'docs' / 'index.html'}"
        return fail("validation", f"failed, {days}: {why}", look)
    if verdict.data_hash != Lake(folder / "lake", subject.fleet).hash():
        return warn("validation", f"passed, {days}, but the lake has changed since", again)
    return ok("validation", f"passed, {days}")
