"""A page without a figure is worth more in the morning than none; it says what it lacks."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_kit import SECOND, an_incident, stage_of, write_data, write_fleet, write_run

import pipelines.report
from amad.config import PartlyDoneError, Stage
from amad.report import archive, build_report
from amad.report.report_page import _marked_open
from amad.report.scoring_run import Coverage, Incident
from amad.scores.partitions import fields_of


@pytest.fixture
def stage(home: Path) -> Stage:
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["van-1"], days=1)
    write_run(fleet, settings, {0: [an_incident(fleet, "van-1", 0, 100, 20)]}, days=[0])
    return stage_of(fleet, settings)


@pytest.mark.parametrize(
    "name",
    [
        "runs/kit/drift.json", "runs/kit/feedback.json", "data/kit/receipt.json",
        "data/kit/validation.json", "data/kit/evaluation/metrics.json", "data/kit/ingest.json",
        "data/kit/profile.parquet", "data/kit/store/store.json",
    ],
)  # fmt: skip
def test_the_page_is_written_and_names_what_it_does_without(name: str, stage: Stage):
    file = stage.settings.home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = file.read_bytes() if file.exists() else None
    file.write_text("{")
    with pytest.raises(PartlyDoneError, match=f"does without 1 file: {file} is damaged .*; "):
        pipelines.report.run(stage.params, stage.settings)
    page = (stage.folder / "report.html").read_text(encoding="utf-8")
    assert f"This page does without what could not be read: {file} is damaged" in page
    assert "van-1" in page
    pages = list((stage.runs / archive.REPORTS).glob("2*.html"))
    needless = ("runs/kit/drift.json", "data/kit/ingest.json")
    assert bool(pages) == (name in needless), "no page of a date that would lack it for ever"
    file.unlink()
    if kept is not None:
        file.write_bytes(kept)
    assert build_report(stage).unread == [] and list((stage.runs / archive.REPORTS).glob("2*.html"))


@pytest.mark.parametrize(("quiet_rows", "still"), [(0, True), (30, False)])
def test_an_incident_whose_alarms_have_ended_is_open_while_its_score_is_high(
    home: Path, quiet_rows: int, still: bool
):
    """Where the newest date is damaged, so that nothing is known from the notices."""
    item = an_incident(write_fleet(home), "bev-01", 1, 400, 100)
    item = Incident(**fields_of(item) | {"open_until": item.end + 60 * SECOND})
    last = item.open_until + (quiet_rows - 1) * SECOND
    assert _marked_open(item, {"bev-01": Coverage(last=last)}, None) == replace(item, open=still)
