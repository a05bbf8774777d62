"""Checks of what a fleet lacks: silent vehicles, vanished channels, refused files and others."""

from datetime import UTC, date, datetime

from amad.cli.doctor.check import Check, Finding, fail, ok, warn
from amad.config import AmadError, Stage, usable_error
from amad.config.wording import count, some
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.silence import silent_vehicles
from amad.telemetry.trouble import KINDS, UNDONE
from amad.telemetry.validation import Validation

SHOWN = 4  # findings named in one check
VALIDATE = ("vanished", "backwards", "scale", "quarantined", "sensor")  # ingest finds the others
ALWAYS_KNOWN = ("future", "silent", "rows")  # the lake alone tells them


def checks(stage: Stage) -> list[Check]:
    """One check per kind of finding; none where nothing was ingested yet."""
    if not (stage.folder / "lake").is_dir():
        return []
    try:
        lake = Lake(stage.folder / "lake", stage.fleet)
        health = fleet_health(stage.fleet, stage.settings, lake)
    except (AmadError, OSError) as error:
        if (known := usable_error(error)) is None:
            raise
        return [Check("fleet health", *fail(str(known), ""))]  # the message says what to do
    dates = lake.dates()
    if dates and stage.fleet.source.timestamp.take == "index":
        finding = ok(f"of {dates[-1]}, counted from the start that the fleet file chose")
    else:
        finding = newest_date(dates)
    found = [Check("newest row", *finding)]
    for kind in KINDS:
        if kind.name == UNDONE:  # the check of the last scoring tells it
            continue
        finder = "validate" if kind.name in VALIDATE else "ingest"
        troubles = [str(t) for t in health.troubles if t.kind == kind.name]
        finding = ok("none")
        if troubles:
            told = f"{len(troubles)}: {some(troubles, SHOWN, '; ')}"
            finding = warn(told, kind.remedy)
        elif finder in health.unseen and kind.name not in ALWAYS_KNOWN:
            finding = warn("not looked at yet", f"run 'amad {finder}'")
        found.append(Check(kind.title.lower(), *finding))
    return found


def newest_date(dates: list[date], today: date | None = None) -> Finding:
    """Is the whole fleet silent? Its newest date is compared with today (UTC) and its own habit."""
    today = today or datetime.now(UTC).date()
    if not dates:
        return warn("the lake holds no rows", "run 'amad ingest'")
    away = (today - dates[-1]).days
    finding = f"of {dates[-1]}, {count(away, 'day')} ago"
    if away < -1:
        clock = "this machine's clock is behind, or a logger's is ahead: see 'rows in the future'"
        return warn(f"of {dates[-1]}, which is in the future", clock)
    if len(dates) == 1:
        silent = away > 2
    else:
        silent = bool(silent_vehicles([("fleet", day) for day in dates], newest=today))
    if silent:
        return warn(
            f"{finding}: the whole fleet is silent",
            "look at the upload, the raw folder, the schedule of 'amad ingest' and the clock of "
            "this machine; leave it if this is a finished recording",
        )
    return ok(finding)


def validation(stage: Stage) -> Finding:
    """Did the data pass validation, and has the lake changed since?"""
    verdict = Validation.read(stage.folder)
    if verdict is None:
        return warn("not yet", Validation.REMEDY)
    days = f"{verdict.quarantined} of {count(verdict.vehicle_days, 'vehicle-day')} quarantined"
    if not verdict.ok:
        why = verdict.refused_because or "too many vehicle-days fail"
        return fail(f"failed, {days}: {why}", f"see {stage.folder / 'docs' / 'index.html'}")
    if verdict.data_hash != Lake(stage.folder / "lake", stage.fleet).hash():
        return warn(f"passed, {days}, but the lake has changed since", Validation.REMEDY)
    return ok(f"passed, {days}")
