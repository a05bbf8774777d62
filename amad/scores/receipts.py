"""The receipts of the stages ``register`` and ``score``, for the stages that come after them."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from amad.telemetry.artifact import Artifact


class RegistrationReceipt(Artifact):
    """The version of this detector on this data, and the gate's decision.

    version, champion: numbers in the registry; champion is None where the fleet has none. reasons:
    those of the gate, the deciding one last. figures: what the gate compared.
    """

    FILE: ClassVar[str] = "receipt.json"
    REMEDY: ClassVar[str] = "run 'amad register'"

    fleet: str = ""
    version: int
    champion: int | None = None
    decision: Literal["promote", "refuse"]
    reasons: list[str]
    figures: dict[str, int | float | str]
    detector_digest: str = ""
    data_hash: str = ""


class PublishedDate(BaseModel):
    """What is published of one date.

    sha256: of the score table, so that the report runs again when only the scores have changed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    model_version: str
    detector: str
    vehicle_days: int
    rows: int
    scored: int
    alarms: int
    incidents: int
    sha256: str


class ScoringReceipt(Artifact):
    """What is published of every date. model_version: the version that the last job scored with.

    no_champion: why nothing is scored, where the gate has refused every version so far. blank: why
    no row of the newest date could get a score, where that is so.
    """

    FILE: ClassVar[str] = "scoring.json"
    REMEDY: ClassVar[str] = "run 'amad score'"

    fleet: str = ""
    model_version: str | None = None
    dates: list[date]
    by_date: dict[date, PublishedDate] = {}
    rows: int = 0
    no_champion: str | None = None
    blank: str | None = None
