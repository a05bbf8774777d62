"""The evidence chain: from the residuals of one member to calibrated evidence, a logarithm.

Every detector and baseline uses this one implementation. docs/explanation/detector.md has the
formulas and the reasons for them.

    residual_TC -> z2_TC = (residual / cross-fitted train scale)^2
    habituation (members between channels only): z2 / exp(mean of ln max(z2 / 10, 1) over the last
    hour), so that a deviation that lasts does not hide a new one
    mean term:  mean over channels of z2
    tail term:  square root of the power mean over channels of box mean of z2 / its own train 99 %
    quantile; the exponent is 1/2 over time and 2 between channels, see ``Tail``
    each term:  box means of several widths -> robust z on train -> signed log1p -> max over widths
    evidence  = mean of the two terms

Missing values count as ordinary: an imputed cell, a row without history, and the part of a box
outside its segment all enter with their train mean. They raise no alarm and only weaken one a
little near the end of a segment, so segment ends need no special rule.

Shape legend: T rows, C channels, U usable channels, W widths, E the two terms.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from amad.config.params import DetectParams
from amad.detect.contributions import Contributions, Term
from amad.detect.event_channels import events_scale
from amad.detect.layout import Layout, Past, reach, running
from amad.detect.sliding import chunks, sliding
from amad.windows.series import Series

TAIL_QUANTILE = 0.99
TAIL_FLOOR = 1.0  # the least tail of a channel, in z2; a channel that is constant in train has none
SPREAD_FLOOR = 1e-2  # the least robust spread of a term's box means on train
BROKEN_Z2 = 10.0  # habituation starts at this z2
HABITUATION_US = 3_600_000_000  # one hour
Z2_CAP = 1e6  # keeps running sums exact after a wild value; its logarithm is far above any alarm
TERMS = ("mean", "tail")


class Tail(NamedTuple):
    """How the tail term of a member smooths each channel, and how it joins the channels.

    width: rows of the box of which z2 is the mean. exponent: of the power mean over the channels,
    (mean of x^exponent)^(1/exponent); the larger it is, the more the largest channel counts.
    """

    width: int = 21
    exponent: float = 0.5

    @property
    def root(self) -> float:
        """The term is the mean of x^exponent to this power."""
        return 0.5 / self.exponent


OVER_TIME = Tail()
BETWEEN = Tail(width=41, exponent=2.0)  # a relation that is broken shows in one channel or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What is ordinary for one member and one owner of figures, from train rows; all float64.

    A channel without a measured train row is NaN in every (C,) array and gives no evidence.
    """

    scale_C: np.ndarray  # root mean square of cross-fitted residuals, floored, or ``events_scale``
    ordinary_C: np.ndarray  # train mean of z2
    tail_C: np.ndarray  # train 99 % quantile of smoothed z2, floored
    tail_ordinary_C: np.ndarray  # train mean of sqrt(smoothed z2 / tail)
    centre_EW: np.ndarray  # train median of the box means of each term
    spread_EW: np.ndarray  # their interquartile range, floored

    @classmethod
    def unknown(cls, channels: int, terms: int, widths: int) -> "Calibration":
        """NaN throughout."""
        shape = {"C": channels, "EW": (terms, widths)}
        names = [field.name for field in fields(cls)]
        return cls(**{name: np.full(shape[name.rsplit("_", 1)[1]], np.nan) for name in names})


def habituation_rows(period_us: int) -> int:
    """How many periods ``HABITUATION_US`` has, at least one."""
    return max(1, round(HABITUATION_US / period_us))


class EvidenceChain:
    """The chain and its settings; what it learns is returned as a ``Calibration``.

    Example::

        chain = EvidenceChain(params.detect)
        layout = chain.layout([series], [present_C])
        calibration = chain.calibrate(train_residual_TC, train_layout)
        evidence_T, contributions = chain.evidence(residual_TC, layout, calibration)
        contribution_TC = contributions[:]
    """

    def __init__(self, params: DetectParams) -> None:
        self.params = params
        self.trailing = params.smoothing == "trailing"

    def reach(self, tail: Tail = OVER_TIME) -> tuple[int, int]:
        """How many rows before and after a row its evidence depends on."""
        edges = [reach(w, trailing=self.trailing) for w in (max(self.params.widths), tail.width)]
        return sum(before for before, _ in edges), sum(after for _, after in edges)

    def layout(self, series: Sequence[Series], present: Sequence[np.ndarray]) -> Layout:
        """The layout of these series; present: for each, which channels it has, bool (C,)."""
        return Layout(series, present, trailing=self.trailing)

    def calibrate(
        self,
        residual_TC: np.ndarray,
        layout: Layout,
        prior: Calibration | None = None,
        prior_rows: float = 0.0,
        tail: Tail = OVER_TIME,
        events_C: np.ndarray | None = None,
    ) -> tuple[Calibration, np.ndarray] | None:
        """Learn what is ordinary from cross-fitted train residuals (NaN where undefined).

        prior: a calibration that every figure is moved towards; it counts as ``prior_rows`` rows.
        events_C: which channels are of events, bool; default: none.

        Returns: the calibration, and the evidence (T,) of the same rows under it. If no channel has
        a finite residual, the prior without evidence; where there is none either, None, because the
        member cannot be used then.
        """
        known_TC = np.isfinite(residual_TC) & layout.present_TC
        count_C, usable_C = known_TC.sum(axis=0), known_TC.any(axis=0)
        if not usable_C.any():
            return None if prior is None else (prior, np.zeros(0))

        own_C = count_C / np.maximum(count_C + prior_rows, 1)
        terms, widths = len(TERMS), len(self.params.widths)
        learnt = deepcopy(prior) if prior else Calibration.unknown(len(own_C), terms, widths)

        def move(name: str, at, own, share, *, square: bool = False):
            figure = getattr(learnt, name)
            figure[at] = towards(figure[at], own, share, square)
            return figure[at]

        power, present_T = 2 * tail.exponent, np.zeros(layout.rows)
        sum_ET = np.zeros((terms, layout.rows))
        for c in np.flatnonzero(usable_C):  # one at a time: memory holds one channel in float64
            known_T, share = known_TC[:, c], own_C[c]
            square_R = np.square(residual_TC[known_T, c], dtype=np.float64)
            scale = max(np.sqrt(square_R.mean()), self.params.floor)
            if events_C is not None and events_C[c]:
                scale = max(scale, events_scale(square_R))
            z2_R = square_R / move("scale_C", c, scale, share, square=True) ** 2
            np.minimum(z2_R, Z2_CAP, out=z2_R)
            ordinary = move("ordinary_C", c, z2_R.mean(), share)
            z2_T = np.full(layout.rows, ordinary)
            z2_T[known_T] = z2_R
            ratio_T = self._smooth(z2_T, layout, ordinary, tail.width)
            limit = max(np.quantile(ratio_T[known_T], TAIL_QUANTILE), TAIL_FLOOR)
            ratio_T /= move("tail_C", c, limit, share, square=True)
            np.sqrt(ratio_T, out=ratio_T)
            move("tail_ordinary_C", c, ratio_T[known_T].mean(), share)
            channel_T = layout.present_TC[:, c]
            present_T += channel_T
            sum_ET += np.where(channel_T, (z2_T, ratio_T**power), 0.0)
        mean_ET = sum_ET / np.maximum(present_T, 1)
        tail_quiet_U = learnt.tail_ordinary_C[usable_C] ** power
        means = [
            (mean_ET[0], learnt.ordinary_C[usable_C], 1.0),
            (mean_ET[1], tail_quiet_U, tail.root),
        ]
        box_EWT = self._term_boxes(means, layout)
        low_EW, centre_EW, high_EW = np.quantile(box_EWT, [0.25, 0.5, 0.75], axis=-1)
        spread_EW, own = np.maximum(high_EW - low_EW, SPREAD_FLOOR), own_C[usable_C].mean()
        move("centre_EW", ..., centre_EW, own)
        move("spread_EW", ..., spread_EW, own, square=True)
        return learnt, np.mean(_log_evidence(box_EWT, learnt)[0], axis=0)

    def evidence(
        self,
        residual_TC: np.ndarray,
        layout: Layout,
        calibration: Calibration,
        past: Past | None = None,
        tail: Tail = OVER_TIME,
    ) -> tuple[np.ndarray, Contributions] | None:
        """The evidence of one series.

        residual_TC: NaN where undefined. past: of ``habituation_rows``; None for no habituation.
        tail: as in ``calibrate``.

        Returns: evidence (T,), float64 and finite, and the contributions of its rows. None if no
        residual is finite, or if one is infinite.
        """
        usable_C = np.isfinite(calibration.scale_C) & layout.present_TC[0]
        residual_TU = residual_TC if usable_C.all() else residual_TC[:, usable_C]
        known_TU = np.isfinite(residual_TU)
        if not known_TU.any() or np.isinf(residual_TU).any():
            return None
        figures = (calibration.scale_C, calibration.ordinary_C, calibration.tail_C)
        scale_U, ordinary_U, tail_U = (x_C[usable_C].astype(np.float32) for x_C in figures)
        z2_TU = np.empty_like(residual_TU)
        for begin, end in chunks(0, len(z2_TU)):
            z2 = z2_TU[begin:end]
            with np.errstate(over="ignore"):
                np.divide(residual_TU[begin:end], scale_U, out=z2)
            np.clip(z2, -(Z2_CAP**0.5), Z2_CAP**0.5, out=z2)
            np.square(z2, out=z2)
            np.copyto(z2, ordinary_U, where=~known_TU[begin:end])
        if past is not None:
            z2_TU = _habituated(z2_TU, past)
        ratio_TU = self._smooth(z2_TU, layout, ordinary_U, tail.width)
        ratio_TU /= tail_U
        ratio_TU **= tail.exponent

        evidence_T, terms = np.zeros(len(residual_TC)), []
        tail_ordinary_U = calibration.tail_ordinary_C[usable_C] ** (2 * tail.exponent)
        mean_U = np.full(len(scale_U), 1 / len(scale_U), np.float32)
        inputs = (
            (z2_TU, ordinary_U, 1.0),
            (ratio_TU, tail_ordinary_U.astype(np.float32), tail.root),
        )
        means = [(x_TU @ mean_U, quiet_U, root) for x_TU, quiet_U, root in inputs]
        found = _log_evidence(self._term_boxes(means, layout), calibration)
        for (x_TU, quiet_U, _), term_T, z_WT in zip(inputs, *found, strict=True):
            evidence_T += term_T / len(TERMS)
            terms.append(Term(x_TU, quiet_U, term_T, z_WT))
        boxes = [reach(width, trailing=self.trailing) for width in self.params.widths]
        return evidence_T, Contributions(boxes, layout.pieces_with, usable_C, terms)

    def subtract_baseline(self, excess_T: np.ndarray, past: Past) -> np.ndarray:
        """The excess minus ``baseline_weight`` times its mean over the past of each row.

        Periods without a row, before the series or in a gap, count as 0, so the result does not
        depend on how much history was read. past: of ``baseline_rows``.
        """
        return excess_T - self.params.baseline_weight * past.mean(excess_T)

    def _smooth(
        self, z2_T: np.ndarray, layout: Layout, ordinary: np.ndarray | float, rows: int
    ) -> np.ndarray:
        """The mean of z2 over boxes of so many rows: of one channel (T,), or of several (T, U).

        ordinary: z2 where a box lies outside its segment, for each channel.
        """
        smooth_T = np.empty_like(z2_T)
        before, after = reach(rows, trailing=self.trailing)
        width = before + after + 1
        for piece in layout.pieces(before, after):
            [sum_P] = sliding(piece.take(z2_T, ordinary), [width], np.add)
            np.divide(piece.of_rows(sum_P, before), width, out=smooth_T[piece.rows])
        return smooth_T

    def _term_boxes(
        self, terms: Sequence[tuple[np.ndarray, np.ndarray, float]], layout: Layout
    ) -> np.ndarray:
        """Box means (E, W, T) of the terms; rows that a segment lacks count as on train.

        terms: of each, its mean over the channels (T,), what the channels are on train (U,), and
        the power to which both are raised.
        """
        sums_ET = np.stack([running(mean_T**root) for mean_T, _, root in terms])
        quiet_E = np.array([quiet_U.mean() ** root for _, quiet_U, root in terms], np.float64)
        low_WT, high_WT, rows_W1, missing_WT = layout.boxes(self.params.widths)
        sum_EWT = sums_ET.take(high_WT, axis=1) - sums_ET.take(low_WT, axis=1)
        return (sum_EWT + missing_WT * quiet_E[:, None, None]) / rows_W1


def towards(prior, own, share, square: bool = False):
    """Own figures moved towards prior ones. share: of the own ones; where one is NaN, the other's.

    square: their squares are, as suits scales: a root mean square is then that of the rows of both,
    and what others do now and then is ordinary for a vehicle whose few rows lack it.
    """
    if square:
        return np.sqrt(towards(np.square(prior), np.square(own), share))
    mixed = share * own + (1 - share) * prior
    return np.where(np.isnan(own), prior, np.where(np.isnan(prior), own, mixed))


def _habituated(z2_TU: np.ndarray, past: Past) -> np.ndarray:
    """z2 divided by the geometric mean of how far it exceeded ``BROKEN_Z2`` in the past.

    A channel that stays changed after an incident has a z2 of thousands from then on, and would
    hide all other channels in the mean.
    """
    broken = np.flatnonzero((z2_TU > BROKEN_Z2).any(axis=0))
    if not len(broken):
        return z2_TU
    out_TU, z2_TB = z2_TU.copy(), z2_TU[:, broken]
    out_TU[:, broken] = z2_TB / np.exp(past.mean(np.log(np.maximum(z2_TB / BROKEN_Z2, 1.0))))
    return out_TU


def _log_evidence(box_EWT: np.ndarray, calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Signed log1p of the largest robust z over the widths (E, T), and the z of each (E, W, T)."""
    z_EWT = (box_EWT - calibration.centre_EW[..., None]) / calibration.spread_EW[..., None]
    z_ET = z_EWT.max(axis=1)
    return np.copysign(np.log1p(np.abs(z_ET)), z_ET), z_EWT
