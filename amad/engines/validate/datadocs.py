"""Data Docs that open anywhere: an entry page for people, and the pages of Great Expectations.

The pages that Great Expectations renders load styles, scripts and pictures from nine servers on the
internet, and show an empty index without them. Here they keep their content alone.
"""

import re
from pathlib import Path

from amad.config import Fleet
from amad.engines.validate.verdict import Verdict
from amad.telemetry.files import staged
from amad.telemetry.refusals import Intake
from amad.telemetry.trouble import Health

MOST_REASONS = 500  # on the entry page; quarantine.parquet holds them all
# In the order in which they are cut out of a page of GX.
REMOTE = [
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"<script\b.*?</script>",
        r"<style\b.*?</style>",
        r"<link\b[^>]*>",
        r"<img\b[^>]*>",
        r"<footer\b.*?</footer>",
        r"<title>.*?</title>",
    )
]
LINK_AWAY = re.compile(r'href="(?!#)[^"]*"')


def write_pages(
    site: Path,
    docs: Path,
    fleet: Fleet,
    verdict: Verdict,
    intake: Intake | None = None,
    health: Health | None = None,
) -> None:
    """Write the folder ``docs`` in one piece from the pages GX rendered under ``site``."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("amad.engines.validate", "datadocs_page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (Path(__file__).parent / "datadocs_page" / "style.css").read_text(encoding="utf-8")
    pages = {
        path.stem.removeprefix(f"{fleet.name}-"): path
        for path in sorted((site / "validations").rglob("*.html"))
    }
    reasons = verdict.quarantine.slice(0, MOST_REASONS).to_pylist()
    index = templates.get_template("index.html.j2").render(
        fleet=fleet,
        verdict=verdict,
        reasons=reasons,
        unnamed=verdict.quarantine.num_rows - len(reasons),
        refused=[scope for scope in (intake.scopes if intake else ()) if scope.refused_rows],
        health=health.by_kind if health else {},
        events=health.events if health else [],
        most=MOST_REASONS,
        pages=list(pages),
        style=style,
    )
    with staged(docs) as stage:
        stage.mkdir()
        (stage / "index.html").write_text(index, encoding="utf-8")
        for name, path in pages.items():
            page = self_contained(path.read_text(encoding="utf-8"), f"{fleet.name}: {name}", style)
            (stage / f"{name}.html").write_text(page, encoding="utf-8")


def self_contained(page: str, title: str, style: str) -> str:
    """A page of GX without anything remote, in our style, its links leading to ``index.html``."""
    for remote in REMOTE:
        page = remote.sub("", page)
    page = LINK_AWAY.sub('href="index.html"', page)
    head = f"<title>{title}</title>\n<style>\n{style}</style>\n</head>"
    return page.replace("</head>", head, 1).replace("<body>", '<body class="gx">', 1)
