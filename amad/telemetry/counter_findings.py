"""What the profile tells of the counters of a fleet: resets, and counters that ran backwards."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(slots=True)
class CounterFinding:
    """One counter: by vehicle, how often it was reset and how often it ran backwards.

    A level that is lower on a day than on the day before, without a fall within either of them,
    counts as a reset: a unit may have been replaced overnight. since: the first date on which it
    ran backwards.
    """

    channel: str
    resets: Counter[str] = field(default_factory=Counter)
    decreases: Counter[str] = field(default_factory=Counter)
    since: date | None = None


def counter_findings(profile: pa.Table) -> list[CounterFinding]:
    """The counters that fell, sorted by name. profile: of the schema PROFILE."""
    names = ["channel", "vehicle", "date", "resets", "decreases", "min", "max"]
    counted = profile.filter(pc.is_valid(profile["resets"])).select(names)
    found: dict[str, CounterFinding] = {}
    before: dict | None = None
    for row in counted.sort_by([(name, "ascending") for name in names[:3]]).to_pylist():
        item = found.setdefault(row["channel"], CounterFinding(row["channel"]))
        fell = row["resets"] + row["decreases"] > 0
        item.resets[row["vehicle"]] += row["resets"] + _replaced(before, row, fell)
        item.decreases[row["vehicle"]] += row["decreases"]
        if row["decreases"] and (item.since is None or row["date"] < item.since):
            item.since = row["date"]
        if row["max"] is not None:
            before = None if fell else row
    return [item for item in found.values() if item.resets.total() or item.decreases.total()]


def _replaced(before: dict | None, row: dict, fell: bool) -> bool:
    """Whether the level fell between two days of one vehicle's counter."""
    if before is None or fell or row["min"] is None:
        return False
    same = all(before[name] == row[name] for name in ("channel", "vehicle"))
    return same and row["min"] < before["max"]
