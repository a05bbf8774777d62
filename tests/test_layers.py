"""The architecture, checked: imports point one way, modules stay small, the help stays light."""

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(
    p for d in ("amad", "pipelines", "bench", "tests", "tools") for p in (ROOT / d).rglob("*.py")
)


def test_imports_point_one_way():
    command = [Path(sys.executable).parent / "lint-imports", "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_imports_run_in_a_circle():
    """Not inside functions or for type checkers alone either: such an import hides a circle."""
    graph = grimp.build_graph("amad", "pipelines", cache_dir=None)
    order = TopologicalSorter(
        {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    )
    try:
        order.prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_a_package_of_many_modules_says_where_to_look_for_what():
    for start in (ROOT / "amad").rglob("__init__.py"):
        told = start.read_text(encoding="utf-8")
        modules = {path.stem for path in start.parent.glob("*.py")} - {"__init__"}
        untold = sorted(module for module in modules if f"``{module}``" not in told)
        assert len(modules) <= 10 or untold == [], start


def test_modules_are_small():
    assert len(MODULES) > 600
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert [path for path in MODULES if lines[path] > 400] == []
