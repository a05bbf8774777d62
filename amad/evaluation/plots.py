"""The pictures of an evaluation as PNG files, and its curves as CSV.

``write_plots`` writes precision_recall.png, precision_recall.csv, methods.png, timeline_best.png,
timeline_worst.png and attribution.png.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from matplotlib.figure import Figure

from amad.config import Fleet
from amad.detect.detector import Detector
from amad.evaluation.canvas import (
    FLOOR,
    OURS,
    PRIMARY_NAME,
    QUIET,
    bare,
    figure_of,
    save,
    title,
)
from amad.evaluation.evaluation_metrics import PRIMARY, EvaluationMetrics
from amad.evaluation.harness import Evaluation
from amad.evaluation.method_result import RECALL_G
from amad.evaluation.timelines import draw_attribution, draw_timeline
from amad.evaluation.units import StoredPart, Unit, units_of
from amad.telemetry.files import staged
from amad.windows.series import TEST
from amad.windows.store import WindowStore

OTHERS = ("#c8553d", "#588157", "#8e6c8a", "#d4a017", "#3d5a80", "#6d6875")


def write_plots(
    evaluation: Evaluation,
    detector: Detector,
    store: WindowStore,
    fleet: Fleet,
    events: pa.Table,
    folder: Path,
) -> None:
    """Write the pictures, without those for which the evaluation has no figures."""
    content = evaluation.metrics
    if content.units:
        _write_curves(evaluation, folder / "precision_recall.csv")
        save(_curves(evaluation), folder / "precision_recall.png")
        save(_methods(content), folder / "methods.png")
        for which, unit in _best_and_worst(evaluation, store, fleet, events):
            figure = draw_timeline(unit, which, evaluation, detector, store, fleet)
            save(figure, folder / f"timeline_{which}.png")
    findings = [f for f in evaluation.results["amad"].known if f.event.channels]
    findings = findings or evaluation.results["amad"].truth
    if findings:
        save(draw_attribution(findings, fleet), folder / "attribution.png")


def _write_curves(evaluation: Evaluation, path: Path) -> None:
    with staged(path) as stage, stage.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "recall", "precision"])
        for name, result in evaluation.results.items():
            writer.writerows([name, *point] for point in result.curve)


def _colours(names: Iterable[str], content: EvaluationMetrics) -> dict[str, str]:
    others = [n for n in names if n not in (content.detector, content.floor)]
    colours = {n: OTHERS[i % len(OTHERS)] for i, n in enumerate(others)}
    return {content.detector: OURS, content.floor: FLOOR, **colours}


def _curves(evaluation: Evaluation) -> Figure:
    content = evaluation.metrics
    figure = figure_of(8, 5.2)
    axes = figure.subplots()
    bare(axes, grid="both")
    colours = _colours(evaluation.results, content)
    order = sorted(evaluation.results, key=lambda n: -content.methods[n].mean["auc_pr"])
    for name in order:
        ours = name == content.detector
        mean = content.methods[name].mean["auc_pr"]
        axes.plot(
            RECALL_G,
            evaluation.results[name].mean_precision_G,
            color=colours[name],
            linewidth=2.6 if ours else 1.5,
            linestyle="--" if name == content.floor else "-",
            zorder=3 if ours else 2,
            label=f"{name}  {mean:.2f}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall of rows in events", ylabel="Precision")
    axes.legend(title="method, mean AUC-PR", frameon=False, fontsize=9, title_fontsize=9)
    title(
        axes,
        "Precision at each share of the events' rows that is found",
        f"{content.fleet}: mean over {content.units_text}; up and right is better, "
        "dashed is chance",
    )
    return figure


def _methods(content: EvaluationMetrics) -> Figure:
    methods = content.methods
    order = sorted(methods, key=lambda name: methods[name].mean[PRIMARY])
    figure = figure_of(8, 1.5 + 0.45 * len(order))
    axes = figure.subplots()
    bare(axes, grid="x")
    colours = _colours(methods, content)
    for place, name in enumerate(order):
        mean = methods[name].mean[PRIMARY]
        low, high = methods[name].interval[PRIMARY]
        shade = colours[name] if name in (content.detector, content.floor) else "#9db4c0"
        axes.barh(place, mean, color=shade, height=0.62)
        axes.plot([low, high], [place, place], color="#2b3338", linewidth=1.4)
        axes.text(high + 0.008, place, f"{mean:.3f}", va="center", fontsize=9)
    floor = methods[content.floor].mean[PRIMARY]
    axes.axvline(floor, color=QUIET, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(order)), order)
    axes.get_yticklabels()[order.index(content.detector)].set_fontweight("bold")
    axes.set_xlim(0, min(1.08, max(m.interval[PRIMARY][1] for m in methods.values()) + 0.12))
    axes.set_xlabel(f"{PRIMARY_NAME}, buffer {content.buffer_rows} rows")
    title(
        axes,
        "Is the detector better than chance and than simple methods?",
        f"{content.fleet}: mean over {content.units_text}, {content.confidence:.0%} bootstrap "
        "interval; dashed is chance",
    )
    return figure


def _best_and_worst(
    evaluation: Evaluation, store: WindowStore, fleet: Fleet, events: pa.Table
) -> Iterator[tuple[str, Unit]]:
    result = evaluation.results["amad"]
    order = sorted(result.per_unit, key=lambda unit: (result.per_unit[unit][PRIMARY], unit))
    chosen = [("worst", order[0])] + ([("best", order[-1])] if len(order) > 1 else [])
    for which, name in chosen:
        vehicle = result.vehicle[name]
        part = StoredPart.of(store, vehicle, TEST)
        test = part.labelled(0, part.rows)
        units, _ = units_of(test, fleet, events, store.has_channel(vehicle))
        yield which, next(unit for unit in units if unit.name == name)
