"""``amad status``: the ledger of each fleet's dates, as a table or as JSON."""

import json as jsons
from typing import TYPE_CHECKING, Annotated

import typer

from amad.cli.error_sentences import UNHEALTHY
from amad.cli.running import ClusterOption, FleetsOption, for_each_fleet

if TYPE_CHECKING:
    from amad.config import Stage
    from amad.engines.score.ledger import DateEntry, Ledger

SHORT = 8  # digits of a digest that the table shows
COLUMNS = ("date", "state", "rows", "scored", "causes", "incidents", "model",
           "input", "detector", "tries", "seconds")  # fmt: skip
NUMBERS = ("rows", "scored", "causes", "incidents", "model", "tries", "seconds")


def status(
    context: typer.Context,
    days: Annotated[int, typer.Option(min=1, help="Number of newest dates to show.")] = 14,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for a monitor.")] = False,
    fleet: FleetsOption = None,
    cluster: ClusterOption = None,
) -> None:
    """Show per date what is scored, what is open and why, and how far scoring lies behind.

    Everything that is open is shown, however old. It only reads.
    """
    from amad.engines.score.ledger import read_ledger
    from amad.storage import look

    found: list[Ledger] = []

    def work(stage: "Stage") -> None:
        look(stage, "status")
        ledger = read_ledger(stage)
        found.append(ledger)
        if not json:
            _print(ledger, days)

    try:
        for_each_fleet(context, fleet, work, cluster)
    finally:
        if json and found:
            well = all(ledger.is_well for ledger in found)
            content = {"ok": well, "fleets": [ledger.content(days) for ledger in found]}
            print(jsons.dumps(content, indent=2))
    if not all(ledger.is_well for ledger in found):
        raise typer.Exit(UNHEALTHY)


def _print(ledger: "Ledger", days: int) -> None:
    from amad.config.wording import some

    newest = ledger.dates[-days:]
    shown = [*(item for item in ledger.dates[:-days] if item.is_open), *newest]
    print("\n".join(_head(ledger)))
    if shown:
        print("\n".join(_table(shown)))
    for item in shown:
        if item.why and item.state != "not scored":
            print(f"{item.date} {item.state}: {item.why}")
        if item.withheld:
            sensors = (f"{vehicle} ({some(of)})" for vehicle, of in item.withheld.items())
            print(f"{item.date} without failed sensors: {some(sensors)}")
        if item.failed:
            print(f"{item.date} failed, and the next job tries again: {some(item.failed)}")
    print(f"fleet {ledger.fleet}: {_verdict(ledger)}")


def _head(ledger: "Ledger") -> list[str]:
    """Watermark, last job and the last run of each step, a line each."""
    from amad.config.wording import count

    newest = ledger.newest_row and f"{ledger.newest_row:%Y-%m-%d %H:%M} UTC"
    behind = f", {count(ledger.behind, 'date')} of the lake behind it" if ledger.behind else ""
    lines = [
        f"fleet {ledger.fleet}: newest row of the lake {newest or 'none'}; newest scored date "
        f"{ledger.newest_scored or 'none'}{behind}"
    ]
    if (job := ledger.job) is not None:
        took = f", {(job.ended - job.started).total_seconds():.0f} s" if job.ended else ""
        lines.append(
            f"last job {job.id}: {job.status}{took}, {count(len(job.dates), 'date')} published"
        )
    if ledger.steps:
        ran = (f"{log.step} {log.started:%Y-%m-%d %H:%M} {log.status}" for log in ledger.steps)
        lines.append(f"last steps (UTC): {', '.join(ran)}")
    if ledger.unjudged:
        lines.append(f"{count(ledger.unjudged, 'vehicle-day')} to be judged by the next job")
    lines += [f"the job log {path} is damaged and left out" for path in ledger.damaged_logs]
    return lines


def _table(entries: "list[DateEntry]") -> list[str]:
    """A line per date below the names of the columns; as wide as it must be, so nothing is cut."""
    rows = [COLUMNS]
    for item in entries:
        published = item.model_version is not None
        rows.append((
            str(item.date),
            item.state if item.over else f"{item.state}, not over",
            f"{item.rows:,}",
            f"{item.scored:,}" if published else "",
            "" if item.causes is None else f"{item.causes:,}",
            f"{item.incidents:,}" if published else "",
            item.model_version or "",
            item.inputs[:SHORT],
            item.detector[:SHORT],
            str(item.attempts),
            "" if item.seconds is None else f"{item.seconds:.1f}",
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if name in NUMBERS else "<" for name in COLUMNS]
    return [
        "  ".join(f"{cell:{s}{w}}" for cell, s, w in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]


def _verdict(ledger: "Ledger") -> str:
    """One sentence: is anything left to do?"""
    from amad.config.wording import count

    parts = ledger.troubles
    states: dict[str, int] = {}
    for item in ledger.open:
        states[item.state] = states.get(item.state, 0) + 1
    if states:
        told = ", ".join(f"{number} {state}" for state, number in states.items())
        parts.append(f"{count(len(ledger.open), 'date is', 'dates are')} open ({told})")
    return "; ".join(parts) or "nothing is open"
