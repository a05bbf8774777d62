"""What the stages ``register`` and ``score`` leave of what they did to registry and scores."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from amad.telemetry.artifact import Artifact


class RegistrationReceipt(Artifact):
    """Which version is this detector on this data, and what the gate said of it.

    version, champion: numbers in the registry; champion: None where the fleet has none. reasons:
    the gate's, the deciding one last. figures: what it compared. detector_digest, data_hash: what
    was registered.
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

    sha256: of the scores themselves, so that the page is made anew where they alone have changed.
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
    """What is published of every date, with the version that the last job scored with.

    no_champion: why nothing is scored, of a fleet whose models the gate has refused so far.
    """

    FILE: ClassVar[str] = "scoring.json"
    REMEDY: ClassVar[str] = "run 'amad score'"

    fleet: str = ""
    model_version: str | None = None
    dates: list[date]
    by_date: dict[date, PublishedDate] = {}
    rows: int = 0
    incidents: int = 0
    no_champion: str | None = None
