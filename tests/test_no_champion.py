"""A model that is not shown to work is not promoted, and the chain behind it ends with a word."""

import copy
import json
import shutil
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from engine_kit import with_tracking_store
from scoring_kit import START, make_artifacts, make_lake, night, read_json, refresh, validated

import amad
from amad.cli.__main__ import run as command
from amad.config import ServiceError, Settings, load_fleet
from amad.engines.register import promotion
from amad.engines.score.scoring_plan import ScoringRequest
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect
from amad.telemetry.files import write_json
from pipelines import register, report, score

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A home with a detector that was evaluated, not registered yet, and its settings."""
    home = tmp_path_factory.mktemp("prepared") / "home"
    fleet, settings = make_lake(with_tracking_store(home))
    shutil.copytree(Path(amad.__file__).parents[1] / "conf" / "cluster", home / "conf" / "cluster")
    params = make_artifacts(fleet, settings)
    validated(fleet, settings)
    return home, params


@pytest.fixture
def place(prepared, home):
    """(fleet, settings, params) of a copy of it."""
    made, params = prepared
    shutil.rmtree(home / "conf" / "cluster")
    shutil.copytree(made, home, dirs_exist_ok=True)
    settings = Settings(home=home, data_dir=home / "raw")
    return load_fleet("nights", settings), settings, params


def changed_metrics(settings, **point):
    path = settings.fleet_dir("nights") / "evaluation" / "metrics.json"
    metrics = read_json(path)
    metrics["operating_point"] |= point
    write_json(path, metrics)


def test_who_found_nothing_is_refused_and_score_and_report_say_so(place, capsys):
    _, settings, params = place
    changed_metrics(settings, events_found=0, event_recall=0.0)
    receipt = register.run(params, settings).content()
    assert (receipt["decision"], receipt["champion"]) == ("refuse", None)
    assert "finds 0 of" in receipt["reasons"][-1] and "--force" in receipt["reasons"][-1]

    told = score.run(params, settings).content()
    assert told["dates"] == [] and "finds 0 of" in told["no_champion"]
    assert "nothing is scored: fleet nights has no champion" in capsys.readouterr().err
    assert read_json(settings.fleet_dir("nights") / "scoring.json") == told
    page = report.run(params, settings)
    assert "finds 0 of" in page.unscored
    assert "without scores, since fleet nights has no champion" in capsys.readouterr().err
    with pytest.raises(ServiceError, match="no champion"):
        score.run(params, settings, ScoringRequest(dates=(START, START)))

    promotion.promote(settings, "nights", "1", force=True, reason="it is all there is")
    assert score.run(params, settings).content()["dates"]
    assert report.run(params, settings).unscored == ""


def test_what_cannot_be_judged_is_no_champion_though_it_is_the_first(place):
    _, settings, params = place
    path = settings.fleet_dir("nights") / "evaluation" / "metrics.json"
    metrics = read_json(path)
    for units in (0, 1):  # nothing to judge by, and one unit without an interval
        content = copy.deepcopy(metrics) | {"units": units, "best_baseline": None}
        content["unscorable"] = {} if units else {"a-1": "no event in the test part"}
        for method in content["methods"].values():
            method["per_unit"] = dict(list(method["per_unit"].items())[:units])
            if not units:
                method |= {"mean": {}, "interval": {}, "lift": {}}
        write_json(path, content)
        receipt = register.run(params, settings).content()
        assert receipt["champion"] is None and "cannot be judged" in receipt["reasons"][-1]
        assert score.run(params, settings).content()["dates"] == []
        assert report.run(params, settings).unscored


def test_a_vehicle_that_fell_silent_is_in_the_jobs_log_every_night(place, capsys):
    fleet, settings, params = place
    register.run(params, settings)
    folder = settings.data_dir / "nights"
    for n in range(6, 12):
        day = START + timedelta(days=n)
        for vehicle in ("a-1", "b-1"):
            pq.write_table(night(day, vehicle), folder / f"{day}-{vehicle}-0.parquet")
        if n < 9:
            continue
        refresh(fleet, settings)
        score.run(params, settings)
        logs = sorted((settings.runs_dir("nights") / "jobs").glob("*.json"))
        log = max(map(read_json, logs), key=lambda log: (log["started"], len(log["dates"])))
        silent = log["health"]["silent"]
        assert len(silent) == 1 and silent[0].startswith("a-2 has been silent since 2026-01-11")
        assert "fleet health, silent: a-2 has been silent" in capsys.readouterr().err
    report.run(params, settings)
    page = (settings.fleet_dir("nights") / "report.html").read_text(encoding="utf-8")
    assert "a-2</b> has been silent since 2026-01-11" in page
    assert command(["doctor", "--fleet", "nights", "--json"]) in (0, 6)
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["silent vehicles"]["status"] == "warn"
    assert "a-2" in checks["silent vehicles"]["finding"]

    # A champion that is lost is an error, no quiet night.
    connect(settings).delete_registered_model_alias("amad-nights", model_registry.CHAMPION)
    assert command(["score", "--fleet", "nights"]) == 4
    assert "no champion" in capsys.readouterr().err
