"""What there is to score: the lake as a job finds it, and which partitions are out of date.

A partition is stale when what it was made of is no longer what the lake holds: rows of a scored day
or of its history came late or were corrected, a day was quarantined or cleared, an incident of the
day before that goes on over midnight has changed. It is stale too when one of its files is not as
it was written. Another champion alone makes nothing stale.
"""

from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from amad.config import DataError, Fleet, Settings
from amad.config.console import say
from amad.config.digest import json_digest
from amad.detect.daily import day_bounds
from amad.scores import partitions
from amad.scores.checksums import Checksums
from amad.scores.partitions import VehicleDay
from amad.telemetry.files import SEAL, read_json, read_table, write_json
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import Validation

VALIDATE = "run `amad validate`"

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

        history_us: how long before the day rows are read.
        """
        start = day_bounds(day)[0]
        span = range(1, 1 + -(-history_us // 86_400_000_000))
        past = [day - timedelta(days=n) for n in reversed(span)]
        assert not past or day_bounds(past[0])[0] <= start - history_us
        found = {}
        for vehicle in sorted(v for v, d in self.parts if d == day):
            out = self.quarantined.get(vehicle, frozenset())
            kept = day in out
            history = (
                [] if kept else [d for d in past if (vehicle, d) in self.parts and d not in out]
            )
            hashes = [(str(d), self.parts[vehicle, d][1]) for d in [*history, day]]
            found[vehicle] = VehicleDay(
                rows=self.parts[vehicle, day][0],
                history=tuple(map(str, history)),
                quarantined=kept,
                inputs=json_digest([partitions.CONTRACT, kept, hashes]),
            )
        return found

    def is_stale(self, runs: Path, manifest: dict, sums: Checksums) -> bool:
        """Would the same model write other files today than those that are there?"""
        day, version = date.fromisoformat(manifest["date"]), manifest["model_version"]
        before = partitions.open_incidents(
            runs, version, day - timedelta(days=1), manifest["gap_us"], sums
        )
        made_of = self.made_of(day, manifest["history_us"])
        return (
            manifest["contract"] != partitions.CONTRACT
            or not partitions.is_whole(runs, manifest, sums)
            or manifest["inputs"] != digest_of(made_of)
            or manifest["carried"] != digest_of(before)
        )


def digest_of(items: dict) -> str:
    """A short hash of dataclasses by name."""
    return json_digest({name: asdict(item) for name, item in items.items()})


def take_snapshot(fleet: Fleet, settings: Settings, until: date | None = None) -> Snapshot:
    """Read the lake's state; judge the vehicle-days that validation has not seen as they are.

    until: later days are left alone.

    Raises:
        DataError: there is no lake, it was written under another contract, or what the validate
            stage left is damaged.
    """
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    columns = (lake.day_table()[name].to_pylist() for name in ("vehicle", "date", "rows", "sha256"))
    parts = {
        (vehicle, day): (rows, sha256)
        for vehicle, day, rows, sha256 in zip(*columns, strict=True)
        if until is None or day <= until
    }
    quarantined: dict[str, set[date]] = {}
    for vehicle, day in _kept_out(lake, fleet, settings, parts, until):
        quarantined.setdefault(vehicle, set()).add(day)
    return Snapshot(
        lake=lake,
        parts=parts,
        quarantined={vehicle: frozenset(days) for vehicle, days in quarantined.items()},
    )


def _kept_out(
    lake: Lake,
    fleet: Fleet,
    settings: Settings,
    parts: dict[Day, tuple[int, str]],
    until: date | None,
) -> set[Day]:
    """The quarantined days: by the validate stage where it saw the day as it is, else judged now.

    "As it is" means the same content, by the part's hash, under the present fleet file.

    What is judged now is remembered in ``runs/<fleet>/judged.json`` with the hash of the part.

    Raises:
        DataError: what the validate stage left is damaged.
    """
    folder = settings.fleet_dir(fleet.name)
    validated: dict[Day, str] = {}
    kept_out: set[Day] = set()
    verdict = Validation.read(folder)
    if verdict is not None and verdict.digest == fleet.digest:  # written after the two tables
        table = read_table(folder / "profile.parquet", PROFILE, VALIDATE, required=True)
        columns = (table[name].to_pylist() for name in ("vehicle", "date", "sha256"))
        validated = {(vehicle, day): sha for vehicle, day, sha in zip(*columns, strict=True)}
        table = read_table(folder / "quarantine.parquet", QUARANTINE, VALIDATE, required=True)
        kept_out = set(zip(table["vehicle"].to_pylist(), table["date"].to_pylist(), strict=True))
    fresh = {day: sha for day, (_, sha) in parts.items() if validated.get(day) != sha}
    if not fresh:
        return kept_out & set(parts)
    verdicts = _judge(lake, fleet, settings, fresh, until)
    return {day for day in parts if (verdicts[day] if day in fresh else day in kept_out)}


def _judge(
    lake: Lake, fleet: Fleet, settings: Settings, fresh: dict[Day, str], until: date | None
) -> dict[Day, bool]:
    """Is each fresh vehicle-day to be kept out? One that cannot be read is left to the scoring."""
    file = settings.runs_dir(fleet.name) / "judged.json"
    known: dict[str, list] = {}
    try:
        content = read_json(file, "delete it", keys=["contract", "days", SEAL])
        known = content["days"] if content and content["contract"] == fleet.digest else {}
    except DataError as error:
        say(f"{error}; its vehicle-days are judged again")
    named = {day: f"{day[1]} {day[0]}" for day in fresh}
    new = [day for day, sha in fresh.items() if known.get(named[day], [None])[0] != sha]
    if new:
        say(f"judge {len(new)} vehicle-days that validation has not seen as they are")
        for day, reasons in _reasons(lake, fleet, new).items():
            known[named[day]] = [fresh[day], reasons]
            if reasons:
                say(f"quarantined: {'; '.join(reasons[:3])}")
        wanted = set(named.values())
        days = {
            name: entry
            for name, entry in known.items()
            if name in wanted or (until is not None and name[:10] > str(until))
        }
        write_json(file, {"contract": fleet.digest, "days": days}, sealed=True)
    return {day: bool(known.get(named[day], [None, []])[1]) for day in fresh}


def _reasons(lake: Lake, fleet: Fleet, days: list[Day]) -> dict[Day, list[str]]:
    """Why each day is to be kept out (an empty list: it is not), without those that are damaged."""
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
