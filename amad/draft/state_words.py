"""Columns of words that tell a state, such as auto and eco, become channels of numbered words."""

import re
from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from amad.config.wording import some
from amad.draft.channels import FEW, Drafted
from amad.draft.columns import QUALITY, TELLS_UNITS, Columns, tell_good
from amad.draft.sample import Sampled, shared_columns
from amad.reading.numbers import is_text, says_nothing, tidied
from amad.reading.timestamp_guess import looks_like

OF_TEXT = ("it holds text", "of its values")  # why a column is left out that may hold words
MOST_EMPTY = 0.2  # share of the cells, unless a column of numbers has more empty ones
LONGEST = 30  # characters of a word
NO_STATE = re.compile("comment|note|remark|message|bemerkung|notiz", re.I)
WORD = re.compile(r"[^\W\d_]")  # a letter
NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?[\d.,]+e[-+]?\d+")
CODED = (
    "{}: words are read as numbers, as 'codes' tells; a row with another word is refused until "
    "'codes' lists it"
)
CONSTANT = "{}, and does not change within a file"
MANY = "{}, of {} different ones: to have it watched, list its words in a channel's codes"


def take_states(columns: Columns, samples: list[Sampled]) -> None:
    """Make channels of the columns that hold a few words, which change within some file.

    What is left out of the others is told with the reason.
    """
    shared = shared_columns(samples)
    most = _most_empty([shared[header] for header in columns.measured if header in shared])
    for header, why in list(columns.left_out.items()):
        cells = shared.get(header)
        if cells is None or not why.startswith(OF_TEXT) or "hexadecimal" in why:
            continue
        if not all(is_text(column.type) for column in cells) or _is_no_state(header, cells):
            continue
        words = [_words(column) for column in cells]
        told = Counter(word for of_file in words for word in of_file)
        if _share_of_letters(told) < 0.5 or looks_like([*told][:FEW]) is not None:
            continue
        if len(told) > FEW or max(map(len, told)) > LONGEST:
            if why.startswith(OF_TEXT[0]):
                columns.left_out[header] = MANY.format(why, f"{len(told):,}")
        elif not any(len(of_file) > 1 for of_file in words):
            if why.startswith(OF_TEXT[0]):
                columns.left_out[header] = CONSTANT.format(why)
        elif _share_empty(cells) <= most:
            del columns.left_out[header]
            columns.codes[header] = numbered([*told])
    if columns.codes:
        columns.measured = [h for h in shared if h in columns.measured or h in columns.codes]


def told_of(channels: list[Drafted]) -> list[str]:
    """What is told of the channels of words."""
    coded = [f"{c.header!r} ({', '.join(c.codes)})" for c in channels if c.codes]
    return [CODED.format(some(coded))] if coded else []


def numbered(words: list[str]) -> dict[str, int]:
    """A number for each word, from 0 in the order of the alphabet; a whole number stays itself."""
    codes = {word: int(word) for word in words if re.fullmatch(r"-?\d{1,4}", word)}
    free = (n for n in range(2 * len(words)) if n not in codes.values())
    rest = (word for word in sorted(words) if word not in codes)
    return codes | dict(zip(rest, free, strict=False))


def _is_no_state(header: str, cells: list[pa.Array]) -> bool:
    name = header.strip()
    told = QUALITY.fullmatch(name) or TELLS_UNITS.fullmatch(name) or NO_STATE.search(name)
    return told is not None or tell_good(cells)


def _words(column: pa.Array) -> set[str]:
    """The different texts of a column in lower case, without words for "no value"."""
    text = tidied(pc.unique(pc.drop_null(column)))
    return set(text.filter(pa.array(~says_nothing(text))).to_pylist())


def _share_of_letters(words: Counter) -> float:
    """The share of the words that have a letter, and are no numbers of any base."""
    lettered = [w for w in words if WORD.search(w) and not NUMBER.fullmatch(w)]
    return len(lettered) / len(words) if len(words) > 1 else 0.0


def _share_empty(cells: list[pa.Array]) -> float:
    return sum(column.null_count for column in cells) / max(1, sum(map(len, cells)))


def _most_empty(columns: list[list[pa.Array]]) -> float:
    return max([MOST_EMPTY, *map(_share_empty, columns)])
