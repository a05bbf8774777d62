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


LARGE = [
    "detect",
    "detect/members",
    "draft",
    "incidents",
    "ingest",
    "model",
    "reading",
    "telemetry",
    "windows",
]


@pytest.mark.parametrize("name", LARGE)
def test_a_package_says_where_to_look_for_what(name: str):
    folder = ROOT / "amad" / name
    told = (folder / "__init__.py").read_text(encoding="utf-8")
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert [module for module in sorted(modules) if f"``{module}``" not in told] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_module_is_small(path: Path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
