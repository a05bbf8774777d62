"""The ``source`` section of a fleet file: where the raw data lies and how it is read."""

import codecs
import re
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, field_validator, model_validator

from amad.config.addresses import KEYS_ELSEWHERE, has_password, known_address
from amad.config.yaml_file import Seed, Strict

# Python knows them as encodings, but no text file is written in them.
NO_TEXT = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined"}


def _one_group(pattern: str) -> str:
    """A regular expression that finds one thing: its only group."""
    return _with_groups(pattern, 1, "one group")


def _one_or_two_groups(pattern: str) -> str:
    """A regular expression that finds one thing, or two that belong together."""
    return _with_groups(pattern, 2, "one group, or two,")


def _with_groups(pattern: str, most: int, wanted: str) -> str:
    try:
        groups = re.compile(pattern).groups
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"no regular expression: {error}") from None
    if not 1 <= groups <= most:
        raise ValueError(
            f"a regular expression with {wanted} (...) is needed, not with {groups}; "
            "(?:...) groups without counting"
        )
    return pattern


class FileSet(Strict):
    """A set of raw files."""

    glob: str = Field(min_length=1)
    """Pattern of the files, relative to the folder of the source"""
    part: Literal["all", "train", "test"] = "all"
    """The part of the split that the rows belong to; `all` lets `split` divide them"""

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
StartPattern = Annotated[str, AfterValidator(_one_or_two_groups)]


class VehicleRule(Strict):
    """How a row's vehicle is known."""

    take: Literal["column", "path", "preamble", "constant"] = "column"
    """Where the vehicle's id is: in a column, in the file's path, in a line before the header, or
    the same for all rows"""
    column: str = "vehicle"
    """Header of the column, for take `column`"""
    pattern: Pattern | None = None
    """Finds the id in the path below the folder, or in a line before the header; the id is its
    only group"""
    value: str | None = None
    """The vehicle's id, for take `constant`"""
    aliases: dict[str, list[str]] = {}
    """Other spellings of an id, such as `{WDB-001: [wdb001, "WDB 001"]}`"""

    @model_validator(mode="after")
    def _complete(self) -> "VehicleRule":
        if self.take in ("path", "preamble") and not self.pattern:
            raise ValueError(
                f"take: {self.take} needs 'pattern', a regular expression with one group"
            )
        if self.take == "constant" and not self.value:
            raise ValueError("take: constant needs 'value', the vehicle's id")
        return self


class TimestampRule(Strict):
    """How a row's time is known.

    - ``column``: the time stands in a column.
    - ``index``: row i of a vehicle is i sampling periods after ``start``. Rows are counted over the
      vehicle's files, those of the train part first, in the order of their names.
    - ``time_of_day``: the time of day stands in a column and the date in the path. A step back of
      more than 12 hours is midnight.
    - ``elapsed``: the time since the recording started stands in a column, as a number in ``unit``
      or as HH:MM:SS. With ``start_from: modified`` the last row has the time at which the file was
      last modified, so copies must keep that time.
    """

    take: Literal["column", "index", "time_of_day", "elapsed"] = "column"
    """Which of the four ways is used"""
    column: str | list[str] = "timestamp"
    """Header of the column; several, as `[Date, Time]`, `[Time, Offset]` or `[Date, Time, Offset]`,
    are read as one text, and with ``fraction`` a last one, as in `[secs, nsecs]`, counts parts of a
    second"""
    unit: Literal["s", "ms", "us", "ns", "min", "h", "d", "days_1900", "days_1904"] = "us"
    """Unit of a time that is a number; for `elapsed` s is the default. `days_1900` and `days_1904`
    are the serial numbers of spreadsheets"""
    fraction: Literal["ms", "us", "ns"] | None = None
    """Unit of the last column's whole numbers, which are added to the times of the others"""
    format: str | None = None
    """strptime form of the column's text; default: ISO 8601, and HH:MM:SS for a time of day"""
    start: datetime | None = None
    """Time of row 0 for `index`, or of the start of the recording for `elapsed`"""
    gap_between_files: float | None = Field(None, ge=0, le=1e9)
    """For `index`: seconds from the last row of a file to the first of the next, rounded up to
    whole periods; by default the files are one recording"""
    start_from: Literal["constant", "path", "preamble", "column", "modified"] = "constant"
    """For `elapsed`: where the start is; `preamble` is what stands before the header"""
    start_pattern: StartPattern | None = None
    """Finds the start in the path or in the preamble; the start is its only group, or a date and
    a time of day in two, which are read with a space between"""
    start_column: str | None = None
    """Header of the start; a row without one goes on from the last"""
    start_format: str | None = None
    """strptime form of the start; default: ISO 8601"""
    date_pattern: Pattern | None = None
    """For `time_of_day`: finds the date in the path; the date is its only group"""
    date_format: str | None = None
    """strptime form of the date; default: YYYY-MM-DD"""
    timezone: str = "UTC"
    """IANA name of the zone of times without an offset"""

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
        """A form must read what it writes: a full date, and a time of day without ambiguity."""
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
        most = 4 if self.fraction else 3
        if isinstance(self.column, list) and (
            self.take != "column" or not 2 <= len(self.column) <= most
        ):
            raise ValueError("a list is for take: column, and names two or three: [Date, Time]")
        if self.fraction and isinstance(self.column, str):
            raise ValueError("fraction is of the last of several columns: column: [secs, nsecs]")
        if self.take == "index" and self.start is None:
            raise ValueError("take: index needs 'start', the time of row 0")
        if self.take == "time_of_day" and not self.date_pattern:
            raise ValueError("take: time_of_day needs 'date_pattern' to find the date in the path")
        if self.start is not None and self.start.tzinfo is None:
            here = self.start.replace(tzinfo=ZoneInfo(self.timezone))
            if here.utcoffset() != here.replace(fold=1).utcoffset():
                raise ValueError(
                    f"start: {self.start} is in an hour that {self.timezone} has twice or not at "
                    f"all, when summer time changes; tell its offset, as in {here.isoformat()}"
                )
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
        """The column, or all."""
        return [self.column] if isinstance(self.column, str) else self.column

    @property
    def start_us(self) -> int:
        """``start`` in microseconds since 1970; without an offset it is told in ``timezone``."""
        assert self.start is not None, "the rule has a start"
        zone = self.start.tzinfo or ZoneInfo(self.timezone)
        return round(self.start.replace(tzinfo=zone).timestamp() * 1e6)


def _lacks(form: str, date: bool, time: bool) -> str:
    """What the strptime ``form`` lacks to give a date or a time of day; empty if nothing.

    A form without a time of day is accepted: its times are midnights.
    """
    moment = datetime(2026, 11, 26, 13, 14, 15, tzinfo=UTC)
    text = moment.strftime(form)
    try:
        read = datetime.strptime(text, form)
    except ValueError as error:
        return f"cannot read what it writes, {text!r}: {error}"
    if date and read.date() != moment.date():
        return "has no full date: a year, a month and a day are needed"
    if time and read.hour == 1:
        return "has a 12-hour clock without %p (AM or PM)"
    if time and not date and read.hour != moment.hour:
        return "has no hour"
    return ""


class SimulatorSettings(Strict):
    """What the simulator makes for a fleet without raw data."""

    vehicles: int = Field(12, ge=1)
    """Number of vehicles; their ids are ice-01, bev-02, van-03, ice-04 and so on"""
    days: int = Field(7, ge=1)
    """Number of days"""
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    """First day"""
    hours_per_day: float = Field(1.2, ge=0.01, le=24)
    """Hours per day that a vehicle drives and reports"""
    seed: Seed = 7
    """Seed by which vehicles, drives and faults are drawn"""
    faults: bool = True
    """Whether there are faults"""
    fault_free_days: int = Field(4, ge=0)
    """Days at the beginning that are without faults"""


class LongRule(Strict):
    """The columns of the long formats, which have one measured value per row."""

    signal: str = "signal"
    """Header of the column with the signal's name"""
    value: str | Annotated[list[str], Field(min_length=1)] = "value"
    """Header of the column with the measured value, or of several of which each row fills one"""

    @property
    def values(self) -> list[str]:
        """The column of the values, or all."""
        return [self.value] if isinstance(self.value, str) else self.value


class Source(Strict):
    """Where the raw data is and how to read it.

    - ``parquet`` (also Arrow and Feather files), ``csv`` and ``json``: a row has all channels.
    - ``csv_sparse`` and ``json_sparse``: a row has the channels that were read at that moment. A
      file of ``json_sparse`` may lack the keys of channels of which it has no value.
    - ``csv_long``, ``parquet_long`` and ``json_long``: a row has one value, and a column names its
      signal. The ``column`` of a channel is then the name of its signal.

    In JSON, an object is a row and its keys are the columns, those within ``values`` as
    ``values.speed``; an object with a list of objects is a row for each of these.
    """

    format: Literal[
        "parquet", "csv", "json", "csv_sparse", "json_sparse", "csv_long", "parquet_long",
        "json_long", "simulator",
    ]  # fmt: skip
    """Format of the files, or `simulator`, which makes them"""
    files: list[FileSet] = []
    """The sets of files; needed for every format but `simulator`"""
    folder: str = "."
    """Folder of the files, relative to the data folder (AMAD_DATA_DIR), absolute, or an address"""
    vehicle: VehicleRule = VehicleRule()
    timestamp: TimestampRule = TimestampRule()
    delimiter: str = Field(",", min_length=1, max_length=1)
    """Character between the fields of a CSV file"""
    decimal: Literal[".", ","] = "."
    """Decimal sign in a CSV file"""
    thousands: Literal[".", ","] | None = None
    """Which of the two sets thousands apart, as in 1.000; without it such a number is refused"""
    encoding: str = "utf-8"
    """Encoding of CSV and JSON files without a byte order mark"""
    nulls: list[str] = []
    """Words for a missing value; an empty field, -, NaN, null, n/a and the like always are"""
    long: LongRule = LongRule()
    obtain: str = ""
    """How to get the data and where to put it; shown when it is missing"""
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

    @model_validator(mode="before")
    @classmethod
    def _without_secrets(cls, content: object) -> object:
        """Before all other checks, whose messages show the value of the key."""
        if isinstance(content, dict) and has_password(content.get("folder")):
            raise ValueError(f"folder holds a password; {KEYS_ELSEWHERE}")
        return content

    @field_validator("folder")
    @classmethod
    def _reachable(cls, folder: str) -> str:
        return known_address(folder) if "://" in folder else folder

    @property
    def is_long(self) -> bool:
        """Does a row have one value, and the name of its signal?"""
        return self.format.endswith("_long")

    @property
    def is_sparse(self) -> bool:
        """Does a row have only the channels that were read at its moment?"""
        return self.is_long or self.format.endswith("_sparse")

    @property
    def may_leave_out(self) -> bool:
        """May a file lack the columns of channels of which it has no value?"""
        return self.format == "json_sparse"

    @property
    def container(self) -> str:
        """How a file is written: ``parquet``, ``csv`` or ``json``."""
        return self.format.partition("_")[0]

    @property
    def is_stored(self) -> bool:
        """Do the raw files lie in an object store?"""
        return "://" in self.folder

    @property
    def has_clock(self) -> bool:
        """Did clocks tell the times of the rows? Else the fleet file chose them."""
        return self.timestamp.take != "index" and self.format != "simulator"

    @model_validator(mode="after")
    def _has_two_marks(self) -> "Source":
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; one mark is both")
        return self

    @model_validator(mode="after")
    def _has_files(self) -> "Source":
        if self.format != "simulator" and not self.files:
            raise ValueError(f"format: {self.format} needs 'files', a list of {{glob, part}}")
        if self.is_long and self.timestamp.take == "index":
            raise ValueError(
                f"format: {self.format} needs a time in each row, not timestamp.take: index"
            )
        return self
