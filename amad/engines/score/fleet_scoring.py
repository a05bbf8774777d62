"""The scheduled job: which dates to score, with which model, in process or over Ray Data.

One job scores with one version of the model: the alias is resolved once, at the start. The unit of
work is a vehicle and a day. Both engines run the same function on the same units with one thread
each, and hand their tables to the same writer: they give the same bytes.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from amad.config import ClusterProfile, DataError, Fleet, Settings, load_cluster
from amad.config.console import say, track
from amad.detect.daily import check_contract
from amad.detect.detector import Detector
from amad.detect.incidents import Incident, continue_incident
from amad.detect.storage import load_detector
from amad.engines.score.lake_snapshot import Snapshot, digest_of, take_snapshot
from amad.engines.score.scoring_engines import in_process, over_ray
from amad.engines.score.scoring_plan import Plan, make_plan, some
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
from amad.telemetry.files import full_disk_named
from amad.telemetry.health import fleet_health


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One version of the model as a job holds it.

    folder: where ``detector`` was read from; Ray's workers read it anew. digest: the detector's.
    """

    version: str
    digest: str
    folder: Path
    detector: Detector

    @property
    def history_us(self) -> int:
        """How long before a day the rows that its scores depend on begin."""
        return self.detector.history_us


def score_fleet(
    fleet: Fleet,
    settings: Settings,
    *,
    first: date | None = None,
    last: date | None = None,
    engine: str | None = None,
    force: bool = False,
) -> JobLog:
    """Run one scoring job and return its log (also ``runs/<fleet>/jobs/<id>.json``).

    first, last: the dates to score, inclusive; None: everything new, see ``make_plan``.
    engine: ``process``, ``ray`` or ``auto``; default: the cluster profile's. force: publish a date
    though vehicles that were published of it cannot be scored any more.

    What could not be done does not stop the rest: ``failed`` in the log holds each vehicle-day that
    could not be scored, ``refused`` each date that was left as it is, both with the reason.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no lake, a damaged detector, or a model of another contract.
    """
    profile = load_cluster(settings=settings)
    runs = settings.runs_dir(fleet.name)
    with scoring_job(runs, fleet.name) as log:
        partitions.recover(runs)
        client = connect(settings)
        with told(client.tracking_uri):
            champion = champion_version(client, fleet.name)
            known = digests(client, fleet.name)
        log.model_version = version = str(champion.version)
        with fetched(client, champion) as folder:
            detector = load_detector(folder)
            check_contract(detector, fleet)
            model = Model(
                version=version,
                digest=champion.tags[DIGEST],
                folder=folder,
                detector=detector,
            )
            partitions.set_aside(runs, known)
            snapshot = take_snapshot(fleet, settings, last)
            start = scores_from(champion)
            sums = Checksums(runs)
            log.start(
                test_start=start,
                threshold=float(detector.threshold),
                detector=model.digest,
                alarm_budget=detector.params.alarm_budget,
                health=_health(fleet, settings, snapshot),
            )
            plan_of = partial(make_plan, snapshot, runs, model.version, start, sums, force=force)
            plan = plan_of(first=first, last=last)
            tried: set[date] = set()
            while True:
                _tell(log, plan)
                tried |= set(plan.days) | set(plan.refused)
                chosen = _engine(engine or profile.scoring_engine, profile, snapshot, plan)
                log.engine = log.engine or chosen
                for done in score_days(snapshot, runs, model, plan, sums, chosen, profile, force):
                    _note(log, done)
                    save(runs, log)
                if first is not None or last is not None or not plan.days:
                    break
                # An incident that now goes on over midnight makes the date after it stale.
                plan = plan_of()
                plan.days = [day for day in plan.days if day not in tried]
                plan.refused = {d: lost for d, lost in plan.refused.items() if d not in tried}
                plan.told = []
            sums.save()
    for channel, cells in log.made_null.items():
        say(f"{channel}: {cells:,} values that cannot be, taken as null")
    for vehicle, channels in log.unmeasured.items():
        say(f"vehicle {vehicle}: scored without {', '.join(channels)}, of which it sent no value")
    return log


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What became of one date. manifest: of its new partition; None where nothing was published.

    failed: the vehicles that could not be scored, and why.
    """

    day: date
    manifest: dict | None
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

    A score table waits on disk until the rest of its date is there: memory holds one vehicle-day.
    A vehicle that fails is left out, and the date stays stale; where it is published already, the
    date is left as it is.
    """
    days = plan.days
    if not days:
        return
    detector = model.detector
    made_of = {day: snapshot.made_of(day, model.history_us) for day in days}
    units = [(vehicle, day) for day in days for vehicle in made_of[day]]
    run = over_ray if engine == "ray" else in_process
    results = run(snapshot, model.folder, units, profile)
    progress = iter(track(units, f"score {len(days)} dates, vehicle-day by vehicle-day"))
    for day in days:
        before = partitions.open_incidents(
            runs, model.version, day - timedelta(days=1), detector.gap_us, sums
        )
        incidents: list[Incident] = []
        tables = []
        failed: dict[str, str] = {}
        cells: Counter[str] = Counter()
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
                table = result.table
                cells.update(result.made_null)
                if result.unmeasured:
                    unmeasured[vehicle] = list(result.unmeasured)
                file = Path(waiting) / f"{number}.arrow"
                _write_arrow(file, table)
                tables.append(partial(_read_arrow, file))
                incidents += continue_incident(
                    before.get(vehicle),
                    result.incidents,
                    gap_us=detector.gap_us,
                    threshold=detector.threshold,
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
                about={
                    "detector": model.digest,
                    "history_us": model.history_us,
                    "gap_us": detector.gap_us,
                    "inputs": digest_of(scored),
                    "carried": digest_of(before),
                    "made_null": dict(sorted(cells.items())),
                    "unmeasured": unmeasured,
                },
            )
            yield Done(day=day, manifest=manifest, failed=failed)
    next(progress, None)
    results.close()


def _tell(log: JobLog, plan: Plan) -> None:
    """Say, and note in the log, what the plan leaves out."""
    for sentence in plan.told:
        say(sentence)
        log.told.append(sentence)
    for day, lost in plan.refused.items():
        reason = (
            f"the lake has no rows any more of {some(lost)}, published before; bring them back, or "
            f"publish without: amad score --date {day} --force"
        )
        say(f"{day} is left as it was published: {reason}")
        log.refused.append(Refused(date=day, vehicles=lost, reason=reason))


def _note(log: JobLog, done: Done) -> None:
    """Add what became of a date to the log, and say what failed."""
    for vehicle, reason in done.failed.items():
        say(f"{vehicle} on {done.day} cannot be scored: {reason}")
        log.failed.append(Failed(date=done.day, vehicle=vehicle, reason=reason))
    if done.manifest is None:
        reason = f"{some(sorted(done.failed))} could not be scored, and nothing else was left of "
        reason += "the date or it is published already"
        log.refused.append(Refused(date=done.day, vehicles=sorted(done.failed), reason=reason))
        return
    log.add(done.day, done.manifest)


def published(settings: Settings, fleet: str, champion: str) -> dict[date, dict]:
    """What counts of each scored date: its manifest, by date in order.

    A date that several versions have scored counts with the champion's, else the newest version's.
    """
    done = partitions.manifests(settings.runs_dir(fleet))
    return {day: found[partitions.current(found, champion)] for day, found in done.items()}


def _health(fleet: Fleet, settings: Settings, snapshot: Snapshot) -> dict[str, list[str]]:
    """What the fleet lacks, by kind; a damaged file of an earlier stage stops no scoring."""
    try:
        return fleet_health(fleet, settings, snapshot.lake).sentences()
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
