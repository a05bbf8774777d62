"""The incidents of a page: each in words, and those that come first with a plot."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa

from amad.config import Channel, Fleet
from amad.incidents.incident import gaps_of
from amad.incidents.wording import OUTLIVED, context_words, gap_words, looks_like_a_sensor
from amad.notify.published import Window, context_of
from amad.report.days_before import daily_figures, days_before
from amad.report.incident_plot import Plot, plot
from amad.report.scoring_run import Incident, ScoringRun
from amad.report.usual_context import UsualContext
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler

LISTED, PLOTTED = 200, 30  # incidents in the list, and incidents with plots


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An incident as the page shows it; ``plot`` is None where PLOTTED others have one.

    sensor: whether it looks like a fault of a sensor. facts: where the channels stand, and what
    went on when it began. days: the days before, of the channel blamed most; None where they are
    too few.
    """

    incident: Incident
    anchor: str
    sensor: bool
    facts: list[str]
    plot: Plot | None
    days: Plot | None


def incident_entries(
    incidents: list[Incident],
    fleet: Fleet,
    run: ScoringRun,
    lake: Lake,
    scaler: Scaler | None,
    context: UsualContext | None,
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
        plotted = item.incident_id in shown
        entries.append(
            Entry(
                incident=item,
                anchor=f"incident-{n + 1}",
                sensor=looks_like_a_sensor(item.type, item.shares),
                facts=_facts(item, known, context, window if plotted else None),
                plot=plot(item, others, fleet, run, lake, scaler) if plotted else None,
                days=days_before(item, fleet, scaler, days_of) if plotted else None,
            )
        )
    return entries


def _facts(
    item: Incident,
    known: Mapping[str, Channel],
    context: UsualContext | None,
    window: Window | None,
) -> list[str]:
    """Sentences on an incident. known: the channels by name. window: None for the short form."""
    facts = []
    if window is not None:
        facts += [f"Its alarms {OUTLIVED}."] if window.outlived(item.incident_id) else []
        facts += window.again(item.incident_id, known)
    facts += gap_words(item.channels, item.shares, gaps_of(item), known, item.type)
    facts += context_words(context_of(item), known)
    facts += context.of(item) if context else []
    return facts
