"""What DVC shows of an evaluation: ten figures that a person compares, and one curve.

docs/explanation/dvc.md shows them in use.
"""

import csv
from pathlib import Path

from amad.evaluation.evaluation_metrics import PRIMARY, EvaluationMetrics
from amad.evaluation.harness import Evaluation
from amad.telemetry.files import staged

DIGITS = 4  # fewer than in metrics.json, so that rounding on another machine shows no difference


def headline(metrics: EvaluationMetrics) -> dict[str, float | None]:
    """The ten figures of the detector, None where unknown.

    Shares and areas are between 0 and 1; delays are seconds.
    """
    ours, point = metrics.ours, metrics.operating_point
    best = metrics.methods[metrics.best_baseline] if metrics.best_baseline else None
    low, high = ours.interval.get(PRIMARY, (None, None))
    figures = {
        PRIMARY: ours.mean.get(PRIMARY),
        f"{PRIMARY}_low": low,
        f"{PRIMARY}_high": high,
        f"{PRIMARY}_of_chance": metrics.methods[metrics.floor].mean.get(PRIMARY),
        f"{PRIMARY}_of_best_baseline": best.mean.get(PRIMARY) if best else None,
        "auc_pr": ours.mean.get("auc_pr"),
        "event_f1": ours.mean.get("event_f1"),
        "event_recall": point.event_recall,
        "incidents_per_vehicle_day": point.normal_test.incidents_per_vehicle_day,
        "median_delay_seconds": point.median_delay_seconds,
    }
    return {key: None if value is None else round(value, DIGITS) for key, value in figures.items()}


def write_curve(evaluation: Evaluation, path: Path) -> None:
    """Recall and precision of the detector as CSV, averaged over units; no rows without units."""
    result = evaluation.results[evaluation.metrics.detector]
    with staged(path) as stage, stage.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["recall", "precision"])
        if evaluation.metrics.units:
            writer.writerows(result.curve)
