"""Build the page: read the last scoring run, lay it out, write one HTML file.

The page loads nothing from elsewhere: it contains its style, script and plots, and its content
security policy allows nothing else. The same inputs give the same bytes.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from amad.config import Stage
from amad.report import page_text as text
from amad.report.fleet_overview import LEVELS, overview, stretch_us
from amad.report.incident_plot import Blame, Plot, blame, broken_relation, plot
from amad.report.scoring_run import Coverage, Incident, ScoringRun
from amad.report.trust_cards import Evidence, cards
from amad.scores.job_log import job_logs, left_undone
from amad.telemetry.files import read_json, staged
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler
from amad.windows.store import FORMAT

LISTED, PLOTTED = 200, 30  # incidents in the list, and incidents with plots; the worst first
TOLD = 6  # findings of one kind that Fleet health shows at once; the others can be unfolded


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An incident as the page shows it; ``plot`` is None after the first PLOTTED incidents.

    broken: the relation that broke, in words, or empty.
    """

    incident: Incident
    anchor: str
    blame: list[Blame]
    broken: str
    plot: Plot | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a page shows.

    affected: vehicles with incidents. troubles: findings under Fleet health. unscored: why nothing
    is scored, empty where something is.
    """

    fleet: str
    path: Path
    dates: list[date]
    vehicles: int
    affected: int
    incidents: int
    troubles: int
    unscored: str

    def __str__(self) -> str:
        health = f"{text.count(self.troubles, 'finding')} under Fleet health, in {self.path}"
        if self.unscored:
            return f"report without scores, since fleet {self.fleet} has no champion; {health}"
        dates = " to ".join(dict.fromkeys((str(self.dates[0]), str(self.dates[-1]))))
        return (
            f"report of {dates}: {text.count(self.incidents, 'incident')} on {self.affected} of "
            f"{text.count(self.vehicles, 'vehicle')}; {health}"
        )


def build_report(stage: Stage, out: Path | None = None) -> Report:
    """Write the page of the fleet's last scoring run (to ``out``, default ``report.html``).

    For a fleet without a champion, the page says why nothing is scored, and all else that is known.

    Raises:
        DataError: the fleet was never scored, there is no lake, or a file that is read is damaged.
    """
    fleet, out = stage.fleet, (out or stage.folder / "report.html").absolute()
    run = ScoringRun.last(stage)
    lake = Lake(stage.folder / "lake", fleet)
    health = fleet_health(fleet, stage.settings, lake)
    if jobs := job_logs(stage.runs)[0]:
        health.troubles.extend(left_undone(jobs[-1]))
    stretch = stretch_us(len(run.dates))
    coverage = run.coverage(stretch)
    incidents = [_marked_open(i, coverage) for i in run.incidents()]
    affected = len({i.vehicle for i in incidents})
    page = _environment().get_template("page.html.j2")
    style, script = (_asset(name) for name in ("style.css", "page.js"))
    html = page.render(
        fleet=fleet,
        run=run,
        incidents=incidents,
        entries=_entries(incidents, stage, lake, run),
        overview=overview(incidents, coverage, fleet, stretch),
        cards=cards(Evidence.read(stage.folder), run, incidents, coverage, lake.hash()),
        health=health,
        told=TOLD,
        levels=[(level, sum(i.level == level for i in incidents)) for level in reversed(LEVELS)],
        open_count=sum(i.open for i in incidents),
        affected=affected,
        vehicles=len(coverage),
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )
    with staged(out) as unfinished:
        unfinished.write_text(html, encoding="utf-8")
    return Report(
        fleet=fleet.name,
        path=out,
        dates=run.dates,
        vehicles=len(coverage),
        affected=affected,
        incidents=len(incidents),
        troubles=len(health.troubles),
        unscored=run.unscored,
    )


def _marked_open(incident: Incident, coverage: dict[str, Coverage]) -> Incident:
    """The incident, ``open`` if the vehicle's last scored row still belongs to it."""
    vehicle = coverage.get(incident.vehicle)
    return replace(incident, open=vehicle is not None and incident.end > vehicle.last > 0)


def _entries(incidents: list[Incident], stage: Stage, lake: Lake, run: ScoringRun) -> list[Entry]:
    fleet, scaler = stage.fleet, _scaler(stage.folder / "store" / "store.json")
    entries = []
    for n, incident in enumerate(incidents[:LISTED]):
        others = [i for i in incidents if i.vehicle == incident.vehicle]
        entries.append(
            Entry(
                incident=incident,
                anchor=f"incident-{n + 1}",
                blame=blame(incident, fleet),
                broken=broken_relation(incident, fleet),
                plot=plot(incident, others, fleet, run, lake, scaler) if n < PLOTTED else None,
            )
        )
    return entries


def _scaler(path: Path) -> Scaler | None:
    """The scaler of a store by its ``store.json``; None if there is none of this format."""
    content = read_json(path, "run 'amad prepare'", keys=["scaler"])
    if content is None or content.get("format") != FORMAT:
        return None
    return Scaler.from_json(content["scaler"])


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("amad.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        name: getattr(text, name)
        for name in ("number", "share", "moment", "machine_time", "day", "span", "count")
    }
    environment.filters["capitalised"] = lambda line: f"{line[:1].upper()}{line[1:]}"
    environment.filters["minute"] = partial(text.moment, seconds=False)
    return environment


def _asset(name: str) -> str:
    return resources.files("amad.report").joinpath("page", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """What a content security policy calls the hash of an inline style or script."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
