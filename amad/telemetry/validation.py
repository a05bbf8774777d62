"""``validation.json``: the verdict of the stage ``validate`` on the lake as it was then."""

from typing import Any, ClassVar

from amad.telemetry.artifact import Artifact


class Validation(Artifact):
    """Does the fleet keep its contract, and on which data and under which fleet file?

    vehicle_days: judged; quarantined: kept out. checks: see ``Verdict.checks``. refused: what was
    refused on the way into the lake, by scope; refused_because: where that is too much, why.
    warnings: what the fleet lacks, by kind. events: resets of counters, in sentences. digest: of
    the fleet file.
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
