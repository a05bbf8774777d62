"""Can the page be trusted: the quality of the model, the alarms of the run, the state of the data.

A card has a tick only for what was measured on the version that scored. What was not measured has a
neutral mark. ``Card.means`` says what the tick of each card means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from amad.config import number_text as text
from amad.config.wording import capitalised, count
from amad.evaluation.chance import binomial_tail
from amad.evaluation.evaluation_metrics import PRIMARY, MethodFigures
from amad.metrics import paired_bootstrap, shared_values
from amad.report.evidence import Evidence
from amad.report.promise import CHANCE, FLOOD, Achieved
from amad.report.scoring_run import Coverage, ScoringRun

RESAMPLES, CONFIDENCE = 2000, 0.95
HALF = 0.5  # share of the known faults that must be found for a tick
SCORED = 0.95  # share of the rows that must have a score for a tick
NO_FIGURES = (
    "A training makes them anew; where none runs, run 'amad evaluate'. 'amad review' shows those "
    "of each registered version."
)
LOUD = 0.1  # share of the rows that may be in alarm for a tick


@dataclass(frozen=True)
class Card:
    """One question with its answer, and the reasons.

    means: what a tick, and the mark in its place, mean. verdict: ``good``, ``fair`` or ``poor``, or
    ``unknown`` for what was not measured. bars: name, figures and kind of methods that are drawn.
    """

    title: str
    means: str
    verdict: str
    headline: str
    lines: Sequence[str] = ()
    bars: Sequence[tuple[str, MethodFigures, str]] = ()


def cards(
    found: Evidence,
    run: ScoringRun,
    achieved: Achieved | None,
    coverage: dict[str, Coverage],
    data_hash: str,
) -> list[Card]:
    """The cards of the page: detection, faults, alarms, data, model.

    achieved: by the run; None where no row of it has a score. data_hash: of the lake as it is.
    """
    return [
        _detection(found, run),
        _faults(found, run),
        _alarms(found, run, achieved, coverage),
        _data(found, coverage, data_hash),
        _model(found, run),
    ]


def _detection(found: Evidence, run: ScoringRun) -> Card:
    metrics = found.metrics
    card = partial(
        Card,
        "Is it better than chance?",
        "A tick: on the test part it beats random scores with its whole interval, and the best "
        "simple detector is not proven better. Without an interval there is no tick.",
    )
    if metrics is None:
        return card("unknown", "No figures at hand", [NO_FIGURES])
    methods, mine, best = metrics.methods, metrics.ours, metrics.best_baseline
    if PRIMARY not in mine.mean:
        why = "No part of the test data holds both normal rows and known faults."
        return card("unknown", "Cannot be measured", [why])
    kinds = {metrics.detector: "ours"} | ({best: "baseline"} if best else {})
    kinds[metrics.floor] = "floor"
    bars = [(key, methods[key], kind) for key, kind in kinds.items()]
    if metrics.units < 2:
        said = f"Cannot be judged: one {metrics.unit} has no interval"
        return card("unknown", said, bars=bars)
    _, above, _ = _difference(mine, methods[metrics.floor])
    verdict, said = (
        ("good", "clearly above chance") if above > 0 else ("poor", "not shown to beat chance")
    )
    against = None
    if best:
        gap, low, high = _difference(mine, methods[best])
        word = "above" if gap >= 0 else "below"
        proven = "" if low > 0 or high < 0 else ", which may be chance"
        against = f"{text.number(abs(gap), 2)} {word} the best simple detector, {best}{proven}."
        if above > 0 and high < 0:
            verdict, said = "fair", "above chance, below a simple detector"
    headline, *other = _whose(f"VUS-PR {mine.mean[PRIMARY]:.2f}: {said}", found, run, "champion")
    how = (
        f"Mean over {metrics.units_text} of the test part with its bootstrap "
        "interval. 1 is perfect; the last bar is chance."
    )
    return card("unknown" if other else verdict, headline, _said(*other, against, how), bars)


def _whose(headline: str, found: Evidence, run: ScoringRun, figure: str) -> list[str]:
    """The headline alone; if the figures belong to another version, one that says so, and a line.

    figure: that of the version that scored, if the gate compared the other one with it.
    """
    version = found.of_another(run)
    if version is None:
        return [headline]
    said = [
        f"Not measured of version {run.version}, which scored",
        f"Measured on version {version}; version {run.version} scored. {headline}.",
    ]
    figures = {} if found.receipt is None else found.receipt.figures
    theirs = figures.get(figure)
    if str(figures.get("champion_version")) == run.version and isinstance(theirs, int | float):
        metric = figures.get("metric", PRIMARY)
        name = "VUS-PR" if metric == PRIMARY else str(metric).replace("_", " ")
        faults = f"finds {theirs:g} of the known faults"
        told = {"champion": f"has {name} {theirs:.2f}"}.get(figure, faults)
        said[0] = f"Version {run.version}, which scored, {told}"
    return said


def _faults(found: Evidence, run: ScoringRun) -> Card:
    card = partial(
        Card,
        "Does it find known faults?",
        "A tick: with its threshold it found at least half of the test part's known faults, and "
        "more than alarms at random times would. A cross: it found no more than those.",
    )
    point = found.metrics.operating_point if found.metrics else None
    if point is None or point.chance_recall is None:
        why = "The test part holds no known fault." if point else NO_FIGURES
        return card("unknown", "Not measured" if point else "No figures at hand", [why])
    events, known, delay = point.events, point.events_found, point.median_delay_seconds
    beyond = known > 0 and binomial_tail(known, events, point.chance_recall) < CHANCE
    verdict = "poor" if not beyond else "good" if known >= HALF * events else "fair"
    many = count(events, "known fault")
    headline, *other = _whose(
        f"It finds {known or 'none'} of {many}", found, run, "champion_events_found"
    )
    lines = _said(
        *other,
        f"Alarms at random times, as many as it raises, would find about "
        f"{text.number(point.chance_recall * events, 2)}.",
        None if delay is None else _in_time(delay),
        _offline(point.lookahead_seconds),
    )
    return card("unknown" if other else verdict, headline, lines)


def _offline(lookahead: float) -> str | None:
    """In what the scores of a page differ from those that were judged; None where in nothing.

    lookahead: how far a score depends on what comes after its row, in seconds.
    """
    if not lookahead:
        return None
    ahead = text.span(round(1e6 * lookahead))
    return (
        "The test part was scored as one series. A scheduled job scores each date by itself, so "
        f"the last {ahead} of a date see less of what comes after them, and it may find fewer."
    )


def _in_time(delay: float) -> str:
    """How soon half of the faults found are found. delay: seconds from a fault's first row."""
    soon = f"within {text.span(round(1e6 * delay))}" if delay > 0 else "with their first row"
    return f"Half of those found are found {soon}."


def _alarms(
    found: Evidence, run: ScoringRun, achieved: Achieved | None, coverage: dict[str, Coverage]
) -> Card:
    card = partial(
        Card,
        "Does it raise false alarms?",
        "A tick: this page has no more incidents per vehicle-day than the threshold promises on "
        f"normal data, with an allowance for chance, and no more than {text.share(LOUD)} of its "
        "rows in alarm; nor had the normal rows of the test part. More may be faults, or normal "
        f"behaviour that has changed; more than {FLOOD:g} times the promise has a cross.",
    )
    if achieved is None:
        return card("unknown", "Not measured", ["No row of this page has a score."])
    promised, days = achieved.promised, round(achieved.days)
    rate = text.number(achieved.rate, 2)
    headline = f"{rate} {'incident' if rate == '1' else 'incidents'} per vehicle-day"
    counted = f"{count(achieved.incidents, 'incident')} on {count(days, 'vehicle-day')}"
    if promised is None:
        return card("unknown", headline, [f"{counted}; what is promised is unknown."])
    headline += f", {text.number(promised, 2)} promised"
    headline += ": may be chance" if achieved.by_chance else ""
    own = found.of_another(run) is None
    test = found.metrics.operating_point.normal_test if found.metrics and own else None
    normal, in_alarm = (test.incidents_per_vehicle_day, test.alarm_share) if test else (None, None)
    too_long, share, in_alarm_here = _in_alarm(coverage)  # few incidents, which do not end
    was_loud = normal is not None and normal > 2 * promised  # in the test part
    was_too_long = in_alarm is not None and in_alarm > LOUD
    of_test = _beside(in_alarm or 0.0, LOUD)
    but = [f"alarms are {share} of the rows"] if too_long else []
    but += [f"{of_test} of the test part's normal rows were in alarm"] if was_too_long else []
    but += ["the test part had more"] if was_loud else []
    verdict = achieved.verdict
    if verdict == "good" and but:
        verdict = "fair"
        headline += f", but {but[0]}"
    lines = [
        f"{counted} of this page; the threshold promises {text.number(promised, 2)} on normal data."
    ]
    if normal is not None:
        lines.append(
            f"The normal rows of the test part had {text.number(normal, 2)}; {of_test} of them "
            "were in alarm."
        )
    lines.append(in_alarm_here)
    changed = "or that normal behaviour has changed."
    if too_long or was_too_long:
        lines.append(f"Alarms that do not end mean a fault that lasts, {changed}")
    if achieved.verdict != "good" or was_loud:
        lines.append(f"More than promised means faults, {changed}")
    return card(verdict, headline, lines)


def _in_alarm(coverage: dict[str, Coverage]) -> tuple[bool, str, str]:
    """Whether too many rows of the page are in alarm, their share, and a sentence on them."""
    totals = [item.total for item in coverage.values()]
    alarms, scored = sum(t.alarms for t in totals), sum(t.scored for t in totals)
    share = _beside(alarms / (scored or 1), LOUD)
    said = f"Its alarms are {share} of its scored rows."
    if alarms <= LOUD * scored:
        return False, share, said
    loud = sum(t.alarms > LOUD * t.scored for t in totals)
    said += (
        f" Of {count(len(totals), 'vehicle')}, {loud} spent more than {text.share(LOUD)} of their "
        "rows in alarm."
    )
    return True, share, said


def _data(found: Evidence, coverage: dict[str, Coverage], data_hash: str) -> Card:
    validation = found.validation
    card = partial(
        Card,
        "Is the data sound?",
        "A tick: the lake as it is passed validation, and "
        f"{text.share(SCORED)} of this page's rows or more have a score.",
    )
    totals = [c.total for c in coverage.values()]
    rows = sum(t.rows for t in totals)
    parts = [sum(getattr(t, name) for t in totals) for name in ("scored", "quarantined", "imputed")]
    scored, kept_out, imputed = (part / (rows or 1) for part in parts)
    if validation is None:
        verdict, headline = "unknown", "Not validated"
    elif not validation.ok:
        verdict, headline = "poor", "The data failed validation"
    elif validation.data_hash != data_hash:
        verdict, headline = "unknown", "The data has changed since it was validated"
    elif not rows:
        verdict, headline = "unknown", "The data passed validation; nothing is scored"
    else:
        verdict, headline = "good", "The data passed validation"
        if scored < SCORED:
            verdict, headline = "fair", "The data passed validation, but much of it has no score"
    lines = [
        f"{parts[0]:,} of {rows:,} rows have a score ({_beside(scored, SCORED)}).",
        f"{text.share(kept_out)} are quarantined, {text.share(imputed)} hold imputed values.",
    ]
    return card(verdict, headline, lines if rows else [])


def _model(found: Evidence, run: ScoringRun) -> Card:
    receipt = found.receipt
    card = partial(
        Card,
        "Which model is it?",
        "A tick: the version that scored is the last one registered, whose figures are shown here, "
        "and the gate promoted it.",
    )
    reasons = [] if receipt is None else receipt.reasons
    last = _sentence(reasons[-1]) if reasons else None
    if run.unscored:
        return card("unknown", "No champion", _said(last))
    headline = f"Version {run.version}, champion when it scored"
    if receipt is None:
        return card("unknown", headline)
    vote = found.metrics.vote if found.metrics else None
    votes = _sentence(vote.brief) if vote else None
    if str(receipt.version) != run.version:
        registered = f"The last one registered is version {receipt.version}."
        return card("fair", headline, _said(registered, last))
    if receipt.decision == "refuse":
        overruled = "The gate refused it; a person made it champion."
        return card("fair", headline, _said(overruled, last, votes))
    return card("good", headline, _said(last, votes))


def _sentence(reason: str) -> str:
    """A reason of the gate as a sentence; the reason has no capital letter and no full stop."""
    return f"{capitalised(reason).rstrip('.')}."


def _said(*lines: str | None) -> list[str]:
    return [line for line in lines if line]


def _beside(value: float, limit: float) -> str:
    """A share as it is written, ``just over 10 %`` where it would look like the limit."""
    said = text.share(value)
    if value == limit or said != text.share(limit):
        return said
    return f"just {'over' if value > limit else 'under'} {said}"


def _difference(ours: MethodFigures, theirs: MethodFigures) -> tuple[float, float, float]:
    """(mean, low, high) of the paired difference over the units."""
    a, b = shared_values(ours.per_unit, theirs.per_unit, PRIMARY)
    return paired_bootstrap(a, b, RESAMPLES, CONFIDENCE, 0)
