"""Find a channel's column in a file whose headers are spelt slightly differently.

The same logger writes ``[°C]`` in one export and ``[Â°C]`` in the next (UTF-8 that was read as
Latin-1). So headers are compared in three steps, and the first step that finds a column decides:

1. exactly as written;
2. tidied: mojibake repaired, Unicode compatibility forms and case folded, spaces collapsed;
3. by the name before a trailing ``[unit]`` or ``(unit)``, where one of the two names no unit.

Two different units never match: a speed in mph is not a speed in km/h.
"""

import re
import unicodedata
from functools import lru_cache

UNIT = re.compile(r"^(?P<name>.*\S)\s*[\[(](?P<unit>[^\[\]()]*)[\])]$")


class AmbiguousHeaderError(ValueError):
    """Several columns of one file match a name equally well."""


@lru_cache(maxsize=4096)
def tidy(header: str) -> str:
    """The header in the form that is compared: repaired, normalised (NFKC), folded, single spaces.

    >>> tidy(" Intake  Air Temperature [Â°C]")
    'intake air temperature [°c]'
    """
    text = repaired(header.strip().lstrip("\ufeff").strip("\"' "))
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def find(name: str, headers: list[str]) -> int | None:
    """Position in ``headers`` of the column ``name``; None where no header matches.

    Raises:
        AmbiguousHeaderError: names the columns that match equally well.
    """
    if headers.count(name) == 1:  # the quick answer for nearly all channels
        return headers.index(name)
    wanted = tidy(name)
    base, unit = _split_unit(wanted)

    def same_name(header: str) -> bool:
        other_base, other_unit = _split_unit(tidy(header))
        return base == other_base and (not unit or not other_unit)

    for matches in (lambda h: h == name, lambda h: tidy(h) == wanted, same_name):
        found = [position for position, header in enumerate(headers) if matches(header)]
        if len(found) > 1:
            columns = ", ".join(repr(headers[position]) for position in found)
            raise AmbiguousHeaderError(f"columns {columns} all match {name!r}")
        if found:
            return found[0]
    return None


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
    match = UNIT.match(tidied)
    return (match["name"], match["unit"].strip()) if match else (tidied, "")
