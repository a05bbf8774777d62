"""The documentation is built, its links lead somewhere, and what it names exists."""

import itertools
import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify
from test_infra import GUIDES

from amad.detect import detector_folder
from amad.model import bundle
from amad.telemetry import manifest
from amad.windows import store
from tools.reference import MARKER
from tools.reference import main as reference

ROOT = Path(__file__).resolve().parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.M))
PROSE = re.compile(r"^```.*?^```$", re.M | re.S)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = {"NO_MKDOCS_2_WARNING": "1", "PATH": ""}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


@pytest.mark.slow
def test_the_pages_load_nothing_from_elsewhere(site: Path):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=\"?([^\s\">]+)", text)
        for link in re.findall(r"<link[^>]*>", text):
            if "stylesheet" in link or "preconnect" in link or "icon" in link:
                loaded += re.findall(r"href=\"?([^\s\">]+)", link)
        assert not [address for address in loaded if "//" in address], page


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    for path in (ROOT / "docs").rglob("*.md"):
        name = str(path.relative_to(ROOT / "docs"))
        assert re.search(rf"[ :]{re.escape(name)}$", navigation, re.M), f"{name} is in no menu"


def test_the_reference_says_what_the_code_says(capsys: pytest.CaptureFixture):
    assert reference(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("page", ["cli", "cluster-profile", "fleet-file", "notify-file", "params"])
def test_the_reference_explains_every_key_and_option(page: str):
    text = (ROOT / "docs" / "reference" / f"{page}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `.*$", text.split(MARKER)[1], re.M)
    assert rows and not [row for row in rows if not row.removesuffix("|").split("|")[-1].strip()]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as mkdocs makes them."""
    text = PROSE.sub("", path.read_text(encoding="utf-8"))
    return {slugify(title.replace("`", ""), "-") for title in re.findall(r"^#+ (.*)$", text, re.M)}


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_its_anchor(path: Path):
    text = PROSE.sub("", path.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
        if "://" not in target:
            page = (path.parent / target).resolve() if target else path
            assert page.exists(), f"{path}: {target}"
            assert not anchor or anchor in anchors(page), f"{path}: {target}#{anchor}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_line_is_an_item_of_a_list_where_it_is_meant_as_one(path: Path):
    """An item has an empty line or a list before it, and no wrapped line begins with a sign."""
    lines = PROSE.sub("", path.read_text(encoding="utf-8")).split("\n")
    item, goes_on = re.compile(r" *(-|\d+\.) "), re.compile(r"#| {2,}|\s*$")
    for before, line in itertools.pairwise(lines):
        assert not re.match(r" {0,3}[-+*] \.?\d", line), f"{path}: {line}"
        told = item.match(before) or goes_on.match(before)
        assert told or not item.match(line), f"{path}: {line}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_make_target_and_module_that_a_guide_names_exists(path: Path):
    text = path.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)(?=[ `\n])", text, re.M))
    assert named <= TARGETS, f"{path}: {named - TARGETS}"
    for module in set(re.findall(r"python -m ((?:bench|pipelines|tools|amad)[\w.]*)", text)):
        assert find_spec(module), f"{path}: python -m {module}"


def test_make_help_lists_every_target():
    result = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    listed = {line.split()[1] for line in result.stdout.splitlines() if line.startswith("  make ")}
    assert result.returncode == 0 and listed == TARGETS, result.stderr


def test_paths_of_the_project_that_a_guide_names_exist():
    """Such as ``amad/telemetry/schemas.py``; a name in capitals or brackets stands for another."""
    folders = "amad|bench|tests|tools|infra|conf|pipelines"
    for path in GUIDES:
        if path.name != "experiments.md":  # which tells of what was
            text = path.read_text(encoding="utf-8")
            for name in set(re.findall(rf"`((?:{folders})/[^`\s]+)`", text)):
                if not re.search(r"[<>*{}$]|[A-Z]{3}|example|/(car|vans)\.yaml", name):
                    assert (ROOT / name.split("::")[0]).exists(), f"{path}: {name}"


@pytest.mark.parametrize("path", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_option_of_a_benchmark_that_a_guide_names_exists(path: Path):
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for module, rest in re.findall(r"python -m ((?:bench|tools)\.\w+)([^`\n]*)", text):
        found = find_spec(module)
        assert found and found.origin, module
        source = Path(found.origin)
        if source.name == "__init__.py" or not source.is_file():
            source = source.with_name("__main__.py")
        code = source.read_text(encoding="utf-8")
        for option in re.findall(r"(--[a-z-]+)", rest):
            assert f'"{option}"' in code, f"{path}: {module} {option}"


def test_every_test_that_the_page_of_faults_names_exists():
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "reference" / "faults.md").read_text())
    files = (ROOT / "tests").glob("test_*.py")
    tests = [name for f in files for name in re.findall(r"^def (test_\w+)", f.read_text(), re.M)]
    assert len(named) > 50 and {name: tests.count(name) for name in named} == dict.fromkeys(
        named, 1
    )


def test_the_detector_page_has_the_false_alarms_that_were_measured():
    report = json.loads((ROOT / "bench" / "results" / "carry_over.json").read_text())
    rate = report["protocols"]["test"]["online"]["false_alarms"]["amad"]["asd"]
    text = (ROOT / "docs" / "explanation" / "detector.md").read_text(encoding="utf-8")
    assert f"Online, asd has {rate:.2f}".replace(" 0.", " .") in text


def test_the_changelog_names_the_formats_of_now():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    formats = {
        "Lake (format {})": manifest.FORMAT,
        "window store ({})": store.FORMAT,
        "bundle ({})": bundle.FORMAT,
        "detector ({})": detector_folder.FORMAT,
    }
    for words, number in formats.items():
        assert words.format(number) in text
