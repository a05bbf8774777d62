"""Metrics of attribution: were the channels to blame named first?

Shape legend: E events, C channels. A one-dimensional input is one event.
Source: Su et al., "OmniAnomaly", KDD 2019 (HitRate@P%); Tuli et al., "TranAD", VLDB 2022 (NDCG@P%).
"""

import numpy as np


def hit_rate_at(label, score, share: float = 1.0) -> float:
    """Share of the culprits among the ``share`` x (number of culprits) channels blamed most.

    Args:
        label: (C,) or (E, C), 1 where a channel is to blame; each event has at least one.
        score: as label, the attribution; the higher the more to blame. Ties: channel order.
        share: 1.0 for HitRate@100 %, 1.5 for HitRate@150 %.

    Returns:
        The mean over events, in [0, 1].

    Raises:
        ValueError: shapes differ, an event has no culprit, or an attribution is not finite.
    """
    hit_EC, kept_EC, culprits_E = _ranked_hits(label, score, share)
    return float(np.mean((hit_EC & kept_EC).sum(axis=1) / culprits_E))


def ndcg_at(label, score, share: float = 1.0) -> float:
    """Normalised discounted cumulative gain of the culprits, binary gains, cut as HitRate's.

    Arguments, return value and errors as for ``hit_rate_at``.
    """
    hit_EC, kept_EC, culprits_E = _ranked_hits(label, score, share)
    discount_C = 1 / np.log2(np.arange(hit_EC.shape[1]) + 2)
    gain_E = ((hit_EC & kept_EC) * discount_C).sum(axis=1)
    ideal_EC = (np.arange(hit_EC.shape[1]) < culprits_E[:, None]) & kept_EC
    return float(np.mean(gain_E / (ideal_EC * discount_C).sum(axis=1)))


def _ranked_hits(label, score, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Culprits in the order of blame (E, C), the places that count (E, C), culprits (E,)."""
    label_EC = np.atleast_2d(np.asarray(label) > 0)
    score_EC = np.atleast_2d(np.asarray(score, dtype=np.float64))
    if label_EC.shape != score_EC.shape:
        raise ValueError(f"label {label_EC.shape} and score {score_EC.shape} must have one shape")
    culprits_E = label_EC.sum(axis=1)
    if not len(culprits_E) or culprits_E.min() == 0:
        raise ValueError("unscorable: every event needs at least one channel to blame")
    if not np.isfinite(score_EC).all():
        raise ValueError("unscorable: attributions must be finite")
    order_EC = np.argsort(-score_EC, axis=1, kind="stable")
    kept_E = np.maximum(np.round(share * culprits_E), 1)
    kept_EC = np.arange(label_EC.shape[1]) < kept_E[:, None]
    return np.take_along_axis(label_EC, order_EC, axis=1), kept_EC, culprits_E
