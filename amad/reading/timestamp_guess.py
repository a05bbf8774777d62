"""Guess what the texts of a timestamp column are, and which settings would read them."""

import contextlib
import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from amad.config.source import TimestampRule
from amad.reading.numbers import shown
from amad.reading.time_forms import HALF, strptime
from amad.reading.times import DAY_US, now_us, times

SAMPLE = 60  # texts that are looked at
MOST = 0.9  # share of the texts that a suggestion must read
LEAST_CLOCKS = 20  # texts of digits, all with minutes and seconds below 60, that show a clock
YEAR_US = 365 * DAY_US
SINCE_US = 946_684_800_000_000  # 2000-01-01: an older time is not taken for an epoch
UNITS = {
    "s": "seconds since 1970", "ms": "milliseconds since 1970", "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970", "days_1900": "the serial number of a spreadsheet",
}  # fmt: skip
MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
FULL_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
WEEKDAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
# Dates made of digits: a pattern, and the strptime forms that it may have.
DATES = (
    (r"\d{4}(\. ?|[-/ _])\d{1,2}\1\d{1,2}", ("%Y{0}%m{0}%d",)),
    (r"(?<!\d)\d{1,2}(\. ?)\d{1,2}\1\d{4}", ("%d{0}%m{0}%Y",)),
    (r"(?<!\d)\d{1,2}(\. ?)\d{1,2}\1\d{2}(?!\d)", ("%d{0}%m{0}%y",)),
    (r"(?<!\d)\d{1,2}([-/ ])\d{1,2}\1\d{4}", ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (
        r"(?<!\d)\d{1,2}([-/ ])\d{1,2}\1\d{2}(?!\d)",
        ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d"),
    ),
    (r"(?<!\d)(?:19|20)\d{6}(?!\d)", ("%Y%m%d",)),
    (r"^\d{6}(?= %H)", ("%d%m%y", "%y%m%d", "%m%d%y")),
    (r"(?<!\d)(?:19|20)\d{2}([-/. ])\d{3}(?!\d)", ("%Y{0}%j",)),
)
# A date before a time of day in digits alone.
BEFORE_CLOCK = r"(?<=^\d{6} )|(?<=^\d{8} )|(?<=[-/.]\d\d )|(?<=[-/.]\d{4} )"
DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
ISO_READ = "which source.timestamp.take: column reads without a format"
ORDER = {"d": "day", "m": "month", "b": "month", "B": "month", "y": "year", "Y": "year",
         "j": "day of the year"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a timestamp column looks like.

    settings: keys of ``source.timestamp`` except ``column``. If ``take`` is ``elapsed``, the start
    must be added; if it is ``time_of_day``, the date. sentence: for people, written after the text.
    other_form: the strptime form with day and month the other way round, if the texts fit it, too.
    zoned: do the texts have an offset?
    """

    settings: dict[str, str]
    sentence: str
    other_form: str = ""
    zoned: bool = False


def looks_like(texts: Iterable[str | None], now: int | None = None) -> Guess | None:
    """The settings that read most of the texts; None if they do not look like times.

    now: microseconds since 1970; no time may lie more than a year after it. Default: the present.
    """
    now = now_us() if now is None else now
    found = dict.fromkeys(" ".join(str(t).split()) for t in texts if t is not None)
    sample = [text for text in found if text][:SAMPLE]
    if not sample:
        return None
    read = times(pa.array(sample, pa.string()), TimestampRule())
    if np.mean(read.good_R & read.local_R) >= MOST:
        return Guess(settings={}, sentence=f"is ISO 8601 without an offset, {ISO_READ}")
    zoned = [bool(re.search(r"[:T]", text)) for text in sample]
    if np.mean(read.good_R & np.array(zoned)) >= MOST:
        return Guess(settings={}, sentence=f"is ISO 8601 with an offset, {ISO_READ}", zoned=True)
    return _number(sample, now) or _text(sample, now)


def _number(sample: list[str], now: int) -> Guess | None:
    numbers = []
    for text in sample:
        with contextlib.suppress(ValueError):
            numbers.append(float(text.replace(",", ".")))
    if len(numbers) < MOST * len(sample):
        return None
    if (clock := _digits_of_clock(sample)) is not None:
        return clock or None
    digits = [text for text in sample if text.isdigit()]
    if len(digits) == len(sample):
        form = DIGITS.get(len(sample[0]))
        if form and all(_in_reach(strptime(form)(text), now) for text in sample):
            return _format(form, [form])
    for unit, words in UNITS.items():
        us_R = times(pa.array(numbers), TimestampRule(unit=unit)).us_R
        if unit == "days_1900" and any(re.match(r"0\d", text) for text in sample):
            continue  # a serial number has no zero before it, but a date such as 040326 has
        if np.mean((us_R >= SINCE_US) & (us_R <= now + YEAR_US)) >= MOST:
            more = "" if unit != "days_1900" else " (or days_1904)"
            return Guess(
                settings={"unit": unit},
                sentence=f"looks like {words}; set source.timestamp.unit to {unit}{more}",
            )
    runs = len(numbers) > 1 and numbers == sorted(numbers)  # below zero: before a trigger
    if max(map(abs, numbers)) < 1e9 and (min(numbers) >= 0 or runs):
        return Guess(
            settings={"take": "elapsed", "unit": "s"},
            sentence="looks like seconds since a start; set source.timestamp.take to elapsed and "
            "tell the start (start_from)",
        )
    return None


def _digits_of_clock(sample: list[str]) -> Guess | Literal[False] | None:
    """Is this a time of day in digits, 081500.25, and not a number that counts?

    Returns None if it is not; False if it is one that cannot be read, as zeros before it are lost.
    """
    hours = [re.fullmatch(r"(\d|[01]\d|2[0-3])[0-5]\d", text) for text in sample]
    if len(sample) >= LEAST_CLOCKS and all(hours):  # 0815
        padded = all(len(text) == 4 for text in sample)
        if len({match[1] for match in hours if match}) > 2 or (padded and sample[0][0] == "0"):
            return _time_of_day("%H%M", " in digits") if padded else False
    clocks = [re.fullmatch(r"(\d{1,2})([0-5]\d)([0-5]\d)(\.\d+)?", text) for text in sample]
    seen = [match for match in clocks if match and int(match[1]) < 24]
    minutes = {(match[1], match[2]) for match in seen}
    padded = any(re.match("0[1-9]", text) for text in sample)  # 080012: no count is written so
    if len(seen) < len(sample) or len(sample) < LEAST_CLOCKS or (len(minutes) < 2 and not padded):
        return None
    if any(len(match[1]) < 2 for match in seen):
        return False
    fraction = ".%f" if all(match[4] for match in seen) else ""
    return _time_of_day(f"%H%M%S{fraction}", " in digits")


def _text(sample: list[str], now: int) -> Guess | None:
    clock = re.fullmatch(r"\d{1,3}:\d\d(:\d\d([.,]\d+)?)?( ?[ap]\.? ?m\.?)?", sample[0], re.I)
    beyond = any(re.match(r"(2[4-9]|[3-9]\d|\d{3}):(?!00(:00)?$)", text) for text in sample)
    if clock and not clock[3] and (beyond or re.match(r"0{1,3}:00:0", sample[0])):
        return Guess(
            settings={"take": "elapsed"},
            sentence="looks like the time since a start; set source.timestamp.take to elapsed and "
            "tell the start (start_from)",
        )
    # A digit in a form stands for itself: the 08 of 08h15 would be left out of all times. Only
    # between quotes, as in lines before the header, it is no part of a time.
    own = [form for form in _forms(sample[0]) if not re.search(r"(?<!\")\d|\d(?!\")", form)]
    forms = [form for form in own if _reads(form, sample)]
    forms = _likeliest_first(forms, sample, now)
    if not clock:
        dated = [form for form in forms if re.search("%[yY]", form)]
        return _format(dated[0], dated) if dated else None
    if clock[3] and forms:
        return _time_of_day(forms[0], " of a 12-hour clock")
    return _time_of_day("", "")


def _time_of_day(form: str, kind: str) -> Guess:
    """A guess of a time of day. form: strptime form; empty for HH:MM:SS."""
    also = f", format to {form!r}" if form else ""
    return Guess(
        settings={"take": "time_of_day"} | ({"format": form} if form else {}),
        sentence=f"looks like a time of day{kind}; set source.timestamp.take to time_of_day{also} "
        "and tell the date in the path (date_pattern); or, where the date has a column of its own, "
        "name both as column: [Date, Time]",
    )


def _format(form: str, forms: list[str]) -> Guess:
    order = "/".join(ORDER[part] for part in re.findall("%([dmbByYj])", form))
    hours = " with a 12-hour clock" if "%I" in form else ""
    told = f"looks like {order or 'a date'}{hours}; set source.timestamp.format to {form!r}"
    if "%Z" in form:
        told += " and source.timestamp.timezone to the zone whose times are so named"
    if len(forms) > 1:
        told += f" (or, as day and month cannot be told apart here, to {forms[1]!r})"
    return Guess(
        settings={"format": form},
        sentence=told,
        other_form="".join(forms[1:2]),
        zoned=bool(re.search("%[zZ]", form)),
    )


def _likeliest_first(forms: list[str], sample: list[str], now: int) -> list[str]:
    """The forms by which no time lies in the future, first those with the shortest time span.

    Of forms with the same span, the one whose year is the latest comes first.

    A log of a few days in a row spans as many months if day and month are taken for each other.
    """
    if len(forms) < 2 or not all(re.search("%[yY]", form) for form in forms):
        return forms
    span, last = {}, {}
    for form in forms:
        told = [found[0] for found in _read(form, sample) if found is not None]
        span[form], last[form] = (max(told) - min(told)) // DAY_US, max(told)
    past = [form for form in forms if last[form] <= now + DAY_US]
    return sorted(past or forms, key=lambda form: (span[form], -last[form] // YEAR_US))


def _reads(form: str, sample: list[str]) -> bool:
    return sum(found is not None for found in _read(form, sample)) >= MOST * len(sample)


def _read(form: str, sample: list[str]) -> list[tuple[int, bool] | None]:
    """What each text tells in this form; a zone's name counts as UTC, as no zone is known yet."""
    if "%Z" in form:
        sample = [re.sub(r"(?<=[\dmM] )[A-Z]{3,4}\b", "UTC", text) for text in sample]
    return list(map(strptime(form), sample))


def _in_reach(told: tuple[int, bool] | None, now: int) -> bool:
    return told is not None and SINCE_US <= told[0] <= now + YEAR_US


def _forms(text: str) -> list[str]:
    """The strptime forms that the text may have, the likeliest first."""
    form = text.replace("%", "%%")
    form = re.sub(r"(\d{4})年 ?\d{1,2}月 ?\d{1,2}日", "%Y年%m月%d日", form)
    form = re.sub(r"\d{1,2}[時时点]\d{1,2}分(\d{1,2}秒)?", _eastern, form)
    if "年" in form:
        return [form]
    noon = re.search(rf"(?<=[\d ])[ap]\.? ?m\.?(?![a-z])|(?-i:{HALF})", form, re.I)
    if noon:
        form = form[: noon.start()] + "%p" + form[noon.end() :]
    hour = "%I" if noon else "%H"
    clock = re.search(r"(?<!\d)(?<!\+)(?<! -)\d{1,2}:\d\d(:\d\d)?(?:([.,:])(\d+))?", form)
    digits = re.search(rf"({BEFORE_CLOCK})\d{{4}}(?P<s>\d\d)?(?P<f>\.\d+)?$", form)
    dotted = re.search(r"(?<=[ T_])\d{1,2}([.-])\d\d\1\d\d(?!\d)", form) or re.search(
        r"(?:(?<=[ T])|(?<=\d[-_]))\d{1,2}([._-])\d\d\1\d\d(?=$|\.\d+$)", form
    )
    if clock:
        seconds = ":%S" if clock[1] else ""
        fraction = f"{clock[2]}%f" if clock[2] else ""
        rest = form[clock.end() :]
        form = form[: clock.start()] + f"{hour}:%M{seconds}{fraction}" + _zone(rest)
    elif digits:
        rest = ("%S" if digits["s"] else "") + (".%f" if digits["f"] else "")
        form = form[: digits.start()] + "%H%M" + rest
    elif dotted:
        mark = dotted[1]
        rest = re.sub(r"^\.\d+", ".%f", form[dotted.end() :])
        form = form[: dotted.start()] + f"{hour}{mark}%M{mark}%S" + _zone(rest)
    for pattern, code in (
        (rf"(?i)\b(?:{WEEKDAYS})\b", "%A"), (r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun)\b", "%a"),
        (rf"(?i)\b(?:{FULL_MONTHS})\b", "%B"), (rf"(?i)(?<![a-z%])(?:{MONTHS})(?![a-z])", "%b"),
    ):  # fmt: skip
        form = re.sub(pattern, code, form, count=1)
    if "%b" in form or "%B" in form:
        form = re.sub(r"(?<![%\d])\d{4}(?!\d)", "%Y", form, count=1)
        form = re.sub(r"(?<![%\d])\d{1,2}(?!\d)", "%d", form, count=1)
        return [re.sub(r"(?<![%\d])\d{2}(?!\d)", "%y", form, count=1)]
    for pattern, forms in DATES:
        match = re.search(pattern, form)
        if match:
            mark = match[1] if match.groups() else ""
            options = [f.format(mark) for f in forms]
            # American writers put the month first; Spanish has a. m., with a space.
            if noon and mark == "/" and re.fullmatch(r"[ap]\.?m\.?", noon[0], re.I):
                options[:2] = options[1::-1]
            return [form[: match.start()] + option + form[match.end() :] for option in options]
    return [form] if clock else []


def _eastern(clock: re.Match) -> str:
    return f"%H{clock[0].strip('0123456789')[0]}%M分" + ("%S秒" if clock[1] else "")


def _zone(rest: str) -> str:
    rest = re.sub(r"[+-]\d\d:?\d\d", "%z", rest, count=1)
    return rest if "%z" in rest else re.sub(r"\b(?:UTC|GMT|Z|[A-Z]{3,4})\b", "%Z", rest, count=1)


def describe(texts: Iterable[str | None], wanted: str = "") -> str:
    """A sentence on the first text: that it is not as wanted, and what it looks like instead."""
    known = [text for text in texts if text is not None]
    guess = looks_like(known)
    first = shown(known[0]) if known else "it"
    if guess is None:
        return f"{first}{wanted or ' looks like no time'}"
    if "%Z" in (form := guess.settings.get("format", "")) and repr(form) in wanted:
        return (
            f"{first} has the name of a zone that source.timestamp.timezone does not give its "
            "times then; set it to the zone whose times are so named"
        )
    return f"{first}{wanted and wanted + '; it'} {guess.sentence}"


def date_in(text: str, form: str | None) -> datetime.date | None:
    """The date in a part of a path, in ``form`` or else in the order year, month, day."""
    for option in [form] if form else ["%Y-%m-%d", "%Y%m%d", "%Y_%m_%d", "%Y.%m.%d"]:
        try:
            return datetime.datetime.strptime(text, option).date()
        except ValueError:
            continue
    return None
