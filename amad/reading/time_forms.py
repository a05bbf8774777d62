"""Text in a strptime form becomes a time, one text after the other.

A second 60 and the hour 24:00 are read as the beginning of the next minute and of the next day.
"""

import contextlib
import datetime
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.reading.numbers import flags

FRACTION = re.compile(r"([.,:]\d{6})\d+")  # finer than a microsecond
# An offset in hours alone, +01, after a time, a name or a space, where it cannot be part of a date.
HOURS = re.compile(r"((?:^|:\d\d(?:[.,]\d+)?|\d{6}|GMT|UTC|\s)\s?[+-]\d\d)(?=$|\s)")
# The halves of the day: in East Asia, before the hour; in Greek, Arabic and Vietnamese.
HALVES = {
    "上午": "am", "下午": "pm", "午前": "am", "午後": "pm", "오전": "am", "오후": "pm",
    "πμ": "am", "μμ": "pm", "π.μ.": "am", "μ.μ.": "pm", "ص": "am", "م": "pm",
    "SA": "am", "CH": "pm",
}  # fmt: skip
GERMAN = {"MEZ": "CET", "MESZ": "CEST"}  # names of zones
HALF = "|".join(rf"(?<![a-zA-Z]){re.escape(half)}(?![^\W\d])" for half in HALVES)
EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
# A form of a date and, behind it, a time of day without an offset.
DATE_FIRST = re.compile(r"((?:%[dmbBYyj]|[^%\w])*%[dmYyj])[ T]+%[HI][^Z]*")
# How the beginning of the next day or minute is written, what stands before it, what is read in its
# place, and the microseconds to add.
CARRIES = (
    (r"(^|[^\d:.,])24(:00(?::00(?:[.,]0+)?)?)([^\d:.,]|$)", "00", 86_400_000_000),
    (r"(\s)24()($)", "00", 86_400_000_000),  # an hour alone behind a date
    (r"(\d:[0-5]\d:)60((?:[.,]\d+)?)([^\d:]|$)", "59", 1_000_000),
)


def carried(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The texts with 00:00 for 24:00 and :59 for a second 60, and the microseconds to add (R,)."""
    carry_R = np.zeros(len(text), np.int64)
    for found, instead, more_us in CARRIES:
        found_R = flags(pc.match_substring_regex(text, found))
        if found_R.any():
            text = pc.replace_substring_regex(text, found, rf"\1{instead}\2\3")
            carry_R += found_R * more_us
    return text, carry_R


def strptime(form: str, timezone: str = "UTC") -> Callable[[str], tuple[int, bool] | None]:
    """Return a function that reads one text: (microseconds since 1970, is it local), or None.

    It accepts more than Python's ``strptime``: ``%Z`` also reads UTC, GMT, GMT+01:00, an offset and
    the names of ``timezone`` (CET, CEST); ``%f`` reads any number of digits; ``%p`` reads a.m. and
    ``HALVES``; a date alone is its midnight, as R and spreadsheets write.
    """
    zone = ZoneInfo(timezone)
    named, offset, noon, fraction = ("%" + code in form for code in "Zzpf")
    offset = offset or named
    form = form.replace("%Z", "%z")
    date = DATE_FIRST.fullmatch(form) if not offset else None
    forms = (form, date[1]) if date else (form,)

    def read(text: str) -> tuple[int, bool] | None:
        name = ""
        text = text.strip()
        if not text.isascii() or "  " in text:
            text = " ".join(text.split())  # also a narrow space before AM
        if noon:
            text = re.sub(r"(?i)\b([ap])\.\s?m\.", r"\1m", text)
            text = re.sub(HALF, lambda half: HALVES[half[0]], text)
        if fraction:
            text = FRACTION.sub(r"\1", text)
        if named:
            text = re.sub(r"\b(?:UTC|GMT)(?=[+-]\d)", "", text)
            text = re.sub(r"\b(?:UTC|GMT|Z)\b", "+0000", text)
            if match := re.search(r"(?<=[\dmM] )[A-Z]{3,5}\b(?! \d{1,2} )", text):
                name = GERMAN.get(match[0], match[0])
                text = text[: match.start()] + "+0000" + text[match.end() :]
        if offset:
            text = HOURS.sub(r"\g<1>00", text)
        told = _parsed(text, forms)
        if told is None:
            carry_us = 0
            for found, instead, more_us in CARRIES:
                text, count = re.subn(found, rf"\g<1>{instead}\2\3", text)
                carry_us += count * more_us
            if not carry_us:
                return None
            told = _parsed(text, forms)
            if told is None:
                return None
            told += datetime.timedelta(microseconds=carry_us)
        if name:
            at = (told.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
            in_zone = [t for t in at if t.tzname() == name]
            if not in_zone:
                return None
            told = in_zone[0]
        if told.tzinfo is None:
            return (told - EPOCH) // MICROSECOND, True
        return (told - EPOCH.replace(tzinfo=datetime.UTC)) // MICROSECOND, False

    return read


def _parsed(text: str, forms: tuple[str, ...]) -> datetime.datetime | None:
    for form in forms:
        with contextlib.suppress(ValueError):
            return datetime.datetime.strptime(text, form)
    return None
