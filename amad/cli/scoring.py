"""``amad score``: what it is asked for, what it would do, and what its exit code tells."""

from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from amad.cli import alerts
from amad.cli.running import for_each_fleet

if TYPE_CHECKING:
    from amad.config import Params, Settings
    from amad.engines.score.scoring_plan import ScoringRequest


class FailOn(StrEnum):
    """What ``--fail-on`` names."""

    CRITICAL = "critical"
    NOTHING_NEW = "nothing-new"


CRITICAL, NOTHING_NEW = 9, 10  # exit codes of what --fail-on names; an error comes first


def score(
    context: typer.Context,
    fleets: list[str] | None,
    cluster: str | None,
    *,
    date: date | None,
    first: date | None,
    last: date | None,
    vehicles: list[str],
    engine: str | None,
    force: bool,
    dry_run: bool,
    fail_on: list[FailOn],
) -> None:
    """Check what is asked for and score each fleet, or say what would be scored.

    Raises:
        BadParameter: options that do not go together.
        Exit: with the code of what ``fail_on`` names, where all fleets went well; see
            ``for_each_fleet``.
    """
    request = _request(date, first, last, vehicles, engine, force)
    if dry_run:
        for_each_fleet(context, fleets, lambda p, s: _foretell(p, s, request), cluster)
        return

    def look(params: "Params", settings: "Settings", scored: bool) -> int | None:
        found = _found(params, settings, fail_on, scored=scored) if fail_on else set()
        return min(found, default=None)

    alerts.score(context, fleets, cluster, request, then=look)


def _request(
    date: date | None,
    first: date | None,
    last: date | None,
    vehicles: list[str],
    engine: str | None,
    force: bool,
) -> "ScoringRequest":
    from amad.engines.score.scoring_plan import ScoringRequest

    if date and (first or last):
        raise typer.BadParameter("give --date, or --from and --to, not both.")
    if last and not first:
        raise typer.BadParameter("--to needs --from.")
    if first and last and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}.")
    for name, given in (("--force", force), ("--vehicle", vehicles)):
        if given and not (date or first):
            raise typer.BadParameter(f"{name} needs --date or --from: say which dates.")
    begin = date or first
    end = date or last or type(begin).max if begin else None
    return ScoringRequest(
        dates=(begin, end) if begin and end else None,
        vehicles=tuple(dict.fromkeys(vehicles)),
        engine=engine,
        force=force,
    )


def _foretell(params: "Params", settings: "Settings", request: "ScoringRequest") -> None:
    """Print what a job would do."""
    from amad.config import Stage
    from amad.config.wording import count
    from amad.engines.score.dry_run import dry_run
    from amad.storage import look

    stage = Stage.of(params, settings)
    look(stage, "status")
    plan, version = dry_run(stage, request)
    name = stage.fleet.name
    for day, why in plan.days.items():
        print(f"{name} {day}: would be scored, {why}")
    for item in plan.refused:
        print(f"{name} {item.date}: would be left as it is, {item.reason}")
    for sentence in plan.told:
        print(f"{name}: {sentence}")
    days = count(len(plan.days), "date")
    print(f"{name}: version {version} would score {days}; nothing was changed")


def _found(
    params: "Params", settings: "Settings", fail_on: list[FailOn], *, scored: bool
) -> set[int]:
    """The exit codes of what the last job found, of those that are asked for.

    scored: whether there was a job at all.
    """
    from amad.config import Stage
    from amad.config.console import say
    from amad.config.wording import of_causes, some
    from amad.notify.grouping import by_cause, read_causes
    from amad.scores.feedback import read_feedback
    from amad.scores.job_log import job_logs
    from amad.scores.partitions import incidents_of_date

    stage = Stage.of(params, settings)
    runs = stage.runs
    jobs = job_logs(runs)[0] if scored else []
    dates = jobs[-1].dates if jobs else []
    version = (jobs[-1].model_version if jobs else None) or "0"
    codes = set()
    if FailOn.NOTHING_NEW in fail_on and not dates:
        codes.add(NOTHING_NEW)
    if FailOn.CRITICAL in fail_on and dates:
        judged = read_feedback(runs).incidents
        critical = {
            item.incident_id: item
            for day in dates
            for item in incidents_of_date(runs, version, day)
            if item.level == "critical"
            and (item.incident_id not in judged or judged[item.incident_id].verdict == "true")
        }
        if critical:
            found = len(by_cause(read_causes(runs, version, dates), critical))
            vehicles = some(sorted({item.vehicle for item in critical.values()}))
            say(f"{of_causes(found, len(critical), 'critical')} on {vehicles}")
            codes.add(CRITICAL)
    return codes
