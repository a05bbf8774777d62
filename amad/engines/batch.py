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
from amad.engines import partitions
from amad.engines.freshness import Snapshot, digest_of, take_snapshot
from amad.engines.jobs import save, scoring_job
from amad.engines.registry import champion_version, fetched
from amad.engines.tracking import connect
from amad.engines.workers import in_process, over_ray
from amad.telemetry.health import fleet_health

COUNTED = ("rows", "scored", "alarms", "incidents", "vehicle_days")  # of a date, and of a job


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
) -> dict:
    """Run one scoring job and return its log (also ``runs/<fleet>/jobs/<id>.json``).

    first, last: the dates to score, inclusive; None: everything new, see ``choose_days``.
    engine: ``process``, ``ray`` or ``auto``; default: the cluster profile's.

    Raises:
        ServiceError: no champion, no registry, or another job of the fleet is running.
        DataError: no lake, no rows on the dates asked for, or a model of another contract.
    """
    profile = load_cluster(settings=settings)
    runs = settings.runs_dir(fleet.name)
    with scoring_job(runs, fleet.name) as log:
        partitions.recover(runs)
        client = connect(settings)
        champion = champion_version(client, fleet.name)
        log["model_version"] = str(champion.version)
        with fetched(client, champion) as folder:
            detector = Detector.load(folder)
            check_contract(detector, fleet)
            model = Model(
                version=log["model_version"],
                digest=champion.tags["detector_digest"],
                folder=folder,
                detector=detector,
            )
            snapshot = take_snapshot(fleet, settings, last)
            start = date.fromisoformat(champion.tags["test_start"])
            log["test_start"] = str(start)
            days = choose_days(snapshot, runs, model.version, start, first, last)
            chosen = _engine(engine or profile.scoring_engine, profile, snapshot, days)
            log["threshold"] = float(detector.threshold)
            log["alarm_budget"] = detector.params.alarm_budget
            log["health"] = _health(fleet, settings, snapshot)
            log |= {"engine": chosen} | dict.fromkeys(COUNTED, 0) | {"quarantined": 0}
            log |= {"made_null": {}, "unmeasured": {}}
            while days:
                for manifest in score_days(snapshot, runs, model, days, chosen, profile):
                    log["dates"].append(manifest["date"])
                    for name in COUNTED:
                        log[name] += manifest[name]
                    log["quarantined"] += len(manifest["quarantined"])
                    _add_untold(log, manifest)
                    save(runs, log)
                if first is not None or last is not None:
                    break
                # An incident that now goes on over midnight makes the date after it stale.
                days = choose_days(snapshot, runs, model.version, start)
                days = [day for day in days if str(day) not in log["dates"]]
    for channel, cells in log["made_null"].items():
        say(f"{channel}: {cells:,} values that cannot be, taken as null")
    for vehicle, channels in log["unmeasured"].items():
        say(f"vehicle {vehicle}: scored without {', '.join(channels)}, of which it sent no value")
    if not log["dates"]:
        say("nothing to score: no date is new since the last run")
    return log


def choose_days(
    snapshot: Snapshot,
    runs: Path,
    champion: str,
    start: date,
    first: date | None = None,
    last: date | None = None,
) -> list[date]:
    """The dates to score, in order: those asked for, or everything new.

    New is a date from ``start`` (of the test part) on that no version has scored, and a scored date
    whose partition is stale.

    Raises:
        DataError: dates were asked for and the lake has rows on none of them.
    """
    there = snapshot.dates()
    if first is not None or last is not None:
        days = [d for d in there if (first or d) <= d <= (last or d)]
        if not days:
            all_dates = snapshot.lake.dates()
            span = f"rows from {all_dates[0]} to {all_dates[-1]}" if all_dates else "no rows"
            asked = f"on {first}" if first == last else f"from {first or 'the start'} to {last}"
            raise DataError(f"{snapshot.lake.path}: no rows {asked}; the lake has {span}")
        return days
    done = partitions.manifests(runs)
    days = []
    for day in there:
        if day not in done:
            if day >= start:
                days.append(day)
            continue
        if snapshot.is_stale(runs, done[day][partitions.current(done[day], champion)]):
            days.append(day)
    return days


def score_days(
    snapshot: Snapshot,
    runs: Path,
    model: Model,
    days: list[date],
    engine: str,
    profile: ClusterProfile,
) -> Iterator[dict]:
    """Score ``days``, in order, and publish each when it is complete; yield the manifests.

    A score table waits on disk until the rest of its date is there: memory holds one vehicle-day.
    """
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
            runs, model.version, day - timedelta(days=1), detector.gap_us
        )
        incidents: list[Incident] = []
        tables = []
        cells: Counter[str] = Counter()
        unmeasured: dict[str, list[str]] = {}
        # Beside the partitions and named as they are while unfinished: a kill's rest is found.
        place = partitions.folder(runs, "scores", model.version, day).parent
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place, prefix=".stage-", suffix="-waiting") as waiting:
            for number, vehicle in enumerate(made_of[day]):
                assert next(progress) == (vehicle, day)
                result = next(results)
                table, found = result.table, result.incidents
                cells.update(result.made_null)
                if result.unmeasured:
                    unmeasured[vehicle] = list(result.unmeasured)
                file = Path(waiting) / f"{number}.arrow"
                with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as out:
                    out.write_table(table)
                tables.append(partial(_read_arrow, file))
                incidents += continue_incident(
                    before.get(vehicle),
                    found,
                    gap_us=detector.gap_us,
                    threshold=detector.threshold,
                )
            yield partitions.publish(
                runs,
                model.version,
                day,
                tables=tables,
                incidents=incidents,
                vehicles=made_of[day],
                about={
                    "detector": model.digest,
                    "history_us": model.history_us,
                    "gap_us": detector.gap_us,
                    "inputs": digest_of(made_of[day]),
                    "carried": digest_of(before),
                    "made_null": dict(sorted(cells.items())),
                    "unmeasured": unmeasured,
                },
            )
    next(progress, None)
    results.close()


def published(settings: Settings, fleet: str, champion: str) -> dict[str, dict]:
    """What counts of each scored date: its manifest, by date in order.

    A date that several versions have scored counts with the champion's, else the newest version's.
    """
    done = partitions.manifests(settings.runs_dir(fleet))
    return {str(day): found[partitions.current(found, champion)] for day, found in done.items()}


def _add_untold(log: dict, manifest: dict) -> None:
    """Add to the job's log what a date's scores do not tell: values made null, silent channels."""
    for channel, count in manifest["made_null"].items():
        log["made_null"][channel] = log["made_null"].get(channel, 0) + count
    for vehicle, channels in manifest["unmeasured"].items():
        log["unmeasured"][vehicle] = sorted({*log["unmeasured"].get(vehicle, []), *channels})


def _health(fleet: Fleet, settings: Settings, snapshot: Snapshot) -> dict[str, list[str]]:
    """What the fleet lacks, by kind; a damaged file of an earlier stage stops no scoring."""
    try:
        return fleet_health(fleet, settings.fleet_dir(fleet.name), snapshot.lake).sentences()
    except DataError as error:
        return {"unseen": [str(error)]}


def _engine(wanted: str, profile: ClusterProfile, snapshot: Snapshot, days: list[date]) -> str:
    if wanted != "auto":
        return wanted
    chosen = set(days)
    vehicle_days = sum(day in chosen for _, day in snapshot.parts)
    return "ray" if vehicle_days >= profile.ray_min_vehicle_days else "process"


def _read_arrow(file: Path) -> pa.Table:
    with pa.memory_map(str(file)) as source:
        return pa.ipc.open_file(source).read_all()
