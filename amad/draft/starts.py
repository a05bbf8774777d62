"""Where a recording's start or date stands: in lines before the header, or in the path."""

import re

from amad.draft.date_order import with_order
from amad.draft.sample import Sampled
from amad.reading import timestamp_guess
from amad.reading.time_forms import strptime

MONTH_FIRST = "%m-%d-%Y"
MAY_BE_MONTH = (
    "the paths do not show which is the day and which the month: if they are the other way round, "
    f"set {{}} to {MONTH_FIRST!r}"
)
# Patterns of a date in a path, and their strptime forms; None for a date with a time of day, whose
# form follows from the separators.
IN_PATH = (
    (r"(\d{4}-\d\d-\d\d[T_ -]?\d\d[-.:_]?\d\d[-.:_]?\d\d)", None),
    (r"(?<!\d)(\d{8}[-_T ]?\d{6})(?!\d)", None),
    (r"(\d{4}-\d\d-\d\d)", "%Y-%m-%d"),
    (r"(?<!\d)((?:19|20)\d{6})(?!\d)", "%Y%m%d"),
    (r"(\d{4}_\d\d_\d\d)", "%Y_%m_%d"),
    (r"(\d{4}/\d\d/\d\d)", "%Y/%m/%d"),
    (r"(year=\d{4}/month=\d\d?/day=\d\d?)(?!\d)", "year=%Y/month=%m/day=%d"),
    (r"(\d{4}\.\d\d\.\d\d)", "%Y.%m.%d"),
    (r"(?<!\d)((?:19|20)\d\d \d\d \d\d)(?!\d)", "%Y %m %d"),
    (r"(?<!\d)(\d\d-\d\d-\d{4})(?!\d)", "%d-%m-%Y"),
    (r"(?<!\d)(\d\d-\d\d-\d{4})(?!\d)", MONTH_FIRST),
    (r"(?<!\d)(\d\d\.\d\d\.\d{4})(?!\d)", "%d.%m.%Y"),
    (r"(\d{4}-[A-Z][a-z]{2}-\d\d)", "%Y-%b-%d"),
    (r"(?<!\d)(\d\d[A-Z][a-z]{2}\d{4})(?!\d)", "%d%b%Y"),
    (r"(?<!\d)(\d\d-[A-Z][a-z]{2}-\d{4})(?!\d)", "%d-%b-%Y"),
)
SHORT = re.compile(  # a date with a year of two digits, whose order nothing shows
    r"(?<!\d)(\d\d([-._ ])\d\d\2\d\d|2\d[01]\d[0-3]\d|[0-3]\d[0-3]\d2\d)(?!\d)"
)
# How far a start reaches: to the end of its text in quotes, of its field, of the next field, of the
# next line, of the text in quotes in the next line.
FIELD = r"[^\r\n;,\t\"]*"
QUOTED = r"[^\r\n\"]*\d[^\r\n\"]*"
EXTENTS = (
    rf"(?<=\")({QUOTED})(?=\")",
    rf"({FIELD}\d{FIELD})",
    rf"({FIELD}\d{FIELD}[;,\t]{FIELD}\d{FIELD})",
    rf"({FIELD}\d{FIELD}[;,\t\"]*[\r\n]+(?:\"?{FIELD}\"?[;,\t]\"?)?{FIELD}\d{FIELD})",
    rf"(?<=\")({QUOTED}\"[^\r\n]*[\r\n]+\"{FIELD}\"[;,\t]\"{QUOTED})(?=\")",
)

# The time of day of a start: behind its name, and in a line that begins with the name.
TIME_OF_DAY = r"[\s\"]*(\d\d?:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[AP]M)?)"
OF_DAY = re.compile(rf"([^:=;,\t\d]+[:=;,\t]){TIME_OF_DAY}[\s\";,]*($|[;,\t])")
DATE_OR_TIME = re.compile(r"date|datum|fecha|time|uhrzeit|zeit|hora|heure", re.I)


Start = tuple[dict[str, str], timestamp_guess.Guess]  # keys of source.timestamp, and the guess


def in_preambles(samples: list[Sampled]) -> Start | None:
    """Pattern and form of a start in the lines before the header of each file, and the guess.

    A start with a time of day comes first: in one field, in two of a line, in two lines that follow
    each other, or that have the same name but for date and time. A date alone is a start at
    midnight.
    """
    preambles = ["\n".join(sample.preamble) for sample in samples]
    dates: list[Start] = []
    for extent in EXTENTS:
        for line in samples[0].preamble:
            for mark in re.finditer(r"[:=;,\t]", line):
                before, text = line[: mark.end()].strip(), line[mark.end() :].strip().strip('"')
                if not any(map(str.isdigit, text)):
                    continue
                pattern = r"\s*".join(map(re.escape, before.split())) + rf"[\s\"]*{extent}"
                matches = [re.search(pattern, preamble) for preamble in preambles]
                starts = [match[1] for match in matches if match]
                found = _start(pattern, starts, samples) if all(matches) else None
                if found is None:
                    continue
                form = found[0].get("start_format")
                if re.search("%[HI]", form) if form else all(":" in start for start in starts):
                    return found
                dates.append(found)
    for keys, _ in dates:
        if whole := _with_time_of_day(keys["start_pattern"], samples, preambles):
            return whole
    return dates[0] if dates else None


def _start(pattern: str, starts: list[str], samples: list[Sampled]) -> Start | None:
    """The start that a pattern finds, if what it finds in each file (``starts``) is a date."""
    told = timestamp_guess.looks_like(starts)
    told = told and with_order(told, [[start] for start in starts], samples)
    if told is None or told.settings.get("take") or "unit" in told.settings:
        return None
    form = told.settings.get("format")
    return {"start_pattern": pattern} | ({"start_format": form} if form else {}), told


def _with_time_of_day(date: str, samples: list[Sampled], preambles: list[str]) -> Start | None:
    """The start of a date and of a time of day that a later line tells, such as Log Date, Log Time.

    date: pattern of the date, whose name stands in front of it.
    """
    for line in samples[0].preamble:
        time = OF_DAY.match(line)
        if time is None:
            continue
        name = r"\s*".join(map(re.escape, time[1].split()))
        pattern = rf"{date}[\s\S]*?{name}{TIME_OF_DAY}"
        matches = [re.search(pattern, preamble) for preamble in preambles]
        if not all(matches) or _bare(time[1]) != _bare(_before(matches[0])):
            continue
        starts = [" ".join(match.groups()) for match in matches if match]
        if found := _start(pattern, starts, samples):
            return found
    return None


def _before(found: re.Match[str] | None) -> str:
    """What stands before a date in its line."""
    return found.string[: found.start(1)].rpartition("\n")[2] if found else ""


def _bare(name: str) -> str:
    """A name without the words for a date and a time, and without marks."""
    return re.sub(r"[\W_]+", "", DATE_OR_TIME.sub("", name)).lower()


def in_paths(paths: list[str], *, dates_only: bool = False) -> tuple[str, str] | None:
    """Pattern and strptime form of the date (and time) in each path; None if there is none."""
    for pattern, form in IN_PATH:
        matches = [re.search(pattern, path) for path in paths]
        texts = [match[1] for match in matches if match]
        if len(texts) < len(paths) or (form is None and dates_only):
            continue
        form = form or _form_of(texts[0])
        read = strptime(form)
        if all(read(text) is not None for text in texts):
            return pattern, form
    return None


def order_in_paths(paths: list[str], pattern: str, form: str, *, key: str) -> list[str]:
    """A guess that day and month in the paths may be the other way round, if all can be read so.

    key: of ``source.timestamp``, which tells their form.
    """
    if form != "%d-%m-%Y":
        return []
    read = strptime(MONTH_FIRST)
    texts = [match[1] for match in (re.search(pattern, path) for path in paths) if match]
    return [MAY_BE_MONTH.format(key)] if all(read(text) is not None for text in texts) else []


def _form_of(text: str) -> str:
    """The strptime form of a date and a time in digits, with any separators."""
    codes = iter(("%Y", "%m", "%d", "%H", "%M", "%S"))
    return re.sub(r"^\d{4}|\d\d", lambda _: next(codes), text)
