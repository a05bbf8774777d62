"""Two kinds of picture: the scores of a unit over time, and the channels blamed for each event.

Shape legend: T rows, C channels, N events.
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from amad.config import Fleet
from amad.config.number_text import short_day, utc
from amad.config.wording import count
from amad.detect.detector import Detector
from amad.detect.scorer import Scored, score_after
from amad.evaluation.canvas import ALARM, EVENT, OURS, PRIMARY_NAME, bare, figure_of, title
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.harness import Evaluation
from amad.evaluation.method_result import Finding
from amad.evaluation.units import StoredPart, Unit
from amad.windows.series import TEST, lead_of
from amad.windows.store import WindowStore

TOP_CHANNELS = 3  # shown under a timeline
MOST_EVENTS, MOST_CHANNELS = 30, 40  # in the heat map


def draw_timeline(
    unit: Unit,
    which: str,
    evaluation: Evaluation,
    detector: Detector,
    store: WindowStore,
    fleet: Fleet,
) -> Figure:
    """Draw score, threshold, alarms and events of one unit, and below the channels blamed most.

    which: ``best`` or ``worst``, for the title. The channels are in engineering units.
    """
    lead = lead_of(StoredPart.of(store, unit.vehicle, TEST))
    scored = score_after(detector.score, lead, unit.series)
    figure = figure_of(11, 6.4)
    panels = figure.subplots(
        1 + TOP_CHANNELS, 1, sharex=True, height_ratios=[2.2] + [1] * TOP_CHANNELS
    )
    _score_panel(panels[0], unit, scored)
    channels = _top_channels(unit, scored)
    value_TK = store.scaler.unscaled(unit.series, channels)
    value_TK[np.isinf(value_TK)] = np.nan  # codes that no train row had
    for axes, channel, value_T in zip(panels[1:], channels, value_TK.T, strict=False):
        _channel_panel(axes, unit, value_T, channel, fleet)
    for axes in panels:
        bare(axes)
        axes.set_xlim(-0.005 * unit.series.rows, 1.005 * unit.series.rows)
        for event in unit.truth:  # a short event is widened so that it can be seen
            width = max(event.last - event.first, unit.series.rows / 1000)
            axes.axvspan(event.first, event.first + width, color=EVENT, alpha=0.6, linewidth=0)
    _time_ticks(panels[-1], unit)
    figures = evaluation.results["amad"].per_unit[unit.name]
    found = sum(scored.alarm_T[e.first : e.last].any() for e in unit.truth)
    title(
        panels[0],
        f"The {which} {evaluation.metrics.unit}, {unit.name}: "
        f"{PRIMARY_NAME} {figures[PRIMARY]:.2f}, "
        f"{found} of {count(len(unit.truth), 'event')} found",
        "Shaded: true events. Red: alarms. Below: the channels blamed most."
        + (" Gaps in time are cut out." if len(unit.series.segments()) > 1 else ""),
    )
    return figure


def _score_panel(axes, unit: Unit, scored: Scored) -> None:
    row_T = np.arange(unit.series.rows)
    axes.plot(row_T, _broken(scored.score_T, unit), color=OURS, linewidth=0.9)
    axes.plot(row_T, scored.threshold_T, color=ALARM, linestyle="--", linewidth=1.1)
    alarms = np.flatnonzero(scored.alarm_T)
    axes.plot(alarms, scored.score_T[alarms], ".", color=ALARM, markersize=3)
    axes.set_ylabel("score", fontsize=9)
    axes.margins(y=0.09)  # leaves room for the word above the line
    axes.text(
        0.995, scored.threshold_T[-1], "threshold", color=ALARM, fontsize=8.5, ha="right",
        va="bottom", transform=axes.get_yaxis_transform(),
    )  # fmt: skip


def _channel_panel(axes, unit: Unit, value_T: np.ndarray, channel: int, fleet: Fleet) -> None:
    axes.plot(np.arange(len(value_T)), _broken(value_T, unit), color="#3f4b52", linewidth=0.8)
    entry = fleet.channels[channel]
    culprit = any(channel in e.channels for e in unit.events)
    text = f"{entry.title}{f' [{entry.unit}]' if entry.unit else ''}"
    axes.text(
        0.005, 1.0, text + ("  – to blame" if culprit else ""), transform=axes.transAxes,
        fontsize=9, va="bottom", fontweight="bold" if culprit else "normal",
    )  # fmt: skip


def _broken(value_T: np.ndarray, unit: Unit) -> np.ndarray:
    """The values (T,) with NaN at the first row of each segment, so that no line crosses a gap."""
    out = np.asarray(value_T, dtype=np.float64).copy()
    out[[first for first, _ in unit.series.segments()[1:]]] = np.nan
    return out


def _top_channels(unit: Unit, scored: Scored) -> list[int]:
    """The channels of the vehicle that are blamed most in its events and alarms."""
    blame_C = np.nan_to_num(scored.contribution_TC[unit.label_T | scored.alarm_T]).sum(axis=0)
    blame_C = np.where(unit.has_channel_C, blame_C, -1.0)
    order = np.argsort(-blame_C, kind="stable")[:TOP_CHANNELS]
    return [int(c) for c in order if unit.has_channel_C[c]]


def _time_ticks(axes, unit: Unit) -> None:
    rows = np.linspace(0, unit.series.rows - 1, 8).round().astype(int)
    stamps = [
        f"{short_day(at)}\n{at:%H:%M}" for at in map(utc, unit.series.timestamp_T[rows].tolist())
    ]
    axes.set_xticks(rows, stamps, fontsize=8.5)


def draw_attribution(findings: list[Finding], fleet: Fleet) -> Figure:
    """Draw a heat map of events and channels: the share of the blame, and the true culprits."""
    spread = np.unique(np.linspace(0, len(findings) - 1, MOST_EVENTS).round().astype(int))
    findings = [findings[i] for i in spread]
    blame_NC = np.ma.masked_invalid(np.stack([f.blame_C for f in findings]))
    share_NC = blame_NC / np.maximum(blame_NC.max(axis=1, keepdims=True), 1e-12)
    channels = np.arange(share_NC.shape[1])
    if len(channels) > MOST_CHANNELS:
        culprits = {c for f in findings for c in f.event.channels}
        weight_C = share_NC.max(axis=0).filled(0) + [c in culprits for c in channels]
        channels = np.sort(np.argsort(-weight_C, kind="stable")[:MOST_CHANNELS])
    figure = figure_of(max(8.5, 4 + 0.3 * len(channels)), max(3.4, 2.2 + 0.26 * len(findings)))
    axes = figure.subplots()
    colours = colormaps["Blues"].with_extremes(bad="#efefef")
    image = axes.imshow(share_NC[:, channels], cmap=colours, vmin=0, vmax=1, aspect="auto")
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
    title(
        axes,
        "Which channels are blamed for each event",
        f"Dark: blamed. {'Red circle: truly to blame' if known else 'True culprits: not known'}. "
        "* missed at the threshold. Grey: the vehicle has no such channel.",
    )
    return figure


def _event_name(finding: Finding) -> str:
    event = finding.event
    if event.type is None:
        at = utc(finding.start_us)
        text = f"{short_day(at)} {at:%H:%M}"
    else:
        strength = "" if event.strength is None else f" {event.strength:.1f}"
        text = event.type.replace("_", " ") + strength
    return f"{finding.unit}  {text}{'' if finding.found else ' *'}"
