"""Score the dates of a plan with one model, and publish each when it is complete."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import ClusterProfile
from amad.config.console import track
from amad.config.wording import count
from amad.detect.day_state import history_us
from amad.detect.detector import Detector
from amad.engines.score.lake_snapshot import Snapshot, digest_of
from amad.engines.score.scoring_engines import Result, score_units
from amad.engines.score.scoring_plan import EVERYTHING_NEW, Plan, ScoringRequest
from amad.incidents.channel_levels import Levels
from amad.incidents.incident import Incident, continue_incident
from amad.incidents.peers import with_peers
from amad.scores import partitions
from amad.scores.partition_manifest import (
    SCORED_WITHOUT,
    PartitionManifest,
    Provenance,
    VehiclePart,
)
from amad.scores.partitions import VehicleDay
from amad.telemetry.checksums import Checksums
from amad.telemetry.files import full_disk_named


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The version of the model that a job scores with.

    folder: where ``detector`` was read from; Ray's workers read it again. digest: the detector's.
    """

    version: str
    digest: str
    folder: Path
    detector: Detector


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result for one date. manifest: of its new partition; None where nothing was published.

    failed: the vehicles that could not be scored, and why. seconds: how long the date took.
    """

    day: date
    manifest: PartitionManifest | None
    failed: dict[str, str]
    seconds: float


class _Date:
    """What is gathered of one date, vehicle by vehicle in sorted order, until it is published."""

    def __init__(self, waiting: Path) -> None:
        self.waiting = waiting
        self.tables: list[Callable[[], pa.Table]] = []
        self.incidents: list[Incident] = []
        self.levels: dict[str, Levels] = {}
        self.vehicles: dict[str, VehicleDay] = {}
        self.parts: dict[str, VehiclePart] = {}
        self.withheld: dict[str, list[str]] = {}
        self.unmeasured: dict[str, list[str]] = {}
        self.unlearnt: dict[str, list[str]] = {}
        self.failed: dict[str, str] = {}
        self.scored_anew = 0

    def add(
        self,
        vehicle: str,
        result: Result,
        made_of: VehicleDay,
        before: Incident | None,
        gap_us: int,
        withheld: list[str],
    ) -> None:
        """A vehicle that was scored; its table is kept on disk, so memory holds one vehicle-day."""
        if not isinstance(result, str) and result.table.num_rows != made_of.rows:
            result = partitions.miscounted(vehicle, result.table.num_rows, made_of.rows)
        if isinstance(result, str):
            self.failed[vehicle] = result
            return
        self.scored_anew += 1
        file = self.waiting / f"{len(self.tables)}.arrow"
        _write_arrow(file, result.table)
        self.tables.append(partial(_read_arrow, file))
        self.incidents += continue_incident(before, result.incidents, gap_us=gap_us)
        self.levels[vehicle] = result.levels
        self.vehicles[vehicle] = made_of
        counted = {"made_null": dict(result.made_null), "unseen": dict(result.unseen)}
        given = {name: dict(sorted(items.items())) for name, items in counted.items() if items}
        self.parts[vehicle] = VehiclePart(inputs=made_of.inputs, **given)
        if withheld:
            self.withheld[vehicle] = withheld
        if unmeasured := [name for name in result.unmeasured if name not in withheld]:
            self.unmeasured[vehicle] = unmeasured
        if unlearnt := [name for name in result.unlearnt if name not in withheld]:
            self.unlearnt[vehicle] = unlearnt

    def keep(
        self,
        vehicle: str,
        manifest: PartitionManifest,
        now: VehicleDay | None,
        published: "Published",
    ) -> None:
        """A vehicle that stays as it is published. now: what the lake holds of it today.

        Where that is not what its rows were made of, the new manifest says so, and the date stays
        stale.
        """
        part = manifest.parts[vehicle]
        if now is None or now.inputs != part.inputs:
            now = VehicleDay(
                rows=published.rows(vehicle),
                quarantined=vehicle in manifest.quarantined,
                inputs=part.inputs,
            )
        self.tables.append(partial(published.table, vehicle))
        self.incidents += [item for item in published.incidents if item.vehicle == vehicle]
        self.vehicles[vehicle], self.parts[vehicle] = now, part
        for field in SCORED_WITHOUT:
            if vehicle in (known := getattr(manifest, field)):
                getattr(self, field)[vehicle] = known[vehicle]

    @property
    def judged(self) -> list[str]:
        """The vehicles that are not quarantined."""
        return [name for name, item in self.vehicles.items() if not item.quarantined]

    def summed(self, name: str) -> dict[str, int]:
        """``made_null`` or ``unseen`` of the whole date."""
        total: Counter[str] = Counter()
        for part in self.parts.values():
            total.update(getattr(part, name))
        return dict(sorted(total.items()))


class Published:
    """The tables of a partition as they were before it is replaced."""

    def __init__(self, runs: Path, manifest: PartitionManifest) -> None:
        version, day = manifest.model_version, manifest.date
        self._scores = partitions.read_scores(runs, version, day)
        self.incidents = partitions.incidents_of_date(runs, version, day)

    def table(self, vehicle: str) -> pa.Table:
        """The score rows of a vehicle, in their order."""
        return self._scores.filter(pc.equal(self._scores["vehicle"], vehicle)).combine_chunks()

    def rows(self, vehicle: str) -> int:
        """The number of these rows."""
        return self.table(vehicle).num_rows


def score_days(
    snapshot: Snapshot,
    runs: Path,
    model: Model,
    plan: Plan,
    sums: Checksums,
    engine: str,
    profile: ClusterProfile,
    request: ScoringRequest = EVERYTHING_NEW,
    begin: Callable[[date], None] = lambda day: None,
) -> Iterator[Done]:
    """Score the plan's days, in order, and publish each when it is complete.

    A vehicle that fails is left out, and its date stays stale. Where such a vehicle is published
    already, the whole date is left as it is.

    request: what ``plan`` was made for. begin: called with each date before it is scored.
    """
    days = list(plan.days)
    if not days:
        return
    gap_us = model.detector.midnight_gap_us
    made_of = {day: snapshot.made_of(day, history_us(model.detector)) for day in days}
    chosen = {
        day: [v for v in made_of[day] if day not in plan.kept or v in request.vehicles]
        for day in days
    }
    units = [(vehicle, day) for day in days for vehicle in chosen[day]]
    states = (model.digest, runs)
    results = score_units(engine, snapshot, model.folder, units, profile, states)
    progress = iter(track(units, f"score {count(len(days), 'date')}, vehicle-day by vehicle-day"))
    for day in days:
        begin(day)
        began = time.monotonic()
        before = partitions.open_incidents(
            runs, model.version, day - timedelta(days=1), gap_us, sums
        )
        kept = plan.kept.get(day)
        staying = set(kept.vehicles) - set(chosen[day]) if kept else set()
        published = Published(runs, kept) if kept and staying else None
        # Uses the `.stage-*` prefix that `recover` deletes, so a killed job leaves nothing behind.
        place = partitions.folder(runs, "scores", model.version, day).parent
        place.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=place, prefix=".stage-", suffix="-waiting") as waiting:
            done = _Date(Path(waiting))
            for vehicle in sorted({*chosen[day], *staying}):
                if vehicle in staying:
                    assert kept is not None and published is not None
                    done.keep(vehicle, kept, made_of[day].get(vehicle), published)
                    continue
                assert next(progress) == (vehicle, day)
                result, made = next(results), made_of[day][vehicle]
                withheld = snapshot.lake.withheld(vehicle, day)
                done.add(vehicle, result, made, before.get(vehicle), gap_us, withheld)
            lost = plan.published.get(day, frozenset()) & set(done.failed)
            manifest = None
            if done.scored_anew and (request.force or not lost):
                # Those that stay were made of what was open then.
                carried = kept.carried if kept and staying else digest_of(before)
                manifest = _publish(snapshot, runs, model, day, done, before, carried)
        seconds = round(time.monotonic() - began, 3)
        yield Done(day=day, manifest=manifest, failed=done.failed, seconds=seconds)
    next(progress, None)
    results.close()


def _publish(
    snapshot: Snapshot,
    runs: Path,
    model: Model,
    day: date,
    done: _Date,
    before: dict[str, Incident],
    carried: str,
) -> PartitionManifest:
    """Publish what was gathered of a date.

    before: what was open when it began. carried: its digest, or that of those that stay.
    """
    detector = model.detector
    return partitions.publish(
        runs,
        model.version,
        day,
        tables=done.tables,
        incidents=with_peers(
            done.incidents, detector.scaler, snapshot.lake, day, done.judged, done.levels, before
        ),
        vehicles=done.vehicles,
        provenance=Provenance(
            detector=model.digest,
            history_us=history_us(detector),
            gap_us=detector.midnight_gap_us,
            inputs=digest_of(done.vehicles),
            carried=carried,
            made_null=done.summed("made_null"),
            withheld=done.withheld,
            unmeasured=done.unmeasured,
            unlearnt=done.unlearnt,
            unseen=done.summed("unseen"),
            parts=done.parts,
        ),
    )


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
