"""Can the page be trusted: the model's measured quality, the data's verdict, what was scored."""

from dataclasses import dataclass

from amad.config import Fleet, Settings
from amad.metrics import paired_bootstrap
from amad.report import text
from amad.report.sources import Coverage, Incident, ScoringRun, read_json

METRIC = "vus_pr"
RESAMPLES, CONFIDENCE = 2000, 0.95
SAID = {
    "good": "clearly above chance",
    "fair": "above chance, below a simple detector",
    "poor": "not shown to beat chance",
}


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A method's figure with its interval, on a scale from 0 to 100."""

    name: str
    value: str
    at: float
    low: float
    high: float
    kind: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """One answer: a verdict (``good``, ``fair``, ``poor`` or ``unknown``), and why."""

    title: str
    verdict: str
    headline: str
    lines: list[str]
    bars: list[Bar]


def cards(
    fleet: Fleet,
    settings: Settings,
    run: ScoringRun,
    incidents: list[Incident],
    coverage: dict[str, Coverage],
) -> list[Card]:
    """The cards of the page: detection, model, data, alarms."""
    folder = settings.fleet_dir(fleet.name)
    metrics = read_json(folder / "evaluation" / "metrics.json")
    receipt = read_json(folder / "receipt.json")
    validation = read_json(folder / "validation.json")
    return [
        _detection(metrics, receipt, run),
        _alarms(metrics, incidents, coverage),
        _data(validation, coverage),
        _model(receipt, run),
    ]


def _card(title: str, verdict: str, headline: str, *lines: str | None, bars=()) -> Card:
    return Card(
        title=title,
        verdict=verdict,
        headline=headline,
        lines=[entry for entry in lines if entry],
        bars=list(bars),
    )


def _detection(metrics: dict | None, receipt: dict | None, run: ScoringRun) -> Card:
    title = "Does it find faults?"
    if metrics is None:
        return _card(title, "unknown", "Not evaluated", "Run 'amad evaluate' for figures.")
    methods, name = metrics["methods"], metrics["detector"]
    floor, best = metrics["floor"], metrics.get("best_baseline")
    ours = methods[name]["mean"].get(METRIC)
    if ours is None:
        why = "No part of the test data holds both normal rows and known faults."
        return _card(title, "unknown", "Cannot be measured", why)
    kinds = {name: "ours", **({best: "baseline"} if best else {}), floor: "floor"}
    _, above, _ = _difference(methods[name], methods[floor])
    verdict, against = ("good", None) if above > 0 else ("poor", None)
    if best:
        gap, low, high = _difference(methods[name], methods[best])
        word = "above" if gap >= 0 else "below"
        proven = "" if low > 0 or high < 0 else ", which may be chance"
        against = f"{text.number(abs(gap), 2)} {word} the best simple detector, {best}{proven}."
        verdict = "fair" if above > 0 and high < 0 else verdict
    other = None
    if receipt is not None and str(receipt.get("version")) != run.version:
        other = f"Measured on version {receipt.get('version')}; version {run.version} scored."
    return _card(
        title,
        verdict,
        f"VUS-PR {ours:.2f}: {SAID[verdict]}",
        against,
        f"Mean over {text.count(metrics['units'], metrics['unit'])} of the test part with its "
        "bootstrap interval. 1 is perfect; the last bar is chance.",
        other,
        bars=[_bar(key, methods[key], kind) for key, kind in kinds.items()],
    )


def _difference(ours: dict, theirs: dict) -> tuple[float, float, float]:
    """(mean, low, high) of the paired difference over the units."""
    units = sorted(ours["per_unit"])
    pairs = [[side["per_unit"][unit][METRIC] for unit in units] for side in (ours, theirs)]
    return paired_bootstrap(*pairs, RESAMPLES, CONFIDENCE, 0)


def _bar(name: str, method: dict, kind: str) -> Bar:
    mean, (low, high) = method["mean"][METRIC], method["interval"][METRIC]
    return Bar(
        name=name,
        value=f"{mean:.2f} [{low:.2f}, {high:.2f}]",
        at=round(100 * mean, 2),
        low=round(100 * low, 2),
        high=round(100 * high, 2),
        kind=kind,
    )


def _alarms(metrics: dict | None, incidents: list[Incident], coverage: dict[str, Coverage]) -> Card:
    days = sum(len({us // text.DAY for us in c.cells}) for c in coverage.values())
    rate = len(incidents) / days if days else 0.0
    headline = f"{text.number(rate, 2)} incidents a vehicle-day"
    point = (metrics or {}).get("operating_point")
    if point is None:
        return _card("Does it cry wolf?", "unknown", headline)
    promised, normal = point["alarm_budget"], point["normal_test"]["incidents_a_vehicle_day"]
    kept = normal is None or normal <= 2 * promised
    return _card(
        "Does it cry wolf?",
        "good" if kept else "fair",
        headline,
        f"The threshold promises {text.number(promised, 2)} on normal data"
        + ("." if normal is None else f"; the test part gave {text.number(normal, 2)}.")
        + " More than that means faults, or that normal has changed.",
        None
        if point["event_recall"] is None
        else f"It finds {text.share(point['event_recall'])} of the test part's "
        f"{text.count(point['events'], 'known fault')}, half of them within "
        f"{text.span(round(1e6 * point['median_delay_seconds']))}."
        if point["events_found"]
        else f"It finds none of the test part's {text.count(point['events'], 'known fault')}.",
    )


def _data(validation: dict | None, coverage: dict[str, Coverage]) -> Card:
    totals = [c.total for c in coverage.values()]
    rows = sum(t.rows for t in totals) or 1
    scored, imputed, kept_out = (
        sum(getattr(t, name) for t in totals) / rows
        for name in ("scored", "imputed", "quarantined")
    )
    if validation is None:
        verdict, headline = "unknown", "Not validated"
    elif validation["ok"]:
        verdict, headline = ("good" if scored > 0.95 else "fair"), "The data passed validation"
    else:
        verdict, headline = "poor", "The data failed validation"
    return _card(
        "Is the data sound?",
        verdict,
        headline,
        f"{text.share(scored)} of {rows:,} rows have a score.",
        f"{text.share(kept_out)} are quarantined, {text.share(imputed)} hold imputed values.",
    )


def _model(receipt: dict | None, run: ScoringRun) -> Card:
    reasons = list((receipt or {}).get("reasons") or [])
    same = receipt is not None and str(receipt.get("version")) == run.version
    return _card(
        "Which model is it?",
        "good" if same else "unknown" if receipt is None else "fair",
        f"Version {run.version}, champion when it scored",
        *(reasons[-1:] if same else []),
        None
        if same or receipt is None
        else f"The last one trained is version {receipt.get('version')}"
        + (f": {reasons[-1]}." if reasons else "."),
    )
