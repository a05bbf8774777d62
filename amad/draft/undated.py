"""Columns that tell the time without its date: since the recording's start, or of the day."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.draft.clock_rule import Clock, order_guessed
from amad.draft.figures import snapped
from amad.draft.sample import Sampled
from amad.draft.starts import in_paths, in_preambles
from amad.reading import times
from amad.reading.headers import name_and_unit, tidy
from amad.reading.numbers import NotReadableError

LEAST = 0.97  # share of the cells that a rule must read, and of the steps that must go forward
MOVING = 0.2  # least share of distinct values in a column of elapsed times
MILLISECONDS = r"ms|msecs?|millis(ec(onds?)?)?"
ELAPSED = re.compile(
    r"((elapsed|relative|session|log|recording|measurement)[ _]?)?"
    rf"(time|t|secs?|seconds?|{MILLISECONDS}|zeit|timer|offset|timestamps?|duration|elapsed|uptime)"
    rf"([ _]?(s|secs?|seconds|{MILLISECONDS}|elapsed|since[ _](start|beginning|begin)))?",
    re.I,
)
# A header that is nothing but a unit of time, or the letter that stands for time in formulas.
BARE = re.compile(rf"t|elapsed|uptime|secs?|seconds?|{MILLISECONDS}", re.I)
UNITS = {"s": "s", "sec": "s", "seconds": "s", "ms": "ms", "us": "us", "µs": "us", "min": "min",
         "h": "h"}  # fmt: skip


def is_named_elapsed(name: str) -> bool:
    """Does a header's name (without its unit) say that the column tells the time since a start?"""
    said = bool(re.search(r"[_ ]", name)) and ELAPSED.fullmatch(name)
    return bool(said or BARE.fullmatch(name.strip()))


def elapsed(
    header: str, columns: list[pa.Array], samples: list[Sampled], settings: dict[str, str]
) -> Clock | None:
    """The rule of a column of times since the recording's start; None if it is no such column."""
    name, unit = name_and_unit(header)
    unit = unit or samples[0].units.get(tidy(header), "").strip(" []()")
    if not ELAPSED.fullmatch(name.strip()):
        return None
    if unit and unit.casefold() not in UNITS and BARE.fullmatch(name.strip()):
        return None
    unit = UNITS.get(unit.casefold(), settings.get("unit", "s"))
    if re.search(rf"(^|[ _])({MILLISECONDS})$", name.strip(), re.I):
        unit = "ms"
    for column in columns:
        try:
            read = times.elapsed(pc.drop_null(column), unit)
        except NotReadableError:
            return None
        us = read.us_R[read.good_R]
        if len(us) < LEAST * len(read.us_R) or np.mean(np.diff(us) >= 0) < LEAST:
            return None
        if BARE.fullmatch(name.strip()) and np.any(np.diff(us) < 0):
            return None  # the seconds of a minute, beside a column of minutes
        if len(us) > 1 and len(np.unique(us)) < MOVING * len(us):
            return None
    keys: dict[str, Any] = {"take": "elapsed", "column": header.strip(), "unit": unit}
    clock = Clock(keys=keys, seen="the time since the recording started")
    start = in_preambles(samples)
    if start is not None:
        keys |= {"start_from": "preamble"} | start[0]
        clock.guesses += order_guessed(start[1])
        clock.local = not start[1].zoned
        clock.seen += ", its start in the lines before the header"
        if not re.search("%[HI]", keys.get("start_format", "%H")):
            clock.guesses.append(
                "the lines before the header tell the start's date and no time of "
                "day, so it is taken for midnight"
            )
        return clock
    dated = in_paths([s.path for s in samples])
    if dated is not None:
        keys |= {"start_from": "path", "start_pattern": dated[0], "start_format": dated[1]}
        clock.seen += ", its start in the file's path"
        clock.local = True
        return clock
    keys["start_from"] = "modified"
    clock.seen += "; no path or line tells its start, so the file's modification time is taken"
    clock.guesses.append(
        "copying a file may change its modification time; set a start_pattern if the path or the "
        "preamble tells the start, or start_from: constant and a start"
    )
    return clock


def of_day(header: str, samples: list[Sampled], settings: dict[str, str]) -> Clock | None:
    """The rule of a column of times of day; None if no path tells the date."""
    keys: dict[str, object] = {"take": "time_of_day", "column": header.strip()}
    keys |= settings
    dated = in_paths([s.path for s in samples], dates_only=True)
    if dated is None:
        return None
    keys["date_pattern"] = dated[0]
    if dated[1] != "%Y-%m-%d":
        keys["date_format"] = dated[1]
    return Clock(keys=keys, seen="the time of day, with the date in the file's path", local=True)


def step_of(columns: list[pa.Array]) -> float | None:
    """The usual number of seconds between the rows of a file whose column tells the hour."""
    steps = []
    for column in columns:
        try:
            read = times.elapsed(pc.drop_null(column), "s")
        except NotReadableError:
            return None
        steps.append(np.abs(np.diff(read.us_R[read.good_R])) / 1e6)
    step = np.concatenate(steps)
    return snapped(float(np.median(step[step > 0]))) if step.any() else None
