"""The lake as a scoring job finds it, and which partitions of scores are stale.

A partition is stale when it was made of something else than the lake holds now: rows of the scored
day or of its history came late or were corrected, a day was quarantined or cleared, or an incident
of the day before that continues over midnight has changed. It is also stale when one of its files
has changed. Another champion alone makes no partition stale.
"""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from amad.config import DataError, Fleet, Stage
from amad.config.console import say
from amad.config.digest import json_digest
from amad.config.wording import count
from amad.detect.daily import day_bounds
from amad.scores import partitions
from amad.scores.checksums import Checksums
from amad.scores.partition_manifest import PartitionManifest
from amad.scores.partitions import VehicleDay
from amad.telemetry.files import read_table
from amad.telemetry.judged_days import JudgedDays
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import Validation

Day = tuple[str, date]  # vehicle, date


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The lake at the start of a job. parts: rows and hash of each vehicle-day's file.

    quarantined: days of each vehicle that are neither scored nor history.
    """

    lake: Lake
    parts: dict[Day, tuple[int, str]]
    quarantined: dict[str, frozenset[date]]

    def dates(self) -> list[date]:
        """Dates with rows of any vehicle, sorted."""
        return sorted({day for _, day in self.parts})

    def made_of(self, day: date, history_us: int) -> dict[str, VehicleDay]:
        """The vehicles that have rows on ``day``, sorted, and what their scores depend on.

        history_us: how long before the day the rows that count begin.
        """
        start = day_bounds(day)[0]
        span = range(1, 1 + -(-history_us // 86_400_000_000))
        past = [day - timedelta(days=n) for n in reversed(span)]
        assert not past or day_bounds(past[0])[0] <= start - history_us
        found = {}
        for vehicle in sorted(v for v, d in self.parts if d == day):
            out = self.quarantined.get(vehicle, frozenset())
            kept_out = day in out
            history = [d for d in past if (vehicle, d) in self.parts and d not in out]
            if kept_out:
                history = []
            hashes = [(str(d), self.parts[vehicle, d][1]) for d in [*history, day]]
            found[vehicle] = VehicleDay(
                rows=self.parts[vehicle, day][0],
                history=tuple(map(str, history)),
                quarantined=kept_out,
                inputs=json_digest([partitions.CONTRACT, kept_out, hashes]),
            )
        return found

    def is_stale(self, runs: Path, manifest: PartitionManifest, sums: Checksums) -> bool:
        """Would the same model write other files today than those that are there?"""
        before = partitions.open_incidents(
            runs,
            manifest.model_version,
            manifest.date - timedelta(days=1),
            manifest.gap_us,
            sums,
        )
        return (
            manifest.contract != partitions.CONTRACT
            or not partitions.is_whole(runs, manifest, sums)
            or manifest.inputs != digest_of(self.made_of(manifest.date, manifest.history_us))
            or manifest.carried != digest_of(before)
        )


def digest_of(items: dict) -> str:
    """A short hash of dataclasses by name."""
    return json_digest({name: asdict(item) for name, item in items.items()})


def take_snapshot(stage: Stage, until: date | None = None) -> Snapshot:
    """Read the state of the lake; judge the vehicle-days that validation has not seen as they are.

    until: later days are left out.

    Raises:
        DataError: there is no lake, it was written under another contract, or what the validate
            stage left is damaged.
    """
    lake = Lake(stage.folder / "lake", stage.fleet)
    columns = (lake.day_table()[name].to_pylist() for name in ("vehicle", "date", "rows", "sha256"))
    parts = {
        (vehicle, day): (rows, sha256)
        for vehicle, day, rows, sha256 in zip(*columns, strict=True)
        if until is None or day <= until
    }
    quarantined: dict[str, set[date]] = {}
    for vehicle, day in _kept_out(lake, stage, parts, until):
        quarantined.setdefault(vehicle, set()).add(day)
    return Snapshot(
        lake=lake,
        parts=parts,
        quarantined={vehicle: frozenset(days) for vehicle, days in quarantined.items()},
    )


def _kept_out(
    lake: Lake, stage: Stage, parts: dict[Day, tuple[int, str]], until: date | None
) -> set[Day]:
    """The quarantined days.

    The verdict of the validate stage counts where it saw the same content (by the file's hash)
    under the present fleet file. Every other day is judged now.

    Raises:
        DataError: what the validate stage left is damaged.
    """
    validated: dict[Day, str] = {}
    kept_out: set[Day] = set()
    verdict = Validation.read(stage.folder)
    if verdict is not None and verdict.digest == stage.fleet.digest:  # written after the two tables
        profile, quarantine = (
            read_table(stage.folder / name, schema, Validation.REMEDY)
            for name, schema in (("profile.parquet", PROFILE), ("quarantine.parquet", QUARANTINE))
        )
        columns = (profile[name].to_pylist() for name in ("vehicle", "date", "sha256"))
        validated = {(vehicle, day): sha for vehicle, day, sha in zip(*columns, strict=True)}
        columns = (quarantine[name].to_pylist() for name in ("vehicle", "date"))
        kept_out = set(zip(*columns, strict=True))
    fresh = {day: sha for day, (_, sha) in parts.items() if validated.get(day) != sha}
    judged = _judge(lake, stage, fresh, until) if fresh else {}
    return {day for day in parts if judged.get(day, day in kept_out)}


def _judge(lake: Lake, stage: Stage, fresh: dict[Day, str], until: date | None) -> dict[Day, bool]:
    """Is each fresh vehicle-day to be kept out? Days that cannot be read are not; scoring says why.

    The verdicts are remembered in ``judged.json``.
    """
    known: dict[str, tuple[str, list[str]]] = {}
    try:
        known = JudgedDays.under(stage.fleet.digest, stage.runs)
    except DataError as error:
        say(f"{error}; its vehicle-days are judged again")
    named = {day: JudgedDays.name_of(*day) for day in fresh}
    new = [day for day, sha in fresh.items() if known.get(named[day], ("", []))[0] != sha]
    if new:
        say(f"judge {count(len(new), 'vehicle-day')} that validation has not seen as they are")
        for day, reasons in _reasons(lake, stage.fleet, new).items():
            known[named[day]] = (fresh[day], reasons)
            if reasons:
                say(f"quarantined: {'; '.join(reasons[:3])}")
        wanted = set(named.values())
        days = {
            name: entry
            for name, entry in known.items()
            if name in wanted or (until is not None and name[:10] > str(until))
        }
        JudgedDays(contract=stage.fleet.digest, days=days).write(stage.runs)
    return {day: bool(known.get(named[day], ("", []))[1]) for day in fresh}


def _reasons(lake: Lake, fleet: Fleet, days: list[Day]) -> dict[Day, list[str]]:
    """The reasons to keep each day out, none for a sound day; damaged days are left out."""
    from amad.engines.validate.quality import judge
    from amad.telemetry.profile import profile

    try:
        verdict = judge(profile(lake, fleet, days=days), fleet, None)
    except DataError:
        if len(days) == 1:
            return {}
        half = len(days) // 2
        return _reasons(lake, fleet, days[:half]) | _reasons(lake, fleet, days[half:])
    reasons: dict[Day, list[str]] = {day: [] for day in days}
    for row in verdict.quarantine.to_pylist():
        reasons[row["vehicle"], row["date"]].append(row["reason"])
    return reasons
