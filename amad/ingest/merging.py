"""Rows of one vehicle and one time: those that complement each other become one row.

A logger that writes one signal per row, or files that each fill some of the columns, tell a moment
in several rows. In the order in which they arrived, each row is held against what the rows before
it have made:

- a channel with another value: the row *contradicts*, and is refused;
- nothing that was not there: the row *repeats*, and is refused;
- else it is *merged*: the row made so far gains its values (a label of 1 stays 1). A row without
  any value contradicts nothing and repeats nothing, so it is merged, too.

Shape legend: T rows of a vehicle-day, K different times, C channels, M rows whose time is shared by
several rows, G such times, X rows that contradict.
"""

from dataclasses import dataclass

import numpy as np

from amad.ingest.spill import DayRows

FIRST, MERGED, REPEATS, CONTRADICTS = range(4)  # what became of a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """A row per time, and what became of each row that came in (in its order)."""

    timestamp_K: np.ndarray  # int64 microseconds, ascending
    value_KC: np.ndarray  # float64, NaN: null
    label_K: np.ndarray  # int8
    at_T: np.ndarray  # int64, the position of the row's time among the K
    fate_T: np.ndarray  # int8
    contradicting_X: np.ndarray  # int64, positions among the T
    clash_XC: np.ndarray  # bool, the channels in which they contradict

    @property
    def stays_T(self) -> np.ndarray:
        """Which rows the lake holds, by themselves or merged into another; the rest is refused."""
        return (self.fate_T == FIRST) | (self.fate_T == MERGED)


def merge(rows: DayRows, known: int = 0) -> Merged:
    """Make one row per time of ``rows``.

    known: the first so many rows are in the lake already. They agree with each other, and none of
    them is refused; a row that comes now is held against all of them.
    """
    if (rows.timestamp_T[1:] > rows.timestamp_T[:-1]).all():  # nothing to sort and to merge
        return Merged(
            timestamp_K=rows.timestamp_T,
            value_KC=rows.value_TC,
            label_K=rows.label_T,
            at_T=np.arange(len(rows.timestamp_T)),
            fate_T=np.full(len(rows.timestamp_T), FIRST, np.int8),
            contradicting_X=np.zeros(0, np.int64),
            clash_XC=np.zeros((0, rows.value_TC.shape[1]), bool),
        )
    order_T = np.argsort(rows.timestamp_T, kind="stable")
    time_T = rows.timestamp_T[order_T]
    head_T = np.ones(len(time_T), bool)
    head_T[1:] = time_T[1:] != time_T[:-1]
    group_T = np.cumsum(head_T) - 1
    value_KC = rows.value_TC.T.take(order_T[head_T], axis=1).T
    label_K = rows.label_T[order_T[head_T]]
    fate_T = np.full(len(time_T), FIRST, np.int8)
    contradicting_X = np.zeros(0, np.int64)
    clash_XC = np.zeros((0, rows.value_TC.shape[1]), bool)
    shared_T = ~head_T
    shared_T[:-1] |= ~head_T[1:]
    if shared_T.any():
        at_M = order_T[shared_T]
        k_M = group_T[shared_T]
        starts_M = np.diff(k_M, prepend=-1) != 0
        k_G, group_M = k_M[starts_M], np.cumsum(starts_M) - 1
        made_GC, fate_M, clash_XC = _merge_shared(_given(rows, at_M), group_M)
        fate_M[(at_M < known) & (fate_M == REPEATS)] = MERGED
        value_KC[k_G] = made_GC[:, :-1]
        label_K[k_G] = np.nan_to_num(made_GC[:, -1]).astype(np.int8)
        fate_T[at_M] = fate_M
        contradicting_X, clash_XC = at_M[fate_M == CONTRADICTS], clash_XC[:, :-1]
    at_T = np.empty(len(time_T), np.int64)
    at_T[order_T] = group_T
    return Merged(
        timestamp_K=time_T[head_T],
        value_KC=value_KC,
        label_K=label_K,
        at_T=at_T,
        fate_T=fate_T,
        contradicting_X=contradicting_X,
        clash_XC=clash_XC,
    )


def _given(rows: DayRows, at_M: np.ndarray) -> np.ndarray:
    """(M, C + 1): values, and as a last channel the label: 1, or NaN for 0 (nothing to tell)."""
    label_M = np.where(rows.label_T[at_M] == 1, 1.0, np.nan)
    return np.column_stack([rows.value_TC[at_M], label_M])


def _merge_shared(
    value_MC: np.ndarray, group_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows sorted by group 0 to G - 1, each group in order of arrival.

    Returns what each group makes (G, C), the fate of each row (M,), and where those that contradict
    do (X, C).
    """
    head_G = np.flatnonzero(np.diff(group_M, prepend=-1))
    made_GC = np.fmin.reduceat(value_MC, head_G)
    differ_GC = made_GC != np.fmax.reduceat(value_MC, head_G)
    contradict_G = (differ_GC & ~np.isnan(made_GC)).any(axis=1)
    fate_M = np.full(len(group_M), REPEATS, np.int8)
    for value_M in value_MC.T:  # where no row contradicts, the first that tells a channel is merged
        told = np.flatnonzero(~np.isnan(value_M))
        fate_M[told[np.diff(group_M[told], prepend=-1) != 0]] = MERGED
    clash_XC = np.zeros((0, value_MC.shape[1]), bool)
    if contradict_G.any():
        at = np.flatnonzero(contradict_G[group_M])
        number_G = np.cumsum(contradict_G) - 1
        made, fate_M[at], clash_XC = _merge_one_by_one(value_MC[at], number_G[group_M[at]])
        made_GC[contradict_G] = made
    fate_M[np.isnan(value_MC).all(axis=1)] = MERGED
    fate_M[head_G] = FIRST
    return made_GC, fate_M, clash_XC


def _merge_one_by_one(
    value_MC: np.ndarray, group_M: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As ``_merge_shared``, for groups in which rows contradict.

    Each turn merges at most one row per group and decides about all before it, so there are at
    most C + 1 turns.
    """
    head_G = np.flatnonzero(np.diff(group_M, prepend=-1))
    made_GC = value_MC[head_G].copy()
    fate_M = np.full(len(group_M), REPEATS, np.int8)
    clash_MC = np.zeros(value_MC.shape, bool)
    left = np.flatnonzero(np.diff(group_M, prepend=-1) == 0)
    while len(left):
        value_LC, before_LC = value_MC[left], made_GC[group_M[left]]
        told_LC, known_LC = ~np.isnan(value_LC), ~np.isnan(before_LC)
        clash_LC = told_LC & known_LC & (value_LC != before_LC)
        refused_L = clash_LC.any(axis=1)
        fate_M[left[refused_L]] = CONTRADICTS
        clash_MC[left[refused_L]] = clash_LC[refused_L]
        adds_L = ~refused_L & (told_LC & ~known_LC).any(axis=1)
        adding = left[adds_L]
        adding = adding[np.diff(group_M[adding], prepend=-1) != 0]  # the first of each group
        fate_M[adding] = MERGED
        made_GC[group_M[adding]] = np.fmin(made_GC[group_M[adding]], value_MC[adding])
        from_G = np.full(len(head_G), len(group_M))
        from_G[group_M[adding]] = adding
        left = left[~refused_L & (left > from_G[group_M[left]])]
    return made_GC, fate_M, clash_MC[fate_M == CONTRADICTS]
