"""A page per scored date: what is new on it, its neighbours, the index, and what is made again."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from notify_kit import DAY, Yard
from notify_kit import an_incident as at_yard
from report_kit import (
    FIRST_DAY,
    SECOND,
    VERSION,
    an_incident,
    day_start,
    stage_of,
    write_data,
    write_fleet,
    write_run,
    write_verdicts,
)

from amad.cli import retention
from amad.config import Stage
from amad.notify.grouping import causes
from amad.report import archive, build_report
from amad.report.incident_plot import plot
from amad.report.scoring_run import ScoringRun
from amad.report.since_last import PublishedDates, SinceLast, since_last
from amad.report.vehicle_trend import trend
from amad.scores.partitions import table_file
from amad.scores.retention import Retention, prune
from amad.telemetry.lake import Lake

DAYS = [FIRST_DAY + timedelta(days=n) for n in range(3)]


def states(since: SinceLast) -> dict[str, list[str]]:
    """The vehicles of each state, with what is noted of them."""
    return {
        name: [" ".join([line.incident.vehicle, *line.notes])
               for item in getattr(since, name) for line in item.lines]
        for name in ("new", "ongoing", "over")
    }  # fmt: skip


def since(yard: Yard, night: int) -> SinceLast:
    found = since_last(PublishedDates.of(yard.runs, "1"), DAY + timedelta(days=night), yard.fleet)
    assert found is not None
    return found


def test_the_states_are_those_of_the_notices(home: Path):
    yard = Yard(home)
    stays = at_yard("van-1", 0, hour=23.0, hours=1.0)
    ends = at_yard("van-2", 0, hour=23.5, hours=0.5, severity=30.0)
    worse = at_yard("van-3", 0, hour=23.0, hours=1.0, severity=30.0)
    yard.publish(0, stays, ends, worse, at_yard("van-4", 0))
    first = since(yard, 0)
    assert first.counts == {"new": 2, "ongoing": 0, "over": 0}, "three began at one time"
    assert first.new_text == "2 new causes (4 incidents)"
    again = {"start": stays.start, "incident_id": stays.incident_id, "continued": True}
    more = {"start": worse.start, "incident_id": worse.incident_id, "continued": True}
    yard.publish(
        1,
        at_yard("van-1", 1, hour=0.0, hours=24.0, **again),
        at_yard("van-3", 1, hour=0.0, hours=24.0, severity=80.0, **more),
        at_yard("van-4", 1, hour=12.0),
    )
    found = since(yard, 1)
    assert found.before == DAY
    assert states(found) == {
        "new": ["van-4 already over"],
        "ongoing": ["van-3 now worse", "van-1"],
        "over": ["van-2"],
    }
    assert found.critical([]) == 1 and found.worst([]).incident.vehicle == "van-3"
    assert since(yard, 0).counts["new"] == 2, "a later date changes nothing on an earlier page"


def test_an_incident_goes_on_without_new_rows_and_says_so(home: Path):
    yard = Yard(home)
    yard.publish(0, *(at_yard(van, 0, hour=23.0, hours=1.0) for van in ("van-1", "van-2")))
    yard.vehicles = ["van-2"]
    yard.publish(1)
    yard.vehicles = ["van-3"]
    yard.publish(2)
    assert states(since(yard, 2))["ongoing"] == [f"van-1 no row after {DAY}"]
    assert since(yard, 2).open == 1, "a page of the newest date counts it"


def test_a_page_on_a_month_counts_the_causes_of_all_its_dates(home: Path):
    yard = Yard(home)
    yard.publish(0, at_yard("van-1", 0, hour=7.0), at_yard("van-1", 0, hour=9.0))
    yard.publish(20)
    published, last = PublishedDates.of(yard.runs, "1"), DAY + timedelta(days=20)
    assert not causes(published.window(last)), "what is new is of the newest days"
    (cause,) = causes(published.window(last, back_to=DAY))
    assert len(cause.changes) == 2


def test_the_whole_fleet_is_one_item(home: Path):
    yard = Yard(home)
    yard.publish(0)
    yard.publish(1, *(at_yard(vehicle, 1) for vehicle in yard.vehicles))
    (item,) = since(yard, 1).new
    assert item.headline.startswith("Whole fleet: new incident on 4 of 4 vehicles")
    assert len(item.lines) == 4 and since(yard, 1).new_text == "1 new cause (4 incidents)"


def test_what_is_of_the_whole_fleet_stays_one_while_it_goes_on(home: Path):
    yard = Yard(home)
    yard.publish(0, *(at_yard(vehicle, 0, hour=23.0, hours=1.0) for vehicle in yard.vehicles))
    yard.publish(1, until=0.0)
    found = since(yard, 1)
    assert found.counts == {"new": 0, "ongoing": 1, "over": 0}
    (item,) = found.ongoing
    assert item.headline.startswith("Whole fleet: 4 of 4 vehicles at the same time, on Coolant")
    assert item.whole and len(item.lines) == 4


def test_the_trend_has_a_bar_per_day_and_the_worst_come_first(home: Path):
    yard = Yard(home)
    yard.publish(0, at_yard("van-2", 0, severity=90.0))
    yard.publish(2, at_yard("van-1", 2, severity=50.0), at_yard("van-2", 2, severity=20.0))
    window = since(yard, 2).window
    found = trend(window, DAY + timedelta(days=2))
    assert [row.vehicle for row in found.rows] == ["van-2", "van-1"] and found.quiet == 2
    first = found.rows[0]
    assert [(bar.x, bar.state) for bar in first.bars] == [(11, "critical"), (13, "low")]
    assert (first.worst, first.incidents, first.days, first.reported) == ("low", 2, 2, 2)
    assert [(bar.x, bar.state) for bar in found.rows[1].bars] == [(11, "clean"), (13, "high")]
    later = trend(window, DAY + timedelta(days=3))
    assert first.there and not later.rows[0].there, "no all-clear for a vehicle without a score"
    false = next(n for n, i in window.incidents.items() if i.incident.severity == 90.0)
    judged = trend(replace(window, none=frozenset([false])), DAY + timedelta(days=2))
    assert [(row.vehicle, row.incidents) for row in judged.rows] == [("van-1", 1), ("van-2", 1)]


@pytest.fixture
def stage(home: Path) -> Stage:
    """Three scored dates; an incident goes on over the first midnight."""
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01", "van-02"], days=3)
    begun = an_incident(fleet, "bev-01", 0, 500, 100, severity=40.0)
    goes_on = an_incident(
        fleet, "bev-01", 1, 0, 600, severity=80.0, start=begun.start,
        incident_id=begun.incident_id, continued=True,
    )  # fmt: skip
    incidents = {0: [begun], 1: [goes_on], 2: [an_incident(fleet, "van-02", 2, 100, 50)]}
    write_run(fleet, settings, incidents, days=(0, 1, 2))
    write_verdicts(fleet, settings)
    return stage_of(fleet, settings)


def page(stage: Stage, day: date) -> str:
    return archive.page_of(stage.runs, day).read_text(encoding="utf-8")


def contents(stage: Stage) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (stage.runs / "reports").iterdir()}


def test_every_scored_date_has_a_page_with_its_neighbours(stage: Stage):
    report = build_report(stage)
    assert (report.pages, report.waiting) == (3, 0) and "3 pages of single dates made" in str(
        report
    )
    assert sorted(contents(stage)) == [*(f"{day}.html" for day in DAYS), "index.html"]
    middle = page(stage, DAYS[1])
    assert f'rel="prev" href="{DAYS[0]}.html"' in middle
    assert f'rel="next" href="{DAYS[2]}.html"' in middle and 'href="index.html"' in middle
    assert 'rel="prev"' not in page(stage, DAYS[0]) and 'rel="next"' not in page(stage, DAYS[2])
    newest = report.path.read_text(encoding="utf-8")
    assert f'href="../../runs/kit/reports/{DAYS[2]}.html"' in newest
    assert (report.path.parent / "../../runs/kit/reports/index.html").is_file()
    assert "Nothing new since" in middle and "1 going on from before" in middle


def test_a_first_move_has_a_beginning_and_no_length(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    moved = an_incident(fleet, "bev-01", 1, 100, 120, type="first_move")
    write_run(fleet, settings, {1: [moved]}, days=(0, 1))
    write_verdicts(fleet, settings)
    build_report(stage_of(fleet, settings))
    words = page(stage_of(fleet, settings), DAYS[1])
    top = words[words.index("<h1>") : words.index('id="health"')]
    assert "first move" in top and top.count("06:01</time>") == 2
    assert "2 min" not in top and "already over" not in top


def test_a_page_shows_no_row_after_its_date(stage: Stage):
    whole = ScoringRun(job=None, version="3", dates=DAYS, runs=stage.runs)
    of_date = ScoringRun.of_date(stage.runs, DAYS[1], "3", [])
    begin, end = day_start(0), day_start(2) + 600 * SECOND
    assert [run.scores("bev-01", begin, end)[0].size for run in (whole, of_date)] == [1800, 1200]
    (item,) = of_date.incidents()
    item = replace(item, end=day_start(2) - SECOND)  # so the rows after it are of the next date
    lake = Lake(stage.folder / "lake", stage.fleet)
    with_next, own = (plot(item, [], stage.fleet, run, lake, None) for run in (whole, of_date))
    assert [track.title for track in own.tracks] == [track.title for track in with_next.tracks]
    assert all(len(a.path) < len(b.path) for a, b in zip(own.tracks, with_next.tracks, strict=True))


def test_the_index_counts_what_is_new_and_critical_on_each_date(stage: Stage):
    build_report(stage)
    facts = [row.facts for row in archive.rows(PublishedDates.of(stage.runs, "3"))]
    assert [(f.new, f.ongoing, f.over, f.critical) for f in facts] == [
        (1, 0, 1, 0), (0, 1, 0, 1), (1, 0, 0, 0),
    ]  # fmt: skip
    index = archive.index_of(stage.runs).read_text(encoding="utf-8")
    assert [index.index(f'href="{day}.html"') for day in DAYS[::-1]] == sorted(
        index.index(f'href="{day}.html"') for day in DAYS
    )


def test_writing_twice_gives_the_same_bytes_and_touches_nothing(stage: Stage):
    build_report(stage)
    before, times = contents(stage), {f: f.stat().st_mtime_ns for f in stage.runs.rglob("*.html")}
    report = build_report(stage)
    assert report.pages == 0 and contents(stage) == before
    assert {f: f.stat().st_mtime_ns for f in stage.runs.rglob("*.html")} == times
    for file in (stage.runs / "reports").iterdir():
        file.unlink()
    build_report(stage)
    assert contents(stage) == before


def test_a_date_scored_anew_changes_its_page_and_those_after_it(stage: Stage):
    build_report(stage)
    before = contents(stage)
    write_run(stage.fleet, stage.settings, {1: [an_incident(stage.fleet, "van-02", 1, 300, 50)]},
              days=(1,))  # fmt: skip
    assert build_report(stage).pages == 2
    changed = {name for name, content in contents(stage).items() if content != before[name]}
    assert changed == {f"{DAYS[1]}.html", f"{DAYS[2]}.html", "index.html"}
    newest = (stage.folder / "report.html").read_text(encoding="utf-8")
    assert f'1 new incident since <span class="t">{DAYS[1]}' in newest, (
        "though the last job scored no newer date"
    )


def test_a_first_run_over_many_dates_is_bounded_and_goes_on(stage: Stage, monkeypatch):
    monkeypatch.setattr("amad.report.archive.AT_ONCE", 2)
    report = build_report(stage)
    assert (report.pages, report.waiting) == (2, 1) and "1 left for the next" in str(report)
    assert not archive.page_of(stage.runs, DAYS[0]).exists(), "the newest come first"
    assert f'href="{DAYS[0]}.html"' not in archive.index_of(stage.runs).read_text(encoding="utf-8")
    assert build_report(stage).pages == 1
    assert f'href="{DAYS[0]}.html"' in page(stage, DAYS[1])


def test_a_page_elsewhere_leaves_the_archive_alone(stage: Stage, tmp_path: Path):
    build_report(stage, tmp_path / "x.html")
    assert not (stage.runs / "reports").exists()


def test_pages_of_old_dates_are_pruned_and_nothing_leads_to_them(stage: Stage, monkeypatch):
    build_report(stage)
    far = stage.runs / "reports" / "2025-06-01.html"
    far.write_text(page(stage, DAYS[0]), encoding="utf-8")
    build_report(stage)
    assert f'href="{far.name}"' in page(stage, DAYS[0])
    gone = prune(stage.runs, "kit", 30)
    assert [item.path for item in gone] == [far] and not far.exists()
    retention.join_archive_of(stage, gone)
    assert f'href="{far.name}"' not in page(stage, DAYS[0])
    assert far.stem not in archive.index_of(stage.runs).read_text(encoding="utf-8")


def test_a_page_whose_days_before_were_removed_stays_as_it_was(stage: Stage):
    build_report(stage)
    Retention(first=DAYS[0]).write(stage.runs)
    before = page(stage, DAYS[1])
    write_run(stage.fleet, stage.settings, {}, days=(1,))
    assert build_report(stage).pages == 0 and page(stage, DAYS[1]) == before


def test_a_damaged_page_is_made_again(stage: Stage):
    build_report(stage)
    before = page(stage, DAYS[1])
    archive.page_of(stage.runs, DAYS[1]).write_text("half", encoding="utf-8")
    assert build_report(stage).pages == 1 and page(stage, DAYS[1]) == before


def test_an_incident_of_the_day_before_keeps_its_start_on_the_page(stage: Stage):
    build_report(stage)
    assert f'data-start="{day_start(0) + 500 * 1_000_000}"' in page(stage, DAYS[1])


def test_a_damaged_date_costs_only_pages_that_show_it(stage: Stage, capsys):
    table_file(stage.runs, "scores", VERSION, DAYS[0]).write_bytes(b"x")
    write_run(stage.fleet, stage.settings, {}, days=(2,))
    report = build_report(stage)
    assert report.pages == 1 and archive.page_of(stage.runs, DAYS[2]).is_file()
    assert f"no new page of {DAYS[0]}: its scores are damaged" in capsys.readouterr().err
    index = archive.index_of(stage.runs).read_text(encoding="utf-8")
    assert str(DAYS[0]) in index and f'href="{DAYS[0]}.html"' not in index
