"""The ``source.timestamp`` of the draft: how the rows of the files tell their time."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.draft.clock_rule import NAMED, Clock, form_of, order_guessed
from amad.draft.date_order import month_first, with_order
from amad.draft.fractions import take_fraction
from amad.draft.sample import Sampled, shared_columns
from amad.draft.starts import SHORT, in_paths, in_preambles
from amad.draft.time_cells import (
    LOOKED_AT,
    drawn,
    go_one_way,
    is_time,
    may_hold_epochs,
    median_step,
    share_of_numbers,
    spread,
    steps_of,
    tells_only_days,
    tells_the_hour,
)
from amad.draft.two_columns import of_two_columns
from amad.draft.undated import (
    LEAST,
    MIDNIGHT,
    is_named_elapsed,
    of_day,
    of_elapsed,
    step_of,
    unit_of,
)
from amad.draft.unread_times import (
    beside,
    not_read,
    of_calendar,
    of_hours,
    of_receivers,
    of_signals,
    one_way,
    unpadded,
)
from amad.draft.zones import PERFORMANCE_MONITOR, reads, says_utc, take_zone, zone_of
from amad.reading import times, timestamp_guess
from amad.reading.headers import name_and_unit
from amad.reading.numbers import is_text, shown
from amad.reading.timestamp_guess import YEAR_US

TIMELIKE = r"\d\D+\d|^\s*\d{17,20}\s*$"  # or nanoseconds, more than a float64 tells apart
LEAST_STEPS = 20  # changes of a column that runs as times do
LOCAL_NAME = re.compile(r"lo[ck]al|ortszeit", re.I)
# A time at which a row was not measured, but sent, received or stored.
RECEIVED = re.compile("receive|ingest|arriv|create|insert|update|process|enqueue|server", re.I)
BETWEEN = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}|\b\d{8}\b")  # a date among times of day
START = "2020-01-01T00:00:00Z"  # start of the first recording, where there is no clock
ONLY_DAYS = -1  # rank of a column of dates without a time of day
LONGEST_STEP = 100  # between rows, of numbers that may be epochs, although their header denies it
SATELLITE = re.compile("gps|gnss", re.I)
SINCE_1980 = (
    "{!r} may count from 1980-01-06, as satellite receivers do, and is read as counted from 1970: "
    "if the times are ten years too early, write them in UTC"
)
UNNAMED = "the numbers of {!r} run as times do, but its name is of no time"
NO_CHANNEL = "{!r} looks like a time, too, by its name and its cells, and is no channel"
RUNS = "{!r} runs as the time since a start does, and is no channel"
DATE_APART = (
    "column {!r} tells the time of day, and its date stands in the {}, which is not read: write "
    "it into the file's name, as in log_2026-01-05.csv, or into a column"
)
PATH_TELLS = (
    "the path tells a time, as {!r} does, which is read only beside a column of the time of day or "
    "since a start: write the time of each row into the files"
)
FROM_1980_US = 315_964_800_000_000  # microseconds from 1970-01-01 to 1980-01-06
GAP_SECONDS = 3600  # between two recordings without a clock


def clock_of(samples: list[Sampled]) -> Clock:
    """The rule that reads the time of these files; ``take: index`` if they do not tell the time."""
    clock = _found(samples)
    if clock.take != "index":
        clock.guesses += beside(clock, samples)
        clock.unread += unpadded(clock, samples)
        clock.unread += of_signals(shared_columns(samples), clock)
        clock.unread += of_hours(shared_columns(samples), clock)
    if clock.local:
        take_zone(clock, samples)
    if clock.take != "index":
        take_fraction(clock, samples)
        clock.columns |= {h for h in shared_columns(samples) if h.strip() in _told(clock)}
    return clock


def _found(samples: list[Sampled]) -> Clock:
    columns = shared_columns(samples)
    named = {h for h in columns if h.strip() and _is_named(h)}
    found: list[tuple[tuple, Clock]] = []
    both, first = of_two_columns(columns, samples)
    if both is not None:
        found.append(((*_rank(both, first), 0), both))
    for order, (header, cells) in enumerate(columns.items()):
        clock = _of_column(header, cells, samples, named=header in named)
        if clock is not None and (both is None or header not in both.columns):
            found.append(((*_rank(clock, cells[0]), -order), clock))
    if not any(clock.take == "column" for _, clock in found):
        known = {name for _, clock in found for name in _told(clock)}
        rest = {header: cells for header, cells in columns.items() if header.strip() not in known}
        epochs = (_of_unnamed_epochs(h, cells, samples) for h, cells in rest.items())
        clock = next((clock for clock in epochs if clock is not None), None)
        if clock is not None:
            return clock
    if not found:
        return _of_no_column(columns, samples, named)
    best = max(found, key=lambda item: item[0])[1]
    days = next((clock for rank, clock in found if rank[0] == ONLY_DAYS), None)
    if best.keys.get("start_from") == "modified" and days is not None:
        form = {"start_format": days.keys["format"]} if "format" in days.keys else {}
        best.keys |= {"start_from": "column", "start_column": days.keys["column"]} | form
        best.seen = "the time since the recording started"
        best.guesses = [
            *days.guesses[:-1],
            MIDNIGHT.format(f"column {days.keys['column']!r} tells"),
        ]
        best.local = True
        best.columns |= days.columns | {days.keys["column"]}
    _tell_others(best, [clock for _, clock in found], columns, named)
    return best


def _of_no_column(
    columns: dict[str, list[pa.Array]], samples: list[Sampled], named: set[str]
) -> Clock:
    """The rule where no single column tells the time in one form; named: headers as of times."""
    of_some = _of_some_cells({h: columns[h] for h in columns if h in named})
    if of_some is not None:
        return of_some
    hours = [header for header, cells in columns.items() if tells_the_hour(header, cells[0])]
    why = (
        f"column {hours[0].strip()!r} tells the time of day, but no path tells the date"
        if hours
        else "no column tells the time"
    )
    counting = one_way(columns)
    unread = not_read(samples, named, counting)
    if hours and in_preambles(samples):
        unread.append(DATE_APART.format(hours[0].strip(), "lines before the header"))
    if hours and any(map(BETWEEN.search, _texts_of(columns[hours[0]]))):
        unread.append(DATE_APART.format(hours[0].strip(), "lines between the rows"))
    if hours and all(SHORT.search(sample.path) for sample in samples):
        where = "path with a year of two digits, in an order that nothing shows"
        unread.append(DATE_APART.format(hours[0].strip(), where))
    return Clock(
        keys={"take": "index", "start": START},
        seen=f"{why}: row i is i sampling periods after a start chosen here",
        guesses=["the start is made up"]
        + [PATH_TELLS.format(samples[0].path)] * bool(in_paths([s.path for s in samples])),
        unread=unread,
        period=step_of(columns[hours[0]]) if hours else None,
        columns={*hours, *counting, *of_receivers(columns), *of_calendar(columns)},
    )


def _texts_of(columns: list[pa.Array]) -> list[str]:
    return [str(text) for column in columns for text in pc.unique(pc.drop_null(column)).to_pylist()]


def _tell_others(
    best: Clock, clocks: list[Clock], columns: dict[str, list[pa.Array]], named: set[str]
) -> None:
    """Say which other columns tell the time, too, and are no channels; clocks: of all columns."""
    others = {name: c.take for c in clocks if c is not best for name in _told(c)}
    if alike := [column for column, take in others.items() if take == best.take]:
        names = ", ".join(map(repr, alike))
        best.guesses.append(f"{names} can be read as the time as well; taken: {best.seen}")
    looks = {h for h in named if _is_some_time(columns[h][0])} - best.columns
    best.columns |= looks
    known = {*_told(best), *others}
    best.guesses += [NO_CHANNEL.format(h.strip()) for h in sorted(looks) if h.strip() not in known]
    since = [column for column, take in others.items() if take == "elapsed" != best.take]
    if best.take == "column":  # the others, too, measure nothing but time
        best.guesses += [RUNS.format(column) for column in since]
        best.columns |= {h for h in columns if h.strip() in others}
        best.columns |= {*of_receivers(columns), *of_calendar(columns)}


def _of_column(
    header: str, columns: list[pa.Array], samples: list[Sampled], *, named: bool
) -> Clock | None:
    """How a column, given by its cells in each file, tells the time; None if it does not."""
    kind = columns[0].type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        clock = Clock(keys=_column(header), seen=f"column {header.strip()!r}")
        reads(clock, columns)
        return clock
    if pa.types.is_time(kind):
        return of_day(header, samples, {})
    if pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return None
    is_number = not is_text(kind) or share_of_numbers(columns[0][:LOOKED_AT]) > LEAST
    if is_number and not named and not pa.types.is_duration(kind):
        return None
    cells = [str(value) for column in columns for value in drawn(column)]
    texts = [cells[at] for at in spread(len(cells))]
    if not is_number and not any(re.search(TIMELIKE, text) for text in texts[:5]):
        return None
    told = timestamp_guess.looks_like(texts)
    settings = {} if told is None else dict(told.settings)
    take = settings.pop("take", "column")
    unit = unit_of(header, samples) if is_number else None
    other = unit and settings.get("unit") != unit  # microseconds reach the numbers of epochs in s
    if unit in ("min", "h", "d") and _since_1970(columns, unit):
        seen = f"column {header.strip()!r}, a number in {unit} since 1970"
        return Clock(keys=_column(header) | {"unit": unit}, seen=seen)
    if take == "elapsed" or (other and (told is None or median_step(columns[0]) > LONGEST_STEP)):
        since_start = of_elapsed(header, columns, samples, unit)
        if since_start is not None or take == "elapsed":
            return since_start
    if told is None:
        return None
    if take == "time_of_day":
        return of_day(header, samples, settings)
    if PERFORMANCE_MONITOR.fullmatch(header.strip()):
        told = month_first(told)
    told = with_order(told, list(map(drawn, columns)), samples)
    clock = _of_guess(header, told, texts)
    if is_number and (SATELLITE.search(header) or _seems_since_1980(columns, clock, samples)):
        clock.guesses.append(SINCE_1980.format(header.strip()))
    clock.guesses += order_guessed(told)
    return clock if reads(clock, columns) else None


def _since_1970(columns: list[pa.Array], unit: str) -> bool:
    """Are numbers in a unit times from 2000 on, if they count from 1970?"""
    us = [times.elapsed(pc.drop_null(column), unit).us_R for column in columns]
    us_R = np.concatenate(us)
    return len(us_R) > 0 and timestamp_guess.SINCE_US < us_R.min() <= us_R.max() < times.now_us()


def _seems_since_1980(columns: list[pa.Array], clock: Clock, samples: list[Sampled]) -> bool:
    """Was each file written up to a year after its last time, if that counts from 1980?"""
    rule = TimestampRule.model_validate(clock.keys)
    for cells, sample in zip(columns, samples, strict=True):
        read = times.times(pa.array(map(str, drawn(cells)), pa.string()), rule)
        last_us = int(read.us_R[read.good_R].max(initial=0)) + FROM_1980_US
        since_us = times.written_us(sample.file) - last_us
        if not -times.DAY_US <= since_us <= YEAR_US:
            return False
    return True


def _of_guess(header: str, told: timestamp_guess.Guess, texts: list[str]) -> Clock:
    """The rule that reads dates and times, such as those of ``texts``, and what it assumes."""
    zone = zone_of(texts, told.settings)
    clock = Clock(
        keys=_column(header) | told.settings | zone,
        seen=f"column {header.strip()!r}, {form_of(told.settings)}",
    )
    if zone:
        clock.guesses.append("the zone follows from its short name, which other zones may share")
    if told.settings.get("unit") == "days_1900":
        clock.guesses.append(
            "a spreadsheet counts its days from 1900 or from 1904: where the first time is four "
            "years too early, set unit: days_1904"
        )
    return clock


def _is_named(header: str) -> bool:
    name = name_and_unit(header)[0]
    return bool(NAMED.search(name)) or is_named_elapsed(name)


def _is_some_time(column: pa.Array) -> bool:
    """Does it hold times in some form, and no words or numbers under the name of a time?"""
    return is_time(column) and timestamp_guess.looks_like(map(str, drawn(column))) is not None


def _of_some_cells(columns: dict[str, list[pa.Array]]) -> Clock | None:
    """A column of times in several forms: the form of most, and a guess that names the others."""
    for header, cells in columns.items():
        if pa.types.is_temporal(cells[0].type) or pa.types.is_boolean(cells[0].type):
            continue
        if share_of_numbers(cells[0]) > LEAST and not any(map(may_hold_epochs, cells)):
            continue
        seen = [str(value) for column in cells for value in drawn(column)]
        closely = [seen[at] for at in spread(len(seen))]
        guessed = {text: timestamp_guess.looks_like([text]) for text in dict.fromkeys(closely)}
        dated = [g.settings for g in map(guessed.get, closely) if g is not None and _is_dated(g)]
        if not seen or len(dated) < len(closely) / 2:
            continue
        forms = {repr(settings): settings for settings in dated}
        # The first cells too, by which ``_reads`` refused a single form.
        first = [pc.drop_null(column[:LOOKED_AT]).to_pylist() for column in cells]
        texts = [*seen, *(str(value) for of_file in first for value in of_file)]
        told: list[tuple[float, dict[str, str], np.ndarray, bool]] = []
        for settings in forms.values():
            rule = TimestampRule.model_validate(_column(header) | settings)
            read = times.times(pa.array(texts), rule)
            in_reach = (read.us_R >= times.EARLIEST_US) & (read.us_R < times.LATEST_US)
            good = read.good_R & in_reach
            share = float(np.mean(good[: len(seen)]))
            told.append((share, settings, good, bool(read.local_R.any())))
        share, settings, good, local = max(told, key=lambda item: item[0])
        clock = Clock(
            keys=_column(header) | settings,
            seen=f"column {header.strip()!r}, {form_of(settings)} in {share:.0%} of the rows",
        )
        if good.all():
            told_forms = sorted(map(form_of, forms.values()))
            clock.seen = f"column {header.strip()!r}, {' or '.join(told_forms)}"
        clock.local = local and not says_utc(clock)
        if not good.all():
            clock.guesses.append(
                f"{header.strip()!r} has times in several forms: rows such as "
                f"{shown(texts[int(np.argmin(good))])} will be refused, so write all in one form, "
                "or draft them as a fleet of their own"
            )
        return clock
    return None


def _is_dated(guess: timestamp_guess.Guess) -> bool:
    return "take" not in guess.settings and guess.settings.get("unit") != "days_1900"


def _of_unnamed_epochs(
    header: str, columns: list[pa.Array], samples: list[Sampled]
) -> Clock | None:
    """A column of numbers that run as epochs do, although its name does not say so."""
    for column in columns:
        if pa.types.is_boolean(column.type) or pa.types.is_temporal(column.type):
            return None
        step = steps_of(column) if may_hold_epochs(column) else np.zeros(0)
        if not go_one_way(step) or np.count_nonzero(step) < min(LEAST_STEPS, len(step)):
            return None
    clock = _of_column(header, columns, samples, named=True)
    if clock is None or clock.keys.get("unit") not in ("s", "ms", "us", "ns"):
        return None
    clock.guesses.append(UNNAMED.format(header.strip()))
    clock.columns = {header}
    return clock


def _column(header: str) -> dict[str, object]:
    return {"take": "column", "column": header.strip()}


def _told(clock: Clock) -> list[str]:
    """The columns that a rule reads."""
    told = clock.keys["column"]
    return told if isinstance(told, list) else [told]


def _rank(clock: Clock, column: pa.Array) -> tuple:
    """The order of several columns: a date before a time of day, times with an offset first."""
    with_date = {"column": 3, "elapsed": 2, "time_of_day": 1}[clock.take]
    if clock.take == "elapsed" and clock.keys.get("start_from") == "modified":
        with_date = 0
    if clock.take == "column" and tells_only_days(column):
        with_date = ONLY_DAYS
        clock.guesses.append(f"{clock.seen}, tells only the day")
    zoned = clock.take == "column" and not clock.local
    return (
        with_date,
        pc.count_distinct(column).as_py() > 1,  # a receiver without a fix repeats its last time
        zoned,
        not LOCAL_NAME.search(str(clock.keys["column"])),
        not RECEIVED.search(str(clock.keys["column"])),
        pc.count_distinct(column).as_py(),
    )
