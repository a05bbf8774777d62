"""How the evidence of several members becomes one score.

The reasons are in docs/explanation/detector.md.

    score = 2/3 mean of the members over time + 1/3 mean of those between channels
            + mean over those between channels of max(evidence - bar, 0)

Members over time (autoregressions, blocks of time hidden from the network) and members between
channels (each channel from the others) see different faults: one kind can break while the other is
quiet, so a plain mean would halve it. Both give evidence all the time; a member between channels
counts once more by what it has beyond its bar. Where only one kind serves, its mean is the score.

Shape legend: T rows, C channels.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from amad.detect.members import Member

TIME_SHARE = 2 / 3
BAR_QUANTILE = 0.99  # of held-out evidence: what a member between channels must exceed


def shares(members: Sequence[Member]) -> dict[str, float]:
    """Of each member, its share of the mean; they sum to 1."""
    kinds = [[v for v in members if v.between_channels == kind] for kind in (False, True)]
    parts = (TIME_SHARE, 1 - TIME_SHARE) if all(kinds) else (1.0, 1.0)
    return {
        member.name: part * member.weight / sum(v.weight for v in kind)
        for kind, part in zip(kinds, parts, strict=True)
        for member in kind
    }


def excess_shares(members: Sequence[Member]) -> dict[str, float]:
    """Of each member that counts once more by its excess, the weight of that excess."""
    between = [v for v in members if v.between_channels]
    if len(between) == len(members):
        return {}
    return {v.name: v.weight / sum(b.weight for b in between) for v in between}


def join(
    members: Sequence[Member],
    evidence: Mapping[str, tuple[np.ndarray, np.ndarray]],
    bar: Mapping[str, float],
) -> tuple[np.ndarray, np.ndarray]:
    """Joint evidence (T,) and its channels' parts (T, C), float64.

    members: those that serve, one at least. evidence: of each, evidence (T,) and parts (T, C).
    bar: of those that count by their excess.
    """
    score_T, part_TC = (np.zeros(found.shape) for found in evidence[members[0].name])
    for name, share in shares(members).items():
        score_T += share * evidence[name][0]
        part_TC += share * evidence[name][1]
    for name, share in excess_shares(members).items():
        evidence_T, own_TC = evidence[name]
        excess_T = np.maximum(evidence_T - bar[name], 0.0)
        score_T += share * excess_T
        # A bar below 0 must not make a channel's part larger than the member's own.
        spoken_T = np.clip(excess_T / np.maximum(evidence_T, 1e-12), 0.0, 1.0)
        part_TC += share * spoken_T[:, None] * own_TC
    return score_T, part_TC
