"""Vehicle ids that may be two spellings of one vehicle."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable

WITH_NUMBER = re.compile(r"(?P<word>[^\W\d]+)(?P<number>\d+)")
SEPARATORS = re.compile(r"[\s_\-]+")


def likely_doubles(ids: Iterable[str]) -> list[list[str]]:
    """Groups of ids that differ only in how they are spelt, each sorted.

    Case, white space, dashes, underscores, leading zeros of numbers and Unicode forms do not count,
    nor the ``.0`` of a number written as a decimal. Dashes between digits do if both have them, so
    that car-1-11 and car-11-1 are two vehicles. A number alone may be the vehicle of that number,
    where only one word stands before it.

    >>> likely_doubles(["WDB-001", "wdb 1", "WDB-2", "car-1-11", "car-11-1"])
    [['WDB-001', 'wdb 1']]
    >>> likely_doubles(["7", "Bus 7", "8", "Bus 9"])
    [['7', 'Bus 7']]
    """
    ids = list(ids)
    words: dict[str, set[str]] = defaultdict(set)  # number -> what stands before it
    for vehicle in ids:
        if named := WITH_NUMBER.fullmatch(_normalised(vehicle)):
            words[named["number"]].add(named["word"])
    groups: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for vehicle in sorted(set(ids)):
        normalised = _normalised(vehicle)
        if len(before := words[normalised]) == 1:
            normalised = f"{next(iter(before))}{normalised}"
        groups[normalised.replace("-", "")][normalised].append(vehicle)
    found = []
    for key, spellings in groups.items():
        plain = spellings.pop(key, [])
        if len(spellings) <= 1:
            found.append([*plain, *(v for group in spellings.values() for v in group)])
        else:
            found += [plain, *spellings.values()]
    return sorted(sorted(group) for group in found if len(group) > 1)


def _normalised(vehicle: str) -> str:
    """The id without the differences that do not count; a dash between two digits stays."""
    text = unicodedata.normalize("NFKC", vehicle).casefold()
    text = "".join(_plain(character) for character in unicodedata.normalize("NFKC", text))
    text = re.sub(r"(?<=\d)\.0$", "", text.strip())
    text = re.sub(r"(?<!\d)0+(?=\d)", "", SEPARATORS.sub("-", text))
    return re.sub(r"(?<!\d)-|-(?!\d)", "", text)


def _plain(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":  # invisible, such as a zero-width space
        return ""
    return "-" if category == "Pd" else character
