"""What each sink was told, in a small file: ``runs/<fleet>/told/<sink>.json``.

A message is written here before it is sent, and removed once the other side has taken it. A job
that is killed in between, or gets no answer, leaves it here, and the next job sends the same
message with the same key again.
"""

import time
from collections.abc import Collection
from datetime import date
from pathlib import Path
from typing import ClassVar

from amad.notify.changes import Change, NotifiedIncident
from amad.notify.health_notices import HealthNotice
from amad.notify.published import DAYS
from amad.notify.wording import Notice
from amad.telemetry.artifact import Artifact, Entry
from amad.telemetry.files import listed


class Parcel(Entry):
    """A message that is on its way: nobody knows yet whether the other side has taken it.

    key: names it, also to the other side. before: what the sink was told of these incidents before;
    None for an incident of which it was told nothing. health: what the fleet lacks, for people;
    health_notices: for programs. findings: the ids of what is new of that, and mended: of what is
    not found any more. fleet, report: as of a notice, since there may be none. left: where some of
    those whom it is for have it, the addresses of the others.
    """

    key: str
    notices: list[Notice]
    before: dict[str, NotifiedIncident | None]
    health: list[str] = []
    health_notices: list[HealthNotice] = []
    findings: list[str] = []
    mended: list[str] = []
    fleet: str = ""
    report: str = ""
    left: list[str] = []

    @property
    def messages(self) -> list[Notice | HealthNotice]:
        """What a program gets, in order."""
        return [*self.notices, *self.health_notices]

    def is_mended(self, findings: Collection[str]) -> bool:
        """Whether it tells people fleet health alone, and nothing that was new of it is found."""
        return bool(self.findings and not self.messages and not set(self.findings) & {*findings})

    def is_too_old(self, first: date | None) -> bool:
        """Whether some have it, and all its incidents ended before the first date that counts."""
        ends = [date.fromisoformat(i.end[:10]) for notice in self.notices for i in notice.incidents]
        return bool(self.left) and first is not None and max(ends, default=first) < first


class Ledger(Artifact):
    """What one sink was told, as if every parcel had arrived.

    told: by incident. findings: the ids of what the fleet lacks. asked_until: the time (seconds
    since 1970) until which the other side asked to be left alone.
    """

    FILE: ClassVar[str] = "told"
    REMEDY: ClassVar[str] = (
        f"delete it; the incidents of the newest {DAYS} days are then told once more, with the "
        "same keys"
    )
    SEALED: ClassVar[bool] = True
    WHOLE: ClassVar[bool] = True

    told: dict[str, NotifiedIncident] = {}
    findings: list[str] = []
    parcels: list[Parcel] = []
    asked_until: float = 0.0

    def with_parcels(
        self, told: dict[str, NotifiedIncident], parcels: list[Parcel], findings: list[str]
    ) -> "Ledger":
        """The ledger once these parcels are on their way."""
        new = {"told": told, "findings": findings, "parcels": [*self.parcels, *parcels]}
        return self.model_copy(update=new)

    def taken(self, parcel: Parcel) -> "Ledger":
        """The ledger once the other side has taken the parcel."""
        return self.model_copy(update={"parcels": [p for p in self.parcels if p.key != parcel.key]})

    def asked_to_wait(self, seconds: float) -> "Ledger":
        """The ledger once the other side has asked for a pause of so many seconds, or of none."""
        until = time.time() + seconds if seconds else 0.0
        return self.model_copy(update={"asked_until": until})

    def left_to(self, parcel: Parcel, left: list[str]) -> "Ledger":
        """The ledger once all but these addresses have the parcel."""
        rest = parcel.model_copy(update={"left": left})
        return self.model_copy(
            update={"parcels": [rest if p.key == parcel.key else p for p in self.parcels]}
        )

    def taken_back(self, parcel: Parcel) -> "Ledger":
        """The ledger once it is known that the parcel was not taken and never will be.

        Its changes count as not told, so the next job tells what is then to be told.
        """
        told = {name: item for name, item in self.told.items() if name not in parcel.before}
        told |= {name: item for name, item in parcel.before.items() if item is not None}
        findings = [name for name in self.findings if name not in parcel.findings]
        findings += parcel.mended
        return self.taken(parcel).model_copy(update={"told": told, "findings": findings})


def ledger_file(runs: Path, sink: str) -> Path:
    """Where the ledger of a sink lies."""
    return runs / Ledger.FILE / f"{sink}.json"


def read_ledger(runs: Path, sink: str) -> Ledger:
    """The ledger of a sink; an empty one where nothing was ever told.

    Raises:
        DataError: the file is damaged; names it and the way out.
    """
    return Ledger.read_file(ledger_file(runs, sink)) or Ledger()


def after(told: dict[str, NotifiedIncident], changes: list[Change]) -> dict[str, NotifiedIncident]:
    """What the sink was told, once it is told these changes."""
    return told | {change.incident_id: change.told for change in changes}


def moved_ids(runs: Path) -> dict[str, str]:
    """By each id that an incident had before its start moved, the one that it has now.

    Raises:
        DataError: a ledger is damaged.
    """
    found = dict[str, str]()
    for file in listed(runs / Ledger.FILE, "*.json"):
        for name, item in read_ledger(runs, file.stem).told.items():
            found |= dict.fromkeys(item.earlier, name)
    return found
