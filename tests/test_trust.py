"""Each tick of the page rests on what its words name; what was not measured has none."""

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from evaluation_kit import evaluation_metrics, method_figures
from report_kit import (
    VERSION,
    an_incident,
    stage_of,
    write_data,
    write_fleet,
    write_profile,
    write_run,
    write_verdicts,
)

from amad.config import DataError, Settings
from amad.config.number_text import DAY
from amad.evaluation.evaluation_metrics import EvaluationMetrics, Vote
from amad.report import build_report
from amad.report.evidence import Evidence
from amad.report.promise import of_run
from amad.report.scoring_run import Cell, Coverage, ScoringRun
from amad.report.trust_cards import cards
from amad.scores.job_log import JobLog, job_logs, save
from amad.scores.receipts import RegistrationReceipt
from amad.telemetry.files import write_json
from amad.telemetry.validation import Validation

HASH = "h"


def evidence(ours=(0.6, 0.7, 0.65), floor=(0.05, 0.06, 0.04), receipt=None, ok=True, **point):
    methods = {"amad": method_figures(ours), "random": method_figures(floor)}
    metrics = evaluation_metrics(methods, point=point)
    said = {"version": 3, "decision": "promote", "reasons": ["promoted"], "figures": {}}
    return Evidence(
        metrics=metrics,
        receipt=RegistrationReceipt(**said | (receipt or {})),
        validation=Validation(ok=ok, vehicle_days=4, data_hash=HASH),
    )


def shown(found=None, incidents=0, days=10, scored=100, data_hash=HASH, job=None, alarms=0.05):
    alarms = int(alarms * scored)
    cell = {n * DAY: Cell(rows=100, scored=scored, alarms=alarms) for n in range(1, days + 1)}
    about = {"id": "j", "status": "done", "started": "2026-01-11T04:30:00Z", "dates": []}
    log = JobLog(**about | (job or {}))
    run = ScoringRun(job=log, version=VERSION, dates=[date(2026, 1, 10)], runs=Path())
    names = ("detection", "faults", "alarms", "data", "model")
    coverage = {"v": Coverage(cells=cell, last=1)}
    found = found or evidence()
    achieved = of_run(run, [None] * incidents, coverage, found.metrics)
    all_cards = cards(found, run, achieved, coverage, data_hash)
    return dict(zip(names, all_cards, strict=True))


def test_a_sound_run_has_a_tick_on_every_card_and_each_says_what_it_means():
    found = shown(incidents=4)
    assert {card.verdict for card in found.values()} == {"good"}
    assert all(card.means.startswith("A tick:") for card in found.values())
    # Beside 1.3 incidents per vehicle-day where 0.5 are promised there may be a tick.
    assert "with an allowance for chance" in found["alarms"].means


def test_the_model_card_says_whether_the_network_votes_in_the_version_that_scored():
    found = evidence()
    assert not any("network" in line for line in shown(found)["model"].lines)
    vote = Vote(weight=1.0, reason="it adds +0.1")
    found = replace(found, metrics=found.metrics.model_copy(update={"vote": vote}))
    assert "The network votes: it adds +0.1." in shown(found)["model"].lines
    other = evidence(receipt={"version": 4})
    other = replace(other, metrics=found.metrics)
    assert not any("network" in line for line in shown(other)["model"].lines)


@pytest.mark.parametrize(
    ("events", "hit", "chance", "verdict"),
    [
        (12, 0, 0.0, "poor"),
        (12, 10, 0.05, "good"),
        (12, 4, 0.05, "fair"),
        (12, 1, 0.1, "poor"),
        (12, 10, 0.9, "poor"),
        (0, 0, None, "unknown"),
    ],
)
def test_faults_found_are_held_against_chance(events, hit, chance, verdict):
    point = {"events": events, "events_found": hit, "chance_recall": chance}
    card = shown(evidence(**point))["faults"]
    assert card.verdict == verdict
    if events:
        assert f"{hit or 'none'} of 12 known faults" in card.headline


def test_nothing_found_has_no_tick_though_the_interval_clears_chance():
    found = shown(evidence(events_found=0, median_delay_seconds=None))
    assert (found["detection"].verdict, found["faults"].verdict) == ("good", "poor")


@pytest.mark.parametrize(
    ("incidents", "verdict"), [(0, "good"), (5, "good"), (8, "good"), (15, "fair"), (60, "poor")]
)
def test_alarms_of_this_run_are_held_against_the_promise(incidents, verdict):
    card = shown(incidents=incidents)["alarms"]
    assert card.verdict == verdict, card
    assert f"{incidents} incident" in card.lines[0]
    assert "Its alarms are 5.0 % of its scored rows." in card.lines


def test_few_incidents_that_do_not_end_make_no_tick():
    card = shown(incidents=1, alarms=0.25)["alarms"]
    assert card.verdict == "fair" and card.headline.endswith("but alarms are 25 % of the rows")
    assert any(
        "Of 1 vehicle, 1 spent more than 10 % of their rows in alarm." in line
        for line in card.lines
    )
    assert any("a fault that lasts" in line for line in card.lines)
    assert not any("More than promised" in line for line in card.lines)


@pytest.mark.parametrize(
    ("alarms", "verdict", "said"),
    [(0.1, "good", "10 %"), (0.104, "fair", "just over 10 %"), (0.2, "fair", "20 %")],
)
def test_a_share_over_its_limit_is_not_written_as_the_limit(alarms, verdict, said):
    card = shown(incidents=1, scored=1000, alarms=alarms)["alarms"]
    assert card.verdict == verdict
    assert any(line.startswith(f"Its alarms are {said} of its scored rows.") for line in card.lines)


@pytest.mark.parametrize(("delay", "words"), [(0.0, "with their first row"), (45.0, "within 45 s")])
def test_the_delay_of_the_faults_found_is_told_in_words(delay, words):
    card = shown(evidence(median_delay_seconds=delay))["faults"]
    assert f"Half of those found are found {words}." in card.lines


def test_the_card_says_where_a_scheduled_job_sees_less_than_the_evaluation_did():
    told = "so the last 2 h of a date see less of what comes after them, and it may find fewer."
    offline, online = (shown(evidence(lookahead_seconds=s))["faults"] for s in (7200.0, 0.0))
    assert offline.lines[-1].endswith(told)
    assert not any("scheduled job" in line for line in online.lines)


def test_a_quiet_run_makes_no_tick_where_the_test_part_was_loud():
    rate = {
        "incidents": 30, "vehicle_days": 10.0, "incidents_per_vehicle_day": 3.0,
        "interval": (2.0, 4.3), "alarm_share": 0.1,
    }  # fmt: skip
    loud = evidence(normal_test=rate)
    card = shown(loud)["alarms"]
    assert card.verdict == "fair" and card.headline.endswith("but the test part had more")


def test_alarms_that_fill_the_test_part_make_no_tick_though_they_are_few_incidents():
    rate = {
        "incidents": 5, "vehicle_days": 10.0, "incidents_per_vehicle_day": 0.5,
        "interval": (0.2, 1.2), "alarm_share": 0.245,
    }  # fmt: skip
    card = shown(evidence(normal_test=rate))["alarms"]
    assert card.verdict == "fair"
    assert card.headline.endswith("but 24 % of the test part's normal rows were in alarm")
    assert "The normal rows of the test part had 0.5; 24 % of them were in alarm." in card.lines
    assert any("a fault that lasts" in line for line in card.lines)


def test_the_promise_is_that_of_the_version_that_scored():
    assert shown(incidents=15, job={"alarm_budget": 2.0})["alarms"].verdict == "good"


def test_a_run_without_a_score_measures_nothing():
    found = shown(scored=0, incidents=0)
    assert found["alarms"].verdict == "unknown"
    assert found["data"].verdict == "fair" and "no score" in found["data"].headline


def test_one_unit_cannot_be_judged():
    card = shown(evidence(ours=(0.9,), floor=(0.1,)))["detection"]
    assert card.verdict == "unknown" and "one vehicle has no interval" in card.headline
    assert card.bars


def test_figures_of_another_version_give_no_tick():
    figures = {
        "champion_version": 3,
        "champion": 0.41,
        "metric": "vus_pr",
        "champion_events_found": 7,
    }
    other = evidence(receipt={"version": 4, "decision": "refuse", "figures": figures})
    found = shown(other)
    for name in ("detection", "faults"):
        assert found[name].verdict == "unknown"
        assert "Measured on version 4; version 3 scored." in found[name].lines[0]
    of = {"detection": "has VUS-PR 0.41", "faults": "finds 7 of the known faults"}
    for name, theirs in of.items():
        assert found[name].headline == f"Version 3, which scored, {theirs}"
    unknown = shown(evidence(receipt={"version": 4, "decision": "refuse", "figures": {}}))
    assert unknown["faults"].headline == "Not measured of version 3, which scored"
    assert found["model"].verdict == "fair"


def test_a_champion_against_the_gate_has_no_tick():
    forced = evidence(receipt={"decision": "refuse", "reasons": ["refused: no gain"]})
    card = shown(forced)["model"]
    assert card.verdict == "fair" and "The gate refused it" in card.lines[0]


@pytest.mark.parametrize(
    ("ok", "data_hash", "verdict"),
    [(True, HASH, "good"), (False, HASH, "poor"), (True, "newer", "unknown")],
)
def test_the_datas_tick_is_of_the_lake_as_it_is(ok, data_hash, verdict):
    assert shown(evidence(ok=ok), data_hash=data_hash)["data"].verdict == verdict


def test_without_any_figures_every_mark_is_neutral():
    nothing = Evidence(metrics=None, receipt=None, validation=None)
    found = shown(nothing)
    assert {card.verdict for card in found.values()} == {"unknown"}


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("evaluation/metrics.json", "amad evaluate"),
        ("receipt.json", "amad register"),
        ("validation.json", "amad validate"),
        ("store/store.json", "amad prepare"),
        ("ingest.json", "amad ingest"),
        ("profile.parquet", "amad validate"),
        ("quarantine.parquet", "amad validate"),
    ],
)
def test_a_damaged_file_is_named_with_the_stage_that_writes_it(home: Path, file, stage):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_profile(fleet, settings)
    write_run(fleet, settings, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    write_verdicts(fleet, settings)
    path = settings.fleet_dir("kit") / file
    path.write_bytes(path.read_bytes()[:-20])
    (told,) = build_report(stage_of(fleet, settings), home / "report.html").unread
    assert str(path) in told and stage in told
    assert str(path) in (home / "report.html").read_text(encoding="utf-8")


def test_a_damaged_score_table_is_named_with_its_date(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    for name in ("scores", "incidents"):
        (file,) = (settings.runs_dir("kit") / name).glob("*/date=2026-01-09/*.parquet")
        whole = file.read_bytes()
        file.write_bytes(whole[:40])
        with pytest.raises(DataError, match="--date 2026-01-09"):
            build_report(stage_of(fleet, settings), home / "report.html")
        file.write_bytes(whole)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"id": 1, "started": 5}'])
def test_a_damaged_job_log_is_left_out_with_a_word(home: Path, content, capsys):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    bad = settings.runs_dir("kit") / "jobs" / "20260112T000000-bad.json"
    bad.write_text(content)
    assert build_report(stage_of(fleet, settings), home / "report.html").incidents == 1
    said = capsys.readouterr().err
    assert f"the job log {bad} is damaged and left out; delete it" in said


def test_a_fleet_without_a_champion_has_a_page_that_says_so(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_verdicts(fleet, settings)
    folder = settings.fleet_dir("kit")
    receipt = json.loads((folder / "receipt.json").read_text())
    why = "refused: it cannot be judged"
    write_json(folder / "receipt.json", receipt | {"champion": None, "reasons": [why]})
    with pytest.raises(DataError, match="amad score"):
        build_report(stage_of(fleet, settings), home / "report.html")
    write_json(folder / "scoring.json", {"dates": [], "no_champion": "version 3 was refused"})
    told = build_report(stage_of(fleet, Settings(home=home)), home / "report.html")
    page = (home / "report.html").read_text(encoding="utf-8")
    assert told.unscored and told.dates == []
    assert "No champion, so nothing is scored" in page and "Version 3 was refused." in page
    assert "Fleet health" in page and "VUS-PR 0.65" in page and "The fleet," not in page


def test_the_figures_of_the_version_that_scored_stay_on_the_page_during_a_training(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"])
    write_run(fleet, settings, {0: [an_incident(fleet, "bev-01", 0, 200, 120)]})
    write_verdicts(fleet, settings)
    folder, runs = settings.fleet_dir("kit"), settings.runs_dir("kit")
    (log,) = job_logs(runs)[0]
    save(runs, log.model_copy(update={"detector": "d"}))
    metrics, receipt = EvaluationMetrics.require(folder), RegistrationReceipt.require(folder)
    receipt = receipt.model_copy(update={"detector_digest": "d"})
    receipt.write(folder)
    metrics.model_copy(update={"detector_digest": "d"}).write(folder)

    def marks() -> tuple[str, list[str]]:
        page = build_report(stage_of(fleet, settings)).path.read_text(encoding="utf-8")
        (row,) = re.findall(r'<ul class="verdicts".*?</ul>', page, re.S)
        return row, re.findall(r"The last one registered is version \d", page)

    before, _ = marks()
    assert "VUS-PR 0.65: clearly above chance" in before
    (folder / metrics.FILE).unlink()  # a training removes what it makes anew
    assert marks() == (before, [])
    other = metrics.model_copy(update={"detector_digest": "n", "unit": "other"})
    other.write(folder)
    assert marks() == (before, []), "it is evaluated, and not registered"
    (folder / receipt.FILE).unlink()
    assert marks() == (before, [])
    newer = {"version": 4, "detector_digest": "n", "decision": "refuse"}
    receipt.model_copy(update=newer).write(folder)
    found, registered = marks()
    assert "VUS-PR 0.65: clearly above chance" in found, "of another, which the gate refused"
    assert registered == ["The last one registered is version 4"]
