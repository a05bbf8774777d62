"""Vehicle classes: which vehicles have the same channels, and what their ids have in common.

A vehicle lacks a channel if its files have no column of it, or if it is silent for much longer than
vehicles that have it usually are. What is not sure is as in vehicles with which it agrees else.

Shape legend: N rows of the sample, C channels.
"""

import glob
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pandas as pd

from amad.config.wording import count, some
from amad.draft.plan import Plan
from amad.draft.trial import Trial
from amad.reading.headers import tidy

FEWEST_ROWS, SILENCES = 20, 3  # of a vehicle that lacks a channel: rows, and usual longest silences
MOST_CLASSES = 6
SHOWN = 3  # channels that a class lacks, in a message
MOST_BEGINNINGS = 3  # that the name of a class is made of
BEGINNING = re.compile(r"[\W_]+(?=.)|(?<=[^\W\d_])(?=\d+$)")  # of an id ends here
CLASSES = (
    "{} vehicle classes, by the channels that vehicles have: {}; a vehicle with another id is "
    "taken for {}; if two channels are one under two names, list both as the column of one"
)
BROKEN = (
    "{!r} never has a value of {}, as the others like it do: its days fail the check of nulls; if "
    "that is no broken sensor, give it a vehicle class without this channel"
)
MANY = (
    "there are {} kinds of vehicles by {}, which not all have: days without them fail the check of "
    "nulls; name vehicle_classes, and the classes that have these channels, or leave them out"
)


@dataclass(slots=True)
class Group:
    """Vehicles that have the same channels."""

    has: set[str]
    lacks: set[str]
    vehicles: list[str]


def take_classes(plan: Plan, trial: Trial, without: Mapping[str, Collection[str]]) -> np.ndarray:
    """Set the vehicle classes of the plan and of its channels, and what is to be told of them.

    without: channel -> vehicles whose files have no column of it; the last channels may be new.

    Returns:
        Which cells are of a channel that the vehicle of the row never has, bool (N, C).
    """
    names = [channel.name for channel in plan.channels]
    groups = _groups(trial, names, without)
    lacks_of = {vehicle: set(group.lacks) for group in groups for vehicle in group.vehicles}
    plan.class_guesses, plan.classes = _join_broken(groups, without), {}
    groups.sort(key=lambda group: (len(group.vehicles), group.vehicles))
    if len(groups) > MOST_CLASSES:
        partial = set().union(*(group.lacks for group in groups))
        in_order = some(name for name in names if name in partial)
        plan.class_guesses.append(MANY.format(len(groups), in_order))
    elif len(groups) > 1:
        plan.classes = _named(groups)
        told = [
            f"{name} ({count(len(group.vehicles), 'vehicle')}) "
            + (
                f"lacks {some((n for n in names if n in group.lacks), SHOWN)}"
                if group.lacks
                else "has all"
            )
            for name, group in zip(plan.classes, groups, strict=True)
        ]
        last = [*plan.classes][-1]
        plan.class_guesses.append(CLASSES.format(len(groups), "; ".join(told), last))
    for channel in plan.channels:
        pairs = zip(plan.classes, groups, strict=False)
        having = [name for name, group in pairs if channel.name not in group.lacks]
        channel.classes = having if len(having) < len(plan.classes) else []
    codes_N, vehicles = pd.factorize(trial.vehicle_N)
    lacks_VC = [[name in lacks_of.get(vehicle, ()) for name in names] for vehicle in vehicles]
    return np.array(lacks_VC, bool).reshape(-1, len(names))[codes_N]


def leaves_out(plan: Plan, trial: Trial) -> bool:
    """Do files of JSON lack keys of channels that the classes of their vehicles have?"""
    fleet = plan.fleet()
    for sample in plan.samples:
        absent = {*map(tidy, sample.lacking)}
        file_N = trial.file_N == trial.paths.index(sample.path)
        for vehicle in np.unique(trial.vehicle_N[file_N]):
            has_C = fleet.has_channel(fleet.class_of(vehicle))
            if any(tidy(channel.header) in absent for channel in compress(plan.channels, has_C)):
                return True
    return False


def _groups(trial: Trial, names: list[str], without: Mapping[str, Collection[str]]) -> list[Group]:
    """Vehicles of which none lacks for sure what another one has; only those with values."""
    told_NC = ~np.isnan(trial.value_NC)
    new = [~np.isin(trial.vehicle_N, [*without[name]]) for name in names[told_NC.shape[1] :]]
    told_NC = np.column_stack([told_NC, *new])
    rows = pd.Series(trial.time_N).groupby(trial.vehicle_N).indices
    told = {v: told_NC[at[np.argsort(trial.time_N[at], kind="stable")]] for v, at in rows.items()}
    ones = [
        Group({*compress(names, told_TC.any(axis=0))}, set(), [vehicle])
        for vehicle, told_TC in told.items()
        if told_TC.any()
    ]
    for c, name in enumerate(names):
        silences = [_longest_silence(told[g.vehicles[0]][:, c]) for g in ones if name in g.has]
        least = max(FEWEST_ROWS, SILENCES * np.median(silences)) if silences else np.inf
        for one in (group for group in ones if name not in group.has):
            (vehicle,) = one.vehicles
            if len(told[vehicle]) >= least or vehicle in without.get(name, ()):
                one.lacks.add(name)
    groups: list[Group] = []
    for one in sorted(ones, key=lambda group: -len(group.has | group.lacks)):  # the surest first
        fits = [g for g in groups if not (g.has & one.lacks or g.lacks & one.has)]
        if fits:
            group = max(fits, key=lambda group: len(group.vehicles))
            group.has |= one.has
            group.lacks |= one.lacks
            group.vehicles += one.vehicles
        else:
            groups.append(one)
    every = {name for group in groups for name in group.has}
    for group in groups:
        group.lacks = every - group.has if group.lacks else set()
    return groups


def _longest_silence(told_T: np.ndarray) -> int:
    """The most rows in sequence without a value."""
    return int(np.diff([-1, *np.flatnonzero(told_T), len(told_T)]).max()) - 1


def _join_broken(groups: list[Group], without: Mapping[str, Collection[str]]) -> list[str]:
    """Take a vehicle that lacks one channel alone for one of those like it, and say so."""
    guesses = []
    for one in [group for group in groups if len(group.vehicles) == 1]:
        like = [g for g in groups if g.lacks < one.lacks and len(one.lacks - g.lacks) == 1]
        for group in sorted(like, key=lambda group: -len(group.vehicles))[:1]:
            (vehicle,), (channel,) = one.vehicles, one.lacks - group.lacks
            if vehicle not in without.get(channel, ()):
                groups.remove(one)
                group.vehicles.append(vehicle)
                guesses.append(BROKEN.format(vehicle, channel))
    return guesses


def _named(groups: list[Group]) -> dict[str, list[str]]:
    """Name of each class -> patterns of its vehicles' ids; the last class has all other ids."""
    classes: dict[str, list[str]] = {}
    for number, group in enumerate(groups, 1):
        others = [v for other in groups if other is not group for v in other.vehicles]
        starts = {v: _beginning(v, group.vehicles, others) for v in sorted(group.vehicles)}
        words = [re.sub(r"[\W_]+", "_", start).strip("_") for start in {*starts.values()}]
        name = "_".join(sorted(words)) if all(words) and len(words) <= MOST_BEGINNINGS else ""
        name = name if name and name not in classes else f"kind_{number}"
        patterns = (glob.escape(s) + "*" if s else glob.escape(v) for v, s in starts.items())
        classes[name] = [*dict.fromkeys(patterns)]
    classes[name].append("*")
    return classes


def _beginning(vehicle: str, own: list[str], others: list[str]) -> str:
    """What the id begins with, as that of another vehicle of its class, or a word; else nothing."""
    for start in (vehicle[: found.end()] for found in BEGINNING.finditer(vehicle)):
        is_word = re.fullmatch(r"[^\W\d_]{2,}[\W_]*", start)
        is_shared = sum(other.startswith(start) for other in own) > 1
        if (is_word or is_shared) and not any(other.startswith(start) for other in others):
            return start
    return ""
