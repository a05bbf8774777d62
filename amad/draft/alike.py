"""Which of the files one fleet file can read, and why others are left out."""

import filecmp
import re
from pathlib import Path

from amad.config.wording import some
from amad.draft.clock import clock_of
from amad.draft.clock_rule import Clock
from amad.draft.labels import tells_anomalies
from amad.draft.long_names import SIGNAL, VALUE
from amad.draft.marks import of_other_decimal
from amad.draft.sample import Sampled
from amad.reading.headers import Headers
from amad.reading.lacking import ADD_IT
from amad.reading.units import IN_ANOTHER

# Which files are drafted together, beside those with nearly all columns of the commonest kind: with
# a half of them and others, as of vehicles with other sensors; with a half and no others, as from
# before sensors came; no more. They are tried in this order.
WAYS = ("mixed", "older", "usual")
LEAST_SHARED, LEAST_OLDER = 0.8, 0.5  # of the columns of the commonest kind of file
FORM = ("format", "delimiter", "encoding")  # of a file, as `Sampled.form` tells them
# What file managers add to the name of a copy.
COPY = re.compile(r"^(copy of|kopie von) |(( -)? (cop(y|ie|ia)|kopie))?( ?\(\d+\))?$", re.I)
OTHERWISE = "it is written otherwise than most: {}; write it like them, or draft it by itself"
ANOTHER = "it has no column of the other files, so it is another table"
LACKING = "it lacks columns of the files drafted here"
LACKS = f"{LACKING} ({{}}), so ingest will refuse it: {{}}"


Alike = tuple[list[Sampled], Clock, dict[str, str]]


def alike(found: list[Sampled], *, way: str) -> Alike:
    """The largest group of files that one fleet file can read, its clock, and why others differ.

    Files that only lack columns are not in the group, but ingest will find and refuse them.
    """
    groups: dict[tuple, list[Sampled]] = {}
    for sample in found:
        groups.setdefault(sample.form, []).append(sample)
    group = max(groups.values(), key=_size)
    otherwise = of_other_decimal(group)
    group = [sample for sample in group if sample not in otherwise]
    samples = with_shared_headers(group, way=way)
    why = {s.path: OTHERWISE.format(_difference(s, group[0])) for s in found if s not in group}
    first = samples[0].columns
    common = {name for name in first if all(s.header_of(name) is not None for s in samples)}
    why |= {s.path: _why_lacking(s, common) for s in group if s not in samples}
    clock = clock_of(samples)
    if clock.take == "index" and len(samples) > 1:
        clocks: dict[str, list[Sampled]] = {}
        for sample in samples:
            keys = clock_of([sample]).keys
            clocks.setdefault(repr({**keys, "start_pattern": 0}), []).append(sample)
        best = max(clocks.values(), key=lambda group: (len(group), _size(group)))
        if clock_of(best).take != "index":
            others = (s.path for s in samples if s not in best)
            why |= dict.fromkeys(others, OTHERWISE.format("its times have another form"))
            samples, clock = best, clock_of(best)
    return samples, clock, why


def with_shared_headers(samples: list[Sampled], *, way: str) -> list[Sampled]:
    """The files with at least 80 % of the columns of the commonest kind of file.

    way: which others with half of them or more, see ``WAYS``.
    """
    kinds: dict[frozenset, list[Sampled]] = {}
    for sample in samples:
        names = frozenset(name for name in sample.columns if not tells_anomalies(name))
        kinds.setdefault(names, []).append(sample)
    kind = max(kinds.items(), key=lambda item: (sum(s.size for s in item[1]), len(item[1])))[0]
    has = {s.path: sum(s.header_of(name) is not None for name in kind) for s in samples}

    def is_of_kind(sample: Sampled) -> bool:
        share = has[sample.path] / len(kind)
        own = sum(not tells_anomalies(header) for header in sample.headers)
        may_lack = way == "mixed" or (way == "older" and own == has[sample.path])
        return share >= LEAST_SHARED or (may_lack and share >= LEAST_OLDER)

    return [sample for sample in samples if is_of_kind(sample)]


def _why_lacking(sample: Sampled, common: set[str]) -> str:
    """Why a file is left out that lacks some of the columns ``common``, and what to do about it."""
    missing = sorted(name for name in common if sample.header_of(name) is None)
    if len(missing) == len(common):
        return ANOTHER
    if all(any(map(kind.fullmatch, missing)) for kind in (SIGNAL, VALUE)):
        return OTHERWISE.format("the others have one value per row")
    twin_of = Headers([*sample.headers]).in_another_unit
    told = (IN_ANOTHER.format(twin, name) for name in missing if (twin := twin_of(name)))
    return LACKS.format(some(missing), next(told, ADD_IT))


def _difference(sample: Sampled, usual: Sampled) -> str:
    """How a file is written, and how those are that the draft is of."""
    for what, told, other in zip(FORM, sample.form, usual.form, strict=False):
        if told != other:
            return f"its {what} is {told!r}, and not {other!r}"
    return "its fractions have another decimal mark, or its points set thousands apart"


def twice(root: Path, found: list[Sampled]) -> tuple[dict[str, str], list[str]]:
    """File -> the file that it is a copy of, by its name and its content; and other pairs.

    The names of these, as ``a.csv = b.csv``, are not alike, and their content is.
    """
    copies: dict[str, str] = {}
    pairs: list[str] = []
    by_size: dict[int, list[str]] = {}
    for sample in sorted(found, key=lambda sample: len(sample.path)):
        others = by_size.setdefault(sample.size, [])
        same = [o for o in others if filecmp.cmp(root / o, root / sample.path, shallow=False)]
        of = next((other for other in same if _of_copy(other) == _of_copy(sample.path)), None)
        if of is not None:
            copies[sample.path] = of
            continue
        others.append(sample.path)
        pairs += [f"{other} = {sample.path}" for other in same[:1]]
    return copies, pairs


def _of_copy(path: str) -> Path:
    """The path without what file managers add to the name of a copy."""
    return Path(path).with_name(COPY.sub("", Path(path).stem))


def _size(group: list[Sampled]) -> int:
    return sum(sample.size for sample in group)
