"""Metrics of scores: each takes ``(label, score)`` and gives a float or an array.

They need numpy and scipy alone. Every metric of a score depends on its order alone: a strictly
increasing map changes nothing. Rows are in time order; ``label`` is 1 in an event. Labels of one
class only, or scores that are not finite, raise ``ValueError("unscorable: ...")`` in every metric,
see ``scorable``. The definitions are in docs/explanation/evaluation.md.
"""

from amad.metrics.affiliation import affiliation_f1
from amad.metrics.arrays import events_of
from amad.metrics.curves import auc_pr, auc_roc, best_f1, precision_recall
from amad.metrics.localisation import hit_rate_at, ndcg_at
from amad.metrics.ranges import (
    event_f1,
    pa_k_curve,
    point_adjusted_f1,
    range_f1,
)
from amad.metrics.statistics import (
    bootstrap_mean,
    bootstrap_mean_of_groups,
    bootstrap_nested_mean,
    paired_bootstrap,
    shared_values,
)
from amad.metrics.volume import vus

__all__ = [
    "affiliation_f1", "auc_pr", "auc_roc", "best_f1", "bootstrap_mean",
    "bootstrap_mean_of_groups", "bootstrap_nested_mean", "event_f1", "events_of",
    "hit_rate_at", "ndcg_at", "pa_k_curve", "paired_bootstrap",
    "point_adjusted_f1", "precision_recall", "range_f1",
    "shared_values", "vus",
]  # fmt: skip
