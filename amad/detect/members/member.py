"""Members of a detector: each predicts every channel and leaves a residual.

A member learns in two steps, so that cross-fitting needs only one pass over the data. ``summarise``
reduces a stretch of rows to what must be known about it; ``solve`` turns any set of summaries into
coefficients. Both are pure functions. ``Member.fit`` cuts the train rows into folds and solves once
with all folds, for the coefficients that are kept, and once without each fold, for the residuals
that calibrate the evidence chain.

A new member is a subclass with these two methods and ``predict_error``; see ``RidgeMember``. One
that needs nothing from the rows of an owner has ``predict_error`` alone.

Shape legend: T rows of a vehicle, C channels, K lags.
"""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from copy import copy
from dataclasses import replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from amad.config import Params
from amad.config.params import Hide, MaskFamily
from amad.detect.chain import BETWEEN, OVER_TIME, Tail
from amad.detect.residual_cache import Arrays, ResidualCache
from amad.detect.sliding import chunks
from amad.windows.ridge import solve_ridge
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.network import Amad


class Member(ABC):
    """One predictor of a detector, with one vote.

    name: unique within a detector. weight: of its evidence in the mean.
    context_rows, lookahead_rows: how many rows before and after a row its residual depends on.
    between_channels: it predicts channels from each other and not over time. Such members are
    combined in another way (``amad.detect.combine``), habituate, and have a tail term of their own
    (``amad.detect.chain``).
    predicts: its residual is the error of a prediction. Of a member that does not predict, such as
    ``window_range``, only the excess counts, by what the others leave unexplained.
    cache: residuals that are already known; None predicts every time.
    coefficients: by owner of figures (a vehicle, a class or the fleet), what ``solve`` returned.
    """

    context_rows: int = 0
    lookahead_rows: int = 0
    between_channels: bool = False
    predicts: bool = True
    cache: ResidualCache | None = None

    def __init__(self, name: str, weight: float = 1.0) -> None:
        self.name = name
        self.weight = weight
        self.coefficients: MutableMapping[str, Arrays] = {}

    def knowing(self, coefficients: MutableMapping[str, Arrays]) -> Self:
        """A copy with these coefficients, which shares all else and has no cache."""
        twin = copy(self)
        twin.coefficients, twin.cache = coefficients, None
        return twin

    def cached(self, cache: ResidualCache) -> Self:
        """A copy that looks for its residuals in a cache, and shares all else."""
        twin = copy(self)
        twin.cache = cache
        return twin

    @property
    def tail(self) -> Tail:
        """How the tail term of its evidence is made."""
        return BETWEEN if self.between_channels else OVER_TIME

    def summarise(self, series: Series) -> Arrays:
        """What ``solve`` needs to know about the rows of a scaled series; default: nothing."""
        return {}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """Coefficients, float64, from the summaries of several stretches of rows; default: none."""
        return {}

    @abstractmethod
    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Residual (T, C) float32 in scaled units, NaN where the member has no prediction."""

    def fit_shared(self, train: Sequence[Series]) -> None:  # noqa: B027
        """Learn what is the same for all owners, such as a network; most members learn nothing.

        train: a bounded sample of the fleet, each vehicle scaled with its own figures.
        """

    def solve_folds(
        self, folds: Sequence[Sequence[Arrays]], added: Sequence[Arrays]
    ) -> tuple[Arrays, list[Arrays]]:
        """The coefficients of all folds, and of all but each one; a single fold has no others.

        folds: the summaries of the series of each. added: what is known in all of them.
        """
        others = [self.solve(rest) for rest in without_each(folds, added)]
        return self.solve([*chain.from_iterable(folds), *added]), others

    def sums(self, owner: str, train: Sequence[Series]) -> Arrays:
        """What ``fit`` may be given as ``prior``: sums over the rows of these series.

        owner: whose coefficients were learnt from them. Default: nothing, so that the coefficients
        of a vehicle are all its own.
        """
        return {}

    def fit(
        self, owner: str, train: Sequence[Series], folds: int, prior: Arrays | None = None
    ) -> list[np.ndarray]:
        """Learn the coefficients of one owner of figures and return cross-fitted train residuals.

        owner: see ``amad.detect.learnt_figures``. train: one series for a vehicle, several for a
        class or the fleet. The folds of one series are contiguous stretches of it. The folds of
        several series are whole vehicles, so the residuals of a vehicle then come from coefficients
        that were learnt without it. prior: ``sums`` of other vehicles, which are added to those of
        every fold.

        Returns: for each series, its residual (T, C) float32, as from ``residual``.
        """
        single = len(train) == 1
        if single:
            groups = [[piece] for piece in cut(train[0], folds)]
        else:
            groups = [list(train[k::folds]) for k in range(min(folds, len(train)))]
        summaries = [[self.summarise(series) for series in group] for group in groups]
        self.coefficients[owner], others = self.solve_folds(summaries, [prior] if prior else [])
        if len(groups) == 1:
            return [self._masked(s, self.coefficients[owner]) for s in train]
        held_out = [np.empty(series.value_TC.shape, np.float32) for series in train]
        first = 0
        for k, (group, coefficients) in enumerate(zip(groups, others, strict=True)):
            if single:  # predict with the rows around the fold
                last = first + group[0].rows
                start = max(0, first - self.context_rows)
                rows = train[0].rows_between(start, last + self.lookahead_rows)
                part_TC = self._masked(rows, coefficients)
                held_out[0][first:last] = part_TC[first - start : last - start]
                first = last
            else:
                held_out[k::folds] = [self._masked(series, coefficients) for series in group]
        return held_out

    def fit_tolerance(
        self, owner: str, train: Sequence[Series], errors: Sequence[np.ndarray], folds: int
    ) -> list[np.ndarray] | None:
        """Learn how large an error is ordinary in a row, from what ``fit`` returned (``errors``).

        Returns: for each series, its ``tolerance``, cross-fitted. None, the default: the same in
        all rows.
        """
        return None

    def tolerance(self, series: Series, owner: str) -> np.ndarray | None:
        """How large an error is ordinary in each row, (T, C) float32; 1 is the mean of train.

        The evidence chain divides residuals by it. None, the default: the same in all rows.
        """
        return None

    def residual(self, series: Series, owner: str) -> np.ndarray:
        """Residual (T, C) float32 in scaled units, with the coefficients of ``owner``.

        NaN where the member has no prediction (too few rows of the segment around it) and where the
        cell was not measured, because an imputed value is no evidence.
        """
        return self._masked(series, self.coefficients[owner])

    def _within(self, series: Series, reach_rows: int | None = None) -> np.ndarray:
        """Whether the segment has enough rows before and after each row, bool (T,).

        reach_rows: how many rows before a row its prediction needs; default: ``context_rows``.
        """
        before_T, after_T = rows_into_segment(series), rows_to_segment_end(series)
        needed = self.context_rows if reach_rows is None else reach_rows
        return (before_T >= needed) & (after_T >= self.lookahead_rows)

    def _masked(self, series: Series, coefficients: Arrays) -> np.ndarray:
        if self.cache is None:
            residual_TC = self.predict_error(series, coefficients)
        else:
            residual_TC = self.cache.error_of(self, series, coefficients)
        residual_TC[series.valid_TC == 0] = np.nan
        return residual_TC


class RidgeMember(Member):
    """Closed-form ridge regression of each channel on its own lags, with an intercept.

    A negative lag is a later row, so a member with negative lags predicts from both sides. No lag
    crosses a segment, and imputed cells are no targets. Lags of other channels add nothing or do
    harm, and would multiply the number of coefficients by C.

    Example: ``RidgeMember("ridge", lags=range(1, 6))``
    """

    PENALTY = 1e-3  # of the squared coefficients, per row; scaled channels have about unit variance

    def __init__(self, name: str, lags: Sequence[int]) -> None:
        super().__init__(name)
        self.lags = tuple(lags)
        self.context_rows = max(0, *self.lags)
        self.lookahead_rows = max(0, *(-lag for lag in self.lags))

    def summarise(self, series: Series) -> Arrays:
        """gram: for each channel, products of [lags, 1, target], (C, K + 2, K + 2) float64."""
        channels, size = series.value_TC.shape[1], len(self.lags) + 2
        gram = np.zeros((channels, size, size))
        target_T = np.flatnonzero(self._within(series))
        if len(target_T):
            for c in range(channels):
                rows = target_T[series.valid_TC[target_T, c] == 1]
                value_T = series.value_TC[:, c].astype(np.float64)
                design = np.ones((len(rows), size))
                for k, lag in enumerate(self.lags):
                    design[:, k] = value_T[rows - lag]
                design[:, -1] = value_T[rows]
                gram[c] = design.T @ design
        return {"gram": gram}

    def sums(self, owner: str, train: Sequence[Series]) -> Arrays:
        """gram: as in ``summarise``, of all series together."""
        return {"gram": np.sum([self.summarise(series)["gram"] for series in train], axis=0)}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """lag: coefficients (C, K + 1) of each lag and of the intercept, which has no penalty."""
        gram = np.sum([s["gram"] for s in summaries], axis=0)
        column, count_C = np.arange(len(self.lags) + 2), gram[:, -2, -2]
        weight_CK1 = solve_ridge(
            gram, column[:-1], column[-1:],
            penalty=self.PENALTY * np.maximum(count_C, 1.0),
            intercept_penalty=np.maximum(1.0 - count_C, 0.0),  # if there is no row at all
        )  # fmt: skip
        return {"lag": weight_CK1[..., 0]}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Measured minus predicted value; NaN where a lag lies outside the segment."""
        weight_CK = coefficients["lag"].astype(np.float32)
        value_TC = series.value_TC
        residual_TC = np.full(value_TC.shape, np.nan, np.float32)
        first, last = self.context_rows, series.rows - self.lookahead_rows
        for begin, end in chunks(first, last):
            error, part = residual_TC[begin:end], np.empty_like(residual_TC[begin:end])
            np.subtract(value_TC[begin:end], weight_CK[:, -1], out=error)
            for weight_C, lag in zip(weight_CK.T.copy(), self.lags, strict=False):
                error -= np.multiply(value_TC[begin - lag : end - lag], weight_C, out=part)
        residual_TC[~self._within(series)] = np.nan
        return residual_TC


class TrainedMember(Member):
    """A member whose network is trained before, so that nothing is learnt of an owner of figures.

    The network has seen the rows of the train residuals: they are not cross-fitted.
    """

    def fit(
        self, owner: str, train: Sequence[Series], folds: int, prior: Arrays | None = None
    ) -> list[np.ndarray]:
        """Residuals of the train rows; the network stays as it is."""
        self.coefficients[owner] = {}
        return [self.residual(series, owner) for series in train]


class Network(Protocol):
    """The fields of a bundle that ``AmadMember`` uses."""

    @property
    def model(self) -> "Amad":
        """The attention network."""

    @property
    def params(self) -> Params:
        """The settings that it was trained with."""


class AmadMember(TrainedMember):
    """The attention network of a bundle, which predicts positions while they are hidden from it.

    The network serves the whole fleet. hide: ``time`` hides blocks of rows, as long as in its
    training. ``channel`` hides whole channels, which are then predicted from the others; the member
    is called ``amad_channel`` and can see a sensor that is stuck, late or disconnected although its
    own past agrees.
    """

    def __init__(self, bundle: Network, weight: float = 1.0, *, hide: Hide = "time") -> None:
        super().__init__("amad" if hide == "time" else "amad_channel", weight)
        model, block = bundle.params.model, bundle.params.mask.block
        self.bundle, self.block, self.hide = bundle, block, hide
        self.between_channels = hide == "channel"
        self.context_rows = self.lookahead_rows = model.window
        if model.direction == "past":
            # A hidden channel is predicted from the others up to the end of its block.
            self.lookahead_rows = 0 if hide == "time" else block - 1

    def residual(self, series: Series, owner: str) -> np.ndarray:
        """As for any member; if pooled figures are used, the network is not told the vehicle."""
        if not owner.startswith("vehicle/"):
            series = replace(series, vehicle="")
        return super().residual(series, owner)

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Measured minus predicted value; NaN where no whole window of rows is available."""
        from amad.model.residual import hidden_residual

        return hidden_residual(self.bundle.model, series, self.block, family=self.hide)


def hidden_kinds(family: MaskFamily) -> list[Hide]:
    """What to hide when scoring with a network whose training hid ``family``."""
    return ["time", "channel"] if family == "mixed" else [family]


def fit_shared(members: Sequence[Member], sample: Sequence[Series]) -> None:
    """Let each member learn what is the same for all owners, see ``Member.fit_shared``."""
    for member in members:
        member.fit_shared(sample)


def without_each(folds: Sequence[Sequence[Arrays]], added: Sequence[Arrays]) -> list[list[Arrays]]:
    """For each fold, the summaries of all others and what is added; none for a single fold."""
    return [
        [*chain.from_iterable([*folds[:k], *folds[k + 1 :]]), *added]
        for k in range(len(folds) if len(folds) > 1 else 0)
    ]


def cut(series: Series, pieces: int) -> list[Series]:
    """Contiguous stretches of about equal length, in time order; none is empty."""
    edges = np.unique(np.linspace(0, series.rows, pieces + 1).round().astype(int))
    return [series.rows_between(int(a), int(b)) for a, b in pairwise(edges)]


def rows_into_segment(series: Series) -> np.ndarray:
    """For each row, how many rows of its segment precede it; int64 (T,)."""
    segments = series.segments()
    if len(segments) == 1:
        return np.arange(series.rows)
    starts, ends = np.array(segments, np.int64).reshape(-1, 2).T
    return np.arange(series.rows) - np.repeat(starts, ends - starts)


def rows_to_segment_end(series: Series) -> np.ndarray:
    """For each row, how many rows of its segment follow it; int64 (T,)."""
    segments = series.segments()
    if len(segments) == 1:
        return np.arange(series.rows - 1, -1, -1)
    starts, ends = np.array(segments, np.int64).reshape(-1, 2).T
    return np.repeat(ends, ends - starts) - 1 - np.arange(series.rows)
