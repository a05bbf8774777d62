"""The id of a row's vehicle, from a cell, from the file's path or from a line before the header."""

import re
import unicodedata
from decimal import Decimal
from urllib.parse import unquote

import numpy as np
import pyarrow as pa

from amad.config.source import Source
from amad.reading.batch import FileRefusedError
from amad.reading.numbers import EXACT

ROUNDED_ID = re.compile(r"\d(\.\d+)?e\+\d\d", re.I)  # as spreadsheets write a long number
SEVERAL = "may stand for several vehicles; write the column as text with all its digits"
NO_CLASS = "vehicle is in no vehicle class of the fleet file"  # why a row is refused
NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"  # what writers put for a missing value


def vehicle_of_path(rules: Source, path: str) -> str | None:
    """The vehicle of all rows of a file; None if something within the file names it.

    Raises:
        FileRefusedError: the vehicle's pattern does not match the path.
    """
    rule = rules.vehicle
    if rule.take == "constant":
        return rule.value
    if rule.take in ("column", "preamble"):
        return None
    match = re.search(rule.pattern or "", path)
    if match is None:
        raise FileRefusedError(f"no vehicle in the path: {rule.pattern!r} does not match it")
    name = named_by(match)
    if f"={name}/" in path:  # a partitioned data set
        name = unquote(name)
    if name == NO_PARTITION:
        raise FileRefusedError(f"vehicle id is missing: the path tells {name}")
    return names_of(rules).get(id_of(name), id_of(name))


def vehicle_of_lines(rules: Source, lines: list[str], rows: int) -> pa.Array:
    """The id that the lines before a header tell, as a column of so many rows.

    Raises:
        FileRefusedError: the vehicle's pattern does not match any of the lines.
    """
    found = (re.search(rules.vehicle.pattern or "", line) for line in lines)
    match = next(filter(None, found), None)
    if match is None:
        raise FileRefusedError(
            f"no vehicle before the header: {rules.vehicle.pattern!r} does not match one of the "
            f"{len(lines)} lines before it"
        )
    name = named_by(match)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([name]))


def named_by(match: re.Match[str]) -> str:
    """What a pattern of the fleet file found: its groups with a space between, or all."""
    return " ".join(match.groups("") or [match[0]])


def names_of(rules: Source) -> dict[str, str]:
    """Spelling -> vehicle."""
    aliases = rules.vehicle.aliases.items()
    return {id_of(alias): id_of(name) for name, others in aliases for alias in others}


def id_of(cell: object) -> str:
    """A vehicle's id as text; 7.0, as a column with gaps holds the number 7, becomes 7.

    A letter with a mark is one character, however a file or a file system writes it (NFC).
    """
    if isinstance(cell, float | Decimal) and cell == cell // 1:
        cell = int(cell)
    return unicodedata.normalize("NFC", str(cell).strip())


def is_rounded(cell: object, kind: pa.DataType) -> bool:
    """Is it a number with so few digits that several ids share it?"""
    if isinstance(cell, float):
        return abs(cell) >= (2**24 if pa.types.is_float32(kind) else EXACT)
    return isinstance(cell, str) and ROUNDED_ID.fullmatch(cell.strip()) is not None
