"""The fleet file: the data contract of one fleet, typed and checked.

A fleet file lies at ``conf/fleet/<name>.yaml``. It says where the raw data lies and how to read
it, what the channels are, and what the data must satisfy. Example::

    fleet = load_fleet("demo")
    fleet.channel_names      # ['Vehicle.Speed', ...]: the column order of lake and models
    fleet.class_of("bev-03") # 'bev'
"""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import date
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from amad.config.channel import Channel
from amad.config.digest import json_digest
from amad.config.errors import ConfigError
from amad.config.settings import Settings, without_tilde
from amad.config.source import Source
from amad.config.yaml_file import Seconds, Seed, Strict, cut, parse, read_mapping

FLEET_NAME, LONGEST_NAME = r"[a-z0-9][a-z0-9_-]{0,99}", 100
FleetName = Annotated[str, Field(pattern=f"^{FLEET_NAME}$")]


class VehicleClass(Strict):
    """Vehicles that share channels and behaviour."""

    name: str
    """Name of the class"""
    vehicles: list[str] = ["*"]
    """Shell patterns of the vehicles' ids; the first class that matches counts"""


class Injection(Strict):
    """Faults put into copies of the test part of a fleet that has no labels."""

    cases_per_vehicle: int = Field(12, ge=1)
    """Copies of each vehicle's test part, with one fault in each"""
    seed: Seed = 7
    """Seed by which the faults are drawn"""


class Labels(Strict):
    """Where the labels are, if there are any. Only the evaluation reads them.

    The kinds are ``column``, a 0/1 column of the raw files; ``intervals``, a CSV file with the
    columns vehicle, start, end, channels and, if known, type and strength; and ``none`` or
    ``injected``, where faults are injected because there are no labels. With kind ``column`` the
    intervals may be given as well: the column is then the truth, and the intervals name the
    culprits.
    """

    kind: Literal["none", "column", "intervals", "injected"] = "none"
    """Kind of the labels"""
    column: str = "label"
    """Header of the 0/1 column, for kind `column`"""
    culprits: str | None = None
    """CSV file of the intervals, relative to the folder of the source"""
    culprits_by: Literal["row", "timestamp"] = "row"
    """Whether start and end are row numbers of the vehicle's test part, from 0, or timestamps"""
    injection: Injection = Injection()

    @model_validator(mode="after")
    def _complete(self) -> "Labels":
        if self.kind == "intervals" and not self.culprits:
            raise ValueError("kind: intervals needs 'culprits', the CSV file of intervals")
        return self


class Missing(Strict):
    """What is done about missing values. Every filled value is flagged as imputed.

    Continuous channels are filled linearly in time; the others repeat the last value.
    """

    max_gap_seconds: Seconds = 30.0
    """Longest gap that is filled; a longer one ends the segment, and no window crosses it"""
    min_segment_rows: int = Field(100, ge=2)
    """Segments with fewer rows are not scored"""


class Quality(Strict):
    """Limits on a vehicle-day; one over a limit is quarantined with the reason.

    Shares are of the rows of the vehicle-day; those of duplicate, late and unreadable rows are of
    the rows that were sent.
    """

    min_rows: int = Field(60, ge=1)
    """A vehicle-day with fewer rows fails"""
    max_null_share: float = Field(0.2, ge=0, le=1)
    """Rows without a value, per channel that the vehicle's class has"""
    max_out_of_range_share: float = Field(0.02, ge=0, le=1)
    """Rows outside the range, per channel"""
    max_duplicate_share: float = Field(0.05, ge=0, le=1)
    """Rows that repeat another row"""
    max_late_share: float = Field(0.1, ge=0, le=1)
    """Rows that came out of order"""
    max_unreadable_share: float = Field(0.05, ge=0, le=1)
    """Rows that could not be read"""
    max_refused_share: float = Field(0.05, ge=0, le=1)
    """Refused rows or files of the whole fleet; more of them stop the run"""
    max_gap_share: float = Field(0.5, ge=0, le=1)
    """Time in gaps; a silence above 20 times `missing.max_gap_seconds` is a rest and no gap"""
    max_failing_share: float = Field(0.2, ge=0, le=1)
    """Failing vehicle-days of the whole fleet; more of them stop the run"""
    retired: list[str] = []
    """Shell patterns of vehicles that are out of service, and are not reported as silent"""


class Split(Strict):
    """Time order of the parts of each vehicle: train, then calibration, then test.

    If files are marked ``part: test``, they are the test part, and the rest is divided.
    """

    calibration_share: float = Field(0.15, gt=0, lt=1)
    """Share of the rows on which the threshold is set"""
    test_share: float = Field(0.3, ge=0, lt=1)
    """Share of the rows on which the detector is judged"""
    purge_rows: int = Field(100, ge=0)
    """Rows left out before each border, so that no window crosses it; at most a third of a part"""

    @model_validator(mode="after")
    def _leaves_train(self) -> "Split":
        if self.calibration_share + self.test_share >= 0.95:
            raise ValueError("calibration_share + test_share must leave at least 0.05 to train on")
        return self


class Evaluation(Strict):
    """How detections are judged for this fleet."""

    buffer_rows: int = Field(100, ge=1)
    """Largest distance from an event at which VUS still credits a score"""
    unit: Literal["vehicle", "case"] = "vehicle"
    """What the bootstrap draws: vehicles or injected cases"""


class Fleet(Strict):
    """The whole contract of one fleet."""

    name: FleetName
    """Name of the fleet, equal to the name of its file"""
    description: str = ""
    """A sentence for the report"""
    period_seconds: float = Field(1.0, ge=1e-6, le=366 * 86_400)
    """Time between two rows of the regular grid on which models work"""
    channels: list[Channel] = Field(min_length=1)
    """The measured quantities, in the order of the lake's columns"""
    vehicle_classes: list[VehicleClass] = [VehicleClass(name="all")]
    """The vehicle classes; by default one class has all vehicles"""
    source: Source
    labels: Labels = Labels()
    missing: Missing = Missing()
    quality: Quality = Quality()
    split: Split = Split()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _consistent(self) -> "Fleet":
        names = [channel.name for channel in self.channels]
        if twice := sorted(name for name, times in Counter(names).items() if times > 1):
            raise ValueError(f"channels named twice: {', '.join(twice)}")
        classes = [item.name for item in self.vehicle_classes]
        if not classes or len(set(classes)) < len(classes):
            raise ValueError("vehicle_classes: at least one is needed, each named once")
        for channel in self.channels:
            unknown = set(channel.classes or []) - set(classes)
            if unknown:
                raise ValueError(
                    f"channel {channel.name} names unknown vehicle class "
                    f"{', '.join(sorted(unknown))}; accepted: {', '.join(classes)}"
                )
        return self

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced; what follows from the fields is found anew."""
        copied = super().model_copy(update=update, deep=deep)
        for name in ("channel_names", "channel_by_name"):
            copied.__dict__.pop(name, None)
        return copied

    def with_classes_of(self, other: "Fleet") -> Self:
        """The same contract with the vehicle classes of another one."""
        return self.model_copy(update={"vehicle_classes": other.vehicle_classes})

    @cached_property
    def channel_names(self) -> list[str]:
        """Channel names in column order."""
        return [channel.name for channel in self.channels]

    @cached_property
    def channel_by_name(self) -> dict[str, Channel]:
        """The channels by their names, in column order."""
        return {channel.name: channel for channel in self.channels}

    def title_of(self, name: str) -> str:
        """The short name of a channel for people; the name itself where there is none of it."""
        known = self.channel_by_name.get(name)
        return known.title if known is not None else name

    def class_of(self, vehicle: str) -> str:
        """Return the name of the first vehicle class whose patterns match ``vehicle``.

        Raises:
            ConfigError: no class matches.
        """
        for item in self.vehicle_classes:
            if any(fnmatchcase(vehicle, pattern) for pattern in item.vehicles):
                return item.name
        raise ConfigError(
            f"fleet {self.name}: vehicle {vehicle!r} is in no vehicle class; "
            "add a pattern for it under vehicle_classes"
        )

    def expects(self, vehicle: str, day: date) -> list[bool]:
        """For each channel in order: shall the vehicle have values of it on this date (UTC)?"""
        has_C = self.has_channel(self.class_of(vehicle))
        begun_C = (c.since is None or day > c.since for c in self.channels)
        return [has and begun for has, begun in zip(has_C, begun_C, strict=True)]

    def has_channel(self, vehicle_class: str) -> list[bool]:
        """For each channel in order: does a vehicle of this class have it?"""
        return [c.classes is None or vehicle_class in c.classes for c in self.channels]

    @property
    def period_us(self) -> int:
        """The sampling period in microseconds."""
        return round(self.period_seconds * 1_000_000)

    @property
    def longest_step_us(self) -> int:
        """A longer step between two rows is a gap; from one period to the next is none."""
        return round(max(self.missing.max_gap_seconds, 1.5 * self.period_seconds) * 1_000_000)

    def source_folder(self, settings: Settings) -> Path:
        """The folder of the raw files; for a simulated fleet, where the simulator writes them.

        Where the raw files lie in an object store: where those that are read come to.
        """
        if self.source.format == "simulator":
            return settings.fleet_dir(self.name) / "raw"
        if self.source.is_stored:
            return settings.runs_dir(self.name) / "raw"
        return settings.data_dir / without_tilde(Path(self.source.folder))

    def source_place(self, settings: Settings) -> str:
        """Where the raw files are, for a person: the folder or the address."""
        stored = self.source.is_stored
        return self.source.folder if stored else str(self.source_folder(settings))

    @property
    def digest(self) -> str:
        """A short hash of everything in the contract."""
        return json_digest(self.model_dump(mode="json"))


def fleet_path(name: str, settings: Settings) -> Path:
    """The file of the fleet ``name``: a path as it is, else ``conf/fleet/<name>.yaml``."""
    if name.endswith((".yaml", ".yml")):
        return Path(name).absolute()
    return settings.conf_dir / "fleet" / f"{name}.yaml"


def load_fleet(name: str, settings: Settings | None = None) -> Fleet:
    """Read a fleet by name (``demo``) or by path (``my/fleet.yaml``).

    Raises:
        ConfigError: no such fleet (the message lists those there are), or a wrong key (the message
            names file, key and accepted values).
    """
    settings = settings or Settings()
    if not name.endswith((".yaml", ".yml")) and not re.fullmatch(FLEET_NAME, name):
        raise ConfigError(
            f"{cut(repr(name))} cannot name a fleet: small letters, digits, - and _, at most "
            f"{LONGEST_NAME} of them; or the path of a fleet file that ends in .yaml"
        )
    path = fleet_path(name, settings)
    if not path.is_file():
        known = sorted(p.stem for p in (settings.conf_dir / "fleet").glob("*.yaml"))
        raise ConfigError(
            f"there is no fleet file {path}; known fleets: {', '.join(known) or 'none'}. "
            + (
                "A temporary experiment has the files that git knows: git add it first"
                if settings.is_temporary
                else f"Correct the name, or draft one: 'amad init FOLDER --name {path.stem}'"
            )
        )
    fleet = parse(Fleet, read_mapping(path), str(path))
    if fleet.name != path.stem:
        raise ConfigError(f"{path}: name: must equal the file's name, {path.stem!r}")
    return fleet
