"""The lake as a scoring job finds it, and which partitions of scores are stale.

A partition is stale when it was made of something else than the lake holds now: rows of the scored
day or of its history came late or were corrected, a day was quarantined or cleared, or an incident
of the day before that continues over midnight has changed. It is also stale when one of its files
has changed. Another champion alone makes no partition stale.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

from amad.config import DataError, Fleet, Stage
from amad.config.console import say
from amad.config.digest import json_digest
from amad.config.wording import count, some
from amad.detect.alarms import DAY_US
from amad.scores import partitions
from amad.scores.daily import day_bounds
from amad.scores.partition_manifest import PartitionManifest
from amad.scores.partitions import VehicleDay
from amad.telemetry.checksums import Checksums
from amad.telemetry.files import read_table
from amad.telemetry.judged_days import JudgedDays
from amad.telemetry.kept_out import WHOLE, Day, kept_out
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import TABLES, Validation

DAMAGED = "its files are damaged or missing"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The lake at the start of a job, without the channels that failed their checks.

    parts: rows of each vehicle-day, and a hash of what is read of it. quarantined: days of each
    vehicle that are neither scored nor history. unjudged: how many vehicle-days were not judged as
    they are, because the snapshot was taken only to look.
    """

    lake: Lake
    parts: dict[Day, tuple[int, str]]
    quarantined: dict[str, frozenset[date]]
    unjudged: int = 0

    def dates(self) -> list[date]:
        """Dates with rows of any vehicle, sorted."""
        return sorted(self._by_day)

    def vehicles(self, day: date) -> list[str]:
        """The vehicles with rows on ``day``, sorted."""
        return self._by_day.get(day, [])

    @cached_property
    def _by_day(self) -> dict[date, list[str]]:
        found: dict[date, list[str]] = {}
        for vehicle, day in sorted(self.parts):
            found.setdefault(day, []).append(vehicle)
        return found

    def made_of(self, day: date, history_us: int) -> dict[str, VehicleDay]:
        """The vehicles that have rows on ``day``, sorted, and what their scores depend on.

        history_us: how long before the day the rows that count begin.
        """
        start = day_bounds(day)[0]
        span = range(1, 1 + -(-history_us // DAY_US))
        past = [day - timedelta(days=n) for n in reversed(span)]
        assert not past or day_bounds(past[0])[0] <= start - history_us
        found = {}
        for vehicle in self.vehicles(day):
            out = self.quarantined.get(vehicle, frozenset())
            kept_out = day in out
            history = [d for d in past if (vehicle, d) in self.parts and d not in out]
            history = [] if kept_out else history
            hashes = [(str(d), self.parts[vehicle, d][1]) for d in [*history, day]]
            found[vehicle] = VehicleDay(
                rows=self.parts[vehicle, day][0],
                quarantined=kept_out,
                inputs=json_digest([partitions.CONTRACT, kept_out, hashes]),
            )
        return found

    def why_stale(
        self, runs: Path, manifest: PartitionManifest, champion: str, sums: Checksums
    ) -> str | None:
        """Why the same model would write other files today; None where it would write the same.

        champion: whose partition of the day before counts.
        """
        if manifest.contract != partitions.CONTRACT:
            return "another release of amad wrote it, with other columns or figures"
        if not partitions.is_whole(runs, manifest, sums):
            return DAMAGED
        made_of = self.made_of(manifest.date, manifest.history_us)
        if manifest.inputs != digest_of(made_of):
            return _what_changed(manifest, made_of)
        eve = manifest.date - timedelta(days=1)
        before = partitions.open_incidents(runs, champion, eve, manifest.gap_us, sums)
        if manifest.carried != digest_of(before):
            return f"an incident of {eve} goes on into it in another way than it did"
        return None


def digest_of(items: dict) -> str:
    """A short hash of dataclasses by name."""
    return json_digest({name: partitions.fields_of(item) for name, item in items.items()})


def _what_changed(manifest: PartitionManifest, made_of: dict[str, VehicleDay]) -> str:
    """What differs between the vehicle-days that a date was scored from and those of the lake."""
    before, out = set(manifest.vehicles), set(manifest.quarantined)
    told = []
    if new := sorted(set(made_of) - before):
        told.append(f"{some(new)} has no scores of it" if len(new) == 1 else
                    f"{some(new)} have no scores of it")  # fmt: skip
    if lost := sorted(before - set(made_of)):
        told.append(f"the lake no longer has rows of {some(lost)}")
    both = [name for name in made_of if name in before]
    if judged := [name for name in both if made_of[name].quarantined != (name in out)]:
        told.append(f"{some(judged)} was quarantined or cleared")
    parts = manifest.parts
    changed = [
        name
        for name in both
        if name not in judged and name in parts and parts[name].inputs != made_of[name].inputs
    ]
    if changed or not told:
        of = f" of {some(changed)}" if changed else ""
        told.append(
            f"rows{of} came late, were corrected or are judged in another way, on the date or in "
            "its history"
        )
    return "; ".join(told)


def take_snapshot(stage: Stage, until: date | None = None, *, look: bool = False) -> Snapshot:
    """Read the state of the lake; judge the vehicle-days that validation has not seen as they are.

    until: later days are left out. look: only look, so that nothing is judged or written. A day
    that was not judged as it is then counts as it did when it was scored, and else as sound.

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
    failed, unjudged = _kept_out(lake, stage, parts, until, look=look)
    for (vehicle, day), channels in failed.items():
        if not channels:
            quarantined.setdefault(vehicle, set()).add(day)
    lake = lake.without({day: channels for day, channels in failed.items() if channels})
    return Snapshot(
        unjudged=unjudged,
        lake=lake,
        parts={day: (rows, lake.part_sha256(*day)) for day, (rows, _) in parts.items()},
        quarantined={vehicle: frozenset(days) for vehicle, days in quarantined.items()},
    )


def _kept_out(
    lake: Lake,
    stage: Stage,
    parts: dict[Day, tuple[int, str]],
    until: date | None,
    *,
    look: bool,
) -> tuple[dict[Day, frozenset[str]], int]:
    """The days that failed a check, see ``failed_channels``, and how many were not judged.

    The verdict of the validate stage counts where it saw the same content (by the file's hash)
    under the present fleet file, and its three files belong together. Every other day is judged
    now.

    Raises:
        DataError: what the validate stage left is damaged.
    """
    validated: dict[Day, str] = {}
    failed: dict[Day, frozenset[str]] = {}
    verdict = Validation.read(stage.folder)
    if verdict is not None and verdict.digest == stage.fleet.digest:
        hashes = dict[str, str]()
        profile, quarantine = (
            read_table(stage.folder / name, schema, Validation.REMEDY, hashes)
            for name, schema in zip(TABLES, (PROFILE, QUARANTINE), strict=True)
        )
        if verdict.is_of(hashes):
            columns = (profile[name].to_pylist() for name in ("vehicle", "date", "sha256"))
            validated = {(vehicle, day): sha for vehicle, day, sha in zip(*columns, strict=True)}
            failed = kept_out(stage.fleet, quarantine.to_pylist())
        elif not look:
            say(
                f"{' and '.join(TABLES)} in {stage.folder} are not of the validation.json beside "
                "them: a validation was stopped or is running, or one of them is of a backup; "
                f"nothing in them is used. {Validation.REMEDY}"
            )
    fresh = {day: sha for day, (_, sha) in parts.items() if validated.get(day) != sha}
    judged: dict[Day, frozenset[str] | None] = {}
    unjudged = 0
    if fresh and look:
        judged, unjudged = _judged_before(stage, fresh)
    elif fresh:
        judged = _judge(lake, stage, fresh, until)
    verdicts = {day: judged[day] if day in judged else failed.get(day) for day in parts}
    return {day: channels for day, channels in verdicts.items() if channels is not None}, unjudged


def _judged_before(
    stage: Stage, fresh: dict[Day, str]
) -> tuple[dict[Day, frozenset[str] | None], int]:
    """The verdict of the last job on each fresh vehicle-day, and how many have none as they are."""
    known = JudgedDays(contract=stage.fleet.digest, days={})
    with suppress(DataError):
        known = JudgedDays.under(stage.fleet.digest, stage.runs)
    published = partitions.manifests(stage.runs)
    verdicts: dict[Day, frozenset[str] | None] = {}
    unjudged = 0
    for (vehicle, day), sha in fresh.items():
        if known.reasons(vehicle, day, sha) is not None:
            verdicts[vehicle, day] = _failed(known, stage.fleet, (vehicle, day))
            continue
        unjudged += 1
        out = any(vehicle in item.quarantined for item in published.get(day, {}).values())
        verdicts[vehicle, day] = WHOLE if out else None
    return verdicts, unjudged


def _judge(
    lake: Lake, stage: Stage, fresh: dict[Day, str], until: date | None
) -> dict[Day, frozenset[str] | None]:
    """Which fresh vehicle-days failed, see ``failed_channels``; None for a sound one.

    Days that cannot be read count as sound; scoring says why. The verdicts are remembered in
    ``judged.json``.
    """
    known = JudgedDays(contract=stage.fleet.digest, days={})
    try:
        known = JudgedDays.under(stage.fleet.digest, stage.runs)
    except DataError as error:
        say(f"{error}; its vehicle-days are judged again")
    named = {day: JudgedDays.name_of(*day) for day in fresh}
    new = [day for day, sha in fresh.items() if known.reasons(*day, sha) is None]
    if new:
        say(f"judge {count(len(new), 'vehicle-day')} that validation has not seen as they are")
        days, channels = dict(known.days), dict(known.channels)
        for day, rows in _failures(lake, stage.fleet, new).items():
            reasons = [row["reason"] for row in rows]
            days[named[day]] = (fresh[day], reasons)
            channels[named[day]] = [row["channel"] for row in rows]
            if reasons:
                without = sorted(kept_out(stage.fleet, rows)[day])
                what = f"scored without {', '.join(without)}" if without else "quarantined"
                say(f"{what}: {'; '.join(reasons[:3])}")
        now = set(named.values())
        wanted = {
            name for name in days if name in now or (until is not None and name[:10] > str(until))
        }
        known = JudgedDays(
            contract=stage.fleet.digest,
            days={name: entry for name, entry in days.items() if name in wanted},
            channels={name: of for name, of in channels.items() if name in wanted},
        )
        known.write(stage.runs)
    return {day: _failed(known, stage.fleet, day) for day in fresh}


def _failed(known: JudgedDays, fleet: Fleet, day: Day) -> frozenset[str] | None:
    """What a job found of a day, see ``failed_channels``; None for a sound one."""
    return kept_out(fleet, known.failures(*day)).get(day)


def _failures(lake: Lake, fleet: Fleet, days: list[Day]) -> dict[Day, list[dict]]:
    """The failed checks of each day (rows of QUARANTINE); days that cannot be read are left out."""
    from amad.engines.validate.quality import judge
    from amad.telemetry.profile import profile

    try:
        verdict = judge(profile(lake, fleet, days=days), fleet, None)
    except DataError:
        if len(days) == 1:
            return {}
        half = len(days) // 2
        return _failures(lake, fleet, days[:half]) | _failures(lake, fleet, days[half:])
    failures: dict[Day, list[dict]] = {day: [] for day in days}
    for row in verdict.quarantine.to_pylist():
        failures[row["vehicle"], row["date"]].append(row)
    return failures
