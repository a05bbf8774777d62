"""The stage ``score``: run a scoring job, write the receipt, and say what was done."""

from collections import Counter
from datetime import date
from pathlib import Path

from amad.config import DataError, PartlyDoneError, Stage
from amad.config.console import say
from amad.config.wording import count, of_causes, some
from amad.engines.score.fleet_scoring import score_fleet
from amad.engines.score.scoring_plan import ScoringRequest
from amad.scores import partitions
from amad.scores.job_log import JobLog, why_unscored
from amad.scores.receipts import PublishedDate, RegistrationReceipt, ScoringReceipt


def score(stage: Stage, request: ScoringRequest) -> ScoringReceipt:
    """Run one scoring job, write its receipt and return it.

    Where the gate has refused every version so far and no date is asked for, nothing is scored, and
    the receipt says why under ``no_champion``.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no lake, a model of another contract, or no rows on any date that is asked for.
        PartlyDoneError: all else is done, but a vehicle-day could not be scored or a date was left
            as it was.
    """
    name = stage.fleet.name
    if request.dates is None and (why := _without_champion(stage)):
        say(f"nothing is scored: {why}")
        receipt = ScoringReceipt(
            fleet=name, model_version=None, dates=[], by_date={}, rows=0, no_champion=why
        )
        receipt.write(stage.folder)
        return receipt
    log = score_fleet(stage, request)
    assert log.model_version is not None
    dates = published(stage.runs, log.model_version)
    receipt = ScoringReceipt(
        fleet=name,
        model_version=log.model_version,
        dates=sorted(dates),
        by_date=dates,
        rows=sum(item.rows for item in dates.values()),
        blank=_blank(log, stage.folder) if log.blank else None,
    )
    receipt.write(stage.folder)
    say(_done(log))
    for kind, found in log.health.items():
        say(f"fleet health, {kind}: {some(found, separator='; ')}")
    if log.failed or log.refused:
        raise PartlyDoneError(_undone(log, name))
    return receipt


def published(runs: Path, champion: str) -> dict[date, PublishedDate]:
    """What is published of each date: by the champion, else by the newest version."""
    found = partitions.manifests(runs)
    current = {day: item[partitions.current(item, champion)] for day, item in found.items()}
    return {day: PublishedDate.model_validate(item.content()) for day, item in current.items()}


def _without_champion(stage: Stage) -> str | None:
    """Why the fleet has no champion, if the gate has refused every version; else None.

    A fleet whose champion was lost is not meant: that is an error of the registry. Where the
    receipt is damaged, which is said, the registry alone is asked for the champion.
    """
    try:
        refused = RegistrationReceipt.read(stage.folder)
    except DataError as error:
        say(str(error))
        return None
    if refused is None or refused.champion is not None:
        return None
    from amad.engines.shared.lost_registry import existing_registry
    from amad.engines.shared.model_registry import CHAMPION, alias_version

    with existing_registry(stage.settings, stage.fleet.name) as client:
        if alias_version(client, stage.fleet.name, CHAMPION) is not None:
            return None
    return (
        f"fleet {stage.fleet.name} has no champion; version {refused.version} was not promoted "
        f"({refused.reasons[-1]})"
    )


def _done(log: JobLog) -> str:
    """What the job scored, and how many rows it did not score and why."""
    if not log.dates:
        asked = log.told or log.failed or log.refused
        return "nothing was scored" if asked else "nothing to score: no date is new or has changed"
    left = f"; not scored: {why_unscored(log.unscored)}" if log.unscored else ""
    only = f"; only {some(log.vehicles)} scored again" if log.vehicles else ""
    causes = log.incidents if log.causes is None else log.causes
    return (
        f"scored {log.scored:,} of {count(log.rows, 'row')} in "
        f"{count(log.vehicle_days, 'vehicle-day')} of {count(len(log.dates), 'date')} with version "
        f"{log.model_version}: {of_causes(causes, log.incidents)}{left}{only}"
    )


def _blank(log: JobLog, folder: Path) -> str:
    """Which dates have no row with a score, and why."""
    return (
        f"no row has a score of {log.dates_without_score}, so how the vehicles are is not known; "
        f"{folder / 'docs' / 'index.html'} and fleet health name what is wrong with the data"
    )


def _undone(log: JobLog, fleet: str) -> str:
    """What the job could not do; all else is done and published."""
    parts = []
    if log.failed:
        days = Counter(item.vehicle for item in log.failed)
        vehicles = some(f"{vehicle} ({number})" for vehicle, number in sorted(days.items()))
        parts.append(
            f"{count(len(log.failed), 'vehicle-day')} could not be scored, and the next job tries "
            f"again: {vehicles}; first: {log.failed[0].reason}"
        )
    if log.refused:
        dates = some(item.date for item in log.refused)
        parts.append(
            f"{count(len(log.refused), 'date was', 'dates were')} not published anew, as vehicles "
            f"would be lost or none would be left: {dates}; first: {log.refused[0].reason}"
        )
    return f"fleet {fleet}: {'; '.join(parts)}"
