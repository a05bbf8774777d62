"""The page: what it says, that it is safe to open anywhere, and the geometry of its plots."""

import base64
import hashlib
import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
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
)  # fmt: skip

from amad.config import DataError, Fleet, Settings
from amad.config import number_text as text
from amad.ingest.ingestion import ingest
from amad.report import build_report
from amad.report.fleet_overview import overview, stretch_us
from amad.report.scoring_run import Cell, Coverage, ScoringRun
from amad.telemetry.files import write_json
from pipelines import report as stage

HOSTILE = "<script>alert('v')</script>"
VOID = {"meta", "input", "br", "rect", "path"}


class Page(HTMLParser):
    """Tags, attributes and text; fails on tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html, self.open, self.tags, self.words = html, [], [], []
        self.feed(html)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID or (tag == "rect" and "/" not in self.get_starttag_text()[-2:]):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"{tag} closes out of order"

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str, **having: str) -> list[dict]:
        return [a for t, a in self.tags if t == tag and having.items() <= a.items()]


def page_of(fleet: Fleet, settings: Settings, home: Path) -> Page:
    build_report(stage_of(fleet, settings), home / "report.html")
    return Page((home / "report.html").read_text(encoding="utf-8"))


def made(home: Path, incidents: dict, **options) -> Page:
    """The page of a run with these incidents."""
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01", "van-02"])
    write_run(fleet, settings, incidents, **options)
    write_verdicts(fleet, settings)
    return page_of(fleet, settings, home)


def test_an_incident_is_listed_with_who_when_what_how_bad_and_why(home: Path):
    fleet = write_fleet(home)
    context = {"context_channels": ("Vehicle.Speed",), "context_values": (80.0,)}
    page = made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120, severity=82.7, **context)]})
    assert "1 incident on 1 of 2 vehicles" in page.text
    (row,) = page.all("tr", **{"data-vehicle": "bev-01"})
    assert (row["data-level"], float(row["data-severity"])) == ("critical", 82.7)
    assert int(row["data-start"]) == day_start(0) + 200 * SECOND
    assert "level shift" in page.text and "2026-01-09 06:03:20" in page.text
    assert "Severity 82.7 of 100, critical" in page.text, "as the messages write it"
    assert "A step away from what is expected." in page.text
    assert "Check first Find out what changed when it began" in page.text
    assert "What else is known When it began: Speed 80 km/h." in page.text
    assert "Coolant temperature 70 %" in page.text and "Speed 20 %" in page.text
    assert page.all("a", href="#incident-1") and page.all("article", id="incident-1")


def test_the_worst_come_first_whoever_they_are(home: Path):
    fleet = write_fleet(home)
    grades = {0: (30.0, 90.0), 1: (60.0,)}
    incidents = {
        day: [an_incident(fleet, "van-02", day, 50 + 200 * n, 60, severity=grade)
              for n, grade in enumerate(found)]
        for day, found in grades.items()
    }  # fmt: skip
    page = made(home, incidents)
    rows = [float(a["data-severity"]) for t, a in page.tags if t == "tr" and "data-severity" in a]
    assert rows == [90.0, 60.0, 30.0]
    first = page.all("table", **{"class": "fleet"})[0]
    assert first and page.text.index("van-02") < page.text.index("bev-01")


def test_an_incident_over_midnight_is_one_with_its_true_start(home: Path):
    fleet = write_fleet(home)
    begun = an_incident(fleet, "bev-01", 0, 500, 100, severity=40.0)
    goes_on = an_incident(
        fleet, "bev-01", 1, 0, 80, severity=55.0, start=begun.start,
        incident_id=begun.incident_id, continued=True,
    )  # fmt: skip
    page = made(home, {0: [begun], 1: [goes_on]})
    (row,) = page.all("tr", **{"data-vehicle": "bev-01"})
    assert int(row["data-start"]) == begun.start
    assert int(row["data-length"]) == goes_on.end - begun.start
    assert "180 rows in alarm" in page.text and "at 2026-01-09 06:09:10, alarm above" in page.text
    assert "began before the dates of this page" not in page.text


def test_the_alarms_of_an_incident_are_those_of_all_its_dates_on_the_page_of_the_last(home: Path):
    fleet = write_fleet(home)
    begun = an_incident(fleet, "bev-01", 0, 500, 100)
    goes_on = an_incident(fleet, "bev-01", 1, 0, 80, start=begun.start, continued=True,
                          incident_id=begun.incident_id)  # fmt: skip
    made(home, {0: [begun], 1: [goes_on]})
    build_report(stage_of(fleet, Settings(home=home)))
    folder = home / "runs" / fleet.name / "reports"
    pages = [(folder / f"{FIRST_DAY + timedelta(days=n)}.html").read_text() for n in (0, 1)]
    assert ["100 rows in alarm" in page for page in pages] == [True, False]
    assert ["180 rows in alarm" in page for page in pages] == [False, True]


def test_an_incident_that_began_before_the_run_says_so(home: Path):
    fleet = write_fleet(home)
    goes_on = an_incident(
        fleet, "bev-01", 1, 0, 80, start=day_start(0) + 500 * SECOND, continued=True
    )
    page = made(home, {1: [goes_on]}, days=[1])
    assert "began before the dates of this page" in page.text
    assert "2026-01-09 06:08:20" in page.text


def test_an_incident_at_the_end_of_the_data_is_open(home: Path):
    fleet = write_fleet(home)
    page = made(home, {1: [an_incident(fleet, "bev-01", 1, 500, 100),
                           an_incident(fleet, "van-02", 1, 400, 100, severity=10.0)]})  # fmt: skip
    assert "1 still open" in page.text and "still going on at the end of the data" in page.text
    levels = [a["data-level"] for t, a in page.tags if t == "tr" and "data-level" in a]
    assert levels == ["high open", "low"]
    assert "another open" not in page.text


def test_an_open_incident_beside_a_worse_one_that_is_over_is_told_apart_from_it(home: Path):
    fleet = write_fleet(home)
    page = made(home, {1: [an_incident(fleet, "bev-01", 1, 500, 100, severity=30.0),
                           an_incident(fleet, "bev-01", 1, 100, 50, severity=80.0)]})  # fmt: skip
    assert "level shift another open" in " ".join(page.text.split())


def test_a_quiet_run_says_that_it_is_quiet(home: Path):
    page = made(home, {})
    assert (
        "no incident on 2 vehicles" in page.text
        and "No incident on the dates of this page." in page.text
    )
    assert "Can I trust it?" in page.text and not page.all("article", **{"class": "incident"})


def test_the_headline_names_the_worst_and_its_sensors_on_the_first_date_as_well(home: Path):
    fleet = write_fleet(home)
    said = "level shift: Coolant temperature high from 2026-01-09 06:03 UTC, lasted 2 min."
    for days in ((0,), (0, 1)):
        page = made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]}, days=days)
        assert f"Worst: bev-01 , {said}" in page.text


def test_a_fleet_that_was_never_scored_is_told_how(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    with pytest.raises(DataError, match="amad score"):
        build_report(stage_of(fleet, settings), home / "report.html")
    assert not (home / "report.html").exists()


def test_what_the_page_shows_is_escaped(home: Path):
    channels = [
        {"name": "Vehicle.Speed", "label": "<img src=x onerror=alert(1)>", "unit": '"><b>'},
        {"name": "Vehicle.Coolant", "label": "{{ 7 * 7 }}"},
        {"name": "Vehicle.Voltage"},
        {"name": "Vehicle.Gear"},
    ]
    fleet = write_fleet(home, channels=channels, description="</title><script>alert('d')</script>")
    settings = write_data(fleet, home, [HOSTILE, "van-02"])
    bad = an_incident(fleet, HOSTILE, 0, 200, 100, type="<svg/onload=alert(2)>")
    write_run(fleet, settings, {0: [bad]})
    page = page_of(fleet, settings, home)
    assert len(page.all("script")) == 1 and not page.all("img") and not page.all("b", onclick="")
    assert not [a for _, a in page.tags for name in a if name.startswith("on")]
    assert HOSTILE in page.text and "{{ 7 * 7 }}" in page.text


def test_the_page_asks_for_nothing_and_its_policy_allows_nothing(home: Path):
    fleet = write_fleet(home)
    page = made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    policy = page.all("meta", **{"http-equiv": "Content-Security-Policy"})[0]["content"]
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.html, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    for tag, attributes in page.tags:
        assert not {"src", "style", "xlink:href"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", page.html)


def test_every_link_inside_the_page_leads_somewhere(home: Path):
    fleet = write_fleet(home)
    incidents = [an_incident(fleet, "bev-01", 0, 100 * n, 50) for n in range(5)]
    page = made(home, {0: incidents})
    targets = {a["id"] for _, a in page.tags if "id" in a}
    assert {a["href"].removeprefix("#") for a in page.all("a")} <= targets


def test_the_same_inputs_give_the_same_bytes(home: Path):
    fleet = write_fleet(home)
    made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    before = (home / "report.html").read_bytes()
    build_report(stage_of(fleet, Settings(home=home)), home / "again.html")
    assert (home / "again.html").read_bytes() == before


def test_only_the_worst_are_plotted_and_the_rest_are_listed(home: Path, monkeypatch):
    monkeypatch.setattr("amad.report.incident_entries.PLOTTED", 2)
    monkeypatch.setattr("amad.report.incident_entries.LISTED", 3)
    fleet = write_fleet(home)
    incidents = [an_incident(fleet, "bev-01", 0, 100 * n, 50, severity=20.0 + n) for n in range(5)]
    page = made(home, {0: incidents})
    assert len(page.all("article", **{"class": "incident"})) == 2
    assert len([a for t, a in page.tags if t == "tr" and "data-severity" in a]) == 3
    assert "2 older or milder incidents not listed" in page.text
    assert "The 2 that are new" in page.text


def test_plots_show_the_blamed_channels_their_band_and_the_threshold(home: Path):
    fleet = write_fleet(home)
    page = made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    titles = [a["aria-label"] for a in page.all("svg", **{"class": "x"})]
    assert [t.split(" of ")[0] for t in titles] == ["Anomaly score", "Coolant temperature", "Speed"]
    assert "within its normal" in titles[1], "the coolant of the kit is always warm"
    assert "alarm above 5" in titles[0]
    assert len(page.all("rect", **{"class": "band"})) == 2
    assert len(page.all("path", **{"class": "threshold"})) == 1
    lines = [a["d"] for a in page.all("path", **{"class": "line"})]
    assert all(d.startswith("M") and len(d) > 200 for d in lines)


def test_the_band_is_the_channels_own_though_the_fleet_file_lost_another(home: Path):
    fleet = write_fleet(home)
    made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    channels = [channel.model_dump(exclude_unset=True) for channel in fleet.channels]
    now = write_fleet(home, channels=channels[1:])  # without the speed; the store still has it
    settings = Settings(home=home, data_dir=home / "raw")
    ingest(now, settings)
    page = page_of(now, settings, home)
    titles = [a["aria-label"] for a in page.all("svg", **{"class": "x"})]
    assert "Coolant temperature of bev-01" in titles[1] and "within its normal 8" in titles[1]


def test_a_broken_relation_is_told_in_words_with_both_channels(home: Path):
    fleet = write_fleet(home)
    broken = an_incident(fleet, "bev-01", 0, 200, 120, partner="Vehicle.Speed", type="relation")
    page = made(home, {0: [broken, an_incident(fleet, "van-02", 0, 200, 120)]})
    assert page.text.count("Coolant temperature no longer fits Speed") == 3  # headline, list, plots


def test_a_channel_without_a_usual_level_has_no_band(home: Path):
    fleet = write_fleet(home)
    odd = an_incident(
        fleet, "bev-01", 0, 200, 120, channels=("Vehicle.Gear", "gone"), shares=(0.5, 0.4)
    )
    page = made(home, {0: [odd]})
    assert not page.all("rect", **{"class": "band"})
    assert "gone" in page.text, "a channel of an older contract is named, not drawn"


def test_the_overview_shows_what_was_quarantined(home: Path):
    page = made(home, {}, quarantined=(("van-02", 1),))
    assert page.all("rect", **{"class": "quarantined"})
    assert "50 %" in page.text, "of the vehicle's rows"


def test_vehicles_without_a_score_are_not_counted_as_quiet(home: Path):
    some_days = (("van-02", 0), ("van-02", 1))
    page = made(home, {}, quarantined=some_days)
    assert "no incident on 2 vehicles; 1 vehicle without a score." in page.text
    stage = stage_of(write_fleet(home), Settings(home=home))
    assert "on 0 of 2 vehicles, 1 without a score; " in str(build_report(stage))
    page = made(home, {}, quarantined=(*some_days, ("bev-01", 0), ("bev-01", 1)))
    assert "No row of 2 vehicles has a score So nothing can be said" in page.text
    assert "Nothing new since" not in page.text and "No incident on 2" not in page.text


def test_the_verdict_is_plain_and_says_whose_it_is(home: Path):
    fleet = write_fleet(home)
    page = made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    assert "VUS-PR 0.65: clearly above chance" in page.text
    assert "0.043 above the best simple detector, ridge, which may be chance" in page.text
    assert f"Version {VERSION}, champion when it scored" in page.text
    write_verdicts(fleet, Settings(home=home), version="4")
    page = page_of(fleet, Settings(home=home), home)
    assert "Measured on version 4; version 3 scored." in page.text
    receipt = home / "data" / "kit" / "receipt.json"
    figures = {"metric": "vus_pr", "champion": 0.6138, "champion_version": 3}
    write_json(receipt, json.loads(receipt.read_text()) | {"figures": figures})
    page = page_of(fleet, Settings(home=home), home)
    assert "Version 3, which scored, has VUS-PR 0.61" in page.text


def test_without_the_other_stages_the_page_still_stands(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    (settings.fleet_dir("kit") / "store" / "store.json").unlink()
    page = page_of(fleet, settings, home)
    assert "No figures at hand" in page.text and "Not validated" in page.text
    assert page.all("path", **{"class": "line"}) and not page.all("rect", **{"class": "band"})


def test_the_stage_writes_beside_the_fleet_or_where_it_is_told(home: Path, tmp_path: Path):
    from amad.config import load_params

    fleet = write_fleet(home)
    made(home, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    params = load_params(home / "params.yaml").model_copy(update={"fleet": "kit"})
    told = stage.run(params, Settings(home=home))
    assert told.path == home / "data" / "kit" / "report.html"
    assert told.path.is_file() and told.incidents == 1
    page = stage.run(params, Settings(home=home), out=tmp_path / "x.html")
    assert str(page.path).endswith("x.html")


def test_a_later_job_without_dates_hides_nothing(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {})
    (job,) = (settings.runs_dir("kit") / "jobs").glob("*.json")
    later = job.with_name("20260112T043000-empty.json")
    started = {"started": "2026-01-12T04:30:00+00:00", "ended": "2026-01-12T04:30:05+00:00"}
    write_json(later, json.loads(job.read_text()) | started | {"dates": []})
    assert ScoringRun.last(stage_of(fleet, settings)).dates == [
        FIRST_DAY,
        FIRST_DAY + timedelta(days=1),
    ]


def test_the_tables_are_read_as_the_docs_say(home: Path, monkeypatch: pytest.MonkeyPatch):
    fleet = write_fleet(home, "demo")
    settings = write_data(fleet, home, ["bev-01"])
    found = an_incident(fleet, "bev-01", 0, 200, 120)
    write_run(fleet, settings, {0: [found]})
    folder = settings.runs_dir("demo") / "incidents" / f"model_version={VERSION}"
    (folder / f"date={FIRST_DAY}" / "incidents.jsonl").write_text("{}")
    guide = Path(__file__).parent.parent / "docs/reference/artifacts.md"
    (code,) = re.findall(r"```python\n(.*?)```", guide.read_text(encoding="utf-8"), re.S)
    monkeypatch.chdir(home)
    names: dict = {}
    exec(code, names)
    assert names["scores"].num_rows == 1200 and "date" in names["scores"].schema.names
    assert names["incidents"]["incident_id"].to_pylist() == [found.incident_id]


def test_long_runs_are_shown_in_few_cells():
    for days in (1, 3, 4, 62, 63, 400):
        stretch = stretch_us(days)
        cells = {n * stretch: Cell(rows=9, scored=9) for n in range(days * text.DAY // stretch)}
        shown = overview([], {"bev-01": Coverage(cells=cells, last=1)}, stretch)
        assert len(shown.rows[0].boxes) <= 72
        assert max(box.x for box in shown.rows[0].boxes) + 1 <= shown.width
        assert shown.axis and all(0 <= tick.at < 100 for tick in shown.axis)


def test_a_strip_leaves_out_the_time_without_data():
    hours = {n * text.HOUR: Cell(rows=9, scored=9) for n in (0, 1, 9, 10, 30)}
    coverage = {"bev-01": Coverage(cells=hours, last=1)}
    (row,) = overview([], coverage, text.HOUR).rows
    steps = np.diff([box.x for box in row.boxes])
    assert steps[0] == steps[2] == 1 and steps[1] == steps[3] > 1
