"""``ingest.json``: what ingest has made of the raw files."""

from typing import ClassVar

from amad.telemetry.artifact import Artifact, Entry


class RefusedFile(Entry):
    """A raw file that is in its folder and could not be read, or not to its end."""

    path: str
    reason: str


class GoneFile(Entry):
    """A raw file that is gone from its folder; the lake keeps its rows. days: vehicle-days."""

    path: str
    rows: int
    days: int


class RepeatedFile(Entry):
    """A raw file with the content of another one."""

    path: str
    original: str


class OutsideClass(Entry):
    """Different values of a channel that the vehicle's class lacks, which are read as null.

    last: ISO date of the last of them.
    """

    vehicle: str
    channel: str
    values: int
    last: str


class IngestResult(Artifact):
    """The counts of the whole lake, and of the last run of ingest.

    rows_in is rows_lake + rows_merged + rows_rejected. A merged row became part of another row of
    its time. A file (or its rest) that cannot be read counts as one row in and one rejected, so
    that rows_rejected is the number of rows in ``rejected/``.

    rejected_by_reason: reason -> rows. ignored: what is no row -> lines. rows_short: those
    with fewer fields than the header, whose last columns are null. vehicles: id -> rows.
    files: how many. vehicles_unknown: id -> rows of vehicles of no class. likely_doubles: ids that
    may be one vehicle. nulls_by_channel: channel -> values that stood for none. days: vehicle-days.
    newest: vehicle -> ISO time. Of this run: files_read, rows_added (to the lake), days_changed
    (vehicle-days that were written), first_rejected (reason -> its first row, and what is told of
    it).
    """

    FILE: ClassVar[str] = "ingest.json"
    REMEDY: ClassVar[str] = "run 'amad ingest' again"

    rows_in: int
    rows_lake: int
    rows_merged: int
    rows_rejected: int
    rejected_by_reason: dict[str, int]
    ignored: dict[str, int] = {}
    rows_short: int = 0
    vehicles: dict[str, int]
    files: int
    files_refused: list[RefusedFile] = []
    files_gone: list[GoneFile] = []
    files_twice: list[RepeatedFile] = []
    vehicles_unknown: dict[str, int] = {}
    likely_doubles: list[list[str]] = []
    nulls_by_channel: dict[str, int] = {}
    outside_class: list[OutsideClass] = []
    days: int = 0
    newest: dict[str, str] = {}
    files_read: int = 0
    rows_added: int = 0
    days_changed: int = 0
    first_rejected: dict[str, str] = {}
