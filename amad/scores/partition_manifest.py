"""``_manifest.json``: what a partition of scores was made of, and the hashes of its files."""

from datetime import date
from typing import ClassVar

from pydantic import BaseModel

from amad.telemetry.artifact import EMPTY, Artifact, Entry

Day = date
# The fields that hold, by vehicle, channels without which its rows are scored.
SCORED_WITHOUT = ("withheld", "unmeasured", "unlearnt")


class VehiclePart(Entry):
    """What the rows of one vehicle were made of.

    inputs: as in ``VehicleDay``. made_null, unseen: its share of those of the whole date.
    """

    inputs: str
    made_null: dict[str, int] = EMPTY
    unseen: dict[str, int] = EMPTY


class Provenance(BaseModel):
    """What a partition was made of.

    detector: its digest. history_us: how long before the day the rows that count begin. gap_us: an
    incident may go on in a row at most this long after its end. inputs: digest of the vehicle-days.
    carried: digest of the incidents that were still open at the end of the day before. made_null:
    impossible values that were taken as null, by channel. withheld: by vehicle, channels that
    failed their checks, so that its rows are scored without them. unmeasured: by vehicle, other
    channels without a value that could be used. unlearnt: by vehicle, channels that have values and
    had none in its train rows. unseen: rows with a code that no train row had, by channel and code.
    parts: made_null and unseen by vehicle. Earlier releases wrote neither unlearnt nor parts.
    """

    detector: str
    history_us: int
    gap_us: int
    inputs: str
    carried: str
    made_null: dict[str, int]
    withheld: dict[str, list[str]] = {}
    unmeasured: dict[str, list[str]]
    unlearnt: dict[str, list[str]] = {}
    unseen: dict[str, int] = {}
    parts: dict[str, VehiclePart] = {}


class PartitionManifest(Provenance, Artifact):
    """The manifest of one date, scored by one version.

    contract: the meaning of a row, see ``partitions.CONTRACT``. vehicles: those with rows.
    quarantined: those of them that are not scored. unscored: rows by status, other than
    ``scored``. files: SHA-256 of each file of the partition; sha256: that of the score table.

    The manifest holds no time of writing, so that the same inputs give the same bytes. It must hold
    its seal: a manifest that was damaged or edited counts as none.
    """

    FILE: ClassVar[str] = "_manifest.json"
    REMEDY: ClassVar[str] = "score the date again"
    SEALED: ClassVar[bool] = True

    contract: int
    date: Day
    model_version: str
    vehicle_days: int
    vehicles: list[str]
    quarantined: list[str]
    rows: int
    scored: int
    alarms: int
    incidents: int
    unscored: dict[str, int]
    files: dict[str, str]
    sha256: str
