"""How the rows of a fleet's files tell their time: the ``source.timestamp`` of the draft."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.draft.figures import snapped
from amad.draft.sample import Sampled
from amad.reading import times, timestamp_guess
from amad.reading.headers import name_and_unit
from amad.reading.numbers import NotReadableError, is_text, numbers

LOOKED_AT = 400  # cells of a column in a file
LEAST = 0.97  # of the cells must be read
LOOKED_AT_CLOSELY = 60
TIMELIKE = r"\d\D+\d|^\s*\d{17,20}\s*$"  # or nanoseconds, more than a float64 tells apart
LEAST_STEPS = 20  # of a column that runs as times do
MOVING = 0.2  # of the cells of an elapsed time differ from all others, at least
NAMED = re.compile(
    r"time|date|stamp|epoch|zeit|datum|uhr|heure|hora|fecha|tijd|czas|(^|_)ts($|_)|utc|^when$", re.I
)
ELAPSED = re.compile(
    r"((elapsed|relative|session|log|recording|measurement)[ _]?)?"
    r"(time|t|secs?|seconds?|zeit|timer|offset|timestamps?|duration|elapsed)"
    r"([ _]?(s|secs?|seconds|ms|elapsed|since[ _](start|beginning|begin)))?",
    re.I,
)
ELAPSED_UNITS = {"s": "s", "sec": "s", "seconds": "s", "ms": "ms", "us": "us", "µs": "us",
                 "min": "min", "h": "h"}  # fmt: skip
# A date, with or without a time of day, in a path: what to look for, and its strptime forms.
IN_PATH = (
    (r"(\d{4}-\d\d-\d\d[T_ -]?\d\d[-.:_]?\d\d[-.:_]?\d\d)", None),
    (r"(?<!\d)(\d{8}[-_T ]?\d{6})(?!\d)", None),
    (r"(\d{4}-\d\d-\d\d)", "%Y-%m-%d"),
    (r"(?<!\d)((?:19|20)\d{6})(?!\d)", "%Y%m%d"),
    (r"(\d{4}_\d\d_\d\d)", "%Y_%m_%d"),
    (r"(\d{4}\.\d\d\.\d\d)", "%Y.%m.%d"),
    (r"(?<!\d)(\d\d-\d\d-\d{4})(?!\d)", "%d-%m-%Y"),
    (r"(?<!\d)(\d\d\.\d\d\.\d{4})(?!\d)", "%d.%m.%Y"),
)
START = "2020-01-01T00:00:00Z"  # of recordings without a clock
GAP_SECONDS = 3600  # between them


@dataclass(slots=True, kw_only=True)
class Clock:
    """Keys of ``source.timestamp``, and what a person should know about them."""

    keys: dict[str, Any]
    seen: str
    guesses: list[str] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)  # that tell time and measure nothing
    period: float | None = None  # seconds between rows, where it is known beside the rule

    @property
    def take(self) -> str:
        """The rule's ``take``."""
        return str(self.keys["take"])


def clock_of(samples: list[Sampled]) -> Clock:
    """The rule that reads the time of these files, or ``take: index`` where they tell none."""
    named = {h for h in samples[0].headers if h.strip() and NAMED.search(name_and_unit(h)[0])}
    both = _of_two_columns(samples)
    if both is not None:
        return both
    found: list[tuple[tuple, Clock]] = []
    for order, header in enumerate(samples[0].headers):
        clock = _of_column(header, samples, named=header in named)
        if clock is not None:
            found.append(((*_rank(clock, header, samples), -order), clock))
    if not any(clock.take == "column" for _, clock in found):
        epochs = (_of_unnamed_epochs(header, samples) for header in samples[0].headers)
        clock = next((clock for clock in epochs if clock is not None), None)
        if clock is not None:
            return clock
    if not found:
        of_day = [h for h in samples[0].headers if _tells_the_hour(h, samples)]
        why = (
            f"column {of_day[0].strip()!r} tells the time of day, but no path tells the date"
            if of_day
            else "no column tells the time"
        )
        return Clock(
            keys={"take": "index", "start": START},
            seen=f"{why}: row i is i sampling periods after a start chosen here",
            guesses=["the start is made up"],
            period=_step(of_day[0], samples) if of_day else None,
        )
    best = max(found, key=lambda item: item[0])[1]
    best.columns |= {header for header in named if _is_time(header, samples)}
    return best


def _of_column(header: str, samples: list[Sampled], *, named: bool) -> Clock | None:
    """How a column tells the time in all files, if it does."""
    columns = [s.column(header) for s in samples]
    cells = [column[:LOOKED_AT] for column in columns if column is not None]
    if len(cells) < len(samples):
        return None
    first = cells[0]
    is_number = not is_text(first.type) or _share_of_numbers(first) > LEAST
    if is_number and not named and not pa.types.is_temporal(first.type):
        return None
    if pa.types.is_timestamp(first.type) or pa.types.is_date(first.type):
        return Clock(keys=_column(header), seen=f"column {header.strip()!r}")
    if pa.types.is_time(first.type):
        return _of_day(header, samples, {})
    if pa.types.is_boolean(first.type) or pa.types.is_null(first.type):
        return None
    whole = [value for column in columns if column is not None for value in _some(column)]
    if not whole:
        return None
    at = np.unique(np.linspace(0, len(whole) - 1, LOOKED_AT_CLOSELY).astype(int))
    whole = [whole[position] for position in at]
    if not is_number and not any(re.search(TIMELIKE, str(text)) for text in whole[:5]):
        return None
    told = timestamp_guess.looks_like([str(value) for value in whole])
    if told is None:
        return None
    settings = dict(told.settings)
    take = settings.pop("take", "column")
    if take == "elapsed":
        return _elapsed(header, samples, settings)
    if take == "time_of_day":
        return _of_day(header, samples, settings)
    clock = Clock(
        keys=_column(header) | settings, seen=f"column {header.strip()!r}, {_form(settings)}"
    )
    if "cannot be told apart" in told.sentence:
        clock.guesses.append("which is the day and which the month cannot be told in the sample")
    return clock if _reads(clock, cells) else None


def _of_unnamed_epochs(header: str, samples: list[Sampled]) -> Clock | None:
    """A column of numbers whose name says nothing of time, but which run as epochs do."""
    columns = [s.column(header) for s in samples]
    told: list[timestamp_guess.Guess | None] = []
    for column in columns:
        if column is None or pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
            return None
        try:
            value_R = numbers(column).value_R
        except NotReadableError:
            return None
        step = np.diff(value_R[~np.isnan(value_R)])
        one_way = max(np.mean(step >= 0), np.mean(step <= 0)) if len(step) else 0
        if one_way < LEAST or np.count_nonzero(step) < min(LEAST_STEPS, len(step)):
            return None
        told.append(timestamp_guess.looks_like([str(value) for value in _some(column)]))
    settings = told[0].settings if told[0] is not None else {}
    alike = all(guess == told[0] for guess in told)
    if not alike or "take" in settings or settings.get("unit") not in ("s", "ms", "us", "ns"):
        return None
    clock = Clock(
        keys=_column(header) | settings,
        seen=f"column {header.strip()!r}, {_form(settings)}",
        guesses=[f"the numbers of {header.strip()!r} run as times do; its name does not say so"],
        columns={header},
    )
    return clock if _reads(clock, [c[:LOOKED_AT] for c in columns if c is not None]) else None


def _step(header: str, samples: list[Sampled]) -> float | None:
    """The usual number of seconds between the rows of a file whose column tells the hour."""
    steps = []
    for sample in samples:
        try:
            read = times.elapsed(pc.drop_null(sample.column(header)), "s")
        except NotReadableError:
            return None
        steps.append(np.abs(np.diff(read.us_R[read.good_R])) / 1e6)
    step = np.concatenate(steps)
    return snapped(float(np.median(step[step > 0]))) if step.any() else None


def _of_two_columns(samples: list[Sampled]) -> Clock | None:
    """The rule for a column of dates with one of times of day beside it, if all files have both."""
    hours = [h for h in samples[0].headers if _tells_the_hour(h, samples)]
    dates = [h for h in samples[0].headers if h not in hours and NAMED.search(h)]
    for date in dates:
        for of_day in hours:
            columns = [(s.column(date), s.column(of_day)) for s in samples]
            pairs = [
                (a[:LOOKED_AT], b[:LOOKED_AT])
                for a, b in columns
                if a is not None and b is not None
            ]
            if len(pairs) < len(columns):
                continue
            cells = [times.joined(*pair) for pair in pairs]
            told = timestamp_guess.looks_like([text for column in cells for text in _some(column)])
            if told is None or "take" in told.settings or "unit" in told.settings:
                continue
            keys = {"take": "column", "column": [date.strip(), of_day.strip()], **told.settings}
            seen = f"columns {date.strip()!r} and {of_day.strip()!r}, {_form(told.settings)}"
            clock = Clock(keys=keys, seen=seen, columns={date, of_day})
            if _reads(clock, cells):
                return clock
    return None


def _form(settings: dict[str, str]) -> str:
    if "format" in settings:
        return f"text in the form {settings['format']!r}"
    return f"a number in {settings['unit']}" if "unit" in settings else "ISO 8601"


def _column(header: str) -> dict[str, object]:
    return {"take": "column", "column": header.strip()}


def _some(column: pa.Array) -> list:
    """Cells from all over the column: days before and after the twelfth are among them."""
    known = pc.drop_null(column)
    at = np.unique(np.linspace(0, len(known) - 1, LOOKED_AT_CLOSELY).astype(int))
    told = known.take(pa.array(at)).to_pylist() if len(known) else []
    return [value for value in told if str(value).strip()]


def _share_of_numbers(column: pa.Array) -> float:
    try:
        return 1 - float(np.mean(numbers(column).bad_R)) if len(column) else 0.0
    except NotReadableError:
        return 0.0


def _reads(clock: Clock, cells: list[pa.Array]) -> bool:
    rule = TimestampRule.model_validate(clock.keys)
    read = [times.times(pc.drop_null(column), rule) for column in cells]
    good = sum(int(told.good_R.sum()) for told in read)
    return good >= LEAST * sum(len(told.good_R) for told in read) > 0


def _rank(clock: Clock, header: str, samples: list[Sampled]) -> tuple:
    """Which of several columns to take: a date before a time of day, an offset before none."""
    with_date = {"column": 3, "elapsed": 2, "time_of_day": 1}[clock.take]
    if clock.take == "elapsed" and clock.keys.get("start_from") == "modified":
        with_date = 0
    zoned, cells = False, samples[0].column(header)
    if clock.take == "column" and cells is not None:
        rule = TimestampRule.model_validate(clock.keys)
        try:
            read = times.times(pc.drop_null(cells[:LOOKED_AT]), rule)
            zoned = not read.local_R.any()
        except NotReadableError:
            pass
    return with_date, zoned, pc.count_distinct(cells).as_py()


def _is_time(header: str, samples: list[Sampled]) -> bool:
    """Does a column of such a name hold times as text (and so measures nothing)?"""
    column = samples[0].column(header)
    return column is not None and is_text(column.type) and _share_of_numbers(column) < LEAST


def _tells_the_hour(header: str, samples: list[Sampled]) -> bool:
    column = samples[0].column(header)
    if column is None or not is_text(column.type):
        return False
    texts = [str(value) for value in _some(column)]
    if not any(":" in text for text in texts):
        return False
    told = timestamp_guess.looks_like(texts)
    return told is not None and told.settings.get("take") == "time_of_day"


def _of_day(header: str, samples: list[Sampled], settings: dict[str, str]) -> Clock | None:
    keys: dict[str, object] = {"take": "time_of_day", "column": header.strip()}
    keys |= settings
    dated = _in_paths([s.path for s in samples], dates_only=True)
    if dated is None:
        return None
    keys["date_pattern"] = dated[0]
    if dated[1] != "%Y-%m-%d":
        keys["date_format"] = dated[1]
    return Clock(keys=keys, seen="the time of day, with the date in the file's path")


def _elapsed(header: str, samples: list[Sampled], settings: dict[str, str]) -> Clock | None:
    name, unit = name_and_unit(header)
    if not ELAPSED.fullmatch(name.strip()):
        return None
    unit = ELAPSED_UNITS.get(unit.casefold(), settings.get("unit", "s"))
    if re.search(r"(^|[ _])ms$", name):
        unit = "ms"
    for sample in samples:
        try:
            read = times.elapsed(pc.drop_null(sample.column(header)), unit)
        except NotReadableError:
            return None
        us = read.us_R[read.good_R]
        if len(us) < LEAST * len(read.us_R) or np.mean(np.diff(us) >= 0) < LEAST:
            return None
        if len(us) > 1 and len(np.unique(us)) < MOVING * len(us):
            return None
    keys: dict[str, Any] = {"take": "elapsed", "column": header.strip(), "unit": unit}
    clock = Clock(keys=keys, seen="the time since the recording started")
    start = _in_preambles(samples)
    if start is not None:
        keys |= {"start_from": "preamble"} | start
        clock.seen += ", its start in a line before the header"
        return clock
    dated = _in_paths([s.path for s in samples])
    if dated is not None:
        keys |= {"start_from": "path", "start_pattern": dated[0], "start_format": dated[1]}
        clock.seen += ", its start in the file's path"
        return clock
    keys["start_from"] = "modified"
    clock.seen += "; its start is told nowhere, so the file's modification time is taken"
    clock.guesses.append(
        "copying a file may change when it was modified; set a "
        "start_pattern if path or preamble tell the start, or constant and a start"
    )
    return clock


def _in_preambles(samples: list[Sampled]) -> dict[str, str] | None:
    """Pattern and form of a start that stands before the header of each file."""
    for line in samples[0].preamble:
        for mark in re.finditer(r"[:=;,\t]", line):
            before, text = line[: mark.end()].strip(), line[mark.end() :].strip().strip('"')
            told = timestamp_guess.looks_like([re.split("[;,\t]", text)[0]])
            if told is None or told.settings.get("take") or "unit" in told.settings:
                continue
            pattern = r"\s*".join(map(re.escape, before.split()))
            pattern += r"\s*([^\r\n;,\"]*\d[^\r\n;,\"]*)"
            found = {"start_pattern": pattern}
            if "format" in told.settings:
                found["start_format"] = told.settings["format"]
            if all(re.search(pattern, "\n".join(s.preamble)) for s in samples):
                return found
    return None


def _in_paths(paths: list[str], *, dates_only: bool = False) -> tuple[str, str] | None:
    """Pattern and strptime form of the date (and time) that each path tells."""
    for pattern, form in IN_PATH:
        matches = [re.search(pattern, path) for path in paths]
        texts = [match[1] for match in matches if match]
        if len(texts) < len(paths) or (form is None and dates_only):
            continue
        form = form or _form_of(texts[0])
        read = times.strptime(form)
        if all(read(text) is not None for text in texts):
            return pattern, form
    return None


def _form_of(text: str) -> str:
    """The strptime form of a date and time of digits, whatever stands between them."""
    codes = iter(("%Y", "%m", "%d", "%H", "%M", "%S"))
    return re.sub(r"^\d{4}|\d\d", lambda _: next(codes), text)
