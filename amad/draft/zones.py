"""The zone of times without an offset: what a header, a line or a column beside them tells."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.draft.clock_rule import Clock, form_of, is_of_order, order_guessed
from amad.draft.date_order import with_order
from amad.draft.sample import Sampled, shared_columns
from amad.draft.time_cells import LOOKED_AT, drawn
from amad.draft.undated import LEAST
from amad.reading import times, timestamp_guess
from amad.reading.csv_file import MOST_UNIT_LINES
from amad.reading.headers import name_and_unit
from amad.reading.numbers import is_text, shown
from amad.reading.timestamp_guess import Guess

UTC = re.compile(r"(?<![a-z])(utc|gmt|zulu)(?![a-z]| ?[+-] ?\d)", re.I)
AHEAD = re.compile(
    r"(?<![a-z])(?:utc|gmt) ?(?P<sign>[+\u2212-]) ?"
    r"(?P<h>0?\d|1[0-4])(?::?(?P<min>[0-5]\d))?(?![\d:])",
    re.I,
)
# Zones that are so many minutes ahead of UTC all year; those of whole hours have names for all.
OF_MINUTES = {
    210: "Asia/Tehran", 270: "Asia/Kabul", 330: "Asia/Kolkata", 345: "Asia/Kathmandu",
    390: "Asia/Yangon", 570: "Australia/Darwin",
}  # fmt: skip
# The short name of a zone at the end of a header.
SHORT = "(C|E|W)ES?T|EES?T|MES?Z|BST|MSK|[ECMP][SD]T|[IJK]ST|HKT|SGT|A[CEW][SD]T|NZ[SD]T|SAST|BRT"
SHORT_NAME = re.compile(rf"[\[(] ?(?:{SHORT}|[ECMP]T) ?[\])]$|[ _](?:{SHORT})$")
# Windows' performance monitor: its times are local, month first, and UTC so many minutes later.
PERFORMANCE_MONITOR = re.compile(r"\(PDH-[CT]SV [\d.]+\) ?\(.*\) ?\((-?\d+)\)")
# A column that tells the offset of the times beside it, or one that may.
OFFSET = re.compile(
    r"((utc|gmt|tz|time[ _]?zone)([ _]?(off(s(et)?)?|ofst?|name|id|diff))?|zeitzone)"
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
OF_ZONE = re.compile(r"""[\s#"';,]*(time[ _]?zone|zeitzone|fuseau horaire|tz)\b""", re.I)
ZONE = re.compile(r"\b[A-Z]\w+/[A-Z][\w/-]+\b")
LOCAL = (
    "times without an offset are taken for UTC; if they are of another zone, set timezone, for "
    "example to Europe/Berlin"
)
NAMES_ZONE = "times without an offset are taken for {0}, as {1} names that zone"
NOT_READ = (
    "column {!r} tells how far the times are from UTC ({}), which is read only as +02:00 beside "
    "times of text: write it so, or behind each time; under another name it is not looked at"
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
    if ahead := _ahead(header):
        clock.keys["timezone"] = ahead
        return
    found = {"its header": _zones([header])}
    lines = [line for sample in samples for line in sample.preamble]
    found["a line before the header"] = _zones(lines) or _told_zones(lines)
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
    names = TimestampRule.model_validate(clock.keys).columns
    short = [h for h in names if SHORT_NAME.search(h) or AHEAD.search(h)]
    clock.guesses += [
        f"column {h.strip()!r} seems to tell the zone, which is not read"
        for h in (*short, *beside)
        if h not in beside or OFFSET.fullmatch(name_and_unit(h)[0].strip()) or "zone" in h.lower()
    ]


def _ahead(text: str) -> str | None:
    """The zone that is as far from UTC all year as a text says; None where it does not."""
    monitor = PERFORMANCE_MONITOR.fullmatch(text)
    if told := AHEAD.search(text):
        minutes = int(told["h"]) * 60 + int(told["min"] or 0)
        minutes *= 1 if told["sign"] == "+" else -1
    elif monitor is not None:
        minutes = -int(monitor[1])
    else:
        return None
    if minutes % 60:
        return OF_MINUTES.get(minutes)
    return f"Etc/GMT{-minutes // 60:+d}" if minutes else "UTC"  # these count the other way


def _told_zones(lines: list[str]) -> set[str]:
    """The zones of lines such as ``Time zone: UTC+2``."""
    told = [line for line in lines if OF_ZONE.match(line)]
    ahead = {zone for line in told if (zone := _ahead(line))}
    return ahead or {"UTC" for line in told if UTC.search(line)}


def _is_beside(clock: Clock, samples: list[Sampled]) -> bool:
    """Complete the rule where a column of text beside that of the times tells their offset."""
    columns, time = shared_columns(samples), _times(clock, samples)
    if clock.take != "column" or not time or not all(is_text(cells.type) for cells in time):
        return False
    known = TimestampRule.model_validate(clock.keys).columns
    for header in filter(_may_tell, columns):
        pairs = zip(time, columns[header], strict=True)
        cells = [times.joined(a[:LOOKED_AT], b[:LOOKED_AT]) for a, b in pairs]
        texts = [text for column in cells for text in drawn(column)]
        for told in _with_offset([column[:LOOKED_AT] for column in time], cells):
            ordered = with_order(told, list(map(drawn, cells)), samples)
            keys = {"take": "column", "column": [*known, header.strip()]} | ordered.settings
            both = Clock(keys=keys | zone_of(texts, ordered.settings), seen="")
            if not reads(both, cells):
                continue
            clock.keys, clock.local = both.keys, False
            clock.seen = f"columns {', '.join(map(repr, known))} and {header.strip()!r}, "
            clock.seen += form_of(ordered.settings)
            clock.columns |= {h for h in columns if h.strip() in keys["column"]}
            clock.guesses = [guess for guess in clock.guesses if not is_of_order(guess)]
            clock.guesses += order_guessed(ordered)
            return True
    return False


def _with_offset(time: list[pa.Array], cells: list[pa.Array]) -> Iterator[Guess]:
    """What times with an offset behind them look like: as a whole, then the times and ``%z``."""
    told = timestamp_guess.looks_like([text for column in cells for text in drawn(column)])
    if told is not None and told.zoned:
        yield told
    told = timestamp_guess.looks_like([text for column in time for text in drawn(column)])
    if told is not None and "format" in told.settings:
        form, other = (f and f"{f} %z" for f in (told.settings["format"], told.other_form))
        yield replace(told, settings={"format": form}, other_form=other)


def _times(clock: Clock, samples: list[Sampled]) -> list[pa.Array]:
    """The cells of the column of the times in each file, or the texts of its several columns."""
    names = TimestampRule.model_validate(clock.keys).columns
    of_header = {header.strip(): cells for header, cells in shared_columns(samples).items()}
    if not of_header.keys() >= {*names}:
        return []
    cells = zip(*(of_header[name] for name in names), strict=True)
    return [times.joined(*parts) if len(parts) > 1 else parts[0] for parts in cells]


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
