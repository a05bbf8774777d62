"""What the names of files tell: dates, times, endings, and the numbers of recordings."""

import re
from pathlib import Path

from amad.draft.listing import ROTATED, suffix_of
from amad.reading.day_month import DATE, TO_MINUTES

# Words that, before a number in a file's name, name a recording and not a vehicle.
RECORDING = re.compile(
    r"(drive|idle|trip|ride|route|tour|run|rec|record|recording|log|tracklog|track|csvlog|session|"
    r"test|lap|part|chunk|data|export|file|measurement|messung|fahrt|day|week|month)s?",
    re.I,
)
DATES = (r"\d{4}-\d\d-\d\d", r"\d{8}")  # simple patterns, tried before DATE


def undated(paths: list[str]) -> list[str]:
    """The files' names without dates, nor times to the minute if there is an id beside them."""
    names = [Path(path).name.removesuffix(suffix_of(path)) for path in paths]
    if all(map(TO_MINUTES.search, names)):
        rest = [TO_MINUTES.sub("", name).strip("_-. ") for name in names]
        if all(rest) and (len(set(rest)) > 1 or any(map(str.isdigit, rest[0]))):
            return rest
    return [DATE.sub("", name).strip("_-. ") for name in names]


def endings(paths: list[str]) -> str:
    """A pattern of the endings of these paths, longer ones first: ``.csv.gz`` before ``.gz``."""
    told = sorted({suffix_of(path) for path in paths}, key=lambda end: (-len(end), end))
    rotated = (r"\.\d+".join(map(re.escape, ROTATED.split(end))) for end in told)
    return "|".join(dict.fromkeys(rotated))


def common(names: list[str]) -> str:
    """The words that all names share, in their order: ``Seat_Leon``."""
    stems = (DATE.sub("", name.removesuffix(suffix_of(name))) for name in names)
    lists = [re.findall(r"[^\W\d_]+", stem) for stem in stems]
    if len(names) < 2 or not lists[0]:
        return ""
    shared = [word for word in lists[0] if all(word in other for other in lists)]
    shared = [word for word in shared if not RECORDING.fullmatch(word) and len(word) > 1]
    return "_".join(shared)
