"""The report in a real Chromium: light and dark, desk and phone, keyboard, and axe's rules."""

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from report_kit import (
    an_incident,
    stage_of,
    write_data,
    write_fleet,
    write_profile,
    write_run,
    write_verdicts,
)

from amad.report import archive, build_report
from amad.report.glossary import glossary
from amad.scores.feedback import read_verdicts
from tools.chromium import CHROMIUM, DESKTOP, PHONE, Browser, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
]
AXE = Path(os.environ.get("AXE_CORE", ""))
RULES = """axe.run(document, {resultTypes: ["violations"]}).then((found) => JSON.stringify(
  found.violations.map((v) => [v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 120))])))"""
NAME = "an-unusually-long-name-of-a-vehicle-without-any-blank-2026"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a run, that of a date, and the index."""
    home = tmp_path_factory.mktemp("browser")
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01", NAME], days=3)
    incidents = {
        1: [an_incident(fleet, NAME, 1, 50, 40, severity=20.0),
            an_incident(fleet, "bev-01", 1, 500, 100, severity=40.0)],
        2: [an_incident(fleet, "bev-01", 2, 100 + 60 * n, 20, severity=25.0 * n, type=kind)
            for n, kind in enumerate(["relation", "drift", "spike", "stuck"])],
    }  # fmt: skip
    write_run(fleet, settings, incidents, days=(0, 1, 2), quarantined=((NAME, 2),))
    write_verdicts(fleet, settings)
    write_profile(fleet, settings)
    report = build_report(stage_of(fleet, settings))
    runs = settings.runs_dir("kit")
    return {
        "run": report.path,
        "date": archive.page_of(runs, report.dates[-1]),
        "index": archive.index_of(runs),
    }


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as made:
        yield made


# A desk, windows on either side of the widths at which the lay-out changes, a tablet, a phone.
SIZES = [DESKTOP, (1160, 900), (1140, 900), (1010, 900), (820, 1180), (790, 900), PHONE]


@pytest.mark.parametrize("size", SIZES, ids=[str(width) for width, _ in SIZES])
@pytest.mark.parametrize("name", ["run", "date", "index"])
def test_no_page_scrolls_sideways(tab: Browser, pages: dict[str, Path], name: str, size):
    tab.show(pages[name], size)
    assert tab.run("document.documentElement.scrollWidth") <= size[0]
    beyond = """[...document.querySelectorAll("main *, header *")].filter((e) =>
      e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".hidden, thead, svg"))
      .map((e) => e.outerHTML.slice(0, 90))"""
    assert tab.run(beyond) == [], "nothing is cut off either"
    squeezed = """[...document.querySelectorAll("main *, header *")].filter((e) => {
      const width = e.getBoundingClientRect().width;
      return width > 1 && width < 3 * parseFloat(getComputedStyle(e).fontSize) &&
        !e.closest(".hidden, thead, svg") && [...e.childNodes].some((n) =>
          n.nodeType === Node.TEXT_NODE && n.textContent.trim().length > 9); })
      .map((e) => e.outerHTML.slice(0, 90))"""
    assert tab.run(squeezed) == [], "no column is so narrow that words are set letter by letter"


@pytest.mark.skipif(not AXE.is_file(), reason="AXE_CORE does not name axe-core's axe.min.js")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", ["run", "date", "index"])
def test_axe_finds_nothing_serious(tab: Browser, pages, name: str, size, scheme: str):
    tab.show(pages[name], size, scheme)
    tab.run("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    tab.run(AXE.read_text(encoding="utf-8"))
    found = json.loads(str(tab.run(RULES)))
    assert [entry for entry in found if entry[0] in ("serious", "critical")] == []


def test_the_keyboard_reaches_the_report_and_the_words(tab: Browser, pages: dict[str, Path]):
    tab.show(pages["run"])
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    assert tab.run("document.activeElement.getBoundingClientRect().height") > 20, "it is seen"
    tab.press("Enter")
    assert tab.run("location.hash") == "#since"
    tab.press("Tab")
    assert tab.run("document.activeElement.textContent") == "incident"
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter")
    shown = "document.querySelector('.tip:popover-open')?.textContent"
    assert tab.run(shown) == f"incident: {glossary()['incident']}"
    place = tab.run("JSON.stringify(document.querySelector('.tip:popover-open')"
                    ".getBoundingClientRect())")  # fmt: skip
    assert json.loads(str(place))["left"] >= 0
    tab.press("Escape")
    assert not tab.run(shown)


def test_the_list_is_sorted_and_filtered_by_keyboard(tab: Browser, pages: dict[str, Path]):
    tab.show(pages["run"])
    order = "[...document.querySelectorAll('#list tbody tr:not([hidden])')].map((r) => " \
            "Number(r.dataset.severity))"  # fmt: skip
    before = tab.run(order)
    assert before == sorted(before, reverse=True)
    tab.run("document.querySelector('th[data-key=severity] button').focus()")
    tab.press("Enter")
    tab.press("Enter")
    assert tab.run(order) == sorted(before)
    assert tab.run("document.querySelector('th[data-key=severity]').ariaSort") == "ascending"
    tab.run("document.querySelector('#chips button').click()")
    assert len(tab.run(order)) < len(before)


def test_verdicts_that_are_given_on_the_page_are_those_that_amad_reads(tab, pages, tmp_path):
    """The file that the link saves goes through `amad feedback --csv`'s reader."""
    tab.show(pages["run"])
    link = "document.getElementById('saved').href"
    ids = tab.run("[...document.querySelectorAll('fieldset.judge')].map((f) => f.dataset.incident)")
    assert len(ids) == 6 and tab.run("document.querySelector('fieldset.judge').hidden") is False
    tab.run("document.querySelector('fieldset.judge input[value=false]').focus()")
    tab.run("document.activeElement.click()")
    tab.run("""(() => {
      const form = document.querySelectorAll('fieldset.judge')[1];
      form.querySelector('input[value=true]').click();
      const why = form.querySelector('input[type=text]');
      why.value = 'a "loose" plug, again';
      why.dispatchEvent(new Event('input', {bubbles: true}));
    })()""")
    assert tab.run("document.getElementById('judged').textContent") == "2 verdicts"
    kind, _, text = str(tab.run(link)).partition(",")
    assert kind == "data:text/csv;charset=utf-8"
    file = tmp_path / "verdicts.csv"
    file.write_text(unquote(text), encoding="utf-8")
    assert [(s.incident_id, s.verdict, s.note) for s in read_verdicts(file)] == [
        (ids[0], "false", ""), (ids[1], "true", 'a "loose" plug, again'),
    ]  # fmt: skip


def test_headings_come_in_order_and_tables_have_headers(tab: Browser, pages: dict[str, Path]):
    for name in ("run", "date", "index"):
        tab.show(pages[name])
        levels = tab.run("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => +h.tagName[1])")
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(b - a <= 1 for a, b in pairwise(levels)), levels
        assert tab.run("[...document.querySelectorAll('th')].every((h) => h.scope)")
        assert tab.run("[...document.querySelectorAll('svg')].every((s) => "
                       "s.ariaHidden === 'true' || s.ariaLabel)")  # fmt: skip


def test_light_and_dark_differ(tab: Browser, pages: dict[str, Path]):
    colours = set()
    for scheme in ("light", "dark"):
        tab.show(pages["index"], scheme=scheme)
        colours.add(tab.run("getComputedStyle(document.body).backgroundColor"))
    assert len(colours) == 2
