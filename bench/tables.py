"""python -m bench.tables

Writes the pages of docs/results from the measurements in bench/results, so that no figure of a
table is typed. The first page, index.md, is bench/reading.md, which says what the figures mean,
with the first table at its marker. There is a page each for how the methods carry over to other
fleets and to kinds that nobody tuned on, the order of severity, the machine's limits and fourteen
nights of the scoring job.
"""

import json
from pathlib import Path

from bench import limits, severity
from bench.carry_over_tables import carry_over_tables, headline, short_histories_table
from bench.kinds import page as kinds
from bench.nights import page as nights
from bench.options import parser_of
from bench.present import dated

RESULTS, READING, PAGES = Path("bench/results"), Path("bench/reading.md"), Path("docs/results")
MARKER = "<!-- The first table stands here. -->"
NOTE = (
    "Made by `python -m bench.tables`. Brackets are bootstrap intervals; "
    "[how it was measured](index.md#how-it-was-measured) explains the columns."
)


def main(arguments: list[str] | None = None) -> None:
    """Write the pages."""
    parser = parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--reading", type=Path, default=READING)
    parser.add_argument("--out", type=Path, default=PAGES, help="the folder of the pages")
    options = parser.parse_args(arguments)
    reading = options.reading.read_text(encoding="utf-8")
    carry_over = _read(options.results / "carry_over.json")
    first = [*dated([], carry_over), *headline(carry_over)] if carry_over else []
    pages = {"index": reading.replace(MARKER, "\n".join(first)).splitlines()}
    pages["carry_over"] = ["# Does it carry over?", "", NOTE, ""]
    if carry_over:
        pages["carry_over"] = dated(pages["carry_over"] + carry_over_tables(carry_over), carry_over)
    else:
        pages["carry_over"].append("Not measured yet: `python -m bench.carry_over` does it.")
    if short := _read(options.results / "short_histories.json"):
        pages["carry_over"] += dated(short_histories_table(short), short)
    for name, page in {"kinds": kinds, "severity": severity}.items():
        if found := _read(options.results / f"{name}.json"):
            pages[name] = dated(page.page(found), found)
    for name, page in {"limits": limits, "nights": nights}.items():
        if found := _read(options.results / f"{name}.json"):
            pages[name] = page.page(found)  # no figures of detection quality
    options.out.mkdir(parents=True, exist_ok=True)
    for name, lines in pages.items():
        text = "\n".join(lines).rstrip() + "\n"
        (options.out / f"{name}.md").write_text(text, encoding="utf-8")


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


if __name__ == "__main__":
    main()
