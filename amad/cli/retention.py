"""The command ``prune``: what may go of each fleet, and how much room it takes."""

from typing import TYPE_CHECKING

import typer

from amad.cli.running import for_each_fleet

if TYPE_CHECKING:
    from amad.config import Params, Settings, Stage
    from amad.scores.retention import Old

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def prune(context: typer.Context, fleets: list[str] | None, *, days: int, dry_run: bool) -> None:
    """Remove the old results of each fleet, or say what would be removed."""
    from amad.scores.retention import old_results
    from amad.scores.retention import prune as remove

    def work(params: "Params", settings: "Settings") -> None:
        from amad.config import Stage
        from amad.storage import look, step

        stage = Stage.of(params, settings)
        name = stage.fleet.name
        if dry_run:
            look(stage, "prune")
            found = old_results(stage.runs, days)
        else:
            with step(stage, "prune"):
                found = remove(stage.runs, name, days)
                join_archive_of(stage, found)
        print("\n".join(_lines(name, found, days, dry_run)))

    for_each_fleet(context, fleets, work)


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
