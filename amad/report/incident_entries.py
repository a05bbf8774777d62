"""The incidents of a page: each in words, and those that come first with a plot."""

from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa

from amad.config import Fleet
from amad.detect.incident_words import (
    OUTLIVED,
    context_words,
    gap_words,
    looks_like_a_sensor,
    meaning,
    rarity,
    what_to_check,
)
from amad.detect.incidents import gaps_of
from amad.notify.published import Window, context_of
from amad.report.days_before import daily_figures, days_before
from amad.report.incident_plot import Blame, Plot, blame, broken_relation, plot
from amad.report.scoring_run import Incident, ScoringRun
from amad.report.usual_context import UsualContext
from amad.report.verdicts import Verdicts
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler

LISTED, PLOTTED = 200, 30  # incidents in the list, and incidents with plots


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An incident as the page shows it; ``plot`` is None where PLOTTED others have one.

    days: the days before, of the channel blamed most; None where they are too few.

    broken: the relation that broke, in words, or empty. sensor: whether it looks like a fault of a
    sensor. meaning: of its type. rarity: how seldom normal rows reach its score, as a sentence, or
    empty. checks: where to look first. facts: where the channels stand, and what went on when it
    began. said: what people said of it, and verdict: in a word; both empty where nothing was said.
    """

    incident: Incident
    anchor: str
    blame: list[Blame]
    broken: str
    sensor: bool
    meaning: str
    rarity: str
    checks: list[str]
    facts: list[str]
    said: str
    verdict: str
    plot: Plot | None
    days: Plot | None


def incident_entries(
    incidents: list[Incident],
    fleet: Fleet,
    run: ScoringRun,
    lake: Lake,
    scaler: Scaler | None,
    context: UsualContext | None,
    verdicts: Verdicts,
    first: Collection[str],
    daily: pa.Table | None,
    window: Window | None,
) -> list[Entry]:
    """The incidents of the list, the worst first.

    first: ids that are listed, and have plots, before worse ones. daily: see ``read_daily``.
    window: where the incidents are published.
    """
    order = sorted(incidents, key=lambda incident: incident.incident_id not in first)
    kept = {incident.incident_id for incident in order[:LISTED]}
    listed = [incident for incident in incidents if incident.incident_id in kept]
    shown = {incident.incident_id for incident in order[:PLOTTED]}
    days_of = daily_figures(daily, order[:PLOTTED])
    known = fleet.channel_by_name
    entries = []
    for n, item in enumerate(listed):
        others = [other for other in incidents if other.vehicle == item.vehicle]
        channels, shares = item.channels, item.shares
        plotted = item.incident_id in shown
        facts = []
        if plotted and window is not None:
            facts += [f"Its alarms {OUTLIVED}."] if window.outlived(item.incident_id) else []
            facts += window.again(item.incident_id, known)
        facts += gap_words(channels, shares, gaps_of(item), known, item.type)
        facts += context_words(context_of(item), known)
        facts += context.of(item) if context else []
        entries.append(
            Entry(
                incident=item,
                anchor=f"incident-{n + 1}",
                blame=blame(item, fleet),
                broken=broken_relation(item, fleet),
                sensor=looks_like_a_sensor(item.type, shares),
                meaning=meaning(item.type, item.end - item.start, fleet),
                rarity=rarity(item.return_days),
                checks=what_to_check(item.type, channels, shares, item.partner, known),
                facts=facts,
                said=verdicts.said(item.incident_id),
                verdict=verdicts.verdict(item.incident_id),
                plot=plot(item, others, fleet, run, lake, scaler) if plotted else None,
                days=days_before(item, fleet, scaler, days_of) if plotted else None,
            )
        )
    return entries
