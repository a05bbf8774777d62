"""Build the pages: read what is scored, lay it out, write one HTML file per page.

A page loads nothing from elsewhere: it contains its style, script and plots, and its content
security policy allows nothing else. The same inputs give the same bytes.
"""

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined

from amad.config import ConfigError, DataError, Fleet, Stage
from amad.config import number_text as text
from amad.config.console import say, track
from amad.config.wording import capitalised, count, of_causes, range_of
from amad.drift.findings import Drift
from amad.evaluation.evaluation_metrics import PRIMARY, STRENGTHS
from amad.incidents.severity import LEVELS
from amad.incidents.wording import meaning, rarity, type_name, what_to_check
from amad.notify.grouping import by_cause, causes
from amad.notify.published import DAYS, Window
from amad.notify.suppressed import judged_none
from amad.report import archive
from amad.report.blind_spots import MEANING, blind_spots
from amad.report.days_before import read_daily
from amad.report.evidence import Evidence
from amad.report.fleet_overview import overview, stretch_us
from amad.report.glossary import Explained, glossary
from amad.report.incident_entries import incident_entries
from amad.report.incident_plot import about, blame, broken_relation
from amad.report.promise import of_run, table
from amad.report.report_result import Report
from amad.report.scoring_run import Coverage, Incident, ScoringRun
from amad.report.since_last import PublishedDates, SinceLast, since_last
from amad.report.trust_cards import cards
from amad.report.unread import Unread
from amad.report.usual_context import ContextSamples, usual_context
from amad.report.vehicle_trend import trend
from amad.report.verdicts import Verdicts, of_set_aside
from amad.scores.feedback import Feedback, read_feedback
from amad.scores.job_log import JobLog, job_logs, known_since
from amad.scores.unscored import open_troubles, undone
from amad.telemetry.files import read_json
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.trouble import Health, Trouble
from amad.windows.scaler import Scaler
from amad.windows.store import FORMAT

UNFOLDED = 6  # findings of one kind that are shown at once; the others can be unfolded


@dataclass(frozen=True, kw_only=True)
class Sources:
    """What every page of one call is made from.

    data_hash: of the lake. scaler: None where there is no store. daily: see ``read_daily``. unread:
    what the page lacks.
    """

    stage: Stage
    lake: Lake
    data_hash: str
    published: PublishedDates
    evidence: Evidence
    scaler: Scaler | None
    samples: ContextSamples
    verdicts: Verdicts
    daily: pa.Table | None
    unread: Unread


def build_report(stage: Stage, out: Path | None = None) -> Report:
    """Write the page of the fleet's last scoring run, and those of the dates scored since.

    out: where the page of the run goes, default ``data/<fleet>/report.html``; if it is given,
    nothing else is written. For a fleet without a champion, the page says why nothing is scored,
    and all else that is known.

    Where a file that only adds to the page cannot be read, the page does without it and says so.

    Raises:
        DataError: the fleet was never scored, there is no lake, or a score table is damaged.
    """
    place = (out or stage.folder / "report.html").absolute()
    run = ScoringRun.last(stage)
    lake = Lake(stage.folder / "lake", stage.fleet)
    unread = Unread()
    sources = Sources(
        stage=stage,
        lake=lake,
        data_hash=lake.hash(),
        published=PublishedDates.of(stage.runs, run.version),
        evidence=Evidence.read(stage.folder, unread),
        scaler=unread.read(lambda: _scaler(stage.folder / "store" / "store.json")),
        samples=ContextSamples(lake=lake),
        verdicts=Verdicts.of(unread.read(lambda: read_feedback(stage.runs)) or Feedback()),
        daily=unread.read(lambda: read_daily(stage.folder)),
        unread=unread,
    )
    # Pages of single dates are not made again, so they wait until all that they show can be read.
    # What follows here is not on them.
    archives = out is None and not run.unscored and not unread.sentences
    health = unread.read(lambda: fleet_health(stage.fleet, stage.settings, lake))
    jobs, _ = job_logs(stage.runs)
    behind = (
        undone(jobs, stage.runs)
        if run.unscored
        else open_troubles(lake, jobs, stage.runs, sources.published.manifests)
    )
    if health is not None:
        health.troubles.extend(behind)
    made = waiting = 0
    if archives:
        made, waiting = _archive(sources, jobs)
    here = quote(os.path.relpath(stage.runs.absolute() / archive.REPORTS, place.parent)) + "/"
    days = [row.day for row in archive.rows(sources.published) if row.facts][::-1]
    # A job that scored only older dates again hides nothing of the newest one.
    newest = max((*run.dates, *sources.published.manifests), default=None)
    since = since_last(sources.published, newest, stage.fleet) if newest and run.dates else None
    links = archive.links(None, days, here) if days else ""
    known = known_since(jobs, sources.published.manifests)
    html, report = _page(sources, run, health, since, known, neighbours=links, behind=behind)
    archive.write_page(place, html)
    if out is None:
        of_date = sources.published.manifests.values()
        sources.evidence.keep(run, {item.detector for of in of_date for item in of.values()})
    return replace(report, path=place, pages=made, waiting=waiting, unread=unread.sentences)


def join_archive(stage: Stage) -> None:
    """Bring the index of the dates, and the links from one to the next, up to date."""
    published = PublishedDates.of(stage.runs, "")
    rows = archive.rows(published)
    archive.join_neighbours(stage.runs, [row.day for row in rows if row.facts][::-1])
    page = _environment().get_template("index.html.j2")
    html = page.render(fleet=stage.fleet, rows=rows, at_once=archive.AT_ONCE)
    archive.write_page(archive.index_of(stage.runs), html)


def _archive(sources: Sources, jobs: list[JobLog]) -> tuple[int, int]:
    """Make the pages of dates that are due; how many were made, and how many are left."""
    stage, published = sources.stage, sources.published
    due = archive.due(published, sources.verdicts.feedback)
    now = due[: archive.AT_ONCE]
    made = 0
    for day, made_from in track(now, "make the pages of single dates") if now else now:
        try:
            since = since_last(published, day, stage.fleet)
            if since is None:
                raise DataError(f"its scores are damaged; run 'amad score --date {day}'")
            version = published.current(day).model_version
            run = ScoringRun.of_date(stage.runs, day, version, jobs)
            aside = sources.verdicts.set_aside(since.ids)
            facts = archive.facts_of(since, made_from, aside)
            # The links come with ``join_archive``, once it is known which dates have a page.
            own = archive.links(day, [day])
            before = jobs[: jobs.index(run.job) + 1] if run.job else []
            known = known_since(before, published.manifests)
            html, _ = _page(sources, run, run.health, since, known, neighbours=own, facts=facts)
        except DataError as error:  # the page of the last run is needed all the same
            say(f"there is no new page of {day}: {error}")
            continue
        archive.write_page(archive.page_of(stage.runs, day), html)
        made += 1
    waiting = len(due) - len(now)
    join_archive(stage)
    return made, waiting


def _page(
    sources: Sources,
    run: ScoringRun,
    health: Health | None,
    since: SinceLast | None,
    known: Mapping[str, date],
    *,
    neighbours: str,
    facts: archive.Facts | None = None,
    behind: Sequence[Trouble] = (),
) -> tuple[str, Report]:
    """A page as HTML, and what it shows.

    since: what is new on the newest date; None where nothing is scored, or that date is damaged.
    known: see ``known_since``. facts: of a page of the archive. behind: why newer scores may be
    missing.
    """
    stage, fleet = sources.stage, sources.stage.fleet
    stretch = stretch_us(len(run.dates))
    coverage = run.coverage(stretch)
    verdicts = sources.verdicts
    if since and not facts:
        verdicts = verdicts.with_lessons(since.window)
    none = judged_none(verdicts.by_id)
    window = replace(since.window, none=none) if since else None
    incidents = [_marked_open(i, coverage, window) for i in run.incidents()]
    first = since.ids if since else set()
    context = usual_context(window, fleet, sources.samples) if window else None
    entries = incident_entries(
        incidents, fleet, run, sources.lake, sources.scaler, context, first, sources.daily, window
    )
    sets = _of_one_cause(run, incidents, window, sources.published)
    worst = [own[0].level for own in sets]
    aside = verdicts.set_aside({i.incident_id for i in incidents} | first)
    report = Report.of(fleet.name, run, coverage, sets, len(health.troubles) if health else 0)
    html = (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            fleet=fleet,
            type_of=lambda item: type_name(item.type, item.end - item.start, fleet),
            about=lambda item: about(item, fleet),
            class_of=partial(_class_of, fleet),
            run=run,
            facts=facts,
            neighbours=neighbours,
            since=since,
            aside=aside,
            of_aside=of_set_aside(aside),
            worst=since.worst(aside) if since else None,
            trend=trend(window, since.day) if window and since else None,
            incidents=incidents,
            context=context,
            verdicts=verdicts,
            entries=entries,
            anchors={e.incident.incident_id: e.anchor for e in entries if e.plot},
            overview=overview(incidents, coverage, stretch, none),
            health=health,
            known_findings=known,
            new_findings=_new(health, known),
            behind=behind,
            drift=None if facts else sources.unread.read(lambda: Drift.read(stage.runs)),
            unread=[] if facts else sources.unread.sentences,
            term=Explained(glossary()),
            levels=[(level, worst.count(level)) for _, level in LEVELS],
            of_causes=of_causes(len(sets), len(incidents)),
            open_count=since.open if since else sum(any(i.open for i in own) for own in sets),
            **_trust(sources, run, incidents, coverage, window),
        )
    )
    return html, report


def _trust(
    sources: Sources,
    run: ScoringRun,
    incidents: list[Incident],
    coverage: dict[str, Coverage],
    window: Window | None,
) -> dict[str, Any]:
    """What the page says of itself: its blind spots, promise against achieved, the cards."""
    evidence, published = sources.evidence.of(run, sources.unread), sources.published
    other = evidence.of_another(run) is not None
    figures = None if other else evidence.metrics
    achieved = of_run(run, incidents, coverage, evidence.metrics)
    scored = [published.current(day) for day in run.dates if day in published.manifests]
    return {
        "blind": blind_spots(figures, scored, sources.stage.fleet, run.version if other else ""),
        "promise": table(achieved, run.dates, window, published, figures),
        "cards": cards(evidence, run, achieved, coverage, sources.data_hash),
    }


def _of_one_cause(
    run: ScoringRun, incidents: list[Incident], window: Window | None, published: PublishedDates
) -> list[list[Incident]]:
    """The incidents, the worst first, in sets that have one cause."""
    whole = window  # of a job that caught up on many dates, all of them
    if window and min(run.dates) not in window.dates:
        whole = published.window(max(window.dates), min(run.dates))
    by_id = {i.incident_id: i for i in incidents}
    sets = by_cause(causes(whole) if whole else [], by_id)
    return [[by_id[name] for name in names] for names in sets.values()]


def _marked_open(
    incident: Incident, coverage: dict[str, Coverage], window: Window | None
) -> Incident:
    """The incident, ``open`` if it goes on as the notices say, with the alarms of all its dates.

    Without a window: if the vehicle's last scored row still belongs to it.
    """
    if window is not None and (known := window.incidents.get(incident.incident_id)) is not None:
        if known.incident.end == incident.end:  # else the page shows what was known before
            incident = replace(incident, alarm_rows=known.incident.alarm_rows)
        return replace(incident, open=known.ongoing)
    vehicle = coverage.get(incident.vehicle)
    return replace(incident, open=vehicle is not None and incident.open_until > vehicle.last > 0)


def _new(health: Health | None, known: Mapping[str, date]) -> int:
    """How many findings no earlier night has named; what a night left undone is always its own."""
    troubles = health.troubles if health else []
    return sum(not item.undone and item.id not in known for item in troubles)


def _class_of(fleet: Fleet, vehicle: str) -> str:
    """The class of a vehicle by the fleet file as it is; empty where it is in none any more."""
    try:
        return fleet.class_of(vehicle)
    except ConfigError:
        return ""


def _scaler(path: Path) -> Scaler | None:
    """The scaler of a store by its ``store.json``; None if there is none of this format."""
    content = read_json(path, "run 'amad prepare'", keys=["scaler"])
    if content is None or content.get("format") != FORMAT:
        return None
    return Scaler.from_json(content["scaler"])


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("amad.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name) for name in ("number", "share", "moment", "machine_time", "span")
    }
    # A macro gives markup, which is escaped already: its type stays.
    environment.filters["capitalised"] = lambda words: type(words)(capitalised(words))
    environment.filters |= {"count": count, "range": range_of}
    environment.filters["minute"] = partial(text.moment, seconds=False)
    style, script = (_asset(name) for name in ("style.css", "page.js"))
    of_incidents = (blame, broken_relation, meaning, rarity, what_to_check)
    environment.globals |= {function.__name__: function for function in of_incidents}
    environment.globals |= {
        "window_days": DAYS, "unfolded": UNFOLDED, "strengths": STRENGTHS, "primary": PRIMARY,
        "fault_meanings": MEANING, "style": style, "script": script,
        "style_hash": _hash(style), "script_hash": _hash(script),
    }  # fmt: skip
    return environment


def _asset(name: str) -> str:
    return resources.files("amad.report").joinpath("page", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """What a content security policy calls the hash of an inline style or script."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
