"""What is known of a fleet while it is drafted, and the sections of its fleet file."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amad.config import Fleet
from amad.draft import globs, vehicles
from amad.draft.channels import Drafted, named
from amad.draft.clock_rule import Clock
from amad.draft.columns import Columns
from amad.draft.sample import Sampled
from amad.draft.vehicles import Owner
from amad.reading.numbers import Marks


@dataclass(slots=True, kw_only=True)
class Plan:
    """What was found in the files, and the sections that follow from it."""

    name: str
    folder: str  # the value of ``source.folder``
    root: Path
    samples: list[Sampled]
    paths: list[str]
    others: list[str]  # files of the folder that are not of this fleet
    broken: list[str]  # files of the folder that cannot be read
    clock: Clock
    marks: Marks
    owner: Owner
    columns: Columns
    culprits: str | None
    channels: list[Drafted] = field(default_factory=list)
    classes: list[dict[str, Any]] = field(default_factory=list)  # of vehicles; empty: one class
    class_guesses: list[str] = field(default_factory=list)
    own: set[str] = field(default_factory=set)  # tidied headers that some vehicles' files lack
    sparse: bool = False
    period: float = 1.0
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sparse = any(sample.lacking for sample in self.samples)

    @property
    def parts(self) -> dict[str, str]:
        """The part of each file."""
        return vehicles.parts_of(self.paths)

    @property
    def has_parts(self) -> bool:
        """Do the paths tell train from test?"""
        return set(self.parts.values()) != {"all"}

    @property
    def format(self) -> str:
        """The source's format."""
        dialect = self.samples[0].dialect
        kind = "parquet" if dialect is None else dialect.format
        if self.columns.long is not None:
            return f"{kind}_long"
        return f"{kind}_sparse" if self.sparse else kind

    def source(self) -> dict[str, Any]:
        """The ``source`` section."""
        told: dict[str, Any] = {"format": self.format, "folder": self.folder}
        told["files"] = [
            {"glob": item["glob"]} | ({} if item["part"] == "all" else {"part": item["part"]})
            for item in globs.file_sets(self.root, self.paths, self.others, self.broken)
        ]
        dialect = self.samples[0].dialect
        if dialect is not None:
            if dialect.delimiter != ",":
                told["delimiter"] = dialect.delimiter
            if self.marks.decimal != ".":
                told["decimal"] = self.marks.decimal
            if self.marks.thousands is not None:
                told["thousands"] = self.marks.thousands
            if dialect.encoding != "utf-8":
                told["encoding"] = dialect.encoding
        if self.columns.long is not None:
            signal, values = self.columns.long
            told["long"] = {"signal": signal, "value": values if len(values) > 1 else values[0]}
        told["vehicle"] = dict(self.owner.keys)
        told["timestamp"] = dict(self.clock.keys)
        return told

    def labels(self) -> dict[str, object]:
        """The ``labels`` section."""
        if self.columns.label is None:
            return {"kind": "injected"}
        told: dict[str, object] = {"kind": "column"}
        if self.columns.label != "label":
            told["column"] = self.columns.label
        if self.culprits is not None:
            told |= {"culprits": self.culprits, "culprits_by": "row"}
        return told

    def fleet(self) -> Fleet:
        """The fleet file so far, as the pipeline reads it."""
        return Fleet.model_validate(
            {
                "name": self.name,
                "period_seconds": self.period,
                "source": self.source(),
                "labels": {k: v for k, v in self.labels().items() if not k.startswith("culprits")},
                "channels": [
                    {
                        "name": c.name,
                        "column": c.header,
                        "unit": c.unit,
                        "nulls": c.nulls,
                        "since": c.since,
                        "classes": c.classes or None,
                    }
                    | ({"kind": c.kind, "codes": c.codes} if c.codes else {})
                    for c in self.channels
                ],
            }
            | ({"vehicle_classes": self.classes} if self.classes else {})
        )


def drafted(columns: Columns, headers: list[str]) -> list[Drafted]:
    """A channel per header, with its name, and what its column tells of its values."""
    channels = named(headers, columns.units)
    for channel, header in zip(channels, headers, strict=True):
        channel.nulls = list(columns.nulls.get(header, []))
        channel.codes = columns.codes.get(header, {})
        if channel.codes:
            channel.kind = "binary" if set(channel.codes.values()) == {0, 1} else "categorical"
    return channels
