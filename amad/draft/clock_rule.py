"""The rule of ``source.timestamp`` that a draft has found."""

import re
from dataclasses import dataclass, field
from typing import Any

from amad.reading.timestamp_guess import Guess

NAMED = re.compile(  # headers of times
    r"time|date|stamp|epoch|zeit|datum|uhr|heure|hora|fecha|tijd|czas|(^|[_.])ts($|[_.])|^tv_sec$|utc|^unix|^when$"
    r"|日時|日付|時刻|时间|時間|日期|시간",
    re.I,
)
# A header that is nothing else.
TIME = re.compile(
    r"(date|time|zeit|uhrzeit|datum|unix|epoch)?[ _]?"
    r"(time|date|stamp|stempel|zeit|datum|epoch|ts)s?[ _]?\d{0,2}"
    r"|((date|time)[ _]?)?(m?jd|julian([ _]?(date|day))?|datenum|filetime|ticks)",
    re.I,
)

ORDER = "the sample does not show which is the day and which the month"


@dataclass(slots=True, kw_only=True)
class Clock:
    """Keys of ``source.timestamp``, and what a person should know about them."""

    keys: dict[str, Any]
    seen: str
    guesses: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # headers of columns that only tell the time
    period: float | None = None  # seconds between rows, if the files tell it without a date
    local: bool = False  # has times without an offset
    unread: list[str] = field(default_factory=list)  # what tells the time, and cannot be read

    @property
    def take(self) -> str:
        """The rule's ``take``."""
        return str(self.keys["take"])


def form_of(settings: dict[str, str]) -> str:
    """How times are written that these settings read, in words."""
    if "format" in settings:
        return f"text in the form {settings['format']!r}"
    return f"a number in {settings['unit']}" if "unit" in settings else "ISO 8601"


def order_guessed(told: Guess) -> list[str]:
    """A guess that day and month may be the other way round, where the sample does not tell."""
    if not told.other_form:
        return []
    return [f"{ORDER}: if they are the other way round, set the format to {told.other_form!r}"]


def is_of_order(guess: str) -> bool:
    """Is it one of ``order_guessed``?"""
    return guess.startswith(ORDER)
