"""What there is to score: the lake as a job finds it, and which partitions are out of date.

A partition is stale when what it was made of is no longer what the lake holds: rows of a scored day
or of its history came late, a day was quarantined or cleared, an incident of the day before that
goes on over midnight has changed. Another champion alone makes nothing stale.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from amad.config import Fleet, Settings
from amad.config.console import say
from amad.detect.daily import day_bounds
from amad.engines import partitions
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake

Day = tuple[str, date]  # vehicle, date


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleDay:
    """What the scores of one vehicle-day depend on, beside the detector.

    history: the days before it whose rows are read. inputs: hash of the lake's parts of the day and
    its history, and of whether the day is quarantined.
    """

    rows: int
    history: tuple[str, ...]
    quarantined: bool
    inputs: str


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
            text = json.dumps([partitions.CONTRACT, kept, hashes])
            found[vehicle] = VehicleDay(
                rows=self.parts[vehicle, day][0],
                history=tuple(map(str, history)),
                quarantined=kept,
                inputs=hashlib.sha256(text.encode()).hexdigest()[:16],
            )
        return found

    def is_stale(self, runs: Path, manifest: dict) -> bool:
        """Would the same model write other scores or incidents today?"""
        day, version = date.fromisoformat(manifest["date"]), manifest["model_version"]
        before = partitions.open_incidents(
            runs, version, day - timedelta(days=1), manifest["gap_us"]
        )
        made_of = self.made_of(day, manifest["history_us"])
        return (
            manifest["contract"] != partitions.CONTRACT
            or manifest["inputs"] != digest_of(made_of)
            or manifest["carried"] != digest_of(before)
        )


def digest_of(items: dict) -> str:
    """A short hash of dataclasses by name."""
    text = json.dumps({name: asdict(item) for name, item in items.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def take_snapshot(fleet: Fleet, settings: Settings, until: date | None = None) -> Snapshot:
    """Read the lake's state; judge the vehicle-days that validation has not seen as they are.

    until: later days are left alone.

    Raises:
        DataError: there is no lake, or it was written under another contract.
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

    "As it is" means as many rows, under the present fleet file.

    What is judged now is remembered in ``runs/<fleet>/judged.json`` with the hash of the part.
    """
    folder = settings.fleet_dir(fleet.name)
    validated: dict[Day, int] = {}
    kept_out: set[Day] = set()
    verdict = folder / "validation.json"  # written after the two tables
    if verdict.is_file() and json.loads(verdict.read_text())["digest"] == fleet.digest:
        table = pq.read_table(folder / "profile.parquet", columns=["vehicle", "date", "rows"])
        for row in table.group_by(["vehicle", "date"]).aggregate([("rows", "max")]).to_pylist():
            validated[row["vehicle"], row["date"]] = row["rows_max"]
        table = pq.read_table(folder / "quarantine.parquet", columns=["vehicle", "date"])
        kept_out = {(row["vehicle"], row["date"]) for row in table.to_pylist()}
    fresh = {day: sha for day, (rows, sha) in parts.items() if validated.get(day) != rows}
    if not fresh:
        return kept_out & set(parts)
    verdicts = _judge(lake, fleet, settings, fresh, until)
    return {day for day in parts if (verdicts[day] if day in fresh else day in kept_out)}


def _judge(
    lake: Lake, fleet: Fleet, settings: Settings, fresh: dict[Day, str], until: date | None
) -> dict[Day, bool]:
    """Is each fresh vehicle-day to be kept out?"""
    file = settings.runs_dir(fleet.name) / "judged.json"
    known: dict[str, list] = {}
    if file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
        known = content["days"] if content["contract"] == fleet.digest else {}
    named = {day: f"{day[1]} {day[0]}" for day in fresh}
    new = [day for day, sha in fresh.items() if known.get(named[day], [None])[0] != sha]
    if new:
        from amad.engines.quality import judge
        from amad.telemetry.profile import profile

        say(f"judge {len(new)} vehicle-days that validation has not seen")
        verdict = judge(profile(lake, fleet, days=new), fleet, None)
        reasons: dict[Day, list[str]] = {day: [] for day in new}
        for row in verdict.quarantine.to_pylist():
            reasons[row["vehicle"], row["date"]].append(row["reason"])
        for day in new:
            known[named[day]] = [fresh[day], reasons[day]]
            if reasons[day]:
                say(f"quarantined: {'; '.join(reasons[day][:3])}")
        wanted = set(named.values())
        days = {
            name: entry
            for name, entry in known.items()
            if name in wanted or (until is not None and name[:10] > str(until))
        }
        write_json(file, {"contract": fleet.digest, "days": days})
    return {day: bool(known[named[day]][1]) for day in fresh}
