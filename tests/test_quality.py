"""Great Expectations judges the profile: what fails, why in words, and pages that open offline."""

import datetime
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from amad.config import DataError, Params, Settings
from amad.engines.validate.quality import CHANNELS as PER_CHANNEL
from amad.engines.validate.quality import DAYS as PER_DAY
from amad.engines.validate.quality import _checks, _tables, judge
from amad.telemetry.files import read_json
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.validation import Validation
from pipelines import ingest as ingest_stage
from pipelines import source as source_stage
from pipelines import validate as validate_stage
from tests.ingest_kit import Yard, at, raw_fleet

HEADER = "vehicle,timestamp,speed,level,charge"
DAY = datetime.date(2026, 1, 5)
QUALITY = {
    "min_rows": 50, "max_null_share": 0.2, "max_out_of_range_share": 0.02, "max_late_share": 0.1,
    "max_duplicate_share": 0.05, "max_unreadable_share": 0.05, "max_gap_share": 0.5,
    "max_failing_share": 0.9,
}  # fmt: skip
CHANNELS = [
    {"name": "speed", "range": [0, 200]},
    {"name": "level", "max_flat_seconds": 30},
    {"name": "charge", "classes": ["b"]},
]


def rows(vehicle, seconds=range(100), speed=lambda n: 10, level=lambda n: n, charge=lambda n: ""):
    return [f"{vehicle},{at(s)},{speed(n)},{level(n)},{charge(n)}" for n, s in enumerate(seconds)]


def broken_days():
    """A vehicle-day for each limit, each over that one alone, and two that are sound."""
    late = [*range(1, 80, 2), *range(0, 80, 2), *range(80, 100)]
    gaps = [*range(50), *range(50 + 60, 50 + 110)]  # 60 s of 159 silent: within the limit
    silent = [*range(26), *range(26 + 80, 26 + 106)]  # 80 s of 131
    return [
        *rows("a-sound", gaps),
        *rows("b-sound", charge=lambda n: 5),
        *rows("a-rows", range(49)),
        *rows("a-null", speed=lambda n: "" if n < 34 else 10),
        *rows("b-lacks-charge"),
        *rows("a-range", speed=lambda n: 201 if n < 3 else 10),
        *rows("a-flat", level=lambda n: n if n < 50 else 50),
        *rows("a-late", late),
        *rows("a-twice"), *rows("a-twice", range(20, 26)),
        *[line.replace(",10,", ",ten,") if n < 6 else line for n, line in
          enumerate(rows("a-unreadable"))],
        *rows("a-gap", silent),
    ]  # fmt: skip


EXPECTED = {
    "a-rows": ("rows", None, "has 49 rows, at least 50 needed"),
    "a-null": ("null_share", "speed", "speed null in 34 % of rows, limit 20 %"),
    "b-lacks-charge": ("null_share", "charge", "charge null in 100 % of rows, limit 20 %"),
    "a-range": ("out_of_range_share", "speed", "speed outside its range in 3 % of rows, limit 2 %"),
    "a-flat": ("longest_flat_seconds", "level", "level does not change for 49 s, limit 30 s"),
    "a-late": ("late_share", None, "has 40 % of the rows late, limit 10 %"),
    "a-unreadable": ("unreadable_share", None, "has 6 % of the rows sent unreadable, limit 5 %"),
    "a-gap": ("gap_share", None, "is silent for 62 % of the time it reports, limit 50 %"),
}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """(fleet, verdict, folder of the Data Docs) of the broken days."""
    folder = tmp_path_factory.mktemp("yard")
    yard = Yard(folder)
    yard.csv("x.csv", broken_days(), HEADER)
    fleet = raw_fleet(quality=QUALITY, channels=CHANNELS)
    _, lake = yard.ingest(fleet)
    return fleet, judge(profile(lake, fleet), fleet, folder / "docs"), folder / "docs"


@pytest.mark.slow
def test_each_limit_catches_its_vehicle_day_and_says_so(judged):
    _, verdict, _ = judged
    found = {row["vehicle"]: row for row in verdict.quarantine.to_pylist()}
    late_too = found.pop("a-twice")  # a row sent again comes late as well, 6 of 100
    assert late_too["check"] == "duplicate_share"
    assert verdict.quarantine.num_rows == len(found) + 1, "no day fails twice"
    assert {
        vehicle: (row["check"], row["channel"], row["reason"].split(": ", 1)[1])
        for vehicle, row in found.items()
    } == EXPECTED
    row = found["a-null"]
    assert row["date"] == DAY and row["value"] == pytest.approx(0.34) and row["limit"] == 0.2
    assert row["reason"].startswith("a-null on 2026-01-05: ")
    assert (found["a-flat"]["value"], found["a-flat"]["limit"]) == (49, 30)
    assert verdict.quarantine.schema == QUARANTINE


@pytest.mark.slow
def test_the_checks_are_counted_by_what_was_judged(judged):
    _, verdict, _ = judged
    assert (verdict.ok, verdict.vehicle_days, verdict.quarantined) == (True, 11, 9)
    checks = {check["check"]: check for check in verdict.checks}
    assert checks["null_share"]["of"] == 2 * 11 + 2, "a channel that a class lacks is not judged"
    assert checks["null_share"]["channels"] == {"charge": 1, "speed": 1}
    assert checks["rows"] | {"title": ""} == {
        "check": "rows", "title": "", "severity": "critical", "limit": 50, "of": 11, "failed": 1,
        "passed": False,
    }  # fmt: skip
    assert "9 of 11 vehicle-days fail" in verdict.summary()


def test_of_a_large_fleet_no_column_is_held_that_no_check_needs(tmp_path):
    yard, fleet = Yard(tmp_path), raw_fleet(quality=QUALITY, channels=CHANNELS)
    yard.csv("x.csv", [*rows("a-1"), *rows("b-1", charge=lambda n: 5)], HEADER)
    table = profile(yard.ingest(fleet)[1], fleet)
    needed = {
        name: {c for check in _checks(fleet) if check.table == name
               for c in (check.judged, check.name, check.ceiling) if c}
        for name in (PER_DAY, PER_CHANNEL)
    }  # fmt: skip
    tables = _tables(table, fleet)
    assert set(tables[PER_CHANNEL]) == {"vehicle", "date", "channel"} | needed[PER_CHANNEL]
    assert needed[PER_DAY] < set(tables[PER_DAY])
    assert (len(tables[PER_DAY]), len(tables[PER_CHANNEL])) == (2, 5), "a-1 has no charge"
    for name, table in tables.items():  # each row has the number of a name, not the name
        keys = table[[key for key in ("vehicle", "date", "channel") if key in table]]
        assert (keys.dtypes == "category").all(), name


@pytest.mark.slow
def test_a_sound_fleet_has_an_empty_quarantine(judged):
    fleet, _, _ = judged
    table = pa.Table.from_pylist([sound(fleet, n) for n in range(3)], schema=PROFILE)
    verdict = judge(table, fleet)
    assert verdict.ok and verdict.quarantine.equals(QUARANTINE.empty_table())
    assert all(check["passed"] for check in verdict.checks)
    assert verdict.summary() == "0 of 1 vehicle-days fail"


@pytest.mark.slow
def test_without_pages_the_verdict_is_that_of_great_expectations(judged, tmp_path):
    """Figures below, on and above every limit, and none at all."""
    fleet, _, _ = judged
    rng, table = np.random.default_rng(4), []
    for n in range(200):
        figures = {
            "rows": rng.choice([49, 50, 51, 100]), "duplicates": rng.choice([0, 2, 9]),
            "late": rng.choice([0, 10, 40]), "unreadable": rng.choice([0, 5, 20]),
            "gap_seconds": rng.choice([0.0, 49.5, 80.0]), "span_seconds": rng.choice([0.0, 99.0]),
        }  # fmt: skip
        for channel in range(3):
            own = {
                "nulls": rng.choice([0, 10, 20, 49]), "out_of_range": rng.choice([0, 1, 2]),
                "longest_flat_seconds": rng.choice([None, 1.0, 30.0, np.nextafter(30.0, 99)]),
            }  # fmt: skip
            table.append(sound(fleet, channel) | {"vehicle": f"a-{n}"} | figures | own)
    found = pa.Table.from_pylist(table, schema=PROFILE)
    verdict = judge(found, fleet)
    assert 0 < verdict.quarantined < 200
    assert verdict == judge(found, fleet, tmp_path / "docs")
    assert all(0 < check["failed"] < check["of"] for check in verdict.checks)


def sound(fleet, channel):
    return {
        "vehicle": "a-1", "date": DAY, "channel": fleet.channel_names[channel], "rows": 100,
        "duplicates": 0, "late": 0, "unreadable": 0, "gaps": 0, "gap_seconds": 0.0,
        "span_seconds": 99.0, "nulls": 0, "out_of_range": 0, "min": 0.0, "max": 1.0, "mean": 0.5,
        "std": 0.1, "longest_flat_seconds": 1.0, "expected": channel < 2,
    }  # fmt: skip


@pytest.mark.slow
def test_the_data_docs_tell_everything_and_load_nothing_from_elsewhere(judged):
    _, verdict, docs = judged
    pages = {path.name: path.read_text() for path in docs.iterdir()}
    assert set(pages) == {"index.html", "vehicle-days.html", "channels.html"}
    for page in pages.values():
        assert not re.search(r'(src|href)="?(https?:)?//', page) and "<script" not in page
    for row in verdict.quarantine.to_pylist():
        assert row["vehicle"] in pages["index.html"]
        assert row["reason"].split(": ", 1)[1] in pages["index.html"]
    assert "a-null" in pages["channels.html"] and "a-rows" in pages["vehicle-days.html"]


@pytest.mark.slow
def test_what_data_says_is_no_markup_in_the_pages(judged, tmp_path):
    fleet, _, _ = judged
    vehicle = "a-<svg onload=alert(1)>&lt;"
    row = sound(fleet, 0) | {"vehicle": vehicle, "rows": 3, "nulls": 3}
    verdict = judge(pa.Table.from_pylist([row], schema=PROFILE), fleet, tmp_path / "docs")
    assert verdict.quarantine["vehicle"].to_pylist() == [vehicle] * 2
    for path in (tmp_path / "docs").iterdir():
        page = path.read_text()
        assert "&lt;svg onload" in page and "<svg" not in page


@pytest.fixture
def stages(home, tmp_path):
    """Run source, ingest and validate of a fleet whose file is written first."""

    def run(**quality):
        fleet = raw_fleet(channels=CHANNELS, quality=QUALITY | quality)
        content = json.loads(fleet.model_dump_json(exclude_defaults=True)) | {"name": "tiny"}
        (home / "conf/fleet/tiny.yaml").write_text(yaml.safe_dump(content))
        settings = Settings(home=home, data_dir=tmp_path)
        params = Params(fleet="tiny")
        for stage in (source_stage, ingest_stage, validate_stage):
            result = stage.run(params, settings)
        return result

    Yard(tmp_path).csv("x.csv", broken_days(), HEADER)
    return run


def test_a_failing_fleet_stops_the_run_after_its_outputs_are_written(stages, home):
    with pytest.raises(DataError) as error:
        stages(max_failing_share=0.1)
    said = str(error.value)
    folder = home / "data/tiny"
    told = ["9 of 11 vehicle-days fail", "a-flat (1)", "10%", "rows (1)", "docs/index.html"]
    assert all(text in said for text in told), said
    written = json.loads((folder / "validation.json").read_text())
    assert written["ok"] is False and written["quarantined"] == 9
    assert pq.read_table(folder / "quarantine.parquet").num_rows == 9
    assert (folder / "docs/index.html").is_file()


def test_the_stages_write_what_they_promise(stages, home):
    result = stages()
    folder = home / "data/tiny"
    assert Validation.read(folder) == result
    assert set(read_json(folder / "validation.json", "")) == {
        "ok", "vehicle_days", "quarantined", "checks", "refused", "refused_because", "warnings",
        "events", "profile_rows", "data_hash", "digest", "tables",
    }  # fmt: skip
    counts = IngestResult.require(folder)
    assert counts.rows_in == counts.rows_lake + counts.rows_rejected
    found = pq.read_table(folder / "profile.parquet")
    assert found.schema.equals(PROFILE) and found.num_rows == result.profile_rows == 33
    assert json.loads((folder / "source.json").read_text())["fleet"] == "tiny"
    fleet = raw_fleet(channels=CHANNELS, quality=QUALITY)
    assert Lake(folder / "lake", fleet).hash() == result.data_hash
