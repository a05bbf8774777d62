"""Combines the evidence of several members into one score.

docs/explanation/detector.md gives the reasons.

    predicted = (1 - B) mean of the members over time + B mean of the members between channels
                + 3/4 mean over the members over time of max(evidence - excess threshold, 0)
                + 3/4 mean over the members between channels of the same
    range     = mean over the window range members of the same, minus its slow baseline
    score     = F predicted + max(1 - F, 0.3) range
    F         = R2 + (1 - R2) even

R2 is the share of the variance that the best member over time explains in the train rows,
cross-fitted. The error of a prediction is evidence as far as there is something to predict. If
little of what a vehicle does can be predicted, leaving the range of the train rows is what counts.
No label is needed for it.

``even``, 0 to 1, says how evenly the squared error is spread over the rows;
``amad.detect.predictability`` explains why this counts.

Members over time (autoregressions, a network that hides blocks of time) and members between
channels (each channel predicted from the others) see different faults. One kind often stays quiet
while the other is loud, and a plain mean of all members would halve the evidence. So the evidence
that lies above a member's excess threshold is added once more. ``amad.detect.predictability`` has B
and the reasons for it. If members of only one kind serve a vehicle, their mean is the score.

Shape legend: T rows, C channels.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np

from amad.detect.chain import Calibration, EvidenceChain, habituation_rows
from amad.detect.constant_channels import hold
from amad.detect.contributions import Evidence, Mixture, Rowwise
from amad.detect.event_channels import channels_of_events
from amad.detect.layout import Past
from amad.detect.learnt_figures import LearntFigures, Prior
from amad.detect.members.member import Member
from amad.detect.predictability import Predictability, predictability_of
from amad.windows.series import Series

EXCESS_WEIGHT = 0.75  # of the excess of all members of a kind
EXCESS_QUANTILE = 0.99  # the excess threshold is this quantile of held-out evidence
LEAST_RANGE_WEIGHT = 0.3  # of the window range members, however much the others explain

Fade = Callable[[str, float, np.ndarray], np.ndarray]  # member, its weight, excess (T,) -> the same


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members and the evidence chain: residuals in, score out.

    The detector, the sweep's objective and the benchmark all use it.
    """

    members: Sequence[Member]
    chain: EvidenceChain
    period_us: int

    def reach(self) -> tuple[int, int]:
        """How many rows before and after a row its score depends on, without the slow baseline."""
        habituation, edges = habituation_rows(self.period_us), [(0, 0)]
        for member in self.members:
            before, after = self.chain.reach(member.tail)
            before += member.context_rows + habituation * member.between_channels
            edges.append((before, after + member.lookahead_rows))
        return max(before for before, _ in edges), max(after for _, after in edges)

    def calibrate(
        self,
        owner: str,
        group: Sequence[Series],
        present: Sequence[np.ndarray],
        constant: Iterable[int] = (),
        prior: Prior | None = None,
    ) -> tuple[dict[str, Calibration], dict[str, np.ndarray], dict[str, Predictability]]:
        """Fit every member for an owner of figures, and learn what is ordinary for it.

        owner: see ``learnt_figures``. group: its train series. present: for each series, which
        channels it has, bool (C,). constant: channels that never move and give no evidence. prior:
        what the figures are moved towards, the more the fewer rows the group has.

        Returns: for each member that can serve the owner, by name, its calibration and its evidence
        (T,) on the train rows. Third, how predictable each predicting one finds the rows.
        """
        layout = self.chain.layout(group, present)
        calibration, evidence, predictability = {}, {}, {}
        folds, events_C = self.chain.params.folds, channels_of_events(group)
        for member in self.members:
            if prior is None:
                known, added, counts_as = None, {}, 0.0
            else:
                known = without(prior.figures.calibration.get(member.name), constant)
                counts_as = prior.counts_as
                weight = counts_as / prior.rows
                added = {name: weight * x for name, x in prior.sums[member.name].items()}
            residuals = member.fit(owner, group, folds, *([added] if added else []))
            tolerances = member.fit_tolerance(owner, group, residuals, folds)
            residual_TC = _joined(residuals)
            residual_TC[:, list(constant)] = np.nan
            own = predictability_of(residual_TC, group, events_C) if member.predicts else None
            if tolerances:
                residual_TC /= _joined(tolerances)
            found = self.chain.calibrate(
                residual_TC, layout, known, counts_as, member.tail, events_C
            )
            if found is not None:
                calibration[member.name], evidence[member.name] = found
                if own is not None and len(found[1]):
                    predictability[member.name] = own
        return calibration, evidence, predictability

    def evidence(
        self,
        figures: LearntFigures,
        owner: str,
        series: Series,
        present_C: np.ndarray,
        residuals: dict[str, np.ndarray] | None = None,
    ) -> dict[str, Evidence]:
        """The evidence of each member that is calibrated for the owner and can serve the series.

        residuals: filled with the residual (T, C) of each member; without it none is kept.
        """
        if not series.rows:
            return {}
        series = hold(series, figures.constant)
        layout = self.chain.layout([series], [present_C])
        habituation = self._past(series, habituation_rows(self.period_us))
        found: dict[str, Evidence] = {}
        for member in self.members:
            if (calibration := figures.calibration.get(member.name)) is None:
                continue
            residual_TC = member.residual(series, owner)
            if residuals is not None:
                residuals[member.name] = residual_TC
            if (tolerance_TC := member.tolerance(series, owner)) is not None:
                residual_TC = residual_TC / tolerance_TC
            past = habituation if member.between_channels else None
            own = self.chain.evidence(residual_TC, layout, calibration, past, member.tail)
            if own is not None:
                found[member.name] = own
        return found

    def combined(
        self,
        figures: LearntFigures,
        evidence: Mapping[str, Evidence],
        series: Series,
        first: int = 0,
        before: "Before | None" = None,
    ) -> "Combined":
        """The score of a series, from the members' evidence; 0 without any.

        first, before: the rows before row ``first`` are only there for the windows of the members;
        the slow baseline of the others goes on from ``before``.
        """
        before = before or Before.nothing()
        if not evidence:
            nothing_T, nothing_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
            return Combined(nothing_T, nothing_TC, nothing_T.copy(), {}, before.predicted_H)
        members, rows = self.serving(evidence), len(before.time_H)
        time = np.concatenate([before.time_H, series.timestamp_T[first:]])
        past = Past.of(time, self.chain.params.baseline_rows, period_us=self.period_us)
        score_H, excess = before.predicted_H.copy(), {}

        def fade(name: str, weight: float, excess_T: np.ndarray) -> np.ndarray:
            excess[name] = excess_T
            earlier_H = before.excess.get(name, np.zeros(rows))
            faded = self.chain.subtract_baseline(
                np.concatenate([earlier_H, excess_T[first:]]), past
            )
            np.add(score_H, weight * faded[:rows], out=score_H)
            return np.concatenate([excess_T[:first], faded[rows:]])

        about = (members, evidence, figures.excess_threshold, figures.predictability)
        score_T, contributions = predicted(*about)
        predicted_T = score_T.copy()
        add_ranges(score_T, contributions, *about, fade)
        return Combined(score_T, contributions, predicted_T, excess, score_H)

    def serving(self, names: Iterable[str]) -> list[Member]:
        """The members with these names, in the order of the ensemble."""
        return [member for member in self.members if member.name in names]

    def _past(self, series: Series, rows: int) -> Past:
        return Past.of(series.timestamp_T, rows, period_us=self.period_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known of the H rows of a vehicle that come before the rows to be scored.

    time_H: microseconds. predicted_H, excess: as in ``Combined``.
    """

    time_H: np.ndarray
    predicted_H: np.ndarray
    excess: Mapping[str, np.ndarray]

    @classmethod
    def nothing(cls) -> "Before":
        """No row."""
        return cls(time_H=np.zeros(0, np.int64), predicted_H=np.zeros(0), excess={})

    @classmethod
    def joined(cls, stretches: Sequence["Before"], since_us: int) -> "Before":
        """The rows of several stretches, in time order, from a time on.

        A member without excess in a stretch has one of 0 there.
        """
        empty = cls.nothing()
        cut = [(s, slice(int(np.searchsorted(s.time_H, since_us)), None)) for s in stretches]
        excess = {
            name: np.concatenate([
                empty.predicted_H,
                *(s.excess.get(name, np.zeros(len(s.time_H)))[rows] for s, rows in cut),
            ])
            for name in sorted({name for s in stretches for name in s.excess})
        }  # fmt: skip
        return cls(
            time_H=np.concatenate([empty.time_H, *(s.time_H[rows] for s, rows in cut)]),
            predicted_H=np.concatenate([
                empty.predicted_H, *(s.predicted_H[rows] for s, rows in cut)
            ]),
            excess=excess,
        )  # fmt: skip


class Combined(NamedTuple):
    """The score (T,) and each channel's contributions to it, and what they were made of.

    predicted_T: the score without the window ranges. excess: of each window range member, before
    the slow baseline is subtracted. score_H: the scores of the rows before.
    """

    score_T: np.ndarray
    contributions: Rowwise
    predicted_T: np.ndarray
    excess: dict[str, np.ndarray]
    score_H: np.ndarray

    def contributions_in(self, wanted_T: np.ndarray) -> np.ndarray:
        """The contributions (T, C) of these rows, and 0 in the others."""
        rows = np.flatnonzero(wanted_T)
        wanted_RC = self.contributions[rows]
        contribution_TC = np.zeros((len(wanted_T), wanted_RC.shape[1]))
        contribution_TC[rows] = wanted_RC
        return contribution_TC


def without(calibration: Calibration | None, channels: Iterable[int]) -> Calibration | None:
    """The calibration with NaN for these channels, which then give no evidence."""
    if calibration is None:
        return None
    figures = {field.name: getattr(calibration, field.name).copy() for field in fields(calibration)}
    for name, figure in figures.items():
        if name.endswith("_C"):
            figure[list(channels)] = np.nan
    return Calibration(**figures)


def shares(members: Sequence[Member], predictability: Predictability) -> dict[str, float]:
    """Each predicting member's share of the mean, by name; the shares sum to 1."""
    over_time, between = _predicting(members)
    share = predictability.between_share
    whole = (1 - share, share) if over_time and between else (1.0, 1.0)
    return _divided(whole[0], over_time) | _divided(whole[1], between)


def kind_weights(members: Sequence[Member], predictability: Predictability) -> tuple[float, float]:
    """The weights of the predicting members together, and of the window range members.

    If the members are of one kind, its weight is 1 and the other's is 0.
    """
    predicting = [m.predicts for m in members]
    if all(predicting) or not any(predicting):
        return float(all(predicting)), float(not any(predicting))
    return predictability.weight, max(1.0 - predictability.weight, LEAST_RANGE_WEIGHT)


def excess_shares(members: Sequence[Member]) -> dict[str, float]:
    """The weight of the excess of each predicting member, by name.

    Empty if the members are of one kind, because then nothing dilutes their evidence.
    """
    over_time, between = _predicting(members)
    if not over_time or not between:
        return {}
    return _divided(EXCESS_WEIGHT, over_time) | _divided(EXCESS_WEIGHT, between)


def range_shares(members: Sequence[Member]) -> dict[str, float]:
    """The weight of the excess of each window range member, by name; they sum to 1."""
    return _divided(1.0, [m for m in members if not m.predicts])


def _predicting(members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """The predicting members over time, and those between channels."""
    predicting = [m for m in members if m.predicts]
    between = [m for m in predicting if m.between_channels]
    return [m for m in predicting if not m.between_channels], between


def _divided(whole: float, members: Sequence[Member]) -> dict[str, float]:
    """A weight that the members share in proportion to their own, by name."""
    total = sum(m.weight for m in members)
    return {m.name: whole * m.weight / total for m in members}


def predicted(
    members: Sequence[Member],
    evidence: Mapping[str, Evidence],
    excess_threshold: Mapping[str, float],
    predictability: Predictability,
) -> tuple[np.ndarray, Mixture]:
    """The part of the score and of the contributions that predicting members give, weighed."""
    score_T, contributions = np.zeros(len(evidence[members[0].name][0])), Mixture(evidence)
    weight, _ = kind_weights(members, predictability)
    for name, share in shares(members, predictability).items():
        score_T += weight * share * evidence[name][0]
        contributions.add(name, weight * share)
    for name, share in excess_shares(members).items():
        excess_T = _excess(evidence[name], excess_threshold[name])
        score_T += weight * share * excess_T
        contributions.add(name, weight * share, excess_T)
    return score_T, contributions


def add_ranges(
    score_T: np.ndarray,
    contributions: Mixture,
    members: Sequence[Member],
    evidence: Mapping[str, Evidence],
    excess_threshold: Mapping[str, float],
    predictability: Predictability,
    fade: Fade,
) -> None:
    """Add the part of the window range members to scores and contributions, in place."""
    _, ranged = kind_weights(members, predictability)
    for name, share in range_shares(members).items():
        faded_T = fade(name, ranged * share, _excess(evidence[name], excess_threshold[name]))
        score_T += ranged * share * faded_T
        contributions.add(name, ranged * share, faded_T)


def _excess(evidence: Evidence, threshold: float) -> np.ndarray:
    return np.maximum(evidence[0] - threshold, 0.0)


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all parts; a single one is not copied."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
