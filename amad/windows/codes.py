"""Puts the codes of a categorical channel on a line, because a code is no magnitude.

Gear 5 is not five times gear 1, and mode 17 need not lie between 16 and 18. What counts is what the
vehicle does while the channel has a code. So a code's *place* is learnt from the train rows of the
fleet: for each code, the mean of every other channel, in spreads of the vehicle; of these profiles,
the coordinate along the direction in which the codes differ most (their first principal component,
codes weighted by their rows; "optimal scaling", Gifi 1990). Numbering the codes in another way
changes no more than the sign. Rare codes lie near the middle until they are known better.

A code that no train row had has no place. Models see it ``UNSEEN`` spreads from the usual.

Shape legend: T rows of a vehicle, C channels, K codes of one channel, V vehicles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNSEEN = 10.0  # scaled units
MOST_CODES = 256  # a channel with more of them is seen as a quantity
PRIOR_ROWS = 30  # of the middle, in the mean profile of each code
LEAST_SPREAD = 1e-6  # of the places; codes that differ in nothing are placed by their order


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCounts:
    """What one vehicle's train rows tell of the codes of one channel.

    code_K: sorted. count_K: measured rows with each. total_KC, known_KC: in these rows, the sum of
    every channel and the number of measured cells. All are empty if it ``has_many`` codes, which is
    more than ``MOST_CODES``.
    """

    code_K: np.ndarray
    count_K: np.ndarray
    total_KC: np.ndarray
    known_KC: np.ndarray
    has_many: bool


class CodeTally:
    """Counts the codes of one channel, and sums the others by them, in pieces of rows."""

    def __init__(self, channel: int, channels: int) -> None:
        self._channel = channel
        self._code_K, self._count_K = np.zeros(0), np.zeros(0, int)
        self._total_KC, self._known_KC = np.zeros((0, channels)), np.zeros((0, channels))
        self._has_many = False

    def add(self, value_TC: np.ndarray, valid_TC: np.ndarray) -> None:
        """Count the next rows."""
        if self._has_many:
            return
        row_M = np.flatnonzero(valid_TC[:, self._channel] == 1)
        code_M = value_TC[row_M, self._channel]
        found_K, at_M, count_K = np.unique(code_M, return_inverse=True, return_counts=True)
        code_K = np.union1d(self._code_K, found_K)
        if len(code_K) > MOST_CODES:
            self._has_many = True
            self._code_K, self._count_K = self._code_K[:0], self._count_K[:0]
            self._total_KC, self._known_KC = self._total_KC[:0], self._known_KC[:0]
            return
        self._make_room(code_K)
        new_K = np.searchsorted(code_K, found_K)
        self._count_K[new_K] += count_K
        order_M = np.argsort(at_M, kind="stable")
        start_K = np.searchsorted(at_M[order_M], np.arange(len(found_K)))
        known_MC = valid_TC[row_M[order_M]] == 1
        value_MC = np.where(known_MC, value_TC[row_M[order_M]], 0.0)
        for sum_KC, cell_MC in ((self._total_KC, value_MC), (self._known_KC, known_MC)):
            if len(row_M):
                sum_KC[new_K] += np.add.reduceat(cell_MC, start_K, axis=0, dtype=float)

    def counts(self) -> CodeCounts:
        """What the rows so far tell."""
        return CodeCounts(
            code_K=self._code_K, count_K=self._count_K, total_KC=self._total_KC,
            known_KC=self._known_KC, has_many=self._has_many,
        )  # fmt: skip

    def _make_room(self, code_K: np.ndarray) -> None:
        """Let the counts be of these codes, among which are those so far."""
        at = np.searchsorted(code_K, self._code_K)
        for name in ("_count_K", "_total_KC", "_known_KC"):
            old = getattr(self, name)
            new = np.zeros((len(code_K), *old.shape[1:]), old.dtype)
            new[at] = old
            setattr(self, name, new)
        self._code_K = code_K


def places(
    counts: Sequence[CodeCounts], mean_VC: np.ndarray, spread_VC: np.ndarray
) -> dict[float, tuple[float, int]]:
    """The place of each code and its number of rows, from the counts of V vehicles.

    mean_VC, spread_VC: of all channels in the train rows of each vehicle; one with spread 0, as
    channels of codes are given here, tells nothing. Empty if the channel has no code, or more than
    ``MOST_CODES``.
    """
    code_K = np.unique(np.concatenate([c.code_K for c in counts])) if counts else np.zeros(0)
    if not 0 < len(code_K) <= MOST_CODES or any(own.has_many for own in counts):
        return {}
    count_K = np.zeros(len(code_K))
    total_KC = np.zeros((len(code_K), mean_VC.shape[1]))
    known_KC = np.zeros_like(total_KC)
    for own, mean_C, spread_C in zip(counts, mean_VC, spread_VC, strict=True):
        at = np.searchsorted(code_K, own.code_K)
        usable_C = spread_C > 0
        away_KC = (own.total_KC - own.known_KC * mean_C) / np.where(usable_C, spread_C, 1.0)
        count_K[at] += own.count_K
        total_KC[at] += np.where(usable_C, away_KC, 0.0)
        known_KC[at] += np.where(usable_C, own.known_KC, 0.0)
    profile_KC = total_KC / (known_KC + PRIOR_ROWS)
    weight_K = np.sqrt(count_K / count_K.sum())
    profile_KC -= weight_K**2 @ profile_KC
    _, size, direction = np.linalg.svd(weight_K[:, None] * profile_KC, full_matrices=False)
    place_K = profile_KC @ direction[0]
    if size[0] < LEAST_SPREAD:
        place_K = np.arange(len(code_K), dtype=np.float64)
    if np.sum(weight_K**2 * place_K * (code_K - weight_K**2 @ code_K)) < 0:
        place_K = -place_K  # so that the result does not depend on the sign of a direction
    return {
        float(code): (float(place), int(count))
        for code, place, count in zip(code_K, place_K, count_K, strict=True)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """The codes of one channel that the train rows had: sorted code_K, place_K, count_K."""

    code_K: np.ndarray
    place_K: np.ndarray
    count_K: np.ndarray

    @classmethod
    def of(cls, placed: dict[float, tuple[float, int]]) -> "Codes":
        """From the result of ``places``."""
        ordered = sorted(placed)
        return cls(
            code_K=np.array(ordered, float),
            place_K=np.array([placed[code][0] for code in ordered], float),
            count_K=np.array([placed[code][1] for code in ordered], int),
        )

    @property
    def usual(self) -> float:
        """The commonest code."""
        return float(self.code_K[self.count_K.argmax()])

    def known(self, value: np.ndarray) -> np.ndarray:
        """Which values are codes that train rows had: bool, of the shape of ``value``."""
        return np.isin(value, self.code_K)

    def placed(self, value: np.ndarray, unseen: float) -> np.ndarray:
        """The place of each value, in its shape: ``unseen`` for a code without one, NaN for NaN."""
        at = np.minimum(np.searchsorted(self.code_K, value), len(self.code_K) - 1)
        place = np.where(self.code_K[at] == value, self.place_K[at], unseen)
        return np.where(np.isnan(value), np.nan, place)

    def code_at(self, place: np.ndarray) -> np.ndarray:
        """The code whose place is the nearest to each of these, in their shape."""
        order = np.argsort(self.place_K)
        sorted_K = self.place_K[order]
        between = (sorted_K[1:] + sorted_K[:-1]) / 2
        return self.code_K[order][np.searchsorted(between, place)]

    def to_json(self) -> list[list[float]]:
        """A list per code: code, place, rows."""
        columns = (self.code_K, self.place_K, self.count_K)
        return [list(row) for row in zip(*(x.tolist() for x in columns), strict=True)]

    @classmethod
    def from_json(cls, content: list[list[float]]) -> "Codes":
        """The inverse of ``to_json``."""
        return cls.of({code: (place, int(count)) for code, place, count in content})
