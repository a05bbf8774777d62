"""The verdict on a fleet's data: which checks failed, and for which vehicle-days."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from amad.config.wording import some

NAMED, WORST = 3, 5  # reasons and vehicles that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found.

    quarantined: failing vehicle-days. quarantine: table of the schema QUARANTINE, a row per failing
    vehicle-day, check and channel. checks: a mapping per check of check, title, limit, severity, of
    (rows judged), failed (of them), passed, and for checks of channels: channels (channel ->
    failing days). days_ok, intake_ok: which of the two fails it. not_yet: channel -> vehicle-days
    up to its ``since``, which are not judged by it: not each vehicle had its sensor yet.
    """

    days_ok: bool
    intake_ok: bool
    vehicle_days: int
    quarantined: int
    quarantine: pa.Table
    checks: list[dict[str, Any]]
    not_yet: dict[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """May the fleet be used?"""
        return self.days_ok and self.intake_ok

    def summary(self) -> str:
        """A sentence for a person: how many days fail, by which checks, and the first few."""
        early = (f"{name} on {days:,}" for name, days in self.not_yet.items())
        later = f" (not expected yet: {some(early)})" if self.not_yet else ""
        counted = f"{self.quarantined} of {self.vehicle_days} vehicle-days fail{later}"
        of_days = set(self.quarantine["check"].to_pylist())
        failing = [f"{c['check']} ({c['failed']})" for c in self.checks if c["check"] in of_days]
        if not failing:
            return counted
        reasons = self.quarantine["reason"].to_pylist()
        more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
        return f"{counted} ({', '.join(failing)}): {'; '.join(reasons[:NAMED])}{more}"

    def worst_vehicles(self) -> str:
        """The vehicles with the most failing days."""
        days = {(row["vehicle"], row["date"]) for row in self.quarantine.to_pylist()}
        counts = Counter(vehicle for vehicle, _ in sorted(days))
        return ", ".join(f"{vehicle} ({count})" for vehicle, count in counts.most_common(WORST))
