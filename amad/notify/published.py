"""The incidents that are published now, of the newest dates, each joined over its dates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Channel
from amad.config import number_text as text
from amad.config.number_text import DAY
from amad.incidents.incident import Incident, joined
from amad.incidents.wording import main_channels
from amad.scores import partitions
from amad.scores.daily import day_bounds
from amad.scores.partition_manifest import PartitionManifest
from amad.telemetry.checksums import Checksums

DAYS = 14  # of what is older nobody is told, whatever a later run finds in it
KEPT = DAYS + 2  # dates of which is kept what was read: the windows of a report's pages share them


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An incident as it is published now.

    last: the newest date with a part of it. ongoing: no scored row of the vehicle shows its end.
    model_version: the version that scored that date.
    """

    incident: Incident
    last: date
    ongoing: bool
    model_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The newest dates with scores, and the incidents in them.

    dates: the published ones among the newest days, with the vehicles that report on each.
    A date whose files are damaged or missing, or were written by an earlier amad, is not among
    them. versions: which scored each date.
    incidents: by id. runs: the folder of the partitions; None where there are none. none: ids of
    incidents that people judged false or planned, also of ones that are not found any more. after:
    see ``outlived``, of the dates that were asked for.
    """

    dates: dict[date, frozenset[str]]
    versions: dict[date, str]
    incidents: dict[str, Published]
    runs: Path | None = None
    none: frozenset[str] = frozenset()
    after: dict[date, dict[str, float]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def first(self) -> date | None:
        """The first day that counts; None where nothing is published."""
        return max(self.dates) - timedelta(days=DAYS - 1) if self.dates else None

    def manifest(self, day: date) -> PartitionManifest | None:
        """What a published date was made of; None where it was changed since."""
        if self.runs is None:
            return None
        return partitions.read_manifest(self.runs, self.versions[day], day)

    def outlived(self, incident_id: str) -> bool:
        """Whether the alarms of an incident ended while its score stayed as high as it was.

        The threshold has then moved along (``amad.detect.moving_threshold``), so what is wrong may
        go on. The scored rows of its last date decide that follow its end without a longer break
        than alarms of one incident have; if there are none, nothing is known of it.
        """
        item = self.incidents.get(incident_id)
        if item is None or item.ongoing or self.runs is None:
            return False
        if item.last not in self.after:
            self.after[item.last] = self._medians_after(item.last)
        return self.after[item.last].get(incident_id, math.nan) > item.incident.threshold

    def _medians_after(self, day: date) -> dict[str, float]:
        """Median score after each incident that ended on a date, as long as the merge gap is."""
        ends = {
            name: item.incident
            for name, item in self.incidents.items()
            if item.last == day and not item.ongoing
        }
        manifest, found = self.manifest(day), dict[str, float]()
        if manifest is None or self.runs is None:
            return found
        vehicles = sorted({incident.vehicle for incident in ends.values()})
        rows = _by_vehicle(_scored(self.runs, self.versions[day], day, vehicles, "score"))
        for name, incident in ends.items():
            us, score = rows.get(incident.vehicle, [np.empty(0), np.empty(0)])
            until = incident.open_until + manifest.gap_us
            first, last = np.searchsorted(us, [incident.open_until, until + 1])
            if first < last:
                found[name] = float(np.median(score[first:last]))
        return found

    def again(self, incident_id: str, known: Mapping[str, Channel]) -> list[str]:
        """A sentence on earlier dates on which the vehicle had incidents on the same sensors.

        So a fault shows that lasts, though each trip has an incident of its own. Empty where there
        was none but those that people judged false or planned. known: the fleet's channels by name.
        """
        if (item := self.incidents.get(incident_id)) is None:
            return []
        own, found, shared = item.incident, set[date](), set[str]()
        main, midnight = main_channels(own.channels, own.shares), own.start // DAY * DAY
        for other in (item.incident for n, item in self.incidents.items() if n not in self.none):
            if other.vehicle != own.vehicle or other.start >= midnight:
                continue
            if same := set(main).intersection(main_channels(other.channels, other.shares)):
                before = text.dates(other.start, min(other.end, midnight) - 1)
                found, shared = found | set(before), shared | same
        if not found:
            return []
        titles = [known[name].title if name in known else name for name in main if name in shared]
        days = f"{len(found)} earlier dates, the first {min(found)}"
        if len(found) == 1:
            days = f"an earlier date, {min(found)}"
        return [f"{own.vehicle} had incidents on {' or '.join(titles)} on {days}."]

    def seen_before(self, starts: Mapping[str, tuple[str, int]]) -> dict[str, int]:
        """Time (us) of the newest scored row of a vehicle before a moment (us).

        starts: (vehicle, moment) by any key. A key has no time here if no date of the window holds
        such a row.
        """
        found: dict[str, int] = {}
        if self.runs is None:
            return found
        for day in sorted(self.dates, reverse=True):
            midnight, _ = day_bounds(day)
            wanted = {
                key: (vehicle, us)
                for key, (vehicle, us) in starts.items()
                if key not in found and midnight < us and vehicle in self.dates[day]
            }
            if not wanted:
                continue
            vehicles = sorted({vehicle for vehicle, _ in wanted.values()})
            rows = _by_vehicle(_scored(self.runs, self.versions[day], day, vehicles))
            for key, (vehicle, us) in wanted.items():
                (own,) = rows.get(vehicle, [np.empty(0, np.int64)])
                if before := int(np.searchsorted(own, us)):
                    found[key] = int(own[before - 1])
        return found


def context_of(incident: Incident) -> dict[str, float]:
    """The value of each channel of ``context`` when an incident began."""
    return dict(zip(incident.context_channels, incident.context_values, strict=True))


def read_window(
    runs: Path, champion: str | None, days: int = DAYS, back_to: date | None = None
) -> Window:
    """The published incidents of the newest dates of a fleet; see ``window_of``."""
    return window_of(runs, partitions.manifests(runs), champion, Checksums(runs), days, back_to)


def window_of(
    runs: Path,
    found: Mapping[date, Mapping[str, PartitionManifest]],
    champion: str | None,
    sums: Checksums,
    days: int = DAYS,
    back_to: date | None = None,
) -> Window:
    """The published incidents of the newest of these dates, as if there were no other date.

    found: the manifests by date and version. champion: the version whose partition of a date
    counts; where there is none, the newest one's. days: how many, up to the newest date; more, if
    the date ``back_to`` is older.
    """
    newest = max(found, default=None)
    if newest is None:
        return Window(dates={}, versions={}, incidents={})
    first = newest - timedelta(days=min(days, newest.toordinal()) - 1)
    first = min(first, back_to or first)
    current = {
        day: versions[partitions.current(versions, champion or "")]
        for day, versions in found.items()
        if day >= first
    }
    whole = {
        day: item
        for day, item in current.items()
        if item.contract == partitions.CONTRACT and partitions.is_whole(runs, item, sums)
    }
    parts: dict[str, list[tuple[date, Incident]]] = {}
    for day, manifest in sorted(whole.items()):
        sha256 = manifest.files[partitions.TABLES["incidents"]]
        for item in _incidents(runs, manifest.model_version, day, sha256):
            parts.setdefault(item.incident_id, []).append((day, item))
    whole_of = {name: joined([part for _, part in own]) for name, own in parts.items()}
    last = {name: max(day for day, _ in own) for name, own in parts.items()}
    open_ = _ongoing(runs, whole, whole_of, last)
    return Window(
        dates={day: frozenset(manifest.vehicles) for day, manifest in whole.items()},
        versions={day: manifest.model_version for day, manifest in whole.items()},
        incidents={
            name: Published(
                incident=item,
                last=last[name],
                ongoing=name in open_,
                model_version=whole[last[name]].model_version,
            )
            for name, item in whole_of.items()
        },
        runs=runs,
    )


@lru_cache(maxsize=KEPT)
def _incidents(runs: Path, version: str, day: date, sha256: str) -> list[Incident]:
    """The incidents of a table of this hash; not to be changed."""
    return partitions.incidents_of_date(runs, version, day)


def _ongoing(
    runs: Path,
    whole: Mapping[date, PartitionManifest],
    incidents: Mapping[str, Incident],
    last: Mapping[str, date],
) -> set[str]:
    """The ids of the incidents whose end no scored row shows: nothing is known of what follows.

    An incident goes on in a row at most ``gap_us`` after it closed. So a scored row later than
    that, which did not become part of it, ends it.
    """
    newest: dict[str, str] = {}  # of each vehicle, its last incident
    for name, item in incidents.items():
        held = newest.get(item.vehicle)
        if held is None or (item.end, name) > (incidents[held].end, held):
            newest[item.vehicle] = name
    after = {
        vehicle: incidents[name].open_until + whole[last[name]].gap_us
        for vehicle, name in newest.items()
    }
    open_ = dict(newest)
    for day in sorted(whole):
        wanted = [vehicle for vehicle, name in open_.items() if last[name] <= day]
        if not wanted:
            continue
        for vehicle, us in _last_scored(runs, whole[day], wanted).items():
            if us >= after[vehicle]:
                del open_[vehicle]
    return set(open_.values())


def _last_scored(runs: Path, manifest: PartitionManifest, vehicles: list[str]) -> dict[str, int]:
    """The newest scored row (us) of each of the vehicles that has one on a date."""
    known = _known(runs, manifest.model_version, manifest.date, manifest.sha256)
    if missing := [vehicle for vehicle in vehicles if vehicle not in known]:
        table = _scored(runs, manifest.model_version, manifest.date, missing)
        newest = table.group_by("vehicle").aggregate([("timestamp", "max")])
        us = newest["timestamp_max"].cast(pa.int64()).to_pylist()
        known |= dict.fromkeys(missing)
        known |= zip(newest["vehicle"].to_pylist(), us, strict=True)
    return {vehicle: us for vehicle in vehicles if (us := known[vehicle]) is not None}


@lru_cache(maxsize=KEPT)
def _known(runs: Path, version: str, day: date, sha256: str) -> dict[str, int | None]:
    """What ``_last_scored`` found in a table so far; None for a vehicle without a scored row."""
    return {}


def _by_vehicle(table: pa.Table) -> dict[str, list[np.ndarray]]:
    """The times (us), sorted, and the further columns of the rows of each vehicle."""
    names = table["vehicle"].combine_chunks().dictionary_encode()
    us, code = table["timestamp"].cast(pa.int64()).to_numpy(), names.indices.to_numpy()
    order = np.lexsort((us, code))  # one pass, as there may be a thousand vehicles
    borders = np.cumsum(np.bincount(code, minlength=len(names.dictionary)))[:-1]
    columns = [us, *(table[name].to_numpy() for name in table.column_names[2:])]
    parts = zip(*(np.split(column[order], borders) for column in columns), strict=True)
    return {
        vehicle: list(own)
        for vehicle, own in zip(names.dictionary.to_pylist(), parts, strict=False)
    }


def _scored(runs: Path, version: str, day: date, vehicles: list[str], *more: str) -> pa.Table:
    """Vehicle, time and the columns ``more`` of the scored rows of these vehicles."""
    wanted = pc.field("vehicle").isin(vehicles) & (pc.field("status") == "scored")
    return partitions.read_scores(runs, version, day, ["vehicle", "timestamp", *more], wanted)
