"""The model card: what a person must know before trusting a version, in Markdown.

Its first section, Promotion, is rewritten in the registry whenever the gate judges the version
again or its alias ``@champion`` moves.
"""

from collections.abc import Sequence

from amad.config import Fleet, Params
from amad.config.number_text import number, share, span
from amad.config.wording import count
from amad.detect.learnt_figures import SHORT_ROWS
from amad.detect.members.build import relation_left_out
from amad.engines.register.gate import Decision
from amad.engines.shared.train_result import TrainResult
from amad.evaluation.evaluation_metrics import EvaluationMetrics, OperatingFigures
from amad.telemetry.validation import Validation

PROMOTION = "## Promotion"
METRICS = ("vus_pr", "auc_pr", "vus_roc", "auc_roc", "event_f1", "range_f1", "best_f1")


def model_card(
    *,
    fleet: Fleet,
    params: Params,
    metrics: EvaluationMetrics,
    validation: Validation,
    data: dict,
    training: TrainResult,
    lineage: dict[str, str],
    decision: Decision,
) -> str:
    """Build the card from the artifacts of the stages.

    params: as trained, with the values that the sweep chose. data: {train_rows and long_rows of
    each vehicle} of the window store. lineage: the version's tags. decision: the gate's.

    What decides comes first, as the end of a long card is cut in the registry.
    """
    parts = [
        f"# AMAD detector of fleet `{fleet.name}`",
        _promotion(decision.reasons),
        _use(fleet),
        _data(fleet, data, validation, lineage),
        _training(params, training, metrics),
        _quality(metrics, params),
        _operating_point(metrics, params),
        _blind_spots(metrics),
        _limits(metrics, params, fleet),
        "## Lineage\n" + "\n".join(f"- {key}: `{value}`" for key, value in sorted(lineage.items())),
        _call(fleet),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _promotion(reasons: Sequence[str], standing: str = "") -> str:
    first = [standing, ""] if standing else []
    return "\n".join([PROMOTION, *first, *(f"- {reason}" for reason in reasons)]).rstrip()


def standing_of(card: str) -> str:
    """What a card says of where its version stands; empty for one that never was champion."""
    first = card.partition(f"{PROMOTION}\n")[2].partition("\n")[0]
    return "" if first.startswith("- ") else first


def with_promotion(card: str, reasons: Sequence[str], standing: str) -> str:
    """The card with another first section: what the gate found, and where the version stands."""
    title, _, rest = card.partition("\n\n")
    before, _, after = rest.partition(PROMOTION)
    sections = after.partition("\n## ")[1:]
    others = (before + "".join(sections)).strip()
    parts = (title, _promotion(reasons, standing), others)
    return "\n\n".join(part for part in parts if part) + "\n"


def _use(fleet: Fleet) -> str:
    channels = ", ".join(channel.title for channel in fleet.channels[:12])
    more = f" and {len(fleet.channels) - 12} more" if len(fleet.channels) > 12 else ""
    return (
        "## Intended use\n"
        f"{fleet.description.strip() or 'Telemetry of a fleet.'}\n\n"
        f"Finds unusual behaviour in {len(fleet.channels)} channels ({channels}{more}), one row "
        f"every {fleet.period_seconds:g} s, and names the channels to look at. It points a person "
        "at what to inspect; it is no safety function and gives no diagnosis."
    )


def _data(fleet: Fleet, data: dict, validation: Validation, lineage: dict[str, str]) -> str:
    failed = [check["check"] for check in validation.checks if check["failed"]]
    judged = "passed" if validation.ok else "failed"
    names = [item.name for item in fleet.vehicle_classes]
    classes = f"- vehicle classes: {', '.join(names)}\n" if len(names) > 1 else ""
    return (
        "## Data\n"
        f"- {lineage['data']} (on the grid); data hash `{lineage['data_hash']}`; detector digest "
        f"`{lineage['detector_digest']}`\n"
        f"{classes}"
        f"- {_histories(data['train_rows'], data['long_rows'])}\n"
        f"- validation {judged}: {validation.quarantined} of {validation.vehicle_days} "
        "vehicle-days quarantined, kept out of training, and out of scoring unless only single "
        "sensors failed" + (f" (checks: {', '.join(failed)})" if failed else "")
    )


def _histories(train_rows: Sequence[int], long_rows: Sequence[int]) -> str:
    """How many vehicles the detector knows, and how well.

    train_rows: of each vehicle. long_rows: from how many on it is known by them, see ``Scaler``.
    """
    unknown = sum(rows < SHORT_ROWS for rows in train_rows)
    short = sum(SHORT_ROWS <= rows < long for rows, long in zip(train_rows, long_rows, strict=True))
    least, most = min(long_rows), max(long_rows)
    long = f"{least:,} train rows"
    if most > least:
        long = f"the train rows that its class asks for ({least:,} to {most:,})"
    if not unknown and not short:
        return f"histories: each vehicle has at least {long} and is known by them"
    groups = ((short, long, "in part by their class"),
              (unknown, SHORT_ROWS, "by their class alone"))  # fmt: skip
    told = [f"{n} with fewer than {rows} are judged {how}" for n, rows, how in groups if n]
    return f"histories: of {count(len(train_rows), 'vehicle')}, {', and '.join(told)}"


def _training(params: Params, training: TrainResult, metrics: EvaluationMetrics) -> str:
    model, mask, loss = params.model, params.mask, params.loss
    first, last = (training.epochs[i] if training.epochs else {} for i in (0, -1))
    shown = [
        f"{name} {first[key]:.4g} after the first epoch, {last[key]:.4g} after the last"
        for key, name in (
            ("loss", "loss"),
            ("validation", "hidden-position error on hold-out rows"),
        )
        if key in last
    ]
    return (
        "## Training\n"
        f"- members {', '.join(params.detect.members)}; network: window {model.window}, width "
        f"{model.width}, {model.layers} layers, {model.heads} heads\n"
        f"- mask {mask.family} at {mask.ratio:.2g}, contrast {loss.contrast:.2g} at temperature "
        f"{loss.temperature:.2g}, Max-Min {loss.maxmin:.2g}; "
        f"{count(params.train.epochs, 'epoch')} of "
        f"{training.epoch_windows:,} of {training.train_windows:,} windows, seed {params.seed}"
        + (f"\n- {'; '.join(shown)}" if shown else "")
        + (f"\n- {metrics.vote.sentence}" if metrics.vote else "")
    )


def _quality(metrics: EvaluationMetrics, params: Params) -> str:
    methods = metrics.methods
    columns = [name for name in METRICS if name in metrics.ours.mean]
    if not columns:
        reasons = [f"- {unit}: {why}" for unit, why in sorted(metrics.unscorable.items())]
        said = f"## Quality\nNo {metrics.unit} of the test part can be judged:"
        return "\n".join([said, *reasons])
    lines = [
        "## Quality",
        f"Means over {metrics.units_text} of the test part, fitted on train rows alone; the first "
        f"with a {params.evaluate.confidence:.0%} bootstrap interval. 1 is perfect; "
        f"`{metrics.floor}` is the floor: random scores under the same rule.",
        "",
        "| method | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name in sorted(methods, key=lambda name: -methods[name].mean[columns[0]]):
        cells = [f"{methods[name].mean[metric]:.3f}" for metric in columns]
        cells[0] += " [{:.3f}, {:.3f}]".format(*methods[name].interval[columns[0]])
        bold = "**" if name == metrics.detector else ""
        lines.append(f"| {bold}{name}{bold} | " + " | ".join(cells) + " |")
    if metrics.unscorable:
        lines.append(f"\nNot scorable: {', '.join(sorted(metrics.unscorable))}.")
    return "\n".join(lines)


def _operating_point(metrics: EvaluationMetrics, params: Params) -> str:
    return (
        "## Operating point\n"
        f"The threshold is chosen on calibration rows for {params.detect.alarm_budget:g} incidents "
        "per vehicle-day on normal rows, and follows each vehicle's ordinary scores from there.\n"
        + "\n".join([*_found(metrics.operating_point), *_false_alarms(metrics)])
    ).rstrip()


def _found(point: OperatingFigures) -> list[str]:
    """What it finds with its threshold, and how soon."""
    lines = []
    if point.events:
        found = f"- known events found: {point.events_found} of {point.events}"
        if point.chance_recall is not None:
            by_chance = number(point.chance_recall * point.events, 2)
            found += f"; as many alarms at random times would find {by_chance}"
        lines.append(found)
    if point.median_delay_rows is not None and point.median_delay_seconds is not None:
        soon = "with their first row"
        if rows := round(point.median_delay_rows):
            after = _time(point.median_delay_seconds)
            soon = f"within {count(rows, 'row')} of their first one ({after})"
        lines.append(f"- half of those found are found {soon}")
    if point.lookahead_seconds:
        ahead = _time(point.lookahead_seconds)
        lines.append(
            "- these figures, and those of Quality, are of the offline form: the test part is "
            f"scored as one series, and a score depends on up to {ahead} after its row. A "
            f"scheduled job scores each date by itself and waits for nothing: the last {ahead} of "
            "a date see less and mostly score lower, so it may find fewer events, or find them "
            "later. With detect.smoothing: trailing both see the same"
        )
    return lines


def _time(seconds: float) -> str:
    return span(round(seconds * 1_000_000))


def _false_alarms(metrics: EvaluationMetrics) -> list[str]:
    """What the normal rows of the test part had, where there are any."""
    normal = metrics.operating_point.normal_test
    if normal.interval is None:
        return []
    low, high = normal.interval
    return [
        f"- incidents per vehicle-day on normal test rows: {normal.incidents_per_vehicle_day:.3g} "
        f"[{low:.2g}, {high:.2g}], {normal.incidents} in {normal.vehicle_days:.3g} vehicle-days",
        f"- share of normal test rows in alarm: {share(normal.alarm_share)}",
    ]


def _blind_spots(metrics: EvaluationMetrics) -> str:
    """The types of faults that it misses more often than not, the worst first."""
    point = metrics.operating_point
    if not metrics.by_fault:
        told = "the test part holds no known event"
        if point.events:
            missing = point.events - point.events_found
            known = count(point.events, "known event")
            form = " in the offline form" if point.lookahead_seconds else ""
            told = f"{missing} of {known} are missed{form}; their types are not known"
            told = told if missing else f"none of {known} is missed{form}"
        return f"## Blind spots\n- {told}"
    missed = {fault: found for fault, found in metrics.by_fault.items() if found.blind}
    lines = [
        f"- `{fault}`: {found.events_found} of {count(found.events, 'known fault')} found"
        for fault, found in sorted(missed.items(), key=lambda item: item[1].event_recall or 0.0)
    ]
    seen = sorted(set(metrics.by_fault) - set(missed))
    if seen:
        lines.append(f"- at least half are found of: {', '.join(f'`{fault}`' for fault in seen)}")
    return "\n".join(["## Blind spots", *lines])


def _limits(metrics: EvaluationMetrics, params: Params, fleet: Fleet) -> str:
    lines = [
        "## Limits",
        f"- channels and units as in conf/fleet/{fleet.name}.yaml; a fleet file that lacks one of "
        "them is refused, and one that has more is scored without those",
        f"- segments shorter than {fleet.missing.min_segment_rows} rows get no score; a vehicle "
        "never seen is scored with the figures of its class",
        "- the score says how unusual, not how dangerous; what was usual in training is normal to "
        "it, faults included",
    ]
    if left_out := relation_left_out(params.detect, fleet):
        lines.append(f"- {left_out}")
    if metrics.share_of_amad:
        votes = metrics.with_network == metrics.detector
        lines.append(_share(*metrics.share_of_amad[METRICS[0]], votes=votes))
    if fleet.labels.kind == "injected":
        lines.append("- measured on injected faults: real ones may look different")
    return "\n".join(lines)


def _call(fleet: Fleet) -> str:
    """What a frame may hold: the signature names the columns, and leaves their types open."""
    classes = {item.name for item in fleet.vehicle_classes}
    lines = []
    for channel in fleet.channels:
        unit = f" in {channel.unit}" if channel.unit else ""
        range_ = "" if channel.range is None else ", {:g} to {:g}".format(*channel.range)
        own = set(channel.classes or classes)
        of = "" if own == classes else f", only of class {', '.join(sorted(own))}"
        lines.append(f"- `{channel.name}`{unit}{range_}{of}")
    return (
        "## Calling it\n"
        "`mlflow.pyfunc.load_model(uri).predict(frame)` answers with a row for each row, in the "
        "frame's order and with its index; `status` and `message` tell what was wrong with one.\n"
        "- `vehicle`: text or a number\n"
        "- `timestamp`: with a zone, without one (UTC), or ISO 8601 text; once per vehicle\n"
        + "\n".join(lines)
        + "\n\nA channel is a number, a boolean or null; a column that the vehicle's class lacks "
        "may be left out. Give `context_rows` (in the metadata) rows before those to be scored."
    )


def _share(mean: float, low: float, high: float, *, votes: bool) -> str:
    """What the network adds to the closed-form members by labels, which decide nothing."""
    figures = f"{mean:+.3f} [{low:+.3f}, {high:+.3f}] {METRICS[0]}"
    found = "adds to" if low > 0 else "is not proven to add to"
    end = "it votes" if votes else "it has no vote"
    return f"- on the test part the network {found} the closed-form members: {figures}; {end}"
