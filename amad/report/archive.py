"""The archive of pages: one per scored date below ``runs/<fleet>/reports``, and an index of them.

A page says in its head what it was made from. It is made again only if the scores of its date, or
of the 13 days before it, have changed. A page whose days before were removed by ``amad prune``
stays as it was. The links to its neighbours are replaced without making it again.
"""

import html
import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

from amad.config import DataError
from amad.config.digest import json_digest
from amad.config.number_text import day as day_of
from amad.notify.published import DAYS
from amad.report.since_last import PublishedDates, SinceLast
from amad.scores import partitions
from amad.scores.feedback import Feedback
from amad.scores.partitions import REPORTS, page_of
from amad.scores.retention import Retention
from amad.telemetry.files import staged

FORMAT = 6  # raise it to have every page made again
AT_ONCE = 31  # pages made by one run of the report, the newest first
HEAD = 1 << 16  # characters in which the facts and the links of a page stand
FACTS = re.compile(r'<meta name="amad-page" content="([^"]*)">')
LINKS = re.compile(r"<!-- neighbours -->.*?<!-- end of neighbours -->", re.S)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the index tells of a page. made_from: digest of the scores that it shows.

    new, ongoing, over, critical: how many causes, see ``SinceLast``.
    """

    made_from: str
    version: str
    vehicles: int
    incidents: int
    new: int
    ongoing: int
    over: int
    critical: int

    @property
    def text(self) -> str:
        """For the head of the page."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Row:
    """A scored date in the index. facts: of its page; None where it has none yet."""

    day: date
    facts: Facts | None


def index_of(runs: Path) -> Path:
    """Where the page that lists the dates lies."""
    return runs / REPORTS / "index.html"


def facts_of(since: SinceLast, made_from: str, aside: Collection[str]) -> Facts:
    """The facts of the page of a date. critical: of those that are new or go on.

    aside: ids of incidents that count as none of these, since people judged them.
    """
    window, day = since.window, since.day
    return Facts(
        made_from=made_from,
        version=window.versions[day],
        vehicles=len(window.dates[day]),
        incidents=len(since.ids),
        critical=since.critical(aside),
        **since.counts,
    )


def read_facts(page: Path) -> Facts | None:
    """What a page says of itself; None where there is no page, or one that says nothing."""
    try:
        with page.open(encoding="utf-8") as file:
            found = FACTS.search(file.read(HEAD))
        return Facts(**json.loads(html.unescape(found[1]))) if found else None
    except (OSError, ValueError, TypeError):
        return None


def due(published: PublishedDates, feedback: Feedback) -> list[tuple[date, str]]:
    """The dates whose page is missing or out of date, the newest first, with its new digest."""
    found = []
    try:
        kept = Retention.read(published.runs)
        first = kept.first if kept else date.min
    except DataError:  # the next job says so; no page is made from half of its days
        first = date.max
    for day in sorted(published.manifests, reverse=True):
        if published.current(day).contract != partitions.CONTRACT:  # scored anew by the next job
            continue
        facts = read_facts(page_of(published.runs, day))
        now = made_from(published, day, feedback)
        whole = first == date.min or day - timedelta(days=DAYS - 1) >= first
        if facts is None or (facts.made_from != now and whole):
            found.append((day, now))
    return found


def made_from(published: PublishedDates, day: date, feedback: Feedback) -> str:
    """A digest of the partitions that the page of a date shows, and of what was said of them."""
    days = [day - timedelta(days=n) for n in range(DAYS)]
    shown = [
        [str(at), item.model_version, item.contract, item.files]
        for at in days
        if at in published.manifests
        for item in [published.current(at)]
    ]
    said = [
        [name, item.verdict, item.note, item.by, str(item.at)]
        for name, item in sorted(feedback.incidents.items())
        if day_of(item.start) in {str(at) for at in days}
    ]
    return json_digest([FORMAT, shown, said])


def rows(published: PublishedDates) -> list[Row]:
    """Every date that has scores or a page, the newest first."""
    days = {*published.manifests, *(day for day, _ in partitions.pages(published.runs))}
    found = [Row(day=day, facts=read_facts(page_of(published.runs, day))) for day in days]
    return sorted(found, key=lambda row: row.day, reverse=True)


def links(day: date | None, days: list[date], here: str = "") -> str:
    """The links of a page to its neighbours and to the index, as HTML between two marks.

    day: of the page; None for the page of the last run, which has the newest one beside it. days:
    those with a page. here: the path of the archive from the page, with a slash at its end.
    """
    before = max((other for other in days if day is None or other < day), default=None)
    after = min((other for other in days if day is not None and other > day), default=None)
    parts = [f'<a href="{here}index.html">All dates</a>']
    if before:
        name = f"<span>The day before: </span>{before}" if day else f"Only {before}"
        parts.insert(0, f'<a rel="prev" href="{here}{before}.html">{name}</a>')
    if after:
        name = f"<span>The day after: </span>{after}"
        parts.append(f'<a rel="next" href="{here}{after}.html">{name}</a>')
    body = "".join(f"<li>{part}</li>" for part in parts)
    return f"<!-- neighbours --><ul>{body}</ul><!-- end of neighbours -->"


def join_neighbours(runs: Path, days: list[date]) -> None:
    """Bring the links of the pages up to date. days: those with a page, sorted."""
    for day in days:
        page, now = page_of(runs, day), links(day, days)
        with page.open(encoding="utf-8") as file:
            found = LINKS.search(file.read(HEAD))
        if found and found[0] != now:
            text = page.read_text(encoding="utf-8")
            write_page(page, text.replace(found[0], now, 1))


def write_page(path: Path, content: str) -> None:
    """Write a page in one piece, unless it is there with the same bytes."""
    if path.is_file() and path.read_bytes() == content.encode():
        return
    with staged(path) as unfinished:
        unfinished.write_text(content, encoding="utf-8")
