"""The ``source`` section of a fleet file: where the raw data lies and how it is read."""

import codecs
import re
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from amad.config._yaml import Seed, Strict

# Python knows them as encodings, but no text file is written in them.
NO_TEXT = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}


def _one_group(pattern: str) -> str:
    """A regular expression that finds one thing: its only group."""
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(
            f"a regular expression with one group (...) is needed, not with {groups}; "
            "(?:...) groups without counting"
        )
    return pattern


class FileSet(Strict):
    """Raw files of one part: a glob below the source's folder.

    ``part`` says which side of the split its rows are on; ``all`` leaves that to ``split``.
    """

    glob: str = Field(min_length=1)
    part: Literal["all", "train", "test"] = "all"

    @field_validator("glob")
    @classmethod
    def _below_the_folder(cls, glob: str) -> str:
        parts = glob.replace("\\", "/").split("/")
        if glob.startswith("/") or ":" in parts[0] or ".." in parts:
            raise ValueError("a glob is relative to source.folder and has no '..'")
        if any("**" in part and part != "**" for part in parts):
            raise ValueError("'**' stands alone between slashes, as in '**/*.csv'")
        if not parts[-1] or parts[-1] in (".", "**"):
            raise ValueError("a glob ends in the name of a file, such as '*.csv'")
        return glob


Pattern = Annotated[str, AfterValidator(_one_group)]


class VehicleRule(Strict):
    """Where the vehicle id stands: a column, a part of the file's path, or one constant.

    ``pattern`` is a regular expression with one group, searched in the path below the folder.
    ``aliases`` joins spellings of one vehicle: ``{WDB-001: [wdb001, "WDB 001"]}``.
    """

    take: Literal["column", "path", "constant"] = "column"
    column: str = "vehicle"
    pattern: Pattern | None = None
    value: str | None = None
    aliases: dict[str, list[str]] = {}

    @model_validator(mode="after")
    def _complete(self) -> "VehicleRule":
        if self.take == "path" and not self.pattern:
            raise ValueError("take: path needs 'pattern', a regular expression with one group")
        if self.take == "constant" and not self.value:
            raise ValueError("take: constant needs 'value', the vehicle's id")
        return self


class TimestampRule(Strict):
    """How a row's time is known.

    ``column``: a timestamp column: ISO text, text in the strptime form ``format``, an Arrow
    timestamp, or an epoch number in ``unit`` (default us; ``days_1900`` and ``days_1904`` are the
    serial numbers of spreadsheets). Two columns, ``[Date, Time]``, are read as their texts with a
    space between.
    ``index``: row i of a vehicle is i sampling periods after ``start``, counted over its files in
    part order (train, then test) and name order. With ``gap_between_files`` each file is a
    recording of its own, which starts that many seconds (rounded up to whole sampling periods)
    after the last row of the file before.
    ``time_of_day``: ``column`` holds HH:MM:SS[.fff], or ``format``; the date is ``date_pattern``'s
    one group in the path (YYYY-MM-DD, or ``date_format``); a step back of more than 12 hours is
    midnight.
    ``elapsed``: ``column`` holds the time since the recording started, in ``unit`` (default s) or
    as HH:MM:SS. The start stands where ``start_from`` says: ``constant`` (``start``), or what
    ``start_pattern`` (a regular expression with one group) finds in the ``path`` or in the
    ``preamble`` (the lines before the header), or in ``start_column`` (``column``; a row without
    one goes on from the last), or when the file was last ``modified`` (less its last row's elapsed
    time: copies must keep the time). ``start_format`` is its strptime form where it is not ISO.
    """

    take: Literal["column", "index", "time_of_day", "elapsed"] = "column"
    column: str | list[str] = "timestamp"
    unit: Literal["s", "ms", "us", "ns", "min", "h", "days_1900", "days_1904"] = "us"
    format: str | None = None  # strptime form of the column's text
    start: datetime | None = None  # the time of row 0, or of the recording
    gap_between_files: float | None = Field(None, ge=0, le=1e9)  # seconds
    start_from: Literal["constant", "path", "preamble", "column", "modified"] = "constant"
    start_pattern: Pattern | None = None
    start_column: str | None = None
    start_format: str | None = None
    date_pattern: Pattern | None = None
    date_format: str | None = None
    timezone: str = "UTC"  # IANA name of the zone in which the raw times are told

    @model_validator(mode="before")
    @classmethod
    def _seconds(cls, content: object) -> object:
        if isinstance(content, dict) and content.get("take") == "elapsed":
            return {"unit": "s"} | content
        return content

    @field_validator("format", "start_format", "date_format")
    @classmethod
    def _is_form(cls, form: str | None) -> str | None:
        try:
            datetime.strptime("", (form or "").replace("%Z", "%z"))
        except (ValueError, re.error) as error:
            if "does not match" not in str(error):
                raise ValueError(f"{form!r} is no strptime form: {error}") from None
        if form is not None and "%" not in form:
            raise ValueError(f"{form!r} is no strptime form; one is '%d.%m.%Y %H:%M:%S'")
        return form

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                "no IANA time zone; 'UTC' and 'Europe/Berlin' are, and a fixed distance from UTC "
                "is 'Etc/GMT-2' for +02:00"
            ) from None
        return name

    @model_validator(mode="after")
    def _forms_tell_enough(self) -> "TimestampRule":
        """A form must read what it writes: a date in full, and a time of day that is no other."""
        of_column = {"column": (True, True), "time_of_day": (False, True)}.get(self.take)
        for key, of in (
            ("format", of_column),
            ("start_format", (True, True)),
            ("date_format", (True, False)),
        ):
            if (form := getattr(self, key)) and of and (lacking := _lacks(form, *of)):
                raise ValueError(f"{key}: {form!r} {lacking}")
        return self

    @model_validator(mode="after")
    def _complete(self) -> "TimestampRule":
        if isinstance(self.column, list) and (self.take != "column" or len(self.column) != 2):
            raise ValueError("a list is for take: column, and names two: the date's and the time's")
        if self.take == "index" and self.start is None:
            raise ValueError("take: index needs 'start', the time of row 0")
        if self.take == "time_of_day" and not self.date_pattern:
            raise ValueError("take: time_of_day needs 'date_pattern' to find the date in the path")
        if self.take == "elapsed":
            if self.unit.startswith("days"):
                raise ValueError("take: elapsed needs a unit among s, ms, us, ns, min and h")
            needs = {
                "constant": ("start", self.start),
                "path": ("start_pattern", self.start_pattern),
                "preamble": ("start_pattern", self.start_pattern),
                "column": ("start_column", self.start_column),
            }
            key, value = needs.get(self.start_from, ("", True))
            if not value:
                raise ValueError(f"take: elapsed with start_from: {self.start_from} needs {key!r}")
        return self

    @property
    def columns(self) -> list[str]:
        """The column, or both."""
        return [self.column] if isinstance(self.column, str) else self.column

    @property
    def start_us(self) -> int:
        """``start`` in microseconds since 1970; without an offset it is told in ``timezone``."""
        assert self.start is not None, "the rule has a start"
        zone = self.start.tzinfo or ZoneInfo(self.timezone)
        return round(self.start.replace(tzinfo=zone).timestamp() * 1e6)


def _lacks(form: str, date: bool, time: bool) -> str:
    """What of a date or a time of day the strptime ``form`` cannot tell; empty if nothing.

    A form without any time of day is fine: its times are midnights.
    """
    moment = datetime(2026, 11, 26, 13, 14, 15, tzinfo=UTC)
    text = moment.strftime(form)
    try:
        told = datetime.strptime(text, form)
    except ValueError as error:
        return f"cannot read what it writes, {text!r}: {error}"
    if date and told.date() != moment.date():
        return "tells no full date: a year, a month and a day are needed"
    if time and told.hour == 1:
        return "tells a 12-hour clock without %p (AM or PM)"
    if time and not date and told.hour != moment.hour:
        return "tells no hour"
    return ""


class SimulatorSettings(Strict):
    """What the simulator makes for a fleet without raw data."""

    vehicles: int = Field(12, ge=1)  # their ids are ice-01, bev-02, van-03, ice-04, ...
    days: int = Field(7, ge=1)
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    hours_per_day: float = Field(1.2, gt=0, le=24)  # of reported telemetry, in drive cycles
    seed: Seed = 7
    faults: bool = True  # whether faults are put in
    fault_free_days: int = Field(4, ge=0)  # faults start only after these


class LongRule(Strict):
    """The columns of ``csv_long``, one measured value a row: a signal's name and its value."""

    signal: str = "signal"  # the column that names the signal
    value: str = "value"  # the column that holds its value


class Source(Strict):
    """Where the raw data lies and how to read it.

    ``csv``: a row holds all channels. ``csv_sparse``: a row holds the channels that were read at
    that moment. ``csv_long``: a row holds one value, its signal named in a column (see ``long``;
    a channel's ``column`` is then the name of its signal). ``nulls`` adds words for "no value" to
    those that are always known (nothing, -, ---, NaN, null, n/a and the like).
    """

    format: Literal["parquet", "csv", "csv_sparse", "csv_long", "simulator"]
    files: list[FileSet] = []
    folder: str = "."  # relative to the data folder ($AMAD_DATA_DIR), or absolute
    vehicle: VehicleRule = VehicleRule()
    timestamp: TimestampRule = TimestampRule()
    delimiter: str = Field(",", min_length=1, max_length=1)  # between the fields of a CSV file
    decimal: Literal[".", ","] = "."  # what stands before the fraction of a number in a CSV file
    encoding: str = "utf-8"  # of CSV files without a byte order mark
    nulls: list[str] = []
    long: LongRule = LongRule()
    obtain: str = ""  # how to get the data set and where to put it; shown when it is missing
    simulator: SimulatorSettings = SimulatorSettings()

    @field_validator("encoding")
    @classmethod
    def _known(cls, encoding: str) -> str:
        sample = "a,1\n"
        try:
            known = codecs.lookup(encoding).name not in NO_TEXT
            known = known and sample.encode(encoding).decode(encoding) == sample
        except (LookupError, ValueError):
            known = False
        if not known:
            raise ValueError("no encoding of text files; utf-8, latin-1 and cp1252 are common")
        return encoding

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, delimiter: str) -> str:
        if delimiter.isalnum() or delimiter in "\"'.+-\n\r\0":
            raise ValueError("this cannot stand between values; ',' ';' '\\t' and '|' are common")
        return delimiter

    @model_validator(mode="after")
    def _has_files(self) -> "Source":
        if self.format != "simulator" and not self.files:
            raise ValueError(f"format: {self.format} needs 'files', a list of {{glob, part}}")
        if self.format == "csv_long" and self.timestamp.take == "index":
            raise ValueError("format: csv_long needs a time in each row, not timestamp.take: index")
        return self
