"""Columns that begin with a date in all files that follow: the sensor came later.

Such a column becomes a channel with ``since``, so that ingest reads the older files as well.
"""

from collections.abc import Mapping
from datetime import date

import numpy as np
import pandas as pd

from amad.config.wording import some
from amad.draft.clock import clock_of
from amad.draft.labels import tells_anomalies
from amad.draft.long_columns import columns_of
from amad.draft.plan import Plan, drafted
from amad.draft.sample import Sampled
from amad.draft.trial import Trial, try_out
from amad.draft.vehicles import owner_of
from amad.reading.headers import tidy
from amad.reading.times import DAY_US, date_of

WIDE = ("csv", "parquet")  # formats in which each file has a column per channel
LEAST_SHARED, LEAST_OLDER = 0.8, 0.5  # of the columns of the commonest kind of file
BEGINS = (
    "{!r} is not in {} of the {} files looked at, such as {}, and none of these has rows after {}: "
    "it is a channel with that date as its since; set a later one if some vehicle got the sensor "
    "later"
)
RENAMED = "; if it is {} under another name, list both as its column, without since"
OF_THE_LATER = "it tells the vehicle or the time, and older files do not have it"


class NotLaterError(Exception):
    """Files of the sample lack columns, of which some did not begin with a date."""


def with_shared_headers(samples: list[Sampled], *, older: bool) -> list[Sampled]:
    """The files with at least 80 % of the columns of the commonest kind of file.

    older: also those with half of them or more and no others, as files from before sensors came.
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
        has_others = own > has[sample.path]
        return share >= LEAST_SHARED or (older and share >= LEAST_OLDER and not has_others)

    return [sample for sample in samples if is_of_kind(sample)]


def check_older(plan: Plan) -> None:
    """Check that the files with too few of the columns only lack those that came later.

    Raises:
        NotLaterError: they lack others, so the draft is to be of the other files alone.
    """
    usual = with_shared_headers(plan.samples, older=False)
    older = [sample for sample in plan.samples if sample not in usual]
    if not older:
        return
    since = {tidy(channel.header) for channel in plan.channels if channel.since}
    headers = {
        *_tell_whose_and_when(plan, usual),
        *(h for h in plan.columns.left_out if tidy(h) not in since),
    }
    lacks = any(sample.column(header) is None for sample in older for header in headers)
    if lacks or plan.format not in WIDE:
        raise NotLaterError


def with_later_columns(plan: Plan, trial: Trial) -> Trial:
    """Make channels of the columns that begin with a date, and try the draft with them.

    Not where files may lack columns anyway: in long, sparse and JSON files. A column with which
    fewer rows would be read, as an older one has another unit, stays left out.
    """
    if plan.format not in WIDE:
        return trial
    known = plan.owner.columns | plan.clock.columns
    first = {tidy(header): header for sample in reversed(plan.samples) for header in sample.headers}
    told_by: dict[tuple[str, ...], set[str]] = {}
    for header in (header for header in first.values() if header not in known):
        has = {sample.path: sample.column(header) is not None for sample in plan.samples}
        begins = None if all(has.values()) else first_date(trial, has)
        if begins is None:
            continue
        having = [sample for sample in plan.samples if has[sample.path]]
        paths = tuple(sample.path for sample in having)
        if paths not in told_by:  # this takes long, and most columns came with others
            told_by[paths] = _tell_whose_and_when(plan, having)
        if header in told_by[paths]:
            plan.columns.left_out[header] = OF_THE_LATER
        else:
            trial = _with(plan, trial, header, has, begins)
    return trial


def _tell_whose_and_when(plan: Plan, samples: list[Sampled]) -> set[str]:
    """The columns of these files that tell the vehicle or the time."""
    return owner_of(samples, plan.name, plan.paths).columns | clock_of(samples).columns


def first_date(trial: Trial, has: Mapping[str, bool]) -> date | None:
    """The first date with a column, which later files must have; None if that is no date's.

    Of several vehicles it is the date of the one that got the column last. has: which files have
    it, by path.
    """
    rows = pd.DataFrame(
        {
            "vehicle": trial.vehicle_N,
            "day": trial.time_N // DAY_US,
            "has": np.array([has[path] for path in trial.paths])[trial.file_N],
        }
    )
    day = rows.groupby(["has", "vehicle"])["day"]
    least, most = day.min(), day.max()
    if not {True, False} <= set(rows["has"]):
        return None
    with_it, without = least[True], most[False]
    both = with_it.index.intersection(without.index)
    begins = int(with_it[both].max() if len(both) else with_it.min())
    in_order = (without[both] <= with_it[both]).all() and without.max() <= begins
    return date_of(begins) if in_order and without.min() < begins else None


def _with(plan: Plan, trial: Trial, header: str, has: Mapping[str, bool], begins: date) -> Trial:
    """The draft with one more channel; as it was where that is none."""
    having = [sample for sample in plan.samples if has[sample.path]]
    known = {other for sample in having for other in sample.headers if tidy(other) != tidy(header)}
    own = columns_of(having, known, plan.marks)
    if own.measured != [header] or own.long is not None:
        plan.columns.left_out |= own.left_out
        return trial
    columns, channels = plan.columns, plan.channels
    channel = drafted(own, [*(c.header for c in channels), header])[-1]  # a name of its own
    channel.since = begins
    plan.channels = [*channels, channel]
    found = try_out(plan.fleet(), plan.root, plan.samples, plan.parts)
    if found.rows < trial.rows:
        plan.channels = channels
        return trial
    columns.left_out = {h: why for h, why in columns.left_out.items() if tidy(h) != tidy(header)}
    without = [path for path, there in has.items() if not there]
    guess = BEGINS.format(header.strip(), len(without), len(has), without[0], begins)
    ended = [f"{h.strip()!r}" for h in columns.left_out if _is_in(h, plan.samples, without)]
    columns.guesses += [guess + (RENAMED.format(some(ended)) if ended else ""), *own.guesses]
    return found


def _is_in(header: str, samples: list[Sampled], paths: list[str]) -> bool:
    """Do these files have a column, and no others?"""
    return {s.path for s in samples if s.column(header) is not None} == set(paths)
