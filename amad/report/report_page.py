"""Build the page: read the last scoring run, lay it out, write one HTML file.

The page asks for nothing from anywhere: style, script and plots are inside, and its content
security policy allows nothing else. The same inputs give the same bytes.
"""

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from amad.config import Fleet, Settings
from amad.report import page_text as text
from amad.report.fleet_overview import LEVELS, overview, stretch_us
from amad.report.incident_plot import Blame, Plot, blame, plot
from amad.report.scoring_run import Coverage, Incident, ScoringRun
from amad.report.trust_cards import Evidence, cards
from amad.scores.job_log import job_logs, left_undone
from amad.telemetry.files import read_json, staged
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler

LISTED, PLOTTED = 200, 30  # incidents in the list, and with plots; the worst first
TOLD = 6  # findings of one kind under Fleet health; the rest folds out


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An incident with what the page says of it; ``plot`` is None beyond the first PLOTTED."""

    incident: Incident
    anchor: str
    blame: list[Blame]
    plot: Plot | None


def build_report(fleet: Fleet, settings: Settings, out: Path) -> dict:
    """Write the page of the fleet's last scoring run to ``out`` and return what it shows.

    Of a fleet without a champion it says why nothing is scored, and all else that is known.

    Returns: path, model_version, dates, vehicles, affected (vehicles with incidents), incidents,
    plotted, troubles (findings under Fleet health), unscored (why nothing is, else empty).

    Raises:
        DataError: the fleet was never scored, there is no lake, or a file that is read is damaged.
    """
    run = ScoringRun.last(fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    lake = Lake(folder / "lake", fleet)
    health = fleet_health(fleet, settings, lake)
    if jobs := job_logs(settings.runs_dir(fleet.name))[0]:
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
        entries=_entries(incidents, fleet, folder, lake, run),
        overview=overview(incidents, coverage, fleet, stretch),
        cards=cards(Evidence.read(fleet, settings), run, incidents, coverage, lake.hash()),
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
    with staged(out) as stage:
        stage.write_text(html, encoding="utf-8")
    return {
        "path": str(out),
        "model_version": run.version,
        "dates": [str(day) for day in run.dates],
        "vehicles": len(coverage),
        "affected": affected,
        "incidents": len(incidents),
        "plotted": min(PLOTTED, len(incidents)),
        "troubles": len(health.troubles),
        "unscored": run.unscored,
    }


def _marked_open(incident: Incident, coverage: dict[str, Coverage]) -> Incident:
    """Open: the vehicle's last scored row still belongs to the incident."""
    vehicle = coverage.get(incident.vehicle)
    return replace(incident, open=vehicle is not None and incident.end > vehicle.last > 0)


def _entries(
    incidents: list[Incident], fleet: Fleet, folder: Path, lake: Lake, run: ScoringRun
) -> list[Entry]:
    scaler = _scaler(folder / "store" / "store.json")
    entries = []
    for n, incident in enumerate(incidents[:LISTED]):
        drawn = None
        if n < PLOTTED:
            others = [i for i in incidents if i.vehicle == incident.vehicle]
            drawn = plot(incident, others, fleet, run, lake, scaler)
        entries.append(
            Entry(
                incident=incident,
                anchor=f"incident-{n + 1}",
                blame=blame(incident, fleet),
                plot=drawn,
            )
        )
    return entries


def _scaler(path: Path) -> Scaler | None:
    content = read_json(path, "run 'amad prepare'", keys=["scaler"])
    return None if content is None else Scaler.from_json(content["scaler"])


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
