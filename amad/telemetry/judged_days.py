"""``judged.json``: the vehicle-days that scoring jobs judged because validation had not."""

from datetime import date
from pathlib import Path
from typing import ClassVar

from amad.telemetry.artifact import Artifact


class JudgedDays(Artifact):
    """What the scoring jobs of a fleet found; the file is in ``runs/<fleet>``.

    contract: digest of the fleet file. days: by ``name_of`` the vehicle-day, the hash of its file
    and the reasons to quarantine it, none for a sound day.
    """

    FILE: ClassVar[str] = "judged.json"
    REMEDY: ClassVar[str] = "delete it"
    SEALED: ClassVar[bool] = True

    contract: str
    days: dict[str, tuple[str, list[str]]]

    @classmethod
    def under(cls, contract: str, runs: Path) -> dict[str, tuple[str, list[str]]]:
        """The days that were judged under this fleet file.

        Raises:
            DataError: the file is damaged.
        """
        found = cls.read(runs)
        return found.days if found is not None and found.contract == contract else {}

    @staticmethod
    def name_of(vehicle: str, day: date) -> str:
        """How the file names a vehicle-day."""
        return f"{day} {vehicle}"
