"""Events of a known type: does the severity follow their strength, and is their type guessed?"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from amad.evaluation.evaluation_metrics import GuessedTypes, SeverityOrder
from amad.evaluation.method_result import Finding
from amad.incidents.shapes import RIGHT

LEAST_EVENTS = 3  # of a type, for an order


def by_type(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """The findings of events with a known type, by type."""
    faults = sorted({f.event.type for f in findings if f.event.type})
    return {fault: [f for f in findings if f.event.type == fault] for fault in faults}


def severity_order(typed: Mapping[str, Sequence[Finding]]) -> SeverityOrder:
    """Kendall's tau-b of strength and severity within each type, and their mean by events.

    Strengths of different types are not comparable, so no tau is taken across types.
    """
    graded = {
        fault: [f for f in found if f.event.strength is not None] for fault, found in typed.items()
    }
    taus, events = _orders(graded, lambda f: f.severity)
    if not taus:
        return SeverityOrder()
    found = {fault: [f for f in own if f.severity > 0] for fault, own in graded.items()}
    ideal, _ = _orders(graded, lambda f: (f.event.strength or 0.0) if f.severity > 0 else 0.0)
    return SeverityOrder(
        tau_b=_mean(taus, events),
        tau_b_found=_mean(*_orders(found, lambda f: f.severity)),
        best_possible=_mean(ideal, events),
        by_type=taus,
        events=events,
    )


def guessed_types(typed: Mapping[str, Sequence[Finding]]) -> GuessedTypes:
    """How the types guessed for events that an incident touches agree with the true ones."""
    confusion = {
        fault: dict(sorted(Counter(f.guessed for f in own if f.guessed).items()))
        for fault, own in typed.items()
        if fault in RIGHT and any(f.guessed for f in own)
    }
    recall = {
        fault: sum(n for guess, n in guesses.items() if guess in RIGHT[fault])
        / sum(guesses.values())
        for fault, guesses in confusion.items()
    }
    mean = float(np.mean(list(recall.values()))) if recall else None
    return GuessedTypes(mean_recall=mean, recall=recall, confusion=confusion)


def _orders(
    graded: Mapping[str, Sequence[Finding]], size: Callable[[Finding], float]
) -> tuple[dict[str, float], dict[str, int]]:
    """The tau-b of each type with enough events, and how many it has."""
    from scipy.stats import kendalltau

    taus, events = {}, {}
    for fault, own in graded.items():
        if len(own) >= LEAST_EVENTS:
            found = kendalltau([f.event.strength for f in own], [size(f) for f in own])
            if np.isfinite(found.statistic):
                taus[fault], events[fault] = float(found.statistic), len(own)
    return taus, events


def _mean(taus: Mapping[str, float], events: Mapping[str, int]) -> float | None:
    if not taus:
        return None
    return float(np.average(list(taus.values()), weights=[events[fault] for fault in taus]))
