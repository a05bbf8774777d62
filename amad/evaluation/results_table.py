"""The results of an evaluation on the console: a table of methods, and what was promised."""

from rich.console import Console
from rich.table import Table

from amad.config.console import say
from amad.evaluation.evaluation_metrics import PRIMARY, EvaluationMetrics

SHOWN = (PRIMARY, "auc_pr", "vus_roc", "event_f1", "affiliation_f1")


def show_results(metrics: EvaluationMetrics) -> None:
    """Print the means of all methods, best first, and what the detector does at its threshold."""
    if metrics.units:
        table = Table("method", title=f"{metrics.fleet}: mean over {metrics.units_text}")
        for metric in SHOWN:
            table.add_column(metric, justify="right")
        for name, own in sorted(metrics.methods.items(), key=lambda item: -item[1].mean[PRIMARY]):
            style = "bold" if name == metrics.detector else None
            table.add_row(name, *(f"{own.mean[metric]:.3f}" for metric in SHOWN), style=style)
        Console(stderr=True).print(table)
    else:
        say(f"No {metrics.unit} of fleet {metrics.fleet} can be judged:")
    for unit, reason in metrics.unscorable.items():
        say(f"  {unit}: {reason}")
    point = metrics.operating_point
    achieved = point.normal_test.incidents_per_vehicle_day
    text = f"Incidents per vehicle-day: {point.alarm_budget:g} promised"
    if achieved is not None and point.normal_test.interval is not None:
        low, high = point.normal_test.interval
        text += f", {achieved:.2f} [{low:.2f}, {high:.2f}] on normal rows of the test part"
    if point.events:
        text += f"; {point.events_found} of {point.events} events found"
    say(text)
