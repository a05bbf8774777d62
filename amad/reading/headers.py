"""Find a channel's column in a file whose headers are spelt slightly differently.

The same logger writes ``[°C]`` in one export and ``[Â°C]`` in the next (UTF-8 that was read as
Latin-1). So headers are compared in three steps, and the first step that finds a column decides:

1. exactly as written;
2. tidied: mojibake repaired, Unicode compatibility forms and case folded, an underscore taken for
   a space, spaces collapsed;
3. by the name before a trailing ``[unit]`` or ``(unit)``, where one of the two names no unit, or
   both name the same one. Brackets with a colon tell no unit but a logger (``S/N: 1234``).

Two different units never match: a speed in mph is not a speed in km/h.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache

from amad.reading.units import is_known

UNIT = re.compile(r"^(?P<name>.*\S)\s*[\[(](?P<unit>[^\[\]()]*)[\])]$")
# What a query names a column, as in avg(cpu): no unit stands in the brackets.
OF_A_QUERY = re.compile(
    r"(avg|mean|median|stdev|stddev|var|sum|perc?\d+|p\d\d|last|first|latest|earliest|values|rate)"
    r"\([\w.:*/ -]+\)",
    re.I,
)
NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*(e[-+]?\d+)?", re.I)
OF_A_DEVICE = re.compile(r"#?\d+")  # in brackets: which of several, as in Voltage (2)
TIME_PER_UNIT = re.compile(r"(?P<name>(test |step )?time|t|zeit)/(?P<unit>s|ms|min|h)", re.I)
BY_PLACE = re.compile(r"column (\d{1,5})")  # what a column without a name is called


class AmbiguousHeaderError(ValueError):
    """Several columns of one file match a name equally well."""


@lru_cache(maxsize=1 << 16)
def tidy(header: str) -> str:
    """The header in the form that is compared: repaired, normalised (NFKC), folded, single spaces.

    >>> tidy(" Intake  Air_Temperature [Â°C]")
    'intake air temperature [°c]'
    """
    text = repaired(header.strip().lstrip("\ufeff").strip("\"' "))
    return " ".join(unicodedata.normalize("NFKC", text).casefold().replace("_", " ").split())


class Headers:
    """The headers of a file; each is looked at once, however many columns are looked for."""

    def __init__(self, headers: list[str]) -> None:
        self.told = headers
        self._exact = _places(headers)

    @cached_property
    def _tidied(self) -> dict[str, list[int]]:
        return _places(map(tidy, self.told))

    @cached_property
    def _named(self) -> dict[str, list[int]]:
        return _places(_split_unit(tidy(header))[0] for header in self.told)

    def find(self, name: str) -> int | None:
        """Position of the column ``name``; None where no header matches.

        Raises:
            AmbiguousHeaderError: names the columns that match equally well.
        """
        found = self._exact.get(name) or self._tidied.get(tidy(name)) or self._nameless(name)
        if not found:
            base, unit = _split_unit(tidy(name))
            same = self._named.get(base, [])
            told = {at: _split_unit(tidy(self.told[at]))[1] for at in same}
            found = [at for at in same if not unit or told[at] in ("", unit)]
        if len(found) > 1:
            columns = ", ".join(repr(self.told[at]) for at in found)
            raise AmbiguousHeaderError(f"columns {columns} all match {name!r}")
        return found[0] if found else None

    def _nameless(self, name: str) -> list[int]:
        """The position that a name such as ``column 1`` tells, where that has no name of its own.

        >>> Headers(["", "speed"]).find("column 1")
        0
        """
        match = BY_PLACE.fullmatch(tidy(name))
        at = int(match[1]) - 1 if match else -1
        return [at] if 0 <= at < len(self.told) and not tidy(self.told[at]) else []

    def find_any(self, names: list[str]) -> int | None:
        """Position of the only column with one of the names, see ``find``; None without one.

        Raises:
            AmbiguousHeaderError: several columns match.
        """
        found = sorted({at for name in names if (at := self.find(name)) is not None})
        if len(found) > 1:
            columns = ", ".join(repr(self.told[at]) for at in found)
            raise AmbiguousHeaderError(f"columns {columns} match {' or '.join(map(repr, names))}")
        return found[0] if found else None

    def in_another_unit(self, name: str) -> str | None:
        """A header of the same name with another unit than ``name``; None without one.

        >>> Headers(["Time", "Speed [mph]"]).in_another_unit("Speed [km/h]")
        'Speed [mph]'
        """
        base, unit = _split_unit(tidy(name))
        others = [self.told[at] for at in self._named.get(base, []) if unit]
        told = (h for h in others if _split_unit(tidy(h))[1] not in ("", unit))
        return next((header.strip() for header in told), None)


def _places(texts: Iterable[str]) -> dict[str, list[int]]:
    """Text -> the positions at which it stands."""
    found: dict[str, list[int]] = {}
    for at, text in enumerate(texts):
        found.setdefault(text, []).append(at)
    return found


def by_place(headers: Sequence[str]) -> list[str]:
    """The headers, where those that are empty are called by their place, unless one is named so.

    >>> by_place(["", "speed"])
    ['column 1', 'speed']
    """
    known = set(map(tidy, headers))
    named = ((header, f"column {at}") for at, header in enumerate(headers, 1))
    return [name if not tidy(header) and name not in known else header for header, name in named]


def find(name: str, headers: list[str]) -> int | None:
    """Position of one column in ``headers``; see ``Headers.find``."""
    return Headers(headers).find(name)


def are_values(headers: list[str]) -> bool:
    """Does this line rather hold values: are at least half of its fields numbers?"""
    return 2 * sum(bool(NUMBER.fullmatch(header.strip())) for header in headers) >= len(headers)


def name_and_unit(header: str) -> tuple[str, str]:
    """The name in a header, and the unit at its end or ""; mojibake is repaired.

    >>> name_and_unit("Intake Air Temperature [Â°C]")
    ('Intake Air Temperature', '°C')
    """
    text = repaired(header.strip().lstrip("\ufeff").strip("\"' "))
    return _split_unit(" ".join(text.split()))


def repaired(text: str) -> str:
    """The text with mojibake repaired.

    >>> repaired("Air [Â°C]")
    'Air [°C]'
    """
    for _ in range(2):  # some exports were garbled twice
        text = _repair(text)
    return text


def _repair(text: str) -> str:
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _split_unit(tidied: str) -> tuple[str, str]:
    match = None if OF_A_QUERY.fullmatch(tidied) else UNIT.match(tidied)
    match = match or TIME_PER_UNIT.fullmatch(tidied)
    if match and OF_A_DEVICE.fullmatch(match["unit"].strip()):
        return tidied, ""
    if match and ":" in match["unit"]:  # of which logger, as in Temp, °C (LGR S/N: 1234)
        name, _, unit = match["name"].rpartition(",")
        return (name, unit.strip()) if is_known(unit) else (match["name"], "")
    return (match["name"], match["unit"].strip()) if match else (tidied, "")
