"""The zone of times without an offset: what a header, a line or a column beside them tells."""

import re
from collections.abc import Iterable
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.draft.clock_rule import Clock, form_of
from amad.draft.sample import Sampled, shared_columns
from amad.draft.time_cells import LOOKED_AT, drawn
from amad.draft.undated import LEAST
from amad.reading import times, timestamp_guess
from amad.reading.csv_file import MOST_UNIT_LINES
from amad.reading.headers import name_and_unit
from amad.reading.numbers import is_text, shown

UTC = re.compile(r"(?<![a-z])(utc|gmt|zulu)(?![a-z]| ?[+-] ?\d)", re.I)
HOURS_AHEAD = re.compile(r"(?<![a-z])(?:utc|gmt) ?([+-]) ?0?(1[0-2]|\d)(?::?00)?(?![\d:])", re.I)
# Windows' performance monitor: its times are local, month first, and UTC so many minutes later.
PERFORMANCE_MONITOR = re.compile(r"\(PDH-[CT]SV [\d.]+\) ?\(.*\) ?\((-?\d+)\)")
# A column that tells the offset of the times beside it, or one that may.
OFFSET = re.compile(
    r"((utc|gmt|tz|time[ _]?zone)([ _]?(offset|name|id|diff))?|zeitzone)"
    r"([ _](h|hours?|m|mins?|minutes?|s|secs?|seconds?))?",
    re.I,
)
MAY_BE_OFFSET = re.compile(rf"{OFFSET.pattern}|offset|zone([ _]?(offset|name|id))?", re.I)
# Zones whose short names (CET and CEST) are tried; those of the last line have one all year.
ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Helsinki", "Europe/Moscow", "America/New_York",
    "America/Chicago", "America/Denver", "America/Los_Angeles", "Asia/Tokyo", "Asia/Kolkata",
    "Australia/Sydney", "America/Panama", "America/Phoenix", "Africa/Algiers",
)  # fmt: skip
ZONE = re.compile(r"\b[A-Z]\w+/[A-Z][\w/-]+\b")
LOCAL = (
    "times without an offset are taken for UTC; if they are of another zone, set timezone, for "
    "example to Europe/Berlin"
)
NAMES_ZONE = "times without an offset are taken for {0}, as {1} names that zone"
NOT_READ = (
    "column {!r} tells how far the times are from UTC ({}), which is read only as +02:00 beside "
    "one column of text: write it so, or behind each time; under another name it is not looked at"
)
DISTANCE = r"((UTC|GMT) ?)?[+-]?\d{1,5}([:.]\d+)?"  # from UTC, below a header that says so
SIGNED = r"[+-]\d\d:?\d\d"
MOST_OFFSETS = 24  # different ones in a column
SHOWN = 3  # of them in a message


def take_zone(clock: Clock, samples: list[Sampled]) -> None:
    """Complete the rule of local times with their zone, or say what is assumed or not read."""
    header = str(clock.keys.get("column"))
    if "timezone" in clock.keys or _is_beside(clock, samples):
        return
    if (hours := _hours_ahead(header)) is not None:
        # The names of these zones count the other way.
        clock.keys["timezone"] = f"Etc/GMT{-hours:+d}" if hours else "UTC"
        return
    found = {"its header": _zones([header])}
    found["a line before the header"] = {z for s in samples for z in _zones(s.preamble)}
    first = (cells[:MOST_UNIT_LINES].to_pylist() for cells in _times(clock, samples))
    found["a line below the header"] = {z for cells in first for z in _zones(map(str, cells))}
    beside = {h: _texts(cells) for h, cells in shared_columns(samples).items() if _may_tell(h)}
    of_column = {h: texts for h, texts in beside.items() if texts and texts == _zones(texts)}
    found |= {f"column {h.strip()!r}": texts for h, texts in of_column.items()}
    for where, zones in found.items():
        if len(zones) == 1:
            (clock.keys["timezone"],) = zones
            clock.guesses.append(NAMES_ZONE.format(*zones, where))
            return
    distances = {h: texts for h, texts in beside.items() if _are_distances(h, texts)}
    for header, texts in (of_column | distances).items():
        some = ", ".join(map(shown, sorted(texts)[:SHOWN]))
        clock.unread.append(NOT_READ.format(header.strip(), some))
    clock.guesses.append(LOCAL)
    clock.guesses += [
        f"column {h.strip()!r} seems to tell the zone, which is not read"
        for h in beside
        if OFFSET.fullmatch(name_and_unit(h)[0].strip()) or "zone" in h.lower()
    ]


def _hours_ahead(header: str) -> int | None:
    """By how many hours times are ahead of UTC, where the header says so, and they are whole."""
    if ahead := HOURS_AHEAD.search(header):
        return int(ahead[1] + ahead[2])
    monitor = PERFORMANCE_MONITOR.fullmatch(header)
    if monitor is None or int(monitor[1]) % 60:
        return None
    return -int(monitor[1]) // 60


def _is_beside(clock: Clock, samples: list[Sampled]) -> bool:
    """Complete the rule where a column of text beside that of the times tells their offset."""
    columns, time = shared_columns(samples), _times(clock, samples)
    if clock.take != "column" or not time or not all(is_text(cells.type) for cells in time):
        return False
    for header in filter(_may_tell, columns):
        pairs = zip(time, columns[header], strict=True)
        cells = [times.joined(a[:LOOKED_AT], b[:LOOKED_AT]) for a, b in pairs]
        texts = [text for column in cells for text in drawn(column)]
        told = timestamp_guess.looks_like(texts)
        if told is None or not told.zoned:
            continue
        keys = {"take": "column", "column": [clock.keys["column"], header.strip()]}
        both = Clock(keys=keys | told.settings | zone_of(texts, told.settings), seen="")
        if reads(both, cells):
            clock.keys, clock.local = both.keys, False
            clock.seen = f"columns {keys['column'][0]!r} and {keys['column'][1]!r}, "
            clock.seen += form_of(told.settings)
            clock.columns |= {h for h in columns if h.strip() in keys["column"]}
            return True
    return False


def _times(clock: Clock, samples: list[Sampled]) -> list[pa.Array]:
    """The cells of the only column of the times in each file; none where there are two."""
    columns = shared_columns(samples)
    return next((cells for h, cells in columns.items() if h.strip() == clock.keys["column"]), [])


def _may_tell(header: str) -> bool:
    return bool(MAY_BE_OFFSET.fullmatch(name_and_unit(header)[0].strip()))


def _texts(columns: list[pa.Array]) -> set[str]:
    """The texts of a column's cells; none if they are many."""
    told = {str(text).strip() for cells in columns for text in pc.unique(cells).to_pylist() if text}
    return told if len(told) <= MOST_OFFSETS else set()


def _are_distances(header: str, texts: set[str]) -> bool:
    said = OFFSET.fullmatch(name_and_unit(header)[0].strip())
    return bool(texts) and all(re.fullmatch(DISTANCE if said else SIGNED, text) for text in texts)


def _zones(lines: Iterable[str]) -> set[str]:
    """The zones whose IANA names stand in lines, as in ``Zeitzone;Europe/Berlin``."""
    return {name for line in lines for name in ZONE.findall(line)} & available_timezones()


def zone_of(texts: list[str], settings: dict[str, str]) -> dict[str, str]:
    """The ``timezone`` whose short names (CET, CEST) the texts have; empty if none fits."""
    if "%Z" not in settings.get("format", ""):
        return {}
    cells = pa.array(texts)
    for zone in ("UTC", *ZONES):
        rule = TimestampRule.model_validate({"column": "x", "timezone": zone} | settings)
        if np.mean(times.times(cells, rule).good_R) >= LEAST:
            return {} if zone == "UTC" else {"timezone": zone}
    return {}


def reads(clock: Clock, columns: list[pa.Array]) -> bool:
    """Does the rule read nearly all of the first cells in each file? Fills in ``local``."""
    rule = TimestampRule.model_validate(clock.keys)
    read = [times.times(pc.drop_null(column[:LOOKED_AT]), rule) for column in columns]
    local = sum(int(told.local_R.sum()) for told in read)
    clock.local = local > 0 and not says_utc(clock)
    good = sum(int(told.good_R.sum()) for told in read)
    if 0 < local < good:
        clock.guesses.append("some of the times have an offset and others have none")
    return good >= LEAST * sum(len(told.good_R) for told in read) > 0


def says_utc(clock: Clock) -> bool:
    """Does the header of the times say that they are UTC?"""
    return bool(UTC.search(str(clock.keys["column"])))
