"""The results of all checks as a table for a person, or as JSON for a monitor."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from amad.cli.doctor.check import Check

WIDEST = 10_000  # characters of a line that goes into a file or a pipe, where nothing is folded
STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def print_table(checks: Sequence[Check]) -> None:
    """One row per check, the remedy under the finding; folded where a terminal is too narrow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        finding = Text(check.finding)
        if check.remedy:
            finding.append(f"\n→ {check.remedy}", style="bold")
        table.add_row(Text(check.status, style=STYLES[check.status]), Text(check.name), finding)
    console = Console()
    if console.is_terminal:
        console.print(table)
        return
    wide = Console(width=WIDEST)
    with wide.capture() as captured:
        wide.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def as_json(checks: Sequence[Check]) -> str:
    """``{"ok": no check failed, "checks": [{name, status, finding, remedy}]}``."""
    content = {
        "ok": all(check.status != "fail" for check in checks),
        "checks": [asdict(check) for check in checks],
    }
    return json.dumps(content, indent=2)
