"""What the page says of its own limits and words: blind spots, promise, and the glossary."""

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from evaluation_kit import evaluation_metrics, method_figures
from notify_kit import DAY, Yard
from notify_kit import an_incident as at_yard
from report_kit import an_incident, stage_of, write_data, write_fleet, write_run

import amad.report
from amad.config.wording import range_of, some
from amad.drift.findings import ChannelDrift, Drift
from amad.evaluation.evaluation_metrics import FaultFigures, StrengthFigures
from amad.ingest.ingestion import ingest
from amad.report import build_report, incident_entries
from amad.report.blind_spots import blind_spots
from amad.report.glossary import Explained, glossary
from amad.report.promise import Achieved, table
from amad.report.since_last import PublishedDates

METHODS = {"amad": method_figures([0.6]), "random": method_figures([0.1])}


def fault(found: int, events: int, **strengths: tuple[int, int]) -> FaultFigures:
    def figures(found: int, events: int) -> dict:
        return {"events": events, "events_found": found, "event_recall": found / events,
                "median_delay_seconds": None}  # fmt: skip

    parts = {
        name: StrengthFigures(**figures(*of), strength=(1.0, 2.0)) for name, of in strengths.items()
    }
    return FaultFigures(**figures(found, events), strengths=parts, methods={})


def test_faults_that_are_missed_come_first_by_thirds_of_their_strength(home: Path):
    faults = {"spike": fault(4, 4), "delay": fault(1, 4, weak=(0, 2), strong=(1, 2))}
    metrics = evaluation_metrics(METHODS).model_copy(update={"by_fault": faults})
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {})
    metrics.write(settings.fleet_dir(fleet.name))
    page = build_report(stage_of(fleet, settings)).path.read_text(encoding="utf-8")
    section = page.split('<section aria-labelledby="blind">')[1].split("</table>")[0]
    assert "Mostly missed: delay</p>" in section
    rows = re.findall(r'<tr role="row"( class="blind")?>(.*)</tr>', section)
    cells = [re.findall(r'role="(?:rowheader|cell)">([^<]*)<', row) for _, row in rows[-2:]]
    assert [bool(blind) for blind, _ in rows[-2:]] == [True, False]
    assert cells[0] == ["delay", "1 of 4", "0 of 2", "–", "1 of 2"] and cells[1][0] == "spike"


def test_without_types_it_says_how_many_are_missed_and_without_figures_what_to_run(home: Path):
    fleet = write_fleet(home)
    metrics = evaluation_metrics(METHODS, point={"events": 5, "events_found": 3})
    assert "misses 2 of the 5 known faults" in blind_spots(metrics, [], fleet).why_no_faults
    whole = evaluation_metrics(METHODS, point={"events": 5, "events_found": 5})
    said = blind_spots(whole, [], fleet).why_no_faults
    assert "misses none of the 5 known faults" in said and "which kinds" not in said
    assert "no known fault" in blind_spots(
        evaluation_metrics(METHODS, point={"events": 0, "events_found": 0}), [], fleet
    ).why_no_faults  # fmt: skip
    assert "amad evaluate" in blind_spots(None, [], fleet).why_no_faults
    older = blind_spots(None, [], fleet, version="3").why_no_faults
    assert "amad review 3" in older and "amad evaluate" not in older, "it measures the newest"


def test_what_of_the_run_had_no_score_is_told(home: Path):
    yard = Yard(home)
    yard.publish(0)
    manifest = PublishedDates.of(yard.runs, "1").current(DAY).model_copy(
        update={"unscored": {"too_short": 9}, "unmeasured": {"van-1": ["Vehicle.Speed"]},
                "withheld": {"van-2": ["Vehicle.Coolant"]},
                "unlearnt": {"van-3": ["Vehicle.Speed"], "van-1": ["Vehicle.Speed"]}}
    )  # fmt: skip
    lines = blind_spots(None, [manifest], yard.fleet).lines
    assert lines[0].startswith("9 rows of this page") and "too short a stretch" in lines[0]
    assert lines[1].startswith(
        "Coolant temperature failed its checks on at least one date on van-2"
    )
    assert lines[2].startswith("Speed had no usable value on at least one date on van-1")
    assert lines[3] == (
        "Speed had no value in the training of this version on van-1, van-3: nothing that shows "
        "in it alone is seen there."
    )


def test_how_many_more_there_are_is_no_part_of_the_last_sentence():
    found = ["S-2 is silent; it reports every day", "T-9 is silent"] * 3
    assert some(found, 1, separator="; ") == f"{found[0]}; and 5 more"
    assert some("abc", 2) == "a, b and 1 more"


@pytest.mark.parametrize(
    ("incidents", "verdict"), [(5, "good"), (7, "good"), (20, "fair"), (40, "poor")]
)
def test_the_promise_is_kept_with_an_allowance_for_chance(incidents: int, verdict: str):
    of = Achieved(name="2026-01-09", incidents=incidents, days=10, promised=0.5)
    assert of.verdict == verdict
    assert ("may be chance" in of.said) == (incidents == 7), "7 is more, and yet no sign of it"
    low, high = of.interval
    assert low < of.rate < high
    assert replace(of, promised=None).verdict == "unknown"


def test_the_promise_of_a_night_stands_beside_that_of_the_days_before(home: Path):
    yard = Yard(home)
    for night in range(3):
        yard.publish(night, at_yard("van-1", night), at_yard("van-2", night))
    published = PublishedDates.of(yard.runs, "1")
    newest = max(published.manifests)
    own = Achieved(name="2026-01-09", incidents=2, days=4, promised=1.0)
    metrics = evaluation_metrics(METHODS)
    rows = table(own, [newest], published.window(newest), published, metrics)
    assert [(r.incidents, r.days) for r in rows[:2]] == [(2, 4), (6, 12)]
    assert rows[1].name == "The newest 3 scored dates" and rows[1].promised == 1.0
    alone = table(own, list(published.manifests), published.window(newest), published, None)
    assert len(alone) == 1, "the same dates are not told twice"


def test_every_marked_word_is_in_the_glossary():
    templates = Path(amad.report.__file__).parent / "page"
    text = "".join(file.read_text(encoding="utf-8") for file in templates.glob("*.j2"))
    marked = set(re.findall(r'term\("([^"]+)"', text))
    assert len(marked) > 10 and marked <= set(glossary())


def test_a_word_is_explained_once_and_escaped():
    term = Explained({"row": "a `x` & *y*", "a, b": "never split here"})
    first, again = term("row"), term("row", "rows <of>")
    assert 'popovertarget="word-row"' in first and "rows &lt;of&gt;" in again
    assert term("unheard of") == "unheard of"
    assert term.words == [("word-row", "row", "a <code>x</code> &amp; <em>y</em>")]


def test_a_row_of_the_glossary_may_hold_several_words(tmp_path: Path):
    file = tmp_path / "glossary.md"
    file.write_text("| word | meaning |\n|---|---|\n| **code, place** | a value |\n", "utf-8")
    assert glossary(file) == {"code": "a value", "place": "a value"}
    assert glossary(tmp_path / "none.md") == {}


def test_new_incidents_have_plots_before_worse_ones_of_earlier_dates(home: Path, monkeypatch):
    monkeypatch.setattr(incident_entries, "PLOTTED", 1)
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    grades = {0: 90.0, 1: 10.0}
    incidents = {
        day: [an_incident(fleet, "bev-01", day, 100, 50, severity=severity)]
        for day, severity in grades.items()
    }
    write_run(fleet, settings, incidents)
    stage = stage_of(fleet, settings)
    Drift(
        fleet="kit", model_version="3", newest="2026-01-10", retrain=False, reason="no: too few",
        channels=[ChannelDrift(vehicle_class="all", channel="Vehicle.Speed", distance=2, limit=1)],
    ).write(stage.runs)  # fmt: skip
    page = build_report(stage).path.read_text(encoding="utf-8")
    assert page.count('<article class="incident"') == 1 and 'id="incident-2"' in page
    assert "1 drifted (Speed). Retrain? No: too few." in page
    measured = Drift.read(stage.runs)
    measured.model_copy(update={"channels": []}).write(stage.runs)
    again = build_report(stage).path.read_text(encoding="utf-8")
    said = re.search(r'class="unknown note">.*?Drift of the 0 channels', again)
    assert said and "✓" not in said[0], "no tick where nothing could be compared"
    assert "<dt>Class</dt>" not in page and "<small>all</small>" not in page, "it has one class"


def test_a_new_incident_is_listed_and_plotted_however_many_are_worse(home: Path, monkeypatch):
    monkeypatch.setattr(incident_entries, "LISTED", 2)
    monkeypatch.setattr(incident_entries, "PLOTTED", 1)
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    incidents = {
        0: [an_incident(fleet, "bev-01", 0, 150 * n, 50, severity=90.0 - n) for n in range(3)],
        1: [an_incident(fleet, "bev-01", 1, 100, 50, severity=10.0)],
    }
    write_run(fleet, settings, incidents)
    page = build_report(stage_of(fleet, settings)).path.read_text(encoding="utf-8")
    assert re.findall(r'<tr role="row" data-severity="([\d.]+)"', page) == ["90.0", "10.0"]
    (plotted,) = re.findall(r'<article class="incident" id="(.+?)">', page)
    assert f'<a href="#{plotted}">bev-01</a>, level shift' in page, "the headline leads to it"
    assert "2 older or milder incidents not listed" in page


def test_the_headline_leads_nowhere_where_the_worst_has_no_plot(home: Path, monkeypatch):
    monkeypatch.setattr(incident_entries, "PLOTTED", 1)
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01", "van-02"])
    incidents = {
        0: [
            an_incident(fleet, "bev-01", 0, 100, 50, severity=90.0),
            an_incident(fleet, "van-02", 0, 550, 50, severity=10.0),  # over on the next date
        ]
    }
    write_run(fleet, settings, incidents)
    page = build_report(stage_of(fleet, settings)).path.read_text(encoding="utf-8")
    links, ids = (set(re.findall(rf'{name}="#?([^"]+)"', page)) for name in ("href", "id"))
    assert "Worst: bev-01," in page and "incident-1" not in ids
    assert {link for link in links if link.startswith("incident-")} <= ids


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        ([("old", "van-*"), ("new", "bev-*")], {"bev-01": "new", "van-02": "old"}),
        ([("new", "bev-*"), ("other", "car-*")], {"bev-01": "new", "van-02": ""}),
    ],
)
def test_a_vehicle_has_the_class_that_the_fleet_file_gives_it_now(home: Path, classes, told):
    """Also where it was scored in another one, and where no pattern matches it any more."""
    fleet = write_fleet(home)
    settings = write_data(fleet, home, list(told))
    write_run(fleet, settings, {1: [an_incident(fleet, name, 1, 60, 30) for name in told]})
    changed = [{"name": name, "vehicles": [pattern]} for name, pattern in classes]
    fleet = write_fleet(home, vehicle_classes=changed)
    ingest(fleet, settings, rebuild=True)  # by the second file the rows of a vehicle are gone
    build_report(stage_of(fleet, settings), home / "report.html")
    page = (home / "report.html").read_text(encoding="utf-8")
    heads = re.findall(
        r'<th scope="row" role="rowheader">([^<]*?)(?: <small>(.*?)</small>)?</th>', page
    )
    assert sorted(head for head in heads if head[0] in told) == sorted(2 * list(told.items())), (
        "under Worst vehicles and The fleet"
    )


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([5], "2026-01-05"),
        ([5, 6, 7], "2026-01-05 to 2026-01-07"),
        ([5, 7, 9], "3 dates from 2026-01-05 to 2026-01-09"),
    ],
)
def test_a_run_of_dates_that_do_not_follow_each_other_says_so(numbers, text):
    assert range_of([date(2026, 1, number) for number in numbers]) == text
