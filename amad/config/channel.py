"""A channel of a fleet file: one measured quantity."""

import math
from collections import Counter
from datetime import date
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from amad.config.number_text import number, unit_text
from amad.config.yaml_file import Ordered, Seconds, Strict

Kind = Literal["continuous", "counter", "angle", "categorical", "binary"]
TURNS = (360.0, 2 * math.pi)  # degrees, radians; a range within 1 % of one is a whole turn
RESERVED = {"timestamp", "vehicle", "date", "label", "score", "alarm", "imputed"}


class Channel(Strict):
    """One measured quantity. Names follow the COVESA Vehicle Signal Specification where it has one.

    Example: ``{name: Vehicle.Speed, unit: km/h, range: [0, 250], label: Speed}``
    """

    name: str = Field(min_length=1)
    """Name of the column in the lake"""
    unit: str = ""
    """Unit of the values, such as km/h; in CSV files it may follow a number"""
    label: str | None = None
    """Name in plots and in the report; default: the channel's name without `Vehicle.`"""
    kind: Kind = "continuous"
    """What the values are, which says how gaps are filled and what models see"""
    range: Annotated[tuple[float, float], Ordered] | None = None
    """Physical limits in the channel's unit, both included"""
    column: str | Annotated[list[str], Field(min_length=1)] | None = None
    """Header in the raw files, or a list where it differs; default: the channel's name"""
    nulls: list[float | str] = []
    """Raw values that mean "not available", such as 65535"""
    codes: dict[str, int] = {}
    """Numbers for the words of a text column of states, such as `{auto: 0, eco: 1}`; the report and
    the notices show the words"""
    classes: list[str] | None = None
    """Vehicle classes that have the channel; default: all"""
    since: date | None = None
    """Date on which a sensor came that older files lack; until its end files may lack the column,
    and vehicle-days the values"""
    max_flat_seconds: Seconds | None = None
    """A vehicle-day fails where the value stays the same for longer than this"""
    hint: str = ""
    """What to check where this channel is to blame, in a sentence; notices and the report say it"""
    context: bool = False
    """Whether notices and the report tell its value when an incident began, as for a speed"""

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED or "/" in name or "=" in name:
            raise ValueError(
                f"'{name}' cannot name a channel (reserved, or holds '/' or '='); choose another "
                "name and put this one under column:"
            )
        return name

    @model_validator(mode="after")
    def _context_is_a_value(self) -> "Channel":
        if self.context and self.is_increment:
            raise ValueError(
                f"'{self.name}' is a {self.kind}, whose value says nothing about the moment; "
                "leave its context out"
            )
        return self

    @model_validator(mode="after")
    def _codes_are_states(self) -> "Channel":
        if not self.codes:
            return self
        if not self.has_codes:
            raise ValueError(f"'{self.name}' has codes, so its kind must be categorical or binary")
        if self.kind == "binary" and not set(self.codes.values()) <= {0, 1}:
            raise ValueError(f"'{self.name}' is binary, so its codes must be 0 and 1")
        words = Counter(word.strip().lower() for word in self.codes)
        if twice := [word for word, times in words.items() if times > 1]:
            raise ValueError(f"the codes of '{self.name}' tell {twice[0]!r} twice, in any case")
        return self

    @property
    def header(self) -> str:
        """The column of the raw files that holds this channel."""
        return self.headers[0]

    @property
    def headers(self) -> list[str]:
        """The columns of the raw files of which a file has one, for this channel."""
        return self.column if isinstance(self.column, list) else [self.column or self.name]

    @property
    def title(self) -> str:
        """A short name for people."""
        return self.label or self.name.removeprefix("Vehicle.")

    def value_text(self, value: float) -> str:
        """A value for people: the word of a code where ``codes`` has one, else ``20 °C``."""
        word = next((word for word, code in self.codes.items() if code == value), None)
        return word or f"{number(value)} {unit_text(self.unit)}".rstrip()

    @property
    def is_increment(self) -> bool:
        """Whether models see how fast it moves, and not where it is."""
        return self.kind in ("counter", "angle")

    @property
    def has_codes(self) -> bool:
        """Whether the values are codes, between which there are no distances."""
        return self.kind in ("categorical", "binary")

    @property
    def turn(self) -> float:
        """The whole turn of an angle: the width of its range, 360 if it has none."""
        width = 360.0 if self.range is None else self.range[1] - self.range[0]
        return next((turn for turn in TURNS if math.isclose(width, turn, rel_tol=0.01)), width)
