"""What each channel contributes to evidence and to scores, found for the rows that are asked for.

Shape legend: T rows, R of them (asked for), C channels, U usable channels.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from amad.detect.sliding import Piece, sliding


class Term(NamedTuple):
    """One term of the evidence of a series.

    x_TU: of each channel. quiet_U: what it is on train. term_T: the term. z_WT: the robust z of
    each width, the largest of which the term is the logarithm of.
    """

    x_TU: np.ndarray
    quiet_U: np.ndarray
    term_T: np.ndarray
    z_WT: np.ndarray


class Contributions:
    """Each channel's contribution to the evidence, found for the rows that are asked for.

    ``contributions[rows]`` are those of some rows (R, C), float32 and >= 0, and ``[:]`` those of
    all. They sum to the mean of the two terms, with a negative term counted as 0. Alarms are few,
    and only their rows need contributions, so the sums over boxes are found for these.
    """

    def __init__(
        self,
        boxes: Sequence[tuple[int, int]],
        pieces_with: Callable[[np.ndarray, int, int], list[Piece]],
        usable_C: np.ndarray,
        terms: Sequence[Term],
    ) -> None:
        """boxes: how many rows before and after a row each covers. pieces_with: of the layout."""
        self._boxes, self._pieces_with = boxes, pieces_with
        self._usable_C, self._terms = usable_C, terms

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """rows: a slice, or ascending row positions."""
        row_R = np.arange(len(self._terms[0].term_T))[rows]
        found_RC = np.zeros((len(row_R), len(self._usable_C)), np.float32)
        whole = bool(self._usable_C.all())
        found_RU = found_RC if whole else found_RC[:, self._usable_C]
        for term in self._terms:
            self._add(found_RU, term, row_R)
        if not whole:
            found_RC[:, self._usable_C] = found_RU
        return found_RC

    def _add(self, found_RU: np.ndarray, term: Term, row_R: np.ndarray) -> None:
        """Add each channel's share of a term to these rows, as far as it is above 0 there.

        The shares are in proportion to the channels' sums over the box that won in the row.
        """
        above_N = np.flatnonzero(term.term_T[row_R] > 0)
        if not len(above_N):
            return
        row_N = row_R[above_N]
        widths = [before + after + 1 for before, after in self._boxes]
        edges = tuple(map(max, zip(*self._boxes, strict=True)))
        for piece in self._pieces_with(row_N, *edges):
            some = slice(*np.searchsorted(row_N, [piece.rows.start, piece.rows.stop]))
            row_S = row_N[some]
            sums = sliding(piece.take(term.x_TU, term.quiet_U), widths, np.add)
            start_S = piece.places(row_S - piece.rows.start)
            best_S = term.z_WT[:, row_S].argmax(axis=0)
            share_SU = np.empty((len(row_S), found_RU.shape[1]), np.float32)
            for w, ((before, _), sum_PU) in enumerate(zip(self._boxes, sums, strict=True)):
                won = np.flatnonzero(best_S == w)
                share_SU[won] = sum_PU[start_S[won] - before]
            whole_S = np.maximum(share_SU.sum(axis=1), 1e-12)
            unit_S = term.term_T[row_S] / whole_S / len(self._terms)
            share_SU *= unit_S.astype(np.float32)[:, None]
            found_RU[above_N[some]] += share_SU


class Mixture:
    """The contributions of several members, weighed; ``mixture[rows]`` are those of some rows."""

    def __init__(self, evidence: "Mapping[str, Evidence]") -> None:
        self._evidence = evidence
        self._parts: list[tuple[str, float, np.ndarray | None]] = []

    def add(self, name: str, weight: float, excess_T: np.ndarray | None = None) -> None:
        """Add a member's contributions with a weight; excess_T: those to this excess alone."""
        self._parts.append((name, weight, excess_T))

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """(R, C) float64; rows: as in ``Contributions``."""
        names = dict.fromkeys(name for name, _, _ in self._parts)
        found = {name: self._evidence[name][1][rows] for name in names}
        mixed_RC = np.zeros(next(iter(found.values())).shape)
        for name, weight, excess_T in self._parts:
            counted_RC = found[name]
            if excess_T is not None:
                evidence_R = self._evidence[name][0][rows]
                counted_RC = _counted(counted_RC, evidence_R, excess_T[rows])
            mixed_RC += weight * counted_RC
        return mixed_RC


Rowwise = np.ndarray | Contributions | Mixture  # (T, C), of which [rows] gives (R, C)
Evidence = tuple[np.ndarray, Rowwise]  # evidence (T,), and each channel's contributions to it


def _counted(
    contribution_RC: np.ndarray, evidence_R: np.ndarray, excess_R: np.ndarray
) -> np.ndarray:
    """The contributions (R, C) to an excess (R,).

    With a threshold below 0 it is more than the evidence; the contributions are not.
    """
    return np.clip(excess_R / np.maximum(evidence_R, 1e-12), 0.0, 1.0)[:, None] * contribution_RC
