"""Vehicle classes: which vehicles have the same channels, and what their ids have in common.

A vehicle lacks a channel if its files have no column of it, or if it is silent for much longer than
vehicles that have it usually are. What is not sure is as in vehicles with which it agrees else.

Shape legend: N rows of the sample, V vehicles, T rows of a vehicle in time order, C channels.
"""

import glob
import re
from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd

from amad.config.wording import count, some
from amad.draft.plan import Plan
from amad.draft.trial import Trial

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

Kinds = dict[frozenset[str], list[str]]  # channels that vehicles lack -> ids of these vehicles


def take_classes(plan: Plan, trial: Trial, without: Mapping[str, Collection[str]]) -> None:
    """Set the vehicle classes of the plan and of its channels, and what is to be told of them.

    without: channel -> vehicles whose files have no column of it; the last channels may be new.
    """
    names = [channel.name for channel in plan.channels]
    kinds = _kinds(trial, names, without)
    plan.class_guesses, plan.classes = _join_broken(kinds, without), []
    kinds = dict(sorted(kinds.items(), key=lambda kind: (len(kind[1]), kind[1])))
    if len(kinds) > MOST_CLASSES:
        partial = [name for name in names if any(name in lacks for lacks in kinds)]
        plan.class_guesses.append(MANY.format(len(kinds), some(partial)))
    elif len(kinds) > 1:
        told = []
        for (name, patterns), lacks in zip(_named([*kinds.values()]).items(), kinds, strict=True):
            plan.classes.append({"name": name, "vehicles": patterns})
            channels = some((channel for channel in names if channel in lacks), SHOWN)
            size = count(len(kinds[lacks]), "vehicle")
            told.append(f"{name} ({size}) lacks {channels or 'none'}")
        plan.class_guesses.append(CLASSES.format(len(kinds), "; ".join(told), name))
    for channel in plan.channels:
        of = zip(plan.classes, kinds, strict=False)
        having = [item["name"] for item, lacks in of if channel.name not in lacks]
        channel.classes = having if len(having) < len(plan.classes) else []


def _kinds(trial: Trial, names: list[str], without: Mapping[str, Collection[str]]) -> Kinds:
    """Vehicles of which none lacks for sure what another one has; those without values are left."""
    told_NC = ~np.isnan(trial.value_NC)
    new = [~np.isin(trial.vehicle_N, [*without[name]]) for name in names[told_NC.shape[1] :]]
    told_NC = np.column_stack([told_NC, *new])
    places = pd.Series(trial.time_N).groupby(trial.vehicle_N).indices
    ids = [vehicle for vehicle, at in places.items() if told_NC[at].any()]
    rows_V = np.array([len(places[vehicle]) for vehicle in ids])
    has_VC = np.array([told_NC[places[vehicle]].any(axis=0) for vehicle in ids])
    if has_VC.all():
        return {frozenset(): ids}
    lacks_VC = ~has_VC & [[vehicle in without.get(name, ()) for name in names] for vehicle in ids]
    silence_VC = np.zeros(has_VC.shape)
    for v, vehicle in enumerate(ids):
        at_T = places[vehicle][np.argsort(trial.time_N[places[vehicle]], kind="stable")]
        row_T1 = np.arange(len(at_T))[:, None]
        last_TC = np.maximum.accumulate(np.where(told_NC[at_T], row_T1, -1), axis=0)
        silence_VC[v] = (row_T1 - last_TC).max(axis=0)
    for c in np.flatnonzero(has_VC.any(axis=0)):
        usual = np.median(silence_VC[has_VC[:, c], c])
        lacks_VC[:, c] |= ~has_VC[:, c] & (rows_V >= max(FEWEST_ROWS, SILENCES * usual))
    groups: list[list[int]] = []
    for v in np.argsort(-(has_VC | lacks_VC).sum(axis=1), kind="stable"):  # the surest first
        own, not_own = has_VC[v], lacks_VC[v]
        fits = [g for g in groups if not (has_VC[g] & not_own | lacks_VC[g] & own).any()]
        if fits:
            max(fits, key=len).append(v)
        else:
            groups.append([v])
    kinds: Kinds = {}
    for group in groups:
        lacks_C = has_VC.any(axis=0) & ~has_VC[group].any(axis=0) & lacks_VC[group].any()
        kinds[frozenset(np.array(names)[lacks_C].tolist())] = sorted(ids[v] for v in group)
    return kinds


def _join_broken(kinds: Kinds, without: Mapping[str, Collection[str]]) -> list[str]:
    """Take a vehicle that alone lacks one channel for one of those like it, and say so."""
    guesses = []
    for lacks, vehicles in [*kinds.items()]:
        like = [(len(kinds[lacks - {name}]), name) for name in lacks if lacks - {name} in kinds]
        _, channel = max(like, default=(0, ""))
        if like and len(vehicles) == 1 and vehicles[0] not in without.get(channel, ()):
            kinds[lacks - {channel}] += kinds.pop(lacks)
            guesses.append(BROKEN.format(vehicles[0], channel))
    return guesses


def _named(groups: list[list[str]]) -> dict[str, list[str]]:
    """Name of each class -> patterns of its vehicles' ids; the last class has all other ids."""
    classes: dict[str, list[str]] = {}
    for number, ids in enumerate(groups, 1):
        others = [vehicle for group in groups if group is not ids for vehicle in group]
        starts = {vehicle: _beginning(vehicle, ids, others) for vehicle in ids}
        words = sorted(re.sub(r"[\W_]+", "_", start).strip("_") for start in {*starts.values()})
        name = "_".join(words) if all(words) and len(words) <= MOST_BEGINNINGS else ""
        name = name if name and name not in classes else f"kind_{number}"
        patterns = (glob.escape(s) + "*" if s else glob.escape(v) for v, s in starts.items())
        classes[name] = [*dict.fromkeys(patterns)]
    classes[name] = [pattern for pattern in classes[name] if pattern.endswith("*")] + ["*"]
    return classes


def _beginning(vehicle: str, own: list[str], others: list[str]) -> str:
    """What the id begins with, as that of another vehicle of its class, or a word; else nothing."""
    for start in (vehicle[: found.end()] for found in BEGINNING.finditer(vehicle)):
        is_word = re.fullmatch(r"[^\W\d_]{2,}[\W_]*", start)
        is_shared = sum(other.startswith(start) for other in own) > 1
        if (is_word or is_shared) and not any(other.startswith(start) for other in others):
            return start
    return ""
