"""The results of all checks as a table for a person, or as JSON for a monitor."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from amad.cli.doctor.check import Check

if TYPE_CHECKING:
    from rich.table import Table

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def as_table(checks: Sequence[Check]) -> "Table":
    """One row per check; the remedy stands under the finding."""
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
    return table


def as_json(checks: Sequence[Check]) -> str:
    """``{"ok": no check failed, "checks": [{name, status, finding, remedy}]}``."""
    content = {
        "ok": all(check.status != "fail" for check in checks),
        "checks": [asdict(check) for check in checks],
    }
    return json.dumps(content, indent=2)
