"""``amad summary`` tells what is missing, and a damaged file does not hide the others."""

import json
from pathlib import Path

import pytest
from report_kit import stage_of, write_data, write_fleet, write_profile, write_verdicts

from amad.cli.pipeline_summary import lines
from amad.telemetry.files import read_json, write_json


@pytest.fixture
def told(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["a", "b"])
    write_profile(fleet, settings)
    write_verdicts(fleet, settings)
    folder = settings.fleet_dir("kit")
    return folder, lambda: "\n".join(lines(stage_of(fleet, settings)))


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("ingest.json", "ingest"),
        ("validation.json", "validate"),
        ("best.json", "tune"),
        ("train.json", "train"),
        ("evaluation/metrics.json", "evaluate"),
        ("receipt.json", "register"),
        ("scoring.json", "score"),
    ],
)
def test_a_damaged_file_is_named_with_its_stage_beside_the_others(told, file, stage):
    folder, lines_of = told
    for content in ("{", "[1]", "{}"):
        (folder / file).write_text(content)
        text = lines_of()
        assert f"{folder / file} is damaged" in text and f"'amad {stage}'" in text
        if file != "receipt.json":
            assert "version 3: promoted" in text


def test_what_the_fleet_lacks_and_refuses_is_told(told):
    folder, lines_of = told
    assert "health      nothing is missing" in lines_of()
    counts = read_json(folder / "ingest.json", "")
    refused = [{"path": "x.csv", "reason": "missing column: 'oil'"}]
    write_json(folder / "ingest.json", counts | {"files": 5, "files_refused": refused})
    validation = json.loads((folder / "validation.json").read_text())
    because = "96 % of the rows were refused"
    write_json(folder / "validation.json", validation | {"ok": False, "refused_because": because})
    write_json(folder / "scoring.json", {"dates": [], "no_champion": "version 1 was refused"})
    text = lines_of()
    assert "from 4 files, 0 rejected" in text and "1 more file was refused: x.csv" in text
    assert "refused files: x.csv" in text and because in text
    assert "nothing: version 1 was refused" in text


def test_what_is_scored_is_told_in_figures_that_may_be_added(told):
    folder, lines_of = told
    day = {"model_version": "3", "detector": "d", "vehicle_days": 2, "rows": 9, "scored": 9}
    day |= {"alarms": 2, "incidents": 1, "sha256": "s"}
    dates = ["2026-01-09", "2026-01-10"]  # an incident over midnight is one, and in both
    receipt = {"dates": dates, "by_date": dict.fromkeys(dates, day), "rows": 18}
    write_json(folder / "scoring.json", receipt)
    assert "2026-01-09 to 2026-01-10 with version 3: 18 rows, 4 alarms" in lines_of()
    receipt["by_date"] = dict.fromkeys(dates, day | {"scored": 7})
    write_json(folder / "scoring.json", receipt)
    assert "with version 3: 14 of 18 rows, 4 alarms" in lines_of()
