"""The period of the rows, and the limits of the fleet file that fit them.

Shape legend: N rows of the sample, T rows of a vehicle in time order, C channels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from amad.draft.trial import Trial
from amad.reading.times import DAY_US

SENSIBLE = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120,
    300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400,
)  # fmt: skip
# Signals take turns if more than this share of the rows changes exactly one of them,
ONE_AT_A_TIME = 0.15
# and fewer rows than this share of those change several.
COINCIDENCES = 0.05
CHANGES = 50  # changes of a signal that show how often it has its turn
REST = 20  # longest gaps that a silence must exceed to be a rest, as in the profile
# A log is sparse if more than this share of its cells is empty,
SPARSE_CELLS = 0.4
# and less than this share of its rows holds all channels.
FULL_ROWS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of the sample, in seconds and shares."""

    period: float
    max_gap: float
    gap_share: float
    null_share: float  # of the channel with the most nulls
    rows: int  # median over the vehicles
    day_rows: int  # median over the vehicle-days
    sure: bool  # do files that follow each other tell the period?


def is_sparse(trial: Trial) -> bool:
    """Do the signals take turns, so that most cells are empty, of those a vehicle ever tells?"""
    told = [~np.isnan(value_TC) for _, value_TC, _ in _vehicles(trial)]
    told = [told_TC[:, told_TC.any(axis=0)] for told_TC in told]
    if max(told_TC.shape[1] for told_TC in told) < 2:
        return False
    told_share = sum(told_TC.sum() for told_TC in told) / sum(told_TC.size for told_TC in told)
    full = sum(told_TC.all(axis=1).sum() for told_TC in told)
    return bool(told_share < 1 - SPARSE_CELLS and full < FULL_ROWS * trial.rows)


def figures_of(trial: Trial, *, sparse: bool, period: float | None = None) -> Figures:
    """Measure the sample. Give ``period`` if the times of the rows were made from it."""
    steps, runs, rows, days = [], [], [], []
    for time_T, value_TC, run_T in _vehicles(trial):
        apart = np.unique(time_T)  # rows of one time are merged
        rows.append(len(apart))
        days += np.unique(apart // DAY_US, return_counts=True)[1].tolist()
        for told_T in value_TC.T == value_TC.T if sparse else [np.ones(len(time_T), bool)]:
            steps.append(np.diff(time_T[told_T]) / 1e6)
            runs.append(np.diff(run_T[told_T]))
    step, run = np.concatenate(steps), np.concatenate(runs)
    near = (step > 0) & (run == 0)  # no other file lies between
    step = step[near if near.any() else step > 0]
    if period is None:
        told = float(np.median(step)) if len(step) else 1.0
        period = snapped(max(told, _turn(trial)))
    usual = float(np.quantile(step, 0.99)) if len(step) else period
    max_gap = snapped(max(10 * period, 1.5 * min(usual, 60 * period)), up=True)
    gaps = step[(step > max_gap) & (step <= REST * max_gap)]
    reported = step[step <= REST * max_gap].sum()
    stale_us = round(max_gap * 1e6) if sparse else 0
    nulls = [_nulls(time_T, value_TC, stale_us) for time_T, value_TC, _ in _vehicles(trial)]
    # A vehicle that never tells a channel is above any limit, which is therefore of the others.
    never_C = np.isnan(trial.value_NC).all(axis=0)
    nulls = [np.where(null_TC.all(axis=0) & ~never_C, np.nan, null_TC) for null_TC in nulls]
    nulls_C = np.nanmean(np.concatenate(nulls), axis=0)
    return Figures(
        period=period,
        max_gap=max_gap,
        gap_share=float(gaps.sum() / reported) if reported else 0.0,
        null_share=float(nulls_C.max()),
        rows=int(np.median(rows)),
        day_rows=int(np.median(days)),
        sure=bool(near.any() or not len(step)),
    )


def snapped(seconds: float, *, up: bool = False) -> float:
    """A usual period near these seconds (or not below them): 1.04 becomes 1, 59.8 becomes 60."""
    if up:
        return next((s for s in SENSIBLE if s >= seconds * 0.999), float(math.ceil(seconds)))
    nearest = min(SENSIBLE, key=lambda s: abs(math.log(s / seconds)))
    if abs(math.log(nearest / seconds)) < math.log(1.25):
        return nearest
    return float(f"{seconds:.2g}")


def up_to(share: float) -> float:
    """A limit with room above a share, in steps of 0.05."""
    return min(1.0, math.ceil((share * 1.3 + 0.05) * 20) / 20)


def _turn(trial: Trial) -> float:
    """Seconds in which each signal has its turn; 0 if the signals do not take turns."""
    ones = more = rows = 0
    turns: list[float] = []
    for time_T, value_TC, _ in _vehicles(trial):
        with np.errstate(invalid="ignore"):
            changed_TC = np.abs(np.diff(value_TC, axis=0)) > 0
        count_T = changed_TC.sum(axis=1)
        ones += int((count_T == 1).sum())
        more += int((count_T > 1).sum())
        rows += len(count_T)
        for changed_T in changed_TC.T:
            between = np.diff(time_T[1:][changed_T]) / 1e6
            if len(between) >= CHANGES:
                turns.append(float(np.median(between)))
    take_turns = ones > ONE_AT_A_TIME * rows and more < COINCIDENCES * ones and len(turns) >= 4
    return min(turns) if take_turns else 0.0


def _vehicles(trial: Trial) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Times (T,), values (T, C) and runs of files (T,) of each vehicle in time order."""
    for at in pd.Series(trial.time_N).groupby(trial.vehicle_N).indices.values():
        order = at[np.argsort(trial.time_N[at], kind="stable")]
        yield trial.time_N[order], trial.value_NC[order], trial.run_F[trial.file_N[order]]


def _nulls(time_T: np.ndarray, value_TC: np.ndarray, stale_us: int) -> np.ndarray:
    """Where the profile finds no value: none of the last ``stale_us`` microseconds; bool (T, C)."""
    never_us = int(time_T[0]) - stale_us - 1
    told_TC = np.where(np.isnan(value_TC), never_us, time_T[:, None])
    null_TC = time_T[:, None] - np.maximum.accumulate(told_TC, axis=0) > stale_us
    if stale_us == 0:
        return null_TC
    return null_TC[np.append(np.diff(time_T) > 0, True)]  # rows of one time are merged
