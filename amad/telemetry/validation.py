"""``validation.json``: the verdict of the stage ``validate`` on the lake as it was then."""

from pathlib import Path
from typing import Any, ClassVar

from amad.config.digest import file_sha256
from amad.telemetry.artifact import Artifact

TABLES = ("profile.parquet", "quarantine.parquet")


class Validation(Artifact):
    """Does the fleet keep its contract, and on which data and under which fleet file?

    vehicle_days: judged; quarantined: kept out. checks: see ``Verdict.checks``. refused: what was
    refused on the way into the lake, by scope; refused_because: where that is too much, why.
    warnings: what the fleet lacks, by kind. events: resets of counters, in sentences. digest: of
    the fleet file. tables: the hash of each of ``TABLES``, which are written before this file;
    empty in a file of an earlier release.
    """

    FILE: ClassVar[str] = "validation.json"
    REMEDY: ClassVar[str] = "run 'amad validate'"

    ok: bool
    vehicle_days: int
    quarantined: int = 0
    checks: list[dict[str, Any]] = []
    refused: list[dict[str, Any]] = []
    refused_because: str | None = None
    warnings: dict[str, list[str]] = {}
    events: list[str] = []
    profile_rows: int = 0
    data_hash: str = ""
    digest: str = ""
    tables: dict[str, str] = {}

    @staticmethod
    def tables_in(folder: Path) -> dict[str, str]:
        """The hash of each of the tables in the fleet's folder."""
        return {name: file_sha256(folder / name) for name in TABLES}

    def is_of(self, tables: dict[str, str]) -> bool:
        """Do tables belong to this verdict? tables: the hash of each of ``TABLES``.

        They do not while ``validate`` writes them, after it was stopped at that, or where only some
        of the files come from a backup.
        """
        return not self.tables or self.tables == tables
