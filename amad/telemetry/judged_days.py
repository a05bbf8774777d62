"""``judged.json``: the vehicle-days that scoring jobs judged because validation had not."""

from datetime import date
from pathlib import Path
from typing import Any, ClassVar

from amad.telemetry.artifact import Artifact


class JudgedDays(Artifact):
    """What the scoring jobs of a fleet found; the file is in ``runs/<fleet>``.

    contract: digest of the fleet file. days: by ``name_of`` the vehicle-day, the hash of its file
    and the reasons to quarantine it, none for a sound day. channels: likewise, the channel of each
    reason, null for one of the whole day; an earlier amad wrote none.
    """

    FILE: ClassVar[str] = "judged.json"
    REMEDY: ClassVar[str] = "delete it"
    SEALED: ClassVar[bool] = True

    contract: str
    days: dict[str, tuple[str, list[str]]]
    channels: dict[str, list[str | None]] = {}

    @classmethod
    def under(cls, contract: str, runs: Path) -> "JudgedDays":
        """The days that were judged under this fleet file.

        Raises:
            DataError: the file is damaged.
        """
        found = cls.read(runs)
        if found is None or found.contract != contract:
            return cls(contract=contract, days={})
        return found

    def reasons(self, vehicle: str, day: date, sha256: str) -> list[str] | None:
        """Why a day with this hash is quarantined, empty for a sound one; None if unknown."""
        seen, reasons = self.days.get(self.name_of(vehicle, day), ("", []))
        return reasons if seen == sha256 else None

    def failures(self, vehicle: str, day: date) -> list[dict[str, Any]]:
        """The failed checks of a day, each with its vehicle, date, channel and reason."""
        name = self.name_of(vehicle, day)
        _, reasons = self.days.get(name, ("", []))
        channels = self.channels.get(name, [None] * len(reasons))
        common = {"vehicle": vehicle, "date": day}
        return [
            common | {"channel": channel, "reason": reason}
            for channel, reason in zip(channels, reasons, strict=True)
        ]

    @staticmethod
    def name_of(vehicle: str, day: date) -> str:
        """How the file names a vehicle-day."""
        return f"{day} {vehicle}"
