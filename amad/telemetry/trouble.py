"""The kinds of trouble that a fleet may have, with what a person does about each, and findings."""

from dataclasses import dataclass, field
from datetime import date

UNDONE = "unscored"  # the kind of what a night left undone


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of trouble. name: one word for logs. remedy: what a person does about it."""

    name: str
    title: str
    remedy: str


KINDS = (
    Kind(
        name="future",
        title="Rows in the future",
        remedy="set the clocks of this machine and of the loggers right; then 'amad ingest "
        "--rebuild' refuses these rows (and loses those of raw files that are gone), and the next "
        "'amad score' sets their scores aside. Until then other vehicles look silent, and nobody "
        "is told of incidents that are 14 days older than these rows",
    ),
    Kind(
        name="silent",
        title="Silent vehicles",
        remedy="look at the vehicle, its logger, its upload and refused files; name one that is "
        "out of service under quality: retired: in the fleet file",
    ),
    Kind(
        name="vanished",
        title="Vanished channels",
        remedy="look at the sensor and at the export; if a vehicle class has the channel no more, "
        "say so with classes: of the channel in the fleet file",
    ),
    Kind(
        name="backwards",
        title="Counters that ran backwards",
        remedy="look at the unit and at the export; if the channel may fall, it is no counter: "
        "change its kind: in the fleet file",
    ),
    Kind(
        name="scale",
        title="Channels in another scale",
        remedy="look at the export; convert the raw files of days that are in another unit",
    ),
    Kind(
        name="unknown",
        title="Vehicles of no class",
        remedy="add a pattern for them under vehicle_classes: in the fleet file, then run "
        "'amad ingest'",
    ),
    Kind(
        name="outside_class",
        title="Values of channels that the vehicle's class lacks",
        remedy="if they are real, correct vehicle_classes: in the fleet file, or add the class to "
        "classes: of the channel, then run 'amad ingest'",
    ),
    Kind(
        name="refused",
        title="Refused files",
        remedy="mend the file, or the source section of the fleet file, then run 'amad ingest'",
    ),
    Kind(
        name="rows",
        title="Files with many refused rows",
        remedy="look into rejected/ beside the lake; mend the file, or the source section of the "
        "fleet file, then run 'amad ingest'",
    ),
    Kind(
        name="doubles",
        title="Likely double ids",
        remedy="if they are one vehicle, join them under source: vehicle: aliases: in the fleet "
        "file",
    ),
    Kind(
        name="gone",
        title="Raw files that are gone",
        remedy="the lake keeps their rows; bring the files back, or take their rows out with "
        "'amad ingest --rebuild'",
    ),
    Kind(
        name="quarantined",
        title="Unscored quarantined days",
        remedy="they are neither trained on nor scored; see docs/index.html beside the lake, then "
        "mend the data or the limits under quality: in the fleet file",
    ),
    Kind(
        name="sensor",
        title="Failed sensors",
        remedy="such days are scored without it, and not trained on; look at the sensor, or mend "
        "the limits under quality: in the fleet file",
    ),
    Kind(
        name=UNDONE,
        title="Not done, or left as it was",
        remedy="mend what each one names; the next night tries again",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One finding.

    kind: a name of KINDS. subject: the vehicle, channel or file, for people. text: the rest of the
    sentence. since: the date from which it has been so, where that is known. name: of the subject
    in the fleet file, where that is another one.
    """

    kind: str
    subject: str
    text: str
    since: date | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"{self.subject} {self.text}"

    @property
    def id(self) -> str:
        """The same on every date on which it is found, whatever its sentence says then."""
        return f"{self.kind}: {self.name or self.subject}"

    @property
    def undone(self) -> bool:
        """Is it what a night left undone, and no lack of the fleet?"""
        return self.kind == UNDONE


def parts_of(finding_id: str) -> tuple[str, str]:
    """The kind and the subject that the id of a finding names."""
    kind, _, subject = finding_id.partition(": ")
    return kind, subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What was found, in the order of KINDS.

    unseen: the stages whose findings are not there yet, so that nothing found does not mean that
    nothing is wrong. events: what happened to the data and needs no remedy, in sentences.
    """

    troubles: list[Trouble]
    unseen: list[str]
    events: list[str] = field(default_factory=list)

    @property
    def by_kind(self) -> dict[Kind, list[Trouble]]:
        """The troubles of each kind that there are any of."""
        table: dict[str, list[Trouble]] = {}
        for trouble in self.troubles:
            table.setdefault(trouble.kind, []).append(trouble)
        return {kind: table[kind.name] for kind in KINDS if kind.name in table}

    def sentences(self) -> dict[str, list[str]]:
        """The same for a log: name of the kind -> a sentence per finding."""
        return {kind.name: [str(t) for t in found] for kind, found in self.by_kind.items()}
