"""Columns that tell the time without its date: since the recording's start, or of the day."""

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.draft.clock_rule import Clock, order_guessed
from amad.draft.figures import SENSIBLE, snapped
from amad.draft.sample import Sampled
from amad.draft.starts import in_paths, in_preambles, order_in_paths
from amad.reading import times
from amad.reading.clocks import Stopwatch
from amad.reading.headers import name_and_unit, tidy
from amad.reading.numbers import NotReadableError
from amad.reading.time_forms import strptime

LEAST = 0.97  # share of the cells that a rule must read, and of the steps that must go forward
MOVING = 0.2  # least share of distinct values in a column of elapsed times
# How units of time are written, and the values of ``source.timestamp.unit`` that they stand for.
WORDS = {
    "ns": r"ns(ecs?)?|nanos(ecs?|econds?)?",
    "us": r"[uµμ]s(ecs?)?|micros(ecs?|econds?)?",
    "ms": r"ms(ecs?)?|millis(ecs?|econds?)?",
    "s": r"s|secs?|seconds?|sekunden?",
    "min": r"mins?|minutes?|minuten?",
    "h": r"h|hrs?|hours?|stunden?",
    "d": r"d|days?|tagen?",
}
UNIT = "|".join(WORDS.values())
ELAPSED = re.compile(
    r"((elapsed|relative|session|log|recording|measurement)[ _]?)?"
    rf"(time|t|x_value|zeit|timer|offset|timestamps?|duration|elapsed|uptime|{UNIT})"
    rf"([ _]?(elapsed|of[ _]?day|since[ _](start|boot|beginning|begin|midnight)|{UNIT}))?",
    re.I,
)
# A header that is nothing but a unit of time, the letter that stands for time in
# formulas, or LabVIEW's name of the time.
BARE = re.compile(rf"t|x_value|elapsed|uptime|secs?|seconds?|{WORDS['ms']}|{WORDS['us']}", re.I)
CLOCK = re.compile(r"h+:m+(:s+)?([.,]\w+)?", re.I)
SINCE = re.compile(r"of[ _]?day|[ _]since[ _]", re.I)  # behind the unit, as in ms_of_day
OF_DAY = re.compile(r"of[ _]?day|midnight", re.I)
MIDNIGHT = "{} the start's date and no time of day, so it is taken for midnight"
OF_LINE = re.compile(r"\d:\d\d")  # a time of day
APART = (
    "the lines before the header tell the start's time of day apart from its date, so it is not "
    "read and the start is taken for midnight: write both into one line"
)
FROM_MIDNIGHT = (
    "{!r} begins at the time of day that the path tells, so it is taken to count from midnight, "
    "and not from that time"
)
LATE_FIRST = (
    "{!r} begins at {:,.0f} s, and the rows are taken to be so long after the start: if it counts "
    "since the device was switched on, write the time of each row instead"
)
WRAPS = (
    "{!r} begins again after {:,.3f} s, as a counter of few bits does, and is counted on: a longer "
    "pause within a file shows in no number, and the times after it would be too early"
)
IN_SECONDS = (
    "nothing tells the unit of the whole numbers in {!r}, which are taken for seconds: if they "
    "count something else, set unit, for example to ms"
)
DAY = 86_400.0  # seconds
MINUTE_US = 60_000_000
MOST_SECONDS = 90 * DAY  # a larger number counts from a date long ago
NEAR = 300.0  # seconds between the time of day in a path and that of the first row
FAST = 1e-3  # a smaller step that is a usual part of a day is a step of days


def is_named_elapsed(name: str) -> bool:
    """Does a header's name (without its unit) say that the column tells the time since a start?"""
    said = bool(re.search("[_ ]", name) or OF_DAY.search(name)) and ELAPSED.fullmatch(name)
    return bool(said or BARE.fullmatch(name.strip()))


def unit_of(header: str, samples: list[Sampled]) -> str | None:
    """The unit of a time, a value of ``source.timestamp.unit``, that a header tells.

    It is empty if the header tells a unit of something else.
    """
    name, unit = name_and_unit(header)
    unit = unit or samples[0].units.get(tidy(header), "").strip(" []()")
    if unit:
        return unit_of_time(unit) or (None if CLOCK.fullmatch(unit) else "")
    words = re.split(r"[ _]|(?<=time)", name.strip().lower())
    of_first = unit_of_time(words[0]) if SINCE.search(name) else None  # as in ms_of_day
    return of_first or unit_of_time(words[-1])


def of_elapsed(
    header: str, columns: list[pa.Array], samples: list[Sampled], told: str | None
) -> Clock | None:
    """The rule of a column of times since the recording's start; None if it is no such column.

    told: the unit that the header tells, see ``unit_of``.
    """
    name = name_and_unit(header)[0]
    if not ELAPSED.fullmatch(name.strip()) or told == "":
        return None
    first: list[float] = []  # seconds, of each file
    watches: list[Stopwatch] = []
    for column in columns:
        watches.append(Stopwatch())
        us = _elapsed_us(column, name, told, watches[-1])
        if us is None:
            return None
        first += [float(us[0]) / 1e6] if len(us) else []
    keys: dict[str, Any] = {"take": "elapsed", "column": header.strip(), "unit": told or "s"}
    clock = Clock(keys=keys, seen="the time since the recording started")
    if turn := max(watch.register for watch in watches):
        clock.guesses.append(WRAPS.format(header.strip(), turn / 1e6))
    if told is None and all(map(_may_be_finer, columns)):
        clock.guesses.append(IN_SECONDS.format(header.strip()))
    since_midnight = bool(OF_DAY.search(name))
    if not since_midnight and _are_of_day(first, samples):
        since_midnight = True
        clock.guesses.append(FROM_MIDNIGHT.format(header.strip()))
    if since_midnight:
        return clock if _starts_in_path(clock, samples, at_midnight=True) else None
    if not (_starts_in_preamble(clock, samples) or _starts_in_path(clock, samples)):
        _starts_when_modified(clock)
    elif min(first, default=0.0) > NEAR:
        clock.guesses.append(LATE_FIRST.format(header.strip(), min(first)))
    return clock


def _elapsed_us(
    column: pa.Array, name: str, told: str | None, watch: Stopwatch
) -> np.ndarray | None:
    """The times of one file (microseconds) if they run as times since a start do, else None."""
    try:
        read = times.elapsed(pc.drop_null(column), told or "s")
    except NotReadableError:
        return None
    us, _ = watch.follow(read.us_R[read.good_R])
    if len(us) < LEAST * len(read.us_R) or np.mean(np.diff(us) >= 0) < LEAST:
        return None
    of_minute = BARE.fullmatch(name.strip()) and us.max(initial=0) < MINUTE_US
    if of_minute and np.any(np.diff(us) < 0):
        return None  # the seconds of a minute, beside a column of minutes
    if len(us) > 1 and len(np.unique(us)) < MOVING * len(us):
        return None
    if told is None and is_no_duration(us / 1e6):
        return None
    return us


def _may_be_finer(column: pa.Array) -> bool:
    """Are these whole numbers that usually step by more than one, as milliseconds do?"""
    texts = pc.utf8_trim_whitespace(pc.cast(pc.drop_null(column), pa.string()))
    if len(texts) < 2 or not pc.all(pc.match_substring_regex(texts, r"^\d+$")).as_py():
        return False
    return bool(np.median(np.diff(pc.cast(texts, pa.float64()).to_numpy())) > 1)


def _starts_in_preamble(clock: Clock, samples: list[Sampled]) -> bool:
    """Complete the rule where the lines before the header tell the start."""
    start = in_preambles(samples)
    if start is None:
        return False
    clock.keys |= {"start_from": "preamble"} | start[0]
    clock.seen += ", its start in the lines before the header"
    clock.local = not start[1].zoned
    clock.guesses += order_guessed(start[1])
    if not re.search("%[HI]", clock.keys.get("start_format", "%H")):
        apart = any(OF_LINE.search(line) for sample in samples for line in sample.preamble)
        clock.guesses.append(
            APART if apart else MIDNIGHT.format("the lines before the header tell")
        )
    return True


def _starts_in_path(clock: Clock, samples: list[Sampled], *, at_midnight: bool = False) -> bool:
    """Complete the rule where each path tells the start, or its date where that is midnight."""
    dated = in_paths([s.path for s in samples], dates_only=at_midnight)
    if dated is None:
        return False
    pattern, form = dated
    clock.keys |= {"start_from": "path", "start_pattern": pattern, "start_format": form}
    clock.seen += ", its start in the file's path"
    clock.local = True
    clock.guesses += order_in_paths([s.path for s in samples], pattern, form, key="start_format")
    if not at_midnight and "%H" not in form:
        clock.guesses.append(MIDNIGHT.format("the path tells"))
    return True


def _starts_when_modified(clock: Clock) -> None:
    """Complete the rule where nothing tells the start."""
    clock.keys["start_from"] = "modified"
    clock.seen += "; no path or line tells its start, so the file's modification time is taken"
    clock.guesses.append(
        "copying a file may change its modification time; set a start_pattern if the path or the "
        "preamble tells the start, or start_from: constant and a start"
    )


def _are_of_day(first: list[float], samples: list[Sampled]) -> bool:
    """Do the first times of the files (seconds) repeat the times of day at which their paths start?

    They then count from midnight, and not from a start that they would be added to.
    """
    dated = in_paths([sample.path for sample in samples])
    if dated is None or "%H" not in dated[1] or len(first) < len(samples):
        return False
    starts = [re.search(dated[0], sample.path) for sample in samples]
    read = strptime(dated[1])
    told = [read(start[1]) for start in starts if start]
    day = [us[0] / 1e6 % DAY for us in told if us is not None]
    return max(first) > NEAR and bool(np.all(np.abs(np.array(first) - np.array(day)) <= NEAR))


def is_no_duration(value_N: np.ndarray) -> bool:
    """Do these numbers count days, or minutes since 1970 and the like, and no seconds of a log?

    Days are told by their step, which is a usual period as a part of a day: 1 s, 10 s, 1 min.
    """
    if len(value_N) and value_N.max() > MOST_SECONDS:
        return True
    step_N = np.diff(value_N)
    step_N = step_N[step_N > 0]
    if len(step_N) == 0:
        return False
    step = float(step_N[step_N <= 2 * np.median(step_N)].mean())
    if step > (0.2 if value_N.min() >= 10_000 else FAST):  # days since 1970 and before are so many
        return False
    return any(abs(step * DAY / usual - 1) < 0.01 for usual in SENSIBLE)


def unit_of_time(text: str) -> str | None:
    """The value of ``source.timestamp.unit`` for a spelling of a unit of time."""
    text = text.strip().lower()
    return next((unit for unit, words in WORDS.items() if re.fullmatch(words, text)), None)


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
    return Clock(
        keys=keys,
        seen="the time of day, with the date in the file's path",
        guesses=order_in_paths([s.path for s in samples], *dated, key="date_format"),
        local=True,
    )


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
