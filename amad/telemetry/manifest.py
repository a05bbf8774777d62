"""The manifest of a lake: the raw files in it, its contract, and the hashes of its tables."""

from collections.abc import Sequence
from typing import ClassVar

from amad.config import Fleet
from amad.config.digest import json_digest
from amad.reading.outside_class import ValuesOf
from amad.telemetry.artifact import EMPTY, Artifact, Entry

FORMAT = 3  # of the parts and tables: a lake of another format is written anew


class IngestedFile(Entry):
    """What the lake knows of one raw file.

    part: train, all or test. rows: sent, the refused ones counted. refused: why the file, or its
    rest, could not be read. copy_of: the file that it repeats. test_start: vehicle -> time
    (microseconds UTC) of its first row in a file of part test. unknown: vehicle of no class ->
    refused rows. nulls: channel -> values that stood for none. outside_class: vehicle -> channel
    that its class lacks -> values, which are null. ignored: what is no row -> lines.
    short: rows with fewer fields than the header. lacks: channels with ``since`` for which it has
    no column. rejected: reason -> rows; rejected_of: the same by vehicle, where rows name theirs,
    of those with most. merged: rows that became part of another row of their time. ahead: the
    first time (ISO, UTC) that was refused since it lay in the future; empty where none was.
    ingest: that read it, counted from 0.
    """

    bytes: int
    sha256: str
    part: str
    rows: int
    refused: str | None = None
    copy_of: str | None = None
    test_start: dict[str, int] = EMPTY
    unknown: dict[str, int] = EMPTY
    nulls: dict[str, int] = EMPTY
    outside_class: ValuesOf = EMPTY
    ignored: dict[str, int] = EMPTY
    short: int = 0
    lacks: tuple[str, ...] = ()
    rejected: dict[str, int] = EMPTY
    rejected_of: dict[str, dict[str, int]] = EMPTY
    merged: int = 0
    ahead: str = ""
    ingest: int = 0

    @property
    def rows_given(self) -> int:
        """Rows that the file gave to the lake."""
        return self.rows - sum(self.rejected.values())

    def lacking(self, channels: Sequence[str]) -> "IngestedFile":
        """The same file, which was read without these channels."""
        return self.model_copy(update={"lacks": tuple(sorted({*self.lacks, *channels}))})


class Manifest(Artifact):
    """What ingest knows of a lake and goes on with.

    contract, reading: ``lake_contract`` and ``reading_contract`` of the fleet file under which it
    was written. class_of: vehicle -> class. culprits: SHA-256 of the file of intervals. globs:
    those of the fleet file that found a file. rejected: files in ``rejected/``. test_start: vehicle
    -> time (microseconds UTC) of its first test row. newest: vehicle -> time of its newest row.
    index_rows: vehicle -> periods taken so far, where rows are told by their position. lost:
    vehicles whose later rows then have no place in time. tables: file -> SHA-256. columns: headers
    of those that no channel reads. offsets: with, without, or both, as files have times. units:
    that files tell and the fleet file does not, such as speed in mph. hash: of
    the rows and events.
    """

    FILE: ClassVar[str] = "_manifest.json"
    REMEDY: ClassVar[str] = (
        "put it back from a copy, or run 'amad ingest --rebuild', which reads the raw files that "
        "are there anew"
    )

    fleet: str = ""
    contract: str
    reading: str = ""
    class_of: dict[str, str] = {}
    culprits: str | None = None
    globs: list[str] = []
    files: dict[str, IngestedFile]
    rejected: list[str] = []
    test_start: dict[str, int] = {}
    newest: dict[str, int] = {}
    index_rows: dict[str, int] = {}
    lost: list[str] = []
    tables: dict[str, str] = {}
    columns: list[str] | None = None
    offsets: list[str] = []
    units: list[str] = []
    hash: str = ""


def lake_contract(fleet: Fleet) -> str:
    """A hash of those parts of the fleet file that shape the lake's content."""
    classes = fleet.model_dump(mode="json", include={"vehicle_classes"})
    since = [[channel.name, str(channel.since)] for channel in fleet.channels if channel.since]
    return json_digest([classes, reading_contract(fleet), *([since] if since else [])])


def reading_contract(fleet: Fleet) -> str:
    """As ``lake_contract``, without classes and ``since``: how a row of a known vehicle is read."""
    content = fleet.model_dump(
        mode="json",
        include={
            "period_seconds": True,
            "channels": {"__all__": {"name", "column", "classes"}},
            "source": set(type(fleet.source).model_fields) - {"obtain", "folder"},
            "labels": {"kind", "column", "culprits", "culprits_by"},
        },
    )
    if fleet.source.timestamp.take != "index":
        del content["period_seconds"]
    for item, channel in zip(content["channels"], fleet.channels, strict=True):
        item["nulls"] = [word for word in channel.nulls if isinstance(word, str)]
        if channel.codes:
            item["codes"] = channel.codes
    content["format"] = FORMAT
    return json_digest(content)
