"""``amad score``: what it is asked for, what it would do, and what its exit code tells."""

from datetime import date
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from amad.cli.alerts import failure_told, tell_sinks
from amad.cli.running import DAY, ClusterOption, DateOption, FleetsOption, for_each_fleet

if TYPE_CHECKING:
    from amad.config import Stage
    from amad.engines.score.scoring_plan import ScoringRequest


class FailOn(StrEnum):
    """What ``--fail-on`` names."""

    CRITICAL = "critical"
    NOTHING_NEW = "nothing-new"


CRITICAL, NOTHING_NEW = 9, 10  # exit codes of what --fail-on names; an error comes first


def score(
    context: typer.Context,
    date: DateOption = None,
    from_: Annotated[
        date | None, typer.Option("--from", help="First date to score.", **DAY)
    ] = None,
    to: Annotated[
        date | None, typer.Option("--to", help="Last date to score; default: the lake's.", **DAY)
    ] = None,
    vehicle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID", help="Score only this vehicle again; the others stay as published."
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "process", "ray"] | None,
        typer.Option(help="Where it runs: in this process or over Ray; default: the profile's."),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Score a date even if it loses published vehicles by that."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be scored and why; change nothing.")
    ] = False,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="End with code 9 (critical) or 10 (nothing-new) if the job found this."),
    ] = None,
    fleet: FleetsOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Score one date, a range, or (no date) everything new since the last run.

    The champion of the fleet scores. The same date scored again gives the same bytes. Then the
    sinks of conf/notify/ are told what changed.
    """
    from amad.config import NothingScoredError
    from amad.engines.score.scoring_plan import ScoringRequest

    request = ScoringRequest(
        dates=_dates(date, from_, to, {"--force": force, "--vehicle": vehicle}),
        vehicles=tuple(dict.fromkeys(vehicle or [])),
        engine=engine,
        force=force,
    )
    if dry_run:
        for_each_fleet(context, fleet, lambda stage: _show_plan(stage, request), cluster)
        return
    run = import_module("pipelines.score").run

    def work(stage: "Stage") -> int | None:
        if request.dates:
            _check(stage, request)
        with failure_told(stage):  # also after a job that did only a part
            receipt = run(stage.params, stage.settings, request=request)
            if receipt.blank is not None:
                raise NothingScoredError(receipt.blank)
        scored = receipt.no_champion is None
        found = _found(stage, fail_on, scored=scored) if fail_on else set()
        # A night in which no champion scored is no error, but nobody may think that all is watched.
        tell_sinks(stage, well=scored)
        return min(found, default=None)

    for_each_fleet(context, fleet, work, cluster)


def _check(stage: "Stage", request: "ScoringRequest") -> None:
    """Refuse dates and vehicles that cannot be scored before a job begins.

    They are the caller's mistake: no job has failed, and nobody else is to be told.

    Raises:
        ConfigError: the lake has no rows of a vehicle.
        DataError: it has none of the dates, or none has scores that single vehicles could join.
    """
    from amad.config import DataError
    from amad.config.wording import some
    from amad.engines.score.fleet_scoring import check_vehicles
    from amad.engines.score.lake_snapshot import take_snapshot
    from amad.engines.score.scoring_plan import make_plan
    from amad.scores import partitions
    from amad.scores.job_log import job_logs, last_version
    from amad.storage import look
    from amad.telemetry.checksums import Checksums

    assert request.dates is not None
    look(stage, "status")
    try:
        snapshot = take_snapshot(stage, request.dates[1], look=True)
    except DataError:  # of the lake, which the job tells
        return
    check_vehicles(snapshot.lake, request)
    version = last_version(job_logs(stage.runs)[0]) or "0"
    sums = Checksums(stage.runs)
    plan = make_plan(snapshot, stage.runs, version, date.min, sums, request)
    if not request.vehicles or plan.days:
        return
    known = partitions.begun(stage.runs)
    if all(day.date not in known for day in plan.refused):
        raise DataError(some((f"{day.date}: {day.reason}" for day in plan.refused), separator="; "))


def _dates(
    day: date | None, first: date | None, last: date | None, need_dates: dict[str, object]
) -> tuple[date, date] | None:
    """The first and the last date that the options name; None where they name none.

    Raises:
        BadParameter: they do not go together, or one of ``need_dates`` is given without them.
    """
    if day and (first or last):
        raise typer.BadParameter("give --date, or --from and --to, not both.")
    if last and not first:
        raise typer.BadParameter("--to needs --from.")
    if first and last and last < first:
        raise typer.BadParameter(f"--to {last} is before --from {first}.")
    begin = day or first
    for name, given in need_dates.items():
        if given and not begin:
            raise typer.BadParameter(f"{name} needs --date or --from: say which dates.")
    return (begin, day or last or date.max) if begin else None


def _show_plan(stage: "Stage", request: "ScoringRequest") -> None:
    """Print what a job would do."""
    from amad.config.wording import count
    from amad.engines.score.dry_run import dry_run
    from amad.storage import look

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


def _found(stage: "Stage", fail_on: list[FailOn], *, scored: bool) -> set[int]:
    """The exit codes of what the last job found, of those that are asked for.

    scored: whether there was a job at all.
    """
    from amad.config.console import say
    from amad.config.wording import of_causes, some
    from amad.notify.grouping import by_cause, causes
    from amad.notify.published import read_window
    from amad.notify.suppressed import followed, judged_none
    from amad.scores.feedback import read_feedback
    from amad.scores.job_log import job_logs
    from amad.scores.partitions import incidents_of_date

    runs = stage.runs
    jobs = job_logs(runs)[0] if scored else []
    dates = jobs[-1].dates if jobs else []
    version = (jobs[-1].model_version if jobs else None) or "0"
    codes = set()
    if FailOn.NOTHING_NEW in fail_on and not dates:
        codes.add(NOTHING_NEW)
    if FailOn.CRITICAL in fail_on and dates:
        window = read_window(runs, version, back_to=min(dates))
        none = judged_none(followed(read_feedback(runs), window).incidents)
        critical = {
            item.incident_id: item
            for day in dates
            for item in incidents_of_date(runs, version, day)
            if item.level == "critical" and item.incident_id not in none
        }
        if critical:
            found = len(by_cause(causes(window), critical))
            vehicles = some(sorted({item.vehicle for item in critical.values()}))
            say(f"{of_causes(found, len(critical), 'critical')} on {vehicles}")
            codes.add(CRITICAL)
    return codes
