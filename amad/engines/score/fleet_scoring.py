"""The scoring job: score a fleet with its champion and publish one date after the other.

The alias of the champion is resolved once, at the start, so that one job scores with one version.
The unit of work is a vehicle and a day. Both engines run the same function on the same units with
one thread each and hand their tables to the same writer, so they give the same bytes.
"""

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from amad.config import ConfigError, DataError, Fleet, Stage
from amad.config.console import say
from amad.config.fleet import Missing
from amad.config.wording import count, registering, some, whole_pipeline
from amad.detect.detector_folder import load_detector
from amad.engines.score.champion import Champion, champion_of
from amad.engines.score.date_scoring import Done, Model, score_days
from amad.engines.score.lake_snapshot import Snapshot, take_snapshot
from amad.engines.score.scoring_plan import EVERYTHING_NEW, Plan, ScoringRequest, make_plan
from amad.engines.score.watermark import unfinished
from amad.engines.shared.unit_engines import engine_choice
from amad.notify.grouping import causes_on, read_causes
from amad.scores import partitions
from amad.scores.daily import check_contract, new_channels
from amad.scores.job_log import Attempt, Failed, JobLog, Refused, save, scoring_job
from amad.scores.retention import first_kept
from amad.storage import put_finished
from amad.telemetry.checksums import Checksums
from amad.telemetry.health import fleet_health, latest_date
from amad.telemetry.lake import Lake
from amad.telemetry.temporary import remove_unfinished


def score_fleet(stage: Stage, request: ScoringRequest = EVERYTHING_NEW) -> JobLog:
    """Run one scoring job and return its log (also ``runs/<fleet>/jobs/<id>.json``).

    What cannot be scored does not stop the rest: ``failed`` in the log holds each vehicle-day that
    could not be scored, ``refused`` each date that was left as it is, both with the reason.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no lake, a damaged detector, a model of another contract, or no rows on any date
            that is asked for.
        ConfigError: the request names vehicles of which the lake has no rows.
    """
    runs = stage.runs
    with scoring_job(runs, stage.fleet.name) as log:
        partitions.recover(runs)
        remove_unfinished(stage.folder)
        with champion_of(stage) as (champion, folder):
            log.model_version = champion.version
            model = _model(stage.fleet, champion, folder)
            partitions.set_aside(runs, champion.digests)
            snapshot = take_snapshot(stage, request.dates and request.dates[1])
            if stage.fleet.source.has_clock:
                partitions.set_aside_future(runs, snapshot.lake.dates(), latest_date())
            check_vehicles(snapshot.lake, request)
            log.vehicles = list(request.vehicles)
            log.test_start = max(champion.scores_from, first_kept(runs))
            log.threshold, log.detector = float(model.detector.threshold), model.digest
            log.alarm_budget = model.detector.params.alarm_budget
            log.health, log.findings = _health(stage, snapshot)
            with engine_choice(stage.profile, request.engine or stage.profile.engine) as choose:
                _score_dates(stage, request, snapshot, model, log, choose)
            log.causes = 0
            if log.incidents:
                found = [
                    partitions.incidents_of_date(runs, champion.version, day) for day in log.dates
                ]  # one that goes on over midnight stands in both dates
                log.incidents = len({item.incident_id for items in found for item in items})
                causes = read_causes(runs, champion.version, log.dates)
                log.causes = len(causes_on(causes, log.dates))
    _tell_rows(snapshot, log)
    return log


def _model(fleet: Fleet, champion: Champion, folder: Path) -> Model:
    """The champion's detector, loaded; says so where it was made for another fleet file."""
    version = champion.version
    detector = load_detector(folder, to_score=True, called=f"champion version {version}")
    check_contract(detector, fleet)
    if new := new_channels(detector, fleet):
        say(
            f"the champion, version {version}, learnt nothing of {some(new)} and says "
            f"nothing about {'it' if len(new) == 1 else 'them'}; once the train part has values, "
            f"{whole_pipeline(fleet.name)} for a detector that judges all channels"
        )
    if (other := detector.fleet.name) != fleet.name:
        say(
            f"the champion, version {version}, was made for fleet {other}, whose vehicles "
            f"and thresholds it knows; {registering(fleet.name)} for a detector of its own"
        )
    for what in learnt_otherwise(detector.fleet, fleet):
        say(f"the champion, version {version}, {what}; {whole_pipeline(fleet.name)} for another")
    return Model(version=version, digest=champion.digest, folder=folder, detector=detector)


def learnt_otherwise(learnt: Fleet, now: Fleet) -> Iterator[str]:
    """What the fleet file tells otherwise than the model's own did, and what follows from it."""
    for before in learnt.channels:
        channel = now.channel_by_name[before.name]
        for key in ("unit", "kind"):
            then, told = getattr(before, key), getattr(channel, key)
            if then and told and then != told:
                yield (
                    f"learnt {channel.name} with {key} {then}, and the fleet file says {told}: if "
                    "its values changed, they look abnormal"
                )
        if before.range != channel.range:
            yield _goes_on(f"{channel.name} with range", before.range, channel.range)
    if learnt.period_seconds != now.period_seconds:
        yield _goes_on("period_seconds", learnt.period_seconds, now.period_seconds)
    for key in Missing.model_fields:
        then, told = getattr(learnt.missing, key), getattr(now.missing, key)
        if then != told:
            yield _goes_on(f"missing.{key}", then, told)


def _goes_on(what: str, then: object, told: object) -> str:
    old, new = (
        "none" if value is None else str(list(value) if isinstance(value, tuple) else value)
        for value in (then, told)
    )
    return f"learnt {what} {old}, and the fleet file says {new}: it goes on with {old}"


def _score_dates(
    stage: Stage,
    request: ScoringRequest,
    snapshot: Snapshot,
    model: Model,
    log: JobLog,
    choose: Callable[[int, int], str],
) -> None:
    """Score and publish what is planned, then the dates that this makes stale, each date once."""
    runs, profile, start = stage.runs, stage.profile, log.test_start
    assert start is not None
    sums = Checksums(runs)
    plan = make_plan(snapshot, runs, model.version, start, sums, request)
    tried: set[date] = set()
    while True:
        _tell(log, plan)
        tried |= set(plan.days) | {item.date for item in plan.refused}
        vehicle_days = sum(day in plan.days for _, day in snapshot.parts)
        engine = choose(vehicle_days, profile.ray_min_vehicle_days)
        log.engine = log.engine or engine
        for done in score_days(
            snapshot, runs, model, plan, sums, engine, profile,
            request, lambda day: _begin(stage, log, day),
        ):  # fmt: skip
            _note(log, done)
            save(runs, log)
            put_finished()
        if request.dates is not None or not plan.days:
            break
        # An incident that now continues over midnight makes the date after it stale.
        plan = make_plan(snapshot, runs, model.version, start, sums, request)
        plan.days = {day: why for day, why in plan.days.items() if day not in tried}
        plan.refused = [item for item in plan.refused if item.date not in tried]
        plan.told = []
    sums.save()


def _tell_rows(snapshot: Snapshot, log: JobLog) -> None:
    """Print which dates are not over, and which values and channels were left out."""
    if scored := sorted(set(unfinished(snapshot.lake)) & set(log.dates)):
        say(f"not over in the lake, and scored again once there is more of it: {some(scored)}")
    for channel, cells in log.made_null.items():
        say(f"{channel}: {count(cells, 'impossible value')} taken as null")
    for code, rows in log.unseen.items():
        say(f"{code} was never seen in training: {count(rows, 'row')}")
    without = {
        "failed sensors": log.withheld,
        "unusable channels": log.unmeasured,
        "channels that the training of their vehicles lacked": log.unlearnt,
    }
    for what, channels_of in without.items():  # a line each, also of a thousand vehicles
        if channels_of:
            vehicles = (f"{vehicle} ({', '.join(of)})" for vehicle, of in channels_of.items())
            say(f"scored without {what}: {some(vehicles)}")
    if log.unlearnt:
        say("'amad retrain --force' learns such channels once their vehicles' train part has them")


def _tell(log: JobLog, plan: Plan) -> None:
    """Print what the plan leaves out, and note it in the log."""
    for sentence in plan.told:
        say(sentence)
        log.told.append(sentence)
    for item in plan.refused:
        say(f"{item.date} is left as it was published: {item.reason}")
        log.refused.append(item)


def _begin(stage: Stage, log: JobLog, day: date) -> None:
    """Note that a date is begun, so that one in which the job is killed counts as an attempt."""
    log.attempts.append(Attempt(date=day))
    save(stage.runs, log)


def _note(log: JobLog, done: Done) -> None:
    """Add the result for a date to the log, and print what failed."""
    log.attempts[-1] = Attempt(date=done.day, seconds=done.seconds)
    for vehicle, reason in done.failed.items():
        say(f"{vehicle} on {done.day} cannot be scored: {reason}")
        log.failed.append(Failed(date=done.day, vehicle=vehicle, reason=reason))
    if done.manifest is None:
        reason = (
            f"{some(sorted(done.failed))} could not be scored, and either the date has no other "
            "vehicle, or it is published already"
        )
        log.refused.append(Refused(date=done.day, vehicles=sorted(done.failed), reason=reason))
        return
    log.add(done.manifest)


def check_vehicles(lake: Lake, request: ScoringRequest) -> None:
    """Are the vehicles that are asked for in the lake?

    Raises:
        ConfigError: one is not; the message lists those there are.
    """
    known = lake.vehicles()
    if unknown := sorted(set(request.vehicles) - set(known)):
        raise ConfigError(
            f"the lake has no rows of vehicle {some(unknown)}; it has vehicles {some(known, 20)}"
        )


def _health(stage: Stage, snapshot: Snapshot) -> tuple[dict[str, list[str]], list[str] | None]:
    """What the fleet lacks, by kind, and the ids of it.

    A damaged file of an earlier stage does not stop the job; what is lacking is then not known.
    """
    try:
        found = fleet_health(stage.fleet, stage.settings, snapshot.lake)
    except DataError as error:
        return {"unseen": [str(error)]}, None
    return found.sentences(), [trouble.id for trouble in found.troubles]
