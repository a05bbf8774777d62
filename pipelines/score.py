"""python -m pipelines.score

The champion scores every date that is new: runs/<fleet>/scores, runs/<fleet>/incidents and the
receipt data/<fleet>/scoring.json, which lists what is published of each date.
"""

from collections import Counter
from datetime import date

from amad.config import DataError, Fleet, Params, Settings, load_fleet
from amad.config.console import say
from amad.engines.score.fleet_scoring import published, score_fleet
from amad.engines.score.scoring_plan import some
from amad.engines.shared.model_registry import CHAMPION, alias_version
from amad.engines.shared.tracking import connect
from amad.scores.job_log import JobLog
from amad.scores.receipts import PublishedDate, RegistrationReceipt, ScoringReceipt
from pipelines import stage_main

STATUS = {
    "no_history": "without a history to judge by",
    "no_values": "without a usable value",
    "quarantined": "quarantined",
    "too_short": "in too short a stretch",
}


def run(
    params: Params,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    engine: str | None = None,
    force: bool = False,
) -> ScoringReceipt:
    """Score from ``first`` to ``last`` (inclusive; None: everything new) and return the receipt.

    engine: ``process``, ``ray`` or ``auto``; default: the cluster profile's. force: publish a date
    though vehicles that were published of it cannot be scored any more.
    Where the gate has refused every model so far and no date is asked for, nothing is scored: the
    receipt says so under ``no_champion``.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: a model of another contract; or, once all else is done, that a vehicle-day could
            not be scored or a date was left as it was.
    """
    fleet = load_fleet(params.fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    if first is None and last is None and (why := _without_champion(fleet, settings)):
        say(f"nothing is scored: {why}")
        receipt = ScoringReceipt(
            fleet=fleet.name, model_version=None, dates=[], by_date={}, rows=0, incidents=0,
            no_champion=why,
        )  # fmt: skip
        receipt.write(folder)
        return receipt
    log = score_fleet(fleet, settings, first=first, last=last, engine=engine, force=force)
    assert log.model_version is not None
    dates = {
        day: PublishedDate.model_validate(manifest)
        for day, manifest in published(settings, fleet.name, log.model_version).items()
    }
    receipt = ScoringReceipt(
        fleet=fleet.name,
        model_version=log.model_version,
        dates=sorted(dates),
        by_date=dates,
        rows=sum(item.rows for item in dates.values()),
        incidents=sum(item.incidents for item in dates.values()),
    )
    receipt.write(folder)
    say(_done(log))
    for kind, found in log.health.items():
        say(f"fleet health, {kind}: {some(found, separator='; ')}")
    if log.failed or log.refused:
        raise DataError(_undone(log, fleet.name))
    return receipt


def _without_champion(fleet: Fleet, settings: Settings) -> str | None:
    """Why the fleet has no champion, where the gate has refused what there is; else None.

    A fleet that had a champion and has lost it is an error of the registry, not this.
    """
    refused = RegistrationReceipt.read(settings.fleet_dir(fleet.name))
    if refused is None or refused.champion is not None:
        return None
    if alias_version(connect(settings), fleet.name, CHAMPION) is not None:
        return None
    return (
        f"fleet {fleet.name} has no champion; version {refused.version} was not promoted "
        f"({refused.reasons[-1]})"
    )


def _done(log: JobLog) -> str:
    """What the job did, counted, with what it did not do beside it."""
    if not log.dates:
        asked = log.told or log.failed or log.refused
        return "nothing was scored" if asked else "nothing to score: no date is new or has changed"
    counts = (f"{rows:,} {STATUS.get(name, name)}" for name, rows in sorted(log.unscored.items()))
    left = f"; not scored: {', '.join(counts)}" if log.unscored else ""
    return (
        f"scored {log.scored:,} of {log.rows:,} rows in {log.vehicle_days:,} vehicle-days "
        f"of {len(log.dates)} dates with version {log.model_version}: {log.incidents} "
        f"incidents{left}"
    )


def _undone(log: JobLog, fleet: str) -> str:
    """What the job could not do; all else is done and published."""
    parts = []
    if log.failed:
        days = Counter(item.vehicle for item in log.failed)
        vehicles = some(f"{vehicle} ({count})" for vehicle, count in sorted(days.items()))
        parts.append(
            f"{len(log.failed)} vehicle-days could not be scored and are tried again by the "
            f"next job: {vehicles}; first: {log.failed[0].reason}"
        )
    if log.refused:
        dates = some(item.date for item in log.refused)
        parts.append(
            f"{len(log.refused)} dates were not published anew, or they would have lost "
            f"vehicles or have none: {dates}; first: {log.refused[0].reason}"
        )
    return f"fleet {fleet}: {'; '.join(parts)}"


if __name__ == "__main__":
    stage_main(run, lasting="scoring.json")
