"""Which channels are to blame for some rows: one ranking for incidents, events and reports.

Each channel gets a share of the blame that is in proportion to the square of the logarithm of its
strangeness (``amad.incidents.deviations``), and next to none if its errors are as usual. The
logarithm bounds each channel, so that one broken sensor does not hide the others. A channel that
never moved in the train rows has no tolerance; if it moved, it keeps its share of the evidence.

Shape legend: A alarm rows, C channels.
"""

import numpy as np

from amad.detect.detector import Detector
from amad.detect.scorer import Scored, Scorer
from amad.incidents.deviations import Deviations
from amad.windows.series import Series

TOP_CHANNELS = 5
LEAST_SHARE = 1e-3  # with less a channel is not named
TIES = 1e-6  # puts channels whose errors are as usual in an order, for evaluation alone


def blame_shares(
    scorer: Scorer,
    scored: Scored,
    series: Series,
    deviations: Deviations,
    first: int,
    last: int,
) -> np.ndarray:
    """Each channel's share of the blame for rows ``first`` to ``last``, (C,), summing to 1 or 0.

    For a method without members they are the shares of the evidence, of the alarm rows if any.
    """
    alarm_T = scored.alarm_T[first:last]
    counted_T = alarm_T if alarm_T.any() else np.ones(last - first, bool)
    contribution_TC = np.nan_to_num(scored.contribution_TC[first:last][counted_T])
    evidence_C = _shares(contribution_TC.sum(axis=0, dtype=np.float64))
    if not isinstance(scorer, Detector):
        return evidence_C
    strange_C = deviations.strangeness(first, last)
    strange_C[~scorer.present(series)] = 0.0
    if strange_C.max(initial=0.0) <= 1.0:
        return evidence_C
    strange_C = np.square(np.log(np.maximum(strange_C, 1.0))) + TIES * np.minimum(strange_C, 1.0)
    share_C = _shares(strange_C)
    moved = list(scorer.figures[scorer.owner_of(series)].constant)
    share_C[moved] = 0.0
    share_C *= 1.0 - evidence_C[moved].sum()
    share_C[moved] = evidence_C[moved]
    return share_C


def blamed(share_C: np.ndarray) -> list[int]:
    """The channels to blame, at most ``TOP_CHANNELS``, the largest share first."""
    order = np.argsort(-share_C, kind="stable")[:TOP_CHANNELS]
    return [int(c) for c in order if share_C[c] >= LEAST_SHARE]


def _shares(weight_C: np.ndarray) -> np.ndarray:
    weight_C = weight_C.astype(np.float64)
    return weight_C / max(float(weight_C.sum()), 1e-30)
