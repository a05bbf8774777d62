"""Root cause: where a relation between channels broke, which other channel it was with.

The ``relation`` member predicts a channel c as a sum over the other channels j of g_j, their
values in the rows around, times coefficients. Where c no longer follows j, the prediction still
does, so the error e moves against g_j. As e is what was measured less the sum of the g_j,

    <e, e> = <e, measured> - sum over j of <e, g_j>      all without their mean

and -<e, g_j> / <e, e> is j's part of the error's energy. The partner is the channel with the
largest part. Products of channels are left out, because they belong to two channels at once.

There is a partner only where the relation broke: for that channel no member over time finds these
rows stranger than the ``relation`` member does.

Shape legend: R rows of the incident, C channels, N near offsets.
"""

import numpy as np

from amad.detect.detector import Detector
from amad.detect.members.relation import RelationMember
from amad.detect.scorer import Scorer
from amad.incidents.deviations import Deviations
from amad.windows.series import Series

LEAST_PART = 0.1  # of the error's energy
LEAST_ROWS = 5  # rows with an error


def partner_of(
    scorer: Scorer, deviations: Deviations, first: int, last: int, channel: int
) -> int | None:
    """The channel whose relation to ``channel`` broke in rows ``first`` to ``last``, or None."""
    if not isinstance(scorer, Detector):
        return None
    member = next((m for m in scorer.members if isinstance(m, RelationMember)), None)
    if member is None or member.name not in deviations.members:
        return None
    by_member = deviations.strangeness_by_member(first, last)
    if by_member[member.name][channel] < max(found[channel] for found in by_member.values()):
        return None
    error_R = deviations.rows(member.name, first, last)[:, channel].astype(np.float64)
    known = np.flatnonzero(np.isfinite(error_R))
    if len(known) < LEAST_ROWS:
        return None
    error_R = error_R[known] - error_R[known].mean()
    energy = float(np.square(error_R).sum())
    peer_NCC = member.coefficients[scorer.owner_of(deviations.series)]["peer"]
    added_RC = added_by(member, peer_NCC, deviations.series, first + known, channel)
    part_C = -(error_R @ (added_RC - added_RC.mean(axis=0)))
    best = int(part_C.argmax())
    return best if energy > 0 and part_C[best] >= LEAST_PART * energy else None


def added_by(
    member: RelationMember, peer_NCC: np.ndarray, series: Series, rows_R: np.ndarray, channel: int
) -> np.ndarray:
    """What each channel adds to the prediction of ``channel`` in some rows, (R, C) float64."""
    offsets = member.near if len(peer_NCC) == len(member.near) else (0,)
    added_RC = np.zeros((len(rows_R), series.value_TC.shape[1]))
    for offset, peer_CC in zip(offsets, peer_NCC, strict=True):
        rows = np.clip(rows_R - offset, 0, series.rows - 1)
        added_RC += np.clip(series.value_TC[rows], -member.LIMIT, member.LIMIT) * peer_CC[channel]
    return added_RC
