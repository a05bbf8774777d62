"""The command ``prune``: what may go of each fleet, and how much room it takes."""

from typing import TYPE_CHECKING, Annotated

import typer

from amad.cli.running import FleetsOption, for_each_fleet

if TYPE_CHECKING:
    from amad.config import Stage
    from amad.scores.retention import Old

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def prune(
    context: typer.Context,
    days: Annotated[  # the sinks, late rows and the report look back on at most 30 days
        int, typer.Option(min=30, help="Number of days to keep, up to the newest scored date.")
    ],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")
    ] = False,
    fleet: FleetsOption = None,
) -> None:
    """Remove old scores, incidents, pages of the report, job logs and checkpoints."""
    from amad.scores.retention import old_results
    from amad.scores.retention import prune as remove
    from amad.storage import look, step

    def work(stage: "Stage") -> None:
        name = stage.fleet.name
        if dry_run:
            look(stage, "prune")
            found = old_results(stage.runs, days)
        else:
            with step(stage, "prune"):
                found = remove(stage.runs, name, days)
                join_archive_of(stage, found)
        print("\n".join(_lines(name, found, days, dry_run)))

    for_each_fleet(context, fleet, work)


def join_archive_of(stage: "Stage", removed: "list[Old]") -> None:
    """Let no page of the report lead to one that was removed."""
    from amad.report import join_archive
    from amad.scores.retention import PAGES

    if any(item.kind == PAGES for item in removed):
        join_archive(stage)


def _lines(fleet: str, found: "list[Old]", days: int, dry_run: bool) -> list[str]:
    """A line per kind of thing: how many, of which dates, how much room."""
    if not found:
        return [f"fleet {fleet}: nothing is older than {days} days"]
    lines = [f"fleet {fleet}: {'would be removed' if dry_run else 'removed'}"]
    for kind in dict.fromkeys(item.kind for item in found):
        own = [item for item in found if item.kind == kind]
        days_of = sorted({item.day for item in own if item.day is not None})
        many = f"of {days_of[0]} to {days_of[-1]}" if days_of else f"{len(own):,}"
        lines.append(f"  {kind}: {many}, {_room(sum(item.size for item in own))}")
    return lines


def _room(size: int) -> str:
    return next((f"{size / unit:.1f} {name}" for unit, name in UNITS if size >= unit), f"{size} B")
