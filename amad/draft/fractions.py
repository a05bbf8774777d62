"""A column that tells the parts of a second of the times in the column beside it."""

import contextlib
import re

import numpy as np
import pyarrow as pa

from amad.config.source import TimestampRule
from amad.draft.clock_rule import Clock
from amad.draft.sample import Sampled, shared_columns
from amad.draft.time_cells import LOOKED_AT
from amad.draft.undated import LEAST, WORDS
from amad.reading import times
from amad.reading.headers import name_and_unit
from amad.reading.numbers import NotReadableError

# Names of columns of fractions, in which "of the time" or the like is left out.
FRACTIONS = {
    unit: re.compile(
        rf"[ _.]*((date|time|ts|epoch|stamp)s?[ _.]?)*(offset[ _]?in[ _]?)?({words})"
        r"([ _]?(offset|part))?",
        re.I,
    )
    for unit, words in (
        ("ms", rf"{WORDS['ms']}|milli(tm)?"),
        ("us", rf"{WORDS['us']}|micro"),
        ("ns", rf"{WORDS['ns']}|nano"),
    )
}
NOT_READ = (
    "column {!r} seems to tell fractions of a second, which are read only beside whole seconds "
    "whose rows they tell apart: write the whole time into one column"
)


def take_fraction(clock: Clock, samples: list[Sampled]) -> None:
    """Complete the rule with a column of parts of a second, or name those that are not read."""
    columns = shared_columns(samples)
    known = TimestampRule(**clock.keys).columns
    for header, cells in columns.items():
        if header in clock.columns or header.strip() in known:
            continue
        unit = _unit(name_and_unit(header)[0].strip(), known)
        if not unit or not _are_parts(cells, unit):
            continue
        clock.columns.add(header)
        own = [h for name in known for h in columns if h.strip() == name]
        if clock.take == "column" and _refine([columns[h] for h in own], cells, unit, clock):
            clock.keys |= {"column": [*known, header.strip()], "fraction": unit}
            clock.columns |= {*own}
            known = [*known, header.strip()]
            clock.seen += f", and its {unit} in column {header.strip()!r}"
        else:
            clock.guesses.append(NOT_READ.format(header.strip()))


def _unit(name: str, known: list[str]) -> str:
    """The unit of the parts of a second that a column tells, by its name; empty if it tells none.

    The beginning that it shares with a column of the times, ``known``, is left out.
    """
    rest = {name}
    for column in known:
        alike = (at for at, (a, b) in enumerate(zip(name, column, strict=False)) if a != b)
        rest.add(name[next(alike, min(len(name), len(column))) :])
    told = (unit for unit, pattern in FRACTIONS.items() if any(map(pattern.fullmatch, rest)))
    return next(told, "")


def _are_parts(columns: list[pa.Array], unit: str) -> bool:
    """Are these whole numbers below a second in all files, and do they fall in some?"""
    falls = False
    with contextlib.suppress(NotReadableError):
        for column in columns:
            part_R, bad_R = times.parts_of_second(column.drop_null(), unit)
            if bad_R.any():
                return False
            falls |= bool(np.any(np.diff(part_R) < 0))
    return falls


def _refine(columns: list[list[pa.Array]], parts: list[pa.Array], unit: str, clock: Clock) -> bool:
    """Are the times of the columns whole seconds, and do the parts tell their rows apart?

    columns, parts: the columns of the rule, and that of the parts, in each file.
    """
    rule = TimestampRule.model_validate(clock.keys)
    if rule.fraction or not columns:
        return False
    tells_apart = False
    for *time, part in zip(*columns, parts, strict=True):
        looked_at = [cells[:LOOKED_AT] for cells in time]
        told = times.times(looked_at[0] if len(time) == 1 else times.joined(*looked_at), rule)
        part_R, bad_R = times.parts_of_second(part[:LOOKED_AT], unit)
        kept_R = told.good_R & ~bad_R
        whole_R = told.us_R[kept_R]
        both_R = whole_R + part_R[kept_R]
        falls = np.sum(np.diff(both_R) < 0) > np.sum(np.diff(whole_R) < 0)
        cells = pa.table([pa.array(whole_R), part[:LOOKED_AT].filter(pa.array(kept_R))], ["a", "b"])
        pairs = len(cells.group_by(["a", "b"]).aggregate([]))
        if np.any(whole_R % 1_000_000) or falls or len(np.unique(both_R)) < LEAST * pairs:
            return False
        tells_apart |= pairs > len(np.unique(whole_R))
    return tells_apart
