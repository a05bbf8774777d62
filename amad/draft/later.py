"""Columns that not all files have: of some vehicles' files, or of all that follow a date.

These become channels, with the ``classes`` of the vehicles that have them, or with ``since``, as
the sensor came later, so that ingest reads the other files as well.
"""

from collections.abc import Collection, Mapping
from datetime import date

import numpy as np
import pandas as pd

from amad.config.wording import some
from amad.draft.alike import LEAST_SHARED, with_shared_headers
from amad.draft.channels import Drafted
from amad.draft.classes import take_classes
from amad.draft.clock import clock_of
from amad.draft.long_columns import columns_of
from amad.draft.plan import Plan, drafted
from amad.draft.sample import Sampled
from amad.draft.trial import Trial, try_out
from amad.draft.vehicles import owner_of
from amad.reading.headers import Headers, tidy
from amad.reading.times import DAY_US, date_of

WIDE = ("csv", "parquet")  # formats in which each file has a column per channel
BEGINS = (
    "{!r} is not in {} of the {} files looked at, such as {}, and none of these has rows after {}: "
    "it is a channel with that date as its since; set a later one if some vehicle got the sensor "
    "later"
)
RENAMED = "; if it is {} under another name, list both as its column, without since"
NOT_IN_ALL = "it tells the vehicle or the time, and other files do not have it"


class NotLaterError(Exception):
    """Files lack columns that neither began with a date nor are of other vehicles alone."""


def check_lacking(plan: Plan) -> None:
    """Check that the files with too few of the columns only lack those of other vehicles or dates.

    Raises:
        NotLaterError: they lack others, so the draft is to be of the other files alone.
    """
    usual = with_shared_headers(plan.samples, way="usual")
    others = [sample for sample in plan.samples if sample not in usual]
    if not others:
        return
    known = plan.own | {tidy(channel.header) for channel in plan.channels if channel.since}
    headers = [h for h in plan.columns.left_out if tidy(h) not in known]
    most = (1 - LEAST_SHARED) * len(usual[0].headers) if plan.own else 0  # as in the usual files
    telling = _tell_whose_and_when(plan, usual)
    for sample in others:
        is_told = all(sample.column(header) is not None for header in telling)
        lacks = sum(sample.column(header) is None for header in headers)
        if not is_told or lacks > most or not (plan.format in WIDE or plan.classes):
            raise NotLaterError


def with_own_columns(plan: Plan, trial: Trial) -> Trial:
    """Make channels of the columns that only some vehicles' files have, and set vehicle classes."""
    before = plan.channels, plan.columns.guesses
    without: dict[str, set[str]] = {}  # channel -> vehicles whose files lack its column
    own: set[str] = set()
    for paths, headers in _not_in_all(plan).items():
        file_N = np.isin(trial.paths, paths)[trial.file_N]
        having, others = ({*np.unique(trial.vehicle_N[in_N])} for in_N in (file_N, ~file_N))
        begins = first_date(trial, {path: path in paths for path in trial.paths})
        if not having or not others or having & others or begins is not None:
            continue
        rest = [Headers([*s.headers]) for s in plan.samples if s.path not in paths]
        headers = [h for h in headers if not any(there.in_another_unit(h) for there in rest)]
        new, guesses = _channels_of(plan, paths, headers)
        plan.channels = [*plan.channels, *new]
        plan.columns.guesses = [*dict.fromkeys([*plan.columns.guesses, *guesses])]
        without |= {channel.name: others for channel in new}
        own |= set(map(tidy, headers))
    take_classes(plan, trial, without)
    if own and plan.classes:
        found = try_out(plan.fleet(), plan.root, plan.samples, plan.parts)
        if found.rows >= trial.rows:
            plan.own = own
            taken = {tidy(channel.header) for channel in plan.channels}
            left_out = plan.columns.left_out.items()
            plan.columns.left_out = {h: why for h, why in left_out if tidy(h) not in taken}
            take_classes(plan, found, without)
            return found
    plan.channels, plan.columns.guesses = before
    if plan.classes:
        take_classes(plan, trial, {})
    return trial


def _not_in_all(plan: Plan) -> dict[tuple[str, ...], list[str]]:
    """Paths of the files that have some columns -> these; none in formats that may lack them."""
    known = plan.owner.columns | plan.clock.columns
    every = {tidy(h): h for s in reversed(plan.samples) for h in s.headers if h not in known}
    found: dict[tuple[str, ...], list[str]] = {}
    for header in every.values() if plan.format in WIDE else ():
        paths = tuple(s.path for s in plan.samples if s.column(header) is not None)
        if len(paths) < len(plan.samples) and tidy(header) not in plan.own:
            found.setdefault(paths, []).append(header)
    return found


def with_later_columns(plan: Plan, trial: Trial) -> Trial:
    """Make channels of the columns that begin with a date, and try the draft with them.

    Not where files may lack columns anyway: in long, sparse and JSON files. A column with which
    fewer rows would be read, as an older one has another unit, stays left out.
    """
    for paths, headers in _not_in_all(plan).items():
        has = {sample.path: sample.path in paths for sample in plan.samples}
        begins = first_date(trial, has)
        channels, guesses = _channels_of(plan, paths, headers) if begins is not None else ([], [])
        for channel in channels:
            channel.since = begins
            trial = _with(plan, trial, channel, has, guesses)
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


def _channels_of(
    plan: Plan, paths: Collection[str], headers: list[str]
) -> tuple[list[Drafted], list[str]]:
    """Channels of columns that the files of ``paths`` have, and guesses on them.

    Those that are none are told as left out.
    """
    having = [sample for sample in plan.samples if sample.path in paths]
    telling = _tell_whose_and_when(plan, having)  # this takes long
    plan.columns.left_out |= {header: NOT_IN_ALL for header in headers if header in telling}
    wanted = {tidy(header) for header in headers if header not in telling}
    others = {other for sample in having for other in sample.headers if tidy(other) not in wanted}
    own = columns_of(having, others, plan.marks)
    plan.columns.left_out |= own.left_out
    measured = [] if own.long is not None else own.measured
    every = drafted(own, [*(channel.header for channel in plan.channels), *measured])
    return every[len(plan.channels) :], own.guesses


def _with(
    plan: Plan, trial: Trial, channel: Drafted, has: Mapping[str, bool], guesses: list[str]
) -> Trial:
    """The draft with one more channel, since a date; as it was where fewer rows are read then."""
    columns, channels = plan.columns, plan.channels
    plan.channels = [*channels, channel]
    found = try_out(plan.fleet(), plan.root, plan.samples, plan.parts)
    if found.rows < trial.rows:
        plan.channels = channels
        return trial
    header = channel.header
    columns.left_out = {h: why for h, why in columns.left_out.items() if tidy(h) != tidy(header)}
    without = [path for path, there in has.items() if not there]
    guess = BEGINS.format(header, len(without), len(has), without[0], channel.since)
    ended = [f"{h.strip()!r}" for h in columns.left_out if _is_in(h, plan.samples, without)]
    guess += RENAMED.format(some(ended)) if ended else ""
    columns.guesses = [*dict.fromkeys([*columns.guesses, guess, *guesses])]
    return found


def _is_in(header: str, samples: list[Sampled], paths: list[str]) -> bool:
    """Do these files have a column, and no others?"""
    return {s.path for s in samples if s.column(header) is not None} == set(paths)
