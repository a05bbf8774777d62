"""The evaluation's pictures: PNG files by matplotlib's Agg, and the curve's CSV for DVC.

    write_plots(evaluation, detector, store, fleet, params, events, folder) -> list of files

precision_recall.png and .csv, methods.png, timeline_best.png and timeline_worst.png,
attribution.png; those that the fleet has nothing for are left out.

Shape legend: T rows, C channels, G points of the recall grid, N events.
"""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from amad.config import Fleet, Params
from amad.detect.detector import Detector, Scored
from amad.evaluation.harness import Evaluation
from amad.evaluation.tally import PRIMARY, RECALL_G, Finding
from amad.evaluation.units import Unit, units_of
from amad.telemetry.files import staged
from amad.windows.store import WindowStore

OURS, QUIET, FLOOR = "#0b6e99", "#7a8791", "#b9bfc4"
OTHERS = ("#c8553d", "#588157", "#8e6c8a", "#d4a017", "#3d5a80", "#6d6875")
EVENT, ALARM = "#f4c7ab", "#c8553d"
TOP_CHANNELS = 3  # under a timeline
MOST_EVENTS, MOST_CHANNELS = 30, 40  # in the heat map
METRIC_NAME = {"vus_pr": "VUS-PR", "auc_pr": "AUC-PR"}


def write_plots(
    evaluation: Evaluation,
    detector: Detector,
    store: WindowStore,
    fleet: Fleet,
    params: Params,
    events: pa.Table,
    folder: Path,
) -> list[Path]:
    """Draw everything there is something to draw for; returns the files written."""
    content = evaluation.metrics
    written = []
    if content["units"]:
        written += [
            _curve_table(evaluation, folder / "precision_recall.csv"),
            _save(_curves(evaluation), folder / "precision_recall.png"),
            _save(_methods(content), folder / "methods.png"),
        ]
        for which, unit in _best_and_worst(evaluation, store, fleet, events):
            figure = _timeline(unit, which, evaluation, detector, store, fleet)
            written.append(_save(figure, folder / f"timeline_{which}.png"))
    findings = [f for f in evaluation.tallies["amad"].known if f.event.channels]
    findings = findings or evaluation.tallies["amad"].truth
    if findings:
        written.append(_save(_attribution(findings, fleet), folder / "attribution.png"))
    return written


def _save(figure: Figure, path: Path) -> Path:
    with staged(path) as stage:
        figure.savefig(stage, format="png", dpi=110, metadata={"Software": None})
    return path


def _figure(width: float, height: float, **options) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", **options)
    FigureCanvasAgg(figure)
    return figure


def _bare(axes, grid: str | None = "y") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, color=QUIET)
    if grid:
        axes.grid(axis=grid, color="#e6e9eb", linewidth=0.8)
        axes.set_axisbelow(True)


def _title(axes, headline: str, detail: str) -> None:
    axes.set_title(headline, loc="left", fontsize=12, fontweight="bold", pad=22)
    axes.annotate(
        detail, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points",
        fontsize=9.5, color="#4a555c",
    )  # fmt: skip


def _mean_precision(evaluation: Evaluation, name: str) -> np.ndarray:
    return np.mean(evaluation.tallies[name].precision_G, axis=0)


def _curve_table(evaluation: Evaluation, path: Path) -> Path:
    with staged(path) as stage, stage.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "recall", "precision"])
        for name in evaluation.tallies:
            precision_G = _mean_precision(evaluation, name)
            writer.writerows(
                [name, f"{r:.2f}", f"{p:.6f}"] for r, p in zip(RECALL_G, precision_G, strict=True)
            )
    return path


def _colours(names: Iterable[str], content: dict) -> dict[str, str]:
    others = [n for n in names if n not in (content["detector"], content["floor"])]
    colours = {n: OTHERS[i % len(OTHERS)] for i, n in enumerate(others)}
    return {content["detector"]: OURS, content["floor"]: FLOOR, **colours}


def _curves(evaluation: Evaluation) -> Figure:
    content = evaluation.metrics
    figure = _figure(8, 5.2)
    axes = figure.subplots()
    _bare(axes, grid="both")
    colours = _colours(evaluation.tallies, content)
    order = sorted(evaluation.tallies, key=lambda n: -content["methods"][n]["mean"]["auc_pr"])
    for name in order:
        ours = name == content["detector"]
        mean = content["methods"][name]["mean"]["auc_pr"]
        axes.plot(
            RECALL_G,
            _mean_precision(evaluation, name),
            color=colours[name],
            linewidth=2.6 if ours else 1.5,
            linestyle="--" if name == content["floor"] else "-",
            zorder=3 if ours else 2,
            label=f"{name}  {mean:.2f}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="Recall of rows in events", ylabel="Precision")
    axes.legend(title="method, mean AUC-PR", frameon=False, fontsize=9, title_fontsize=9)
    units = _count(content["units"], content["unit"])
    _title(
        axes,
        "Precision at each share of the events' rows that is found",
        f"{content['fleet']}: mean over {units}; up and right is better, dashed is chance",
    )
    return figure


def _methods(content: dict) -> Figure:
    methods = content["methods"]
    order = sorted(methods, key=lambda name: methods[name]["mean"][PRIMARY])
    figure = _figure(8, 1.5 + 0.45 * len(order))
    axes = figure.subplots()
    _bare(axes, grid="x")
    colours = _colours(methods, content)
    for place, name in enumerate(order):
        mean = methods[name]["mean"][PRIMARY]
        low, high = methods[name]["interval"][PRIMARY]
        shade = colours[name] if name in (content["detector"], content["floor"]) else "#9db4c0"
        axes.barh(place, mean, color=shade, height=0.62)
        axes.plot([low, high], [place, place], color="#2b3338", linewidth=1.4)
        axes.text(high + 0.008, place, f"{mean:.3f}", va="center", fontsize=9)
    floor = methods[content["floor"]]["mean"][PRIMARY]
    axes.axvline(floor, color=QUIET, linestyle="--", linewidth=1.2)
    axes.set_yticks(range(len(order)), order)
    axes.get_yticklabels()[order.index(content["detector"])].set_fontweight("bold")
    axes.set_xlim(0, min(1.08, max(m["interval"][PRIMARY][1] for m in methods.values()) + 0.12))
    axes.set_xlabel(f"{METRIC_NAME[PRIMARY]}, buffer {content['buffer_rows']} rows")
    units = _count(content["units"], content["unit"])
    _title(
        axes,
        "Is the detector better than chance and than simple methods?",
        f"{content['fleet']}: mean over {units}, {content['confidence']:.0%} bootstrap interval; "
        "dashed is chance",
    )
    return figure


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _best_and_worst(
    evaluation: Evaluation, store: WindowStore, fleet: Fleet, events: pa.Table
) -> list[tuple[str, Unit]]:
    tally = evaluation.tallies["amad"]
    order = sorted(tally.per_unit, key=lambda unit: (tally.per_unit[unit][PRIMARY], unit))
    chosen = [("worst", order[0])] + ([("best", order[-1])] if len(order) > 1 else [])
    found = []
    for which, name in chosen:
        vehicle = tally.vehicle[name]
        units = units_of(store.scaled(vehicle), fleet, events, store.has_channel(vehicle))
        found.append((which, next(u for u in units if isinstance(u, Unit) and u.name == name)))
    return found


def _timeline(
    unit: Unit,
    which: str,
    evaluation: Evaluation,
    detector: Detector,
    store: WindowStore,
    fleet: Fleet,
) -> Figure:
    scored = detector.score(unit.series)
    row_T = np.arange(unit.series.rows)
    figure = _figure(11, 6.4)
    panels = figure.subplots(
        1 + TOP_CHANNELS, 1, sharex=True, height_ratios=[2.2] + [1] * TOP_CHANNELS
    )
    score_T = _broken(scored.score_T, unit)
    axes = panels[0]
    axes.plot(row_T, score_T, color=OURS, linewidth=0.9)
    axes.axhline(detector.threshold, color=ALARM, linestyle="--", linewidth=1.1)
    alarms = np.flatnonzero(scored.alarm_T)
    axes.plot(alarms, scored.score_T[alarms], ".", color=ALARM, markersize=3)
    axes.set_ylabel("score", fontsize=9)
    axes.text(
        0.995, detector.threshold, "threshold", color=ALARM, fontsize=8.5, ha="right", va="bottom",
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip
    mean_C, scale_C = store.scaler.figures(unit.vehicle, unit.series.vehicle_class)
    for axes, channel in zip(panels[1:], _top_channels(unit, scored), strict=False):
        value_T = unit.series.value_TC[:, channel] * scale_C[channel] + mean_C[channel]
        axes.plot(row_T, _broken(value_T, unit), color="#3f4b52", linewidth=0.8)
        entry = fleet.channels[channel]
        culprit = any(channel in e.channels for e in unit.events)
        text = f"{entry.title}{f' [{entry.unit}]' if entry.unit else ''}"
        axes.text(
            0.005, 1.0, text + ("  – to blame" if culprit else ""), transform=axes.transAxes,
            fontsize=9, va="bottom", fontweight="bold" if culprit else "normal",
        )  # fmt: skip
    for axes in panels:
        _bare(axes)
        axes.margins(x=0.005)
        for event in unit.truth:  # thin events stay visible: at least a thousandth of the width
            width = max(event.last - event.first, unit.series.rows / 1000)
            axes.axvspan(event.first, event.first + width, color=EVENT, alpha=0.6, linewidth=0)
    _time_ticks(panels[-1], unit)
    figures = evaluation.tallies["amad"].per_unit[unit.name]
    found = sum(scored.alarm_T[e.first : e.last].any() for e in unit.truth)
    _title(
        panels[0],
        f"The {which} {evaluation.metrics['unit']}, {unit.name}: "
        f"{METRIC_NAME[PRIMARY]} {figures[PRIMARY]:.2f}, "
        f"{found} of {_count(len(unit.truth), 'event')} found",
        "Shaded: true events. Red: alarms. Below: the channels blamed most."
        + (" Gaps in time are cut out." if len(unit.series.segments()) > 1 else ""),
    )
    return figure


def _broken(value_T: np.ndarray, unit: Unit) -> np.ndarray:
    """The values with NaN at the first row of each segment, so that no line crosses a gap."""
    out = np.asarray(value_T, dtype=np.float64).copy()
    out[[first for first, _ in unit.series.segments()[1:]]] = np.nan
    return out


def _top_channels(unit: Unit, scored: Scored) -> list[int]:
    """Blamed most in events and alarms, of the vehicle's own channels."""
    blame_C = np.nan_to_num(scored.part_TC[unit.label_T | scored.alarm_T]).sum(axis=0)
    blame_C = np.where(unit.has_channel_C, blame_C, -1.0)
    order = np.argsort(-blame_C, kind="stable")[:TOP_CHANNELS]
    return [int(c) for c in order if unit.has_channel_C[c]]


def _time_ticks(axes, unit: Unit) -> None:
    rows = np.linspace(0, unit.series.rows - 1, 8).round().astype(int)
    stamps = [
        datetime.fromtimestamp(unit.series.timestamp_T[row] / 1e6, UTC).strftime("%d %b\n%H:%M")
        for row in rows
    ]
    axes.set_xticks(rows, stamps, fontsize=8.5)


def _attribution(findings: list[Finding], fleet: Fleet) -> Figure:
    spread = np.unique(np.linspace(0, len(findings) - 1, MOST_EVENTS).round().astype(int))
    findings = [findings[i] for i in spread]
    blame_NC = np.stack([np.nan_to_num(f.blame_C) for f in findings])
    share_NC = blame_NC / np.maximum(blame_NC.max(axis=1, keepdims=True), 1e-12)
    channels = np.arange(share_NC.shape[1])
    if len(channels) > MOST_CHANNELS:
        culprits = {c for f in findings for c in f.event.channels}
        weight_C = share_NC.max(axis=0) + [c in culprits for c in channels]
        channels = np.sort(np.argsort(-weight_C, kind="stable")[:MOST_CHANNELS])
    figure = _figure(max(8.5, 4 + 0.3 * len(channels)), max(3.4, 2.2 + 0.26 * len(findings)))
    axes = figure.subplots()
    image = axes.imshow(share_NC[:, channels], cmap="Blues", vmin=0, vmax=1.0, aspect="auto")
    for place, finding in enumerate(findings):
        marks = [np.searchsorted(channels, c) for c in finding.event.channels if c in channels]
        axes.plot(
            marks, [place] * len(marks), "o", markersize=9, markerfacecolor="none",
            markeredgecolor=ALARM, markeredgewidth=1.5,
        )  # fmt: skip
    titles = [fleet.channels[c].title for c in channels]
    axes.set_xticks(range(len(channels)), titles, rotation=55, ha="right", fontsize=8.5)
    axes.set_yticks(range(len(findings)), [_event_name(f) for f in findings], fontsize=8.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.01)
    bar.set_label("evidence, against the channel blamed most", fontsize=9)
    bar.outline.set_visible(False)
    known = any(f.event.channels for f in findings)
    _title(
        axes,
        "Which channels are blamed for each event",
        "Dark: blamed. Red circle: truly to blame. * missed at the threshold."
        if known
        else "Dark: blamed. The true culprits are not known. * missed at the threshold.",
    )
    return figure


def _event_name(finding: Finding) -> str:
    event = finding.event
    if event.type is None:
        text = f"{datetime.fromtimestamp(finding.start_us / 1e6, UTC):%d %b %H:%M}"
    else:
        strength = "" if event.strength is None else f" {event.strength:.1f}"
        text = event.type.replace("_", " ") + strength
    return f"{finding.unit}  {text}{'' if finding.found else ' *'}"
