"""The scoring job: score a fleet with its champion and publish one date after the other.

The alias of the champion is resolved once, at the start, so that one job scores with one version.
The unit of work is a vehicle and a day. Both engines run the same function on the same units with
one thread each and hand their tables to the same writer, so they give the same bytes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from amad.config import ClusterProfile, DataError, ServiceError, Stage
from amad.config.console import say, track
from amad.config.wording import count, some
from amad.detect.daily import check_contract
from amad.detect.detector import Detector
from amad.detect.incidents import Incident, continue_incident
from amad.detect.storage import load_detector
from amad.engines.score.lake_snapshot import Snapshot, digest_of, take_snapshot
from amad.engines.score.scoring_engines import in_process, over_ray
from amad.engines.score.scoring_plan import EVERYTHING_NEW, Plan, ScoringRequest, make_plan
from amad.engines.shared.model_registry import (
    DIGEST,
    champion_version,
    digests,
    fetched,
    scores_from,
)
from amad.engines.shared.tracking import connect, told
from amad.scores import partitions
from amad.scores.checksums import Checksums
from amad.scores.job_log import Failed, JobLog, Refused, save, scoring_job
from amad.scores.mirror import mirror
from amad.scores.partition_manifest import PartitionManifest, Provenance
from amad.scores.retention import first_kept
from amad.telemetry.files import full_disk_named
from amad.telemetry.health import fleet_health


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The version of the model that a job scores with.

    folder: where ``detector`` was read from; Ray's workers read it again. digest: the detector's.
    """

    version: str
    digest: str
    folder: Path
    detector: Detector


def score_fleet(stage: Stage, request: ScoringRequest = EVERYTHING_NEW) -> JobLog:
    """Run one scoring job and return its log (also ``runs/<fleet>/jobs/<id>.json``).

    What cannot be scored does not stop the rest: ``failed`` in the log holds each vehicle-day that
    could not be scored, ``refused`` each date that was left as it is, both with the reason.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no lake, a damaged detector, or a model of another contract.
    """
    fleet, runs, profile = stage.fleet, stage.runs, stage.profile
    with scoring_job(runs, fleet.name) as log:
        partitions.recover(runs)
        client = connect(stage.settings)
        with told(client.tracking_uri):
            champion = champion_version(client, fleet.name)
            known = digests(client, fleet.name)
        log.model_version = version = str(champion.version)
        with fetched(client, champion) as folder:
            detector = load_detector(folder, to_score=True)
            check_contract(detector, fleet)
            model = Model(
                version=version, digest=champion.tags[DIGEST], folder=folder, detector=detector
            )
            partitions.set_aside(runs, known)
            snapshot = take_snapshot(stage, request.dates and request.dates[1])
            log.test_start = start = max(scores_from(champion), first_kept(runs))
            log.threshold, log.detector = float(detector.threshold), model.digest
            log.alarm_budget = detector.params.alarm_budget
            log.health = _health(stage, snapshot)
            sums = Checksums(runs)
            plan = make_plan(snapshot, runs, version, start, sums, request)
            tried: set[date] = set()
            while True:
                _tell(log, plan)
                tried |= set(plan.days) | set(plan.refused)
                engine = _engine(request.engine or profile.scoring_engine, profile, snapshot, plan)
                log.engine = log.engine or engine
                force = request.force
                for done in score_days(snapshot, runs, model, plan, sums, engine, profile, force):
                    _note(log, done)
                    save(runs, log)
                if request.dates is not None or not plan.days:
                    break
                # An incident that now continues over midnight makes the date after it stale.
                plan = make_plan(snapshot, runs, version, start, sums, request)
                plan.days = [day for day in plan.days if day not in tried]
                plan.refused = {d: lost for d, lost in plan.refused.items() if d not in tried}
                plan.told = []
            sums.save()
        if profile.publish_to is not None:
            try:
                copied = mirror(runs, profile.publish_to, fleet.name)
                say(f"copied {count(len(copied), 'date')} to {profile.publish_to}")
            except ServiceError as error:
                log.uncopied = str(error)
    for channel, cells in log.made_null.items():
        say(f"{channel}: {count(cells, 'impossible value')} taken as null")
    for code, rows in log.unseen.items():
        say(f"{code} was never seen in training: {count(rows, 'row')}")
    for vehicle, channels in log.unmeasured.items():
        say(f"vehicle {vehicle}: scored without {', '.join(channels)}, of which it sent no value")
    return log


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result for one date. manifest: of its new partition; None where nothing was published.

    failed: the vehicles that could not be scored, and why.
    """

    day: date
    manifest: PartitionManifest | None
    failed: dict[str, str]


def score_days(
    snapshot: Snapshot,
    runs: Path,
    model: Model,
    plan: Plan,
    sums: Checksums,
    engine: str,
    profile: ClusterProfile,
    force: bool = False,
) -> Iterator[Done]:
    """Score the plan's days, in order, and publish each when it is complete.

    Each score table is kept on disk until its date is complete, so memory holds one vehicle-day. A
    vehicle that fails is left out, and its date stays stale. Where such a vehicle is published
    already, the whole date is left as it is.
    """
    days = plan.days
    if not days:
        return
    detector = model.detector
    made_of = {day: snapshot.made_of(day, detector.history_us) for day in days}
    units = [(vehicle, day) for day in days for vehicle in made_of[day]]
    run = over_ray if engine == "ray" else in_process
    results = run(snapshot, model.folder, units, profile)
    progress = iter(track(units, f"score {count(len(days), 'date')}, vehicle-day by vehicle-day"))
    for day in days:
        before = partitions.open_incidents(
            runs, model.version, day - timedelta(days=1), detector.gap_us, sums
        )
        incidents: list[Incident] = []
        tables = []
        failed: dict[str, str] = {}
        cells: Counter[str] = Counter()
        unseen: Counter[str] = Counter()
        unmeasured: dict[str, list[str]] = {}
        # Uses the `.stage-*` prefix that `recover` deletes, so a killed job leaves nothing behind.
        place = partitions.folder(runs, "scores", model.version, day).parent
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place, prefix=".stage-", suffix="-waiting") as waiting:
            for number, (vehicle, wanted) in enumerate(made_of[day].items()):
                assert next(progress) == (vehicle, day)
                result = next(results)
                if not isinstance(result, str) and result.table.num_rows != wanted.rows:
                    result = partitions.miscounted(vehicle, result.table.num_rows, wanted.rows)
                if isinstance(result, str):
                    failed[vehicle] = result
                    continue
                cells.update(result.made_null)
                unseen.update(result.unseen)
                if result.unmeasured:
                    unmeasured[vehicle] = list(result.unmeasured)
                file = Path(waiting) / f"{number}.arrow"
                _write_arrow(file, result.table)
                tables.append(partial(_read_arrow, file))
                incidents += continue_incident(
                    before.get(vehicle),
                    result.incidents,
                    gap_us=detector.gap_us,
                )
            scored = {name: item for name, item in made_of[day].items() if name not in failed}
            if not scored or (plan.published.get(day, frozenset()) & set(failed) and not force):
                yield Done(day=day, manifest=None, failed=failed)
                continue
            manifest = partitions.publish(
                runs,
                model.version,
                day,
                tables=tables,
                incidents=incidents,
                vehicles=scored,
                provenance=Provenance(
                    detector=model.digest,
                    history_us=detector.history_us,
                    gap_us=detector.gap_us,
                    inputs=digest_of(scored),
                    carried=digest_of(before),
                    made_null=dict(sorted(cells.items())),
                    unmeasured=unmeasured,
                    unseen=dict(sorted(unseen.items())),
                ),
            )
            yield Done(day=day, manifest=manifest, failed=failed)
    next(progress, None)
    results.close()


def _tell(log: JobLog, plan: Plan) -> None:
    """Print what the plan leaves out, and note it in the log."""
    for sentence in plan.told:
        say(sentence)
        log.told.append(sentence)
    for day, lost in plan.refused.items():
        reason = (
            f"the lake no longer has rows of {some(lost)}, published before; bring them back, or "
            f"publish without them: amad score --date {day} --force"
        )
        say(f"{day} is left as it was published: {reason}")
        log.refused.append(Refused(date=day, vehicles=lost, reason=reason))


def _note(log: JobLog, done: Done) -> None:
    """Add the result for a date to the log, and print what failed."""
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


def _health(stage: Stage, snapshot: Snapshot) -> dict[str, list[str]]:
    """What the fleet lacks, by kind. A damaged file of an earlier stage does not stop the job."""
    try:
        return fleet_health(stage.fleet, stage.settings, snapshot.lake).sentences()
    except DataError as error:
        return {"unseen": [str(error)]}


def _engine(wanted: str, profile: ClusterProfile, snapshot: Snapshot, plan: Plan) -> str:
    if wanted != "auto":
        return wanted
    chosen = set(plan.days)
    vehicle_days = sum(day in chosen for _, day in snapshot.parts)
    return "ray" if vehicle_days >= profile.ray_min_vehicle_days else "process"


def _write_arrow(file: Path, table: pa.Table) -> None:
    with (
        full_disk_named(file.parent),
        pa.OSFile(str(file), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as out,
    ):
        out.write_table(table)


def _read_arrow(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()
