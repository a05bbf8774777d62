"""How the evidence of several members is learnt and becomes one score.

The reasons are in docs/explanation/detector.md.

    score = 2/3 mean of the members over time + 1/3 mean of those between channels
            + mean over those between channels of max(evidence - excess threshold, 0)

Members over time (autoregressions, blocks of time hidden from the network) and members between
channels (each channel from the others) see different faults: one kind can break while the other is
quiet, so a plain mean would halve it. Both give evidence all the time; a member between channels
counts once more by what it has beyond its excess threshold. Where only one kind serves, its mean is
the score.

Shape legend: T rows, C channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amad.detect.chain import Calibration, EvidenceChain
from amad.detect.constant_channels import hold
from amad.detect.detector_state import Level
from amad.detect.members import Member
from amad.windows.series import Series

TIME_SHARE = 2 / 3
EXCESS_QUANTILE = 0.99  # of held-out evidence: what a member between channels must exceed

Evidence = tuple[np.ndarray, np.ndarray]  # (T,) and its channels' contributions (T, C)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Members under the evidence chain: the one way from residuals to a score.

    Used by the detector, by the sweep's objective and by the benchmark alike.
    """

    members: Sequence[Member]
    chain: EvidenceChain
    period_us: int

    def calibrate(
        self,
        at: str,
        group: Sequence[Series],
        present: Sequence[np.ndarray],
        constant: Iterable[int] = (),
    ) -> tuple[dict[str, Calibration], dict[str, np.ndarray]]:
        """Fit every member at a level and learn what is ordinary for it.

        at: name of the level. group: its train series. present: of each, its channels, bool (C,).
        constant: channels that have no say, because they never move.

        Returns: calibration and evidence (T,) of the train rows, of each member that can serve.
        """
        layout = self.chain.layout(group, present)
        calibration, evidence = {}, {}
        for member in self.members:
            residual_TC = np.concatenate(member.fit(at, group, self.chain.params.folds))
            residual_TC[:, list(constant)] = np.nan
            if (found := self.chain.calibrate(residual_TC, layout)) is not None:
                calibration[member.name], evidence[member.name] = found
        return calibration, evidence

    def evidence(
        self, level: Level, at: str, series: Series, present_C: np.ndarray
    ) -> dict[str, Evidence]:
        """The evidence of each member that the level has a calibration of and that can serve."""
        if not series.rows:
            return {}
        series = hold(series, level.constant)
        layout = self.chain.layout([series], [present_C])
        found = {}
        for member in self.members:
            if (calibration := level.calibration.get(member.name)) is None:
                continue
            residual_TC = member.residual(series, at)
            recent_T = self.recent(series) if member.between_channels else None
            own = self.chain.evidence(residual_TC, layout, calibration, recent_T)
            if own is not None:
                found[member.name] = own
        return found

    def joined(self, level: Level, evidence: Mapping[str, Evidence]) -> Evidence:
        """One score (T,) and the channels' contributions of the evidence of some members."""
        return join(self.serving(evidence), evidence, level.excess_threshold)

    def serving(self, names: Iterable[str]) -> list[Member]:
        """The members of these names, in the ensemble's order."""
        return [member for member in self.members if member.name in names]

    def recent(self, series: Series) -> np.ndarray:
        """For each row, the first row of the stretch that its baseline is taken from, int (T,)."""
        return self.chain.recent(series.timestamp_T, period_us=self.period_us)


def shares(members: Sequence[Member]) -> dict[str, float]:
    """Each member's share of the mean, by name; the shares sum to 1."""
    kinds = [[m for m in members if m.between_channels == kind] for kind in (False, True)]
    of_kind = (TIME_SHARE, 1 - TIME_SHARE) if all(kinds) else (1.0, 1.0)
    return {
        member.name: share * member.weight / sum(m.weight for m in kind)
        for kind, share in zip(kinds, of_kind, strict=True)
        for member in kind
    }


def excess_shares(members: Sequence[Member]) -> dict[str, float]:
    """The weight of the excess of each member that counts once more by it, by name."""
    between = [m for m in members if m.between_channels]
    if len(between) == len(members):
        return {}
    return {m.name: m.weight / sum(b.weight for b in between) for m in between}


def join(
    members: Sequence[Member],
    evidence: Mapping[str, Evidence],
    excess_threshold: Mapping[str, float],
) -> Evidence:
    """One evidence (T,) and its channels' contributions (T, C), float64, of several members.

    members: those that serve, at least one. excess_threshold: of those that count by their excess.
    """
    score_T, contribution_TC = (np.zeros(found.shape) for found in evidence[members[0].name])
    for name, share in shares(members).items():
        score_T += share * evidence[name][0]
        contribution_TC += share * evidence[name][1]
    for name, share in excess_shares(members).items():
        evidence_T, own_TC = evidence[name]
        excess_T = np.maximum(evidence_T - excess_threshold[name], 0.0)
        score_T += share * excess_T
        # A threshold below 0 must not make a channel contribute more than the member's evidence.
        counted_T = np.clip(excess_T / np.maximum(evidence_T, 1e-12), 0.0, 1.0)
        contribution_TC += share * counted_T[:, None] * own_TC
    return score_T, contribution_TC
