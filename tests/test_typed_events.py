"""Severity against strength, and guessed against true types, by hand."""

import numpy as np
import pytest

from amad.evaluation.method_result import Finding
from amad.evaluation.typed_events import by_type, guessed_types, severity_order
from amad.evaluation.units import Event


def found(kind: str | None, strength: float | None, severity: float, guessed: str = "") -> Finding:
    event = Event(first=0, last=1, type=kind, strength=strength)
    return Finding(
        unit="car-1", event=event, start_us=0, found=severity > 0, delay_seconds=0.0,
        severity=severity, guessed=guessed, blame_C=np.ones(1),
    )  # fmt: skip


def test_missed_faults_bound_the_order_that_a_severity_can_have() -> None:
    order = severity_order(by_type([
        found("drift", 1, 0), found("drift", 2, 0), found("drift", 3, 20), found("drift", 4, 10),
        found("drift", 5, 30),
    ]))  # fmt: skip
    assert order.tau_b_found == pytest.approx(1 / 3)
    assert order.best_possible == pytest.approx(9 / np.sqrt(9 * 10))
    assert order.tau_b == pytest.approx(7 / np.sqrt(9 * 10))
    assert order.by_type == {"drift": order.tau_b} and order.events == {"drift": 5}


def test_types_without_an_order_count_for_none() -> None:
    few = [found("spike", 1, 5), found("spike", 2, 6), found(None, 3, 7), found("drift", None, 8)]
    order = severity_order(by_type(few))
    assert order.tau_b is order.tau_b_found is order.best_possible is None
    missed = [found("spike", s, 0) for s in (1.0, 2.0, 3.0)]
    assert severity_order(by_type(missed)).tau_b is None


def test_the_confusion_table_counts_events_that_an_incident_touches() -> None:
    delays = [found("delay", 1, 5, guess) for guess in ("delay", "relation", "drift")]
    missed = [found("delay", 1, 0), found("spike", 1, 0)]
    others = [found("spike", 1, 5, "spike"), found("overheating", 1, 5, "drift")]
    types = guessed_types(by_type([*delays, *missed, *others]))
    assert types.confusion == {
        "delay": {"delay": 1, "drift": 1, "relation": 1},
        "spike": {"spike": 1},
    }
    assert types.recall == pytest.approx({"delay": 2 / 3, "spike": 1})
    assert types.mean_recall == pytest.approx(5 / 6)
    assert guessed_types({}).mean_recall is None
