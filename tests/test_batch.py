"""Scoring jobs: partitions that are whole, the same bytes again, and what is new."""

import hashlib
import os
import shutil
import time
from datetime import date, timedelta
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from engine_kit import write_profile
from scoring_kit import (
    AFTER,
    FAULTY,
    FLEET,
    NIGHTS,
    START,
    VEHICLES,
    add_nights,
    digests,
    incidents,
    kit_params,
    make_artifacts,
    read_json,
    run_job,
    scores,
    validated,
)
from stop_kit import CONTEXT, SECONDS
from test_full_disk import content_of

from amad.config import ClusterProfile, DataError, ServiceError, Settings, load_fleet
from amad.engines.register import promotion
from amad.engines.score.scoring_plan import ScoringRequest
from amad.engines.shared.tracking import connect
from amad.scores import partitions
from amad.scores.job_log import scoring_job
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import SCORES
from pipelines import register, score

pytestmark = pytest.mark.slow


def test_the_first_run_scores_the_test_part_and_the_next_finds_nothing_new(place):
    fleet, settings = place
    receipt = score.run(kit_params(), settings).content()
    test_start = date.fromisoformat(
        connect(settings).get_model_version("amad-nights", "1").tags["test_start"]
    )
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    expected = [str(day) for day in lake.dates() if day >= test_start]
    assert test_start > START and receipt["dates"] == expected
    assert receipt == read_json(settings.fleet_dir(FLEET) / "scoring.json")
    for day, item in receipt["by_date"].items():
        part = partitions.folder(settings.runs_dir(FLEET), "scores", "1", date.fromisoformat(day))
        assert item["sha256"] == hashlib.sha256((part / "part.parquet").read_bytes()).hexdigest()
    before = digests(settings)
    assert score.run(kit_params(), settings).content() == receipt
    assert digests(settings) == before
    logs = [read_json(p) for p in (settings.runs_dir(FLEET) / "jobs").glob("*.json")]
    assert sorted(len(log["dates"]) for log in logs) == [0, len(expected)]
    assert {log["test_start"] for log in logs} == {str(test_start)}
    assert {log["status"] for log in logs} == {"done"}


def test_one_score_row_for_each_lake_row(place):
    fleet, settings = place
    log = run_job(fleet, settings, first=START, last=AFTER).content()
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    assert log["rows"] == lake.rows()
    for day in lake.dates():
        table = scores(settings, day)
        assert table.schema == SCORES
        assert table.equals(table.sort_by([("vehicle", "ascending"), ("timestamp", "ascending")]))
        for vehicle in VEHICLES:
            own = table.filter(pc.equal(table["vehicle"], vehicle))
            assert own["timestamp"].equals(lake.read_day(vehicle, day)["timestamp"])
    hive = ds.dataset(settings.runs_dir(FLEET) / "scores", partitioning="hive")
    assert hive.count_rows() == lake.rows()
    assert {"model_version", "date"} <= set(hive.schema.names)


def test_the_same_date_again_gives_the_same_bytes_in_any_order(place):
    fleet, settings = place
    days = [START + timedelta(days=n) for n in range(NIGHTS + 1)]
    run_job(fleet, settings, first=days[0], last=days[-1])
    whole = digests(settings)
    for day in (days[3], days[1]):
        run_job(fleet, settings, first=day, last=day)
        assert digests(settings) == whole
    for kind in ("scores", "incidents", "state"):
        shutil.rmtree(settings.runs_dir(FLEET) / kind)
    for day in days:
        run_job(fleet, settings, first=day, last=day)
    assert digests(settings) == whole


def test_an_incident_over_midnight_keeps_its_id(place):
    fleet, settings = place
    log = run_job(fleet, settings, first=FAULTY, last=AFTER)
    shown = [i["incident_id"] for day in (FAULTY, AFTER) for i in incidents(settings, day)]
    assert log.incidents == len(set(shown)) < len(shown), "each counts once"
    first = [i for i in incidents(settings, FAULTY) if i["vehicle"] == "b-1"][-1]
    then = next(i for i in incidents(settings, AFTER) if i["vehicle"] == "b-1")
    assert then["incident_id"] == first["incident_id"]
    assert (first["continued"], then["continued"]) == (False, True)
    assert then["start"] == first["start"] and then["end"] > first["end"]
    assert first["validation"] == "passed" and first["model_version"] == "1"


def test_the_order_of_the_days_does_not_matter_in_the_end(place):
    """The day after was scored first: it is stale once the day before is there."""
    fleet, settings = place
    run_job(fleet, settings, first=AFTER, last=AFTER)
    alone = next(i for i in incidents(settings, AFTER) if i["vehicle"] == "b-1")
    assert not alone["continued"]
    run_job(fleet, settings, first=FAULTY, last=FAULTY)
    log = run_job(fleet, settings).content()
    assert str(AFTER) in log["dates"]
    joined = next(i for i in incidents(settings, AFTER) if i["vehicle"] == "b-1")
    assert joined["continued"]
    assert run_job(fleet, settings).content()["dates"] == []


def test_late_rows_make_their_day_and_two_days_after_new_and_nothing_else(place):
    fleet, settings = place
    run_job(fleet, settings, first=START, last=AFTER)
    before = digests(settings)
    night = START + timedelta(days=1)
    late = pq.read_table(settings.data_dir / FLEET / f"{night}-a-1-0.parquet").slice(0, 40)
    shifted = pc.add(late["timestamp"], pa.scalar(timedelta(seconds=3)))
    at = late.schema.get_field_index("timestamp")
    late = late.set_column(at, "timestamp", shifted.cast(late.schema.field(at).type))
    pq.write_table(late, settings.data_dir / FLEET / "late.parquet")
    add_nights(fleet, settings, [])
    validated(fleet, settings)
    log = run_job(fleet, settings).content()
    assert log["dates"] == [str(night + timedelta(days=n)) for n in range(3)]
    after = digests(settings)
    changed = {name.split("date=")[1][:10] for name in after if after[name] != before[name]}
    assert changed <= set(log["dates"]) and str(night) in changed
    assert scores(settings, night).num_rows == 40 + 3 * 2129


def test_new_days_are_new_and_a_new_champion_rewrites_no_history(place):
    fleet, settings = place
    run_job(fleet, settings)
    first = digests(settings)
    make_artifacts(fleet, settings, alarm_budget=2.0)
    register.run(kit_params(alarm_budget=2.0), settings)
    promotion.promote(settings, FLEET, "2", force=True, reason="a test")
    assert run_job(fleet, settings).content()["dates"] == []
    add_nights(fleet, settings, [AFTER])
    validated(fleet, settings)
    log = run_job(fleet, settings).content()
    # The night of AFTER adds evening rows to a date that was scored, and a morning that is new.
    assert log["dates"] == [str(AFTER), str(AFTER + timedelta(days=1))]
    assert log["model_version"] == "2"
    again = digests(settings)
    assert {name: again[name] for name in first} == first, "what version 1 wrote stays"
    ended, goes_on = (
        next(i for i in incidents(settings, day, version) if i["vehicle"] == "b-1" and of(i))
        for day, version, of in (
            (FAULTY, "1", lambda i: i["end"].date() == AFTER),
            (AFTER, "2", lambda i: i["continued"]),
        )
    )
    assert goes_on["incident_id"] == ended["incident_id"], "it goes on under the new model"
    receipt = score.run(kit_params(), settings).content()
    assert receipt["by_date"][str(FAULTY)]["model_version"] == "1"
    assert receipt["by_date"][str(AFTER)]["model_version"] == "2"


def test_quarantined_days_have_rows_without_scores_and_their_clearing_is_news(place):
    fleet, settings = place
    validated(fleet, settings, failed=(("b-1", FAULTY, None),))
    run_job(fleet, settings, first=FAULTY, last=AFTER)
    table = scores(settings, FAULTY)
    out = table.filter(pc.equal(table["status"], "quarantined"))
    assert set(out["vehicle"].to_pylist()) == {"b-1"} and out.num_rows == 2129
    manifest = partitions.read_manifest(settings.runs_dir(FLEET), "1", FAULTY)
    assert manifest.quarantined == ["b-1"]
    assert not [i for i in incidents(settings, FAULTY) if i["vehicle"] == "b-1"]
    validated(fleet, settings)
    assert str(FAULTY) in run_job(fleet, settings).content()["dates"]
    assert [i for i in incidents(settings, FAULTY) if i["vehicle"] == "b-1"]


def test_a_job_whose_dates_have_no_rows_ends_badly_and_a_range_goes_on_without_them(place):
    """Such a night has watched nothing; a fleet that rests on a weekend stops no backfill."""
    fleet, settings = place
    first, last = date(2025, 1, 1), date(2025, 1, 2)
    jobs = settings.runs_dir(FLEET) / "jobs"
    for dates in ((first, last), (first, first), (date(2027, 1, 1), date.max)):
        with pytest.raises(DataError, match=r"no rows (from|on) 202.*rows from 2026-01-05.*ingest"):
            score.run(kit_params(), settings, ScoringRequest(dates=dates))
        log = read_json(max(jobs.glob("*.json")))
        assert log["status"] == "failed" and "no rows" in log["error"] and log["dates"] == []
    log = run_job(fleet, settings, first=START - timedelta(days=1), last=START).content()
    assert log["status"] == "done"
    assert log["dates"] == [str(START)] and str(START - timedelta(days=1)) in log["told"][0]


def test_without_a_champion_the_way_out_is_named(place):
    fleet, settings = place
    empty = settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/empty.db"})
    with pytest.raises(ServiceError, match="amad register"):
        run_job(fleet, empty)


def test_a_second_job_of_the_fleet_is_refused_and_told_who_is_first(place):
    fleet, settings = place
    with (
        scoring_job(settings.runs_dir(FLEET), FLEET) as log,
        pytest.raises(ServiceError, match=f"{log.id}, process {os.getpid()}"),
    ):
        run_job(fleet, settings)
    assert run_job(fleet, settings, first=START, last=START).content()["rows"] > 0


def test_too_few_rows_are_never_published(place):
    """The count is checked before the partition is put in place."""
    _, settings = place
    runs = settings.runs_dir(FLEET)
    from amad.scores.partition_manifest import Provenance
    from amad.scores.partitions import VehicleDay

    made_of = {"a-1": VehicleDay(rows=5, quarantined=False, inputs="x")}
    with pytest.raises(DataError, match="0 score rows of vehicle a-1 for 5 lake rows"):
        partitions.publish(
            runs,
            "1",
            START,
            tables=[SCORES.empty_table],
            incidents=[],
            vehicles=made_of,
            provenance=Provenance(
                detector="d",
                history_us=0,
                gap_us=0,
                inputs="",
                carried="",
                made_null={},
                unmeasured={},
            ),
        )
    assert partitions.read_manifest(runs, "1", START) is None
    assert not list((runs / "scores").rglob("*.parquet"))


def test_recover_undoes_what_a_kill_between_two_renames_leaves(place):
    fleet, settings = place
    run_job(fleet, settings, first=START, last=START)
    before = digests(settings)
    folder = partitions.folder(settings.runs_dir(FLEET), "scores", "1", START)
    folder.rename(folder.with_name(f".old-12345678-{folder.name}"))
    half = folder.with_name(f".stage-12345678-{folder.name}")
    half.mkdir()
    (half / "part.parquet").write_bytes(b"half a file")
    partitions.recover(settings.runs_dir(FLEET))
    assert digests(settings) == before
    assert not half.exists()


def slow_job(home: Path, writing: Event, environment: dict[str, str]) -> None:
    """A job that has two dates published, and takes ten minutes to write the third."""
    os.environ.clear()  # the process that this one is forked from may be older than the test
    os.environ |= environment
    settings = Settings(home=home, data_dir=home / "raw")
    write, dates = partitions._write_scores, []

    def slow(file, tables, vehicles, target):
        counts = write(file, tables, vehicles, target)
        dates.append(target)
        if len(dates) == 3:
            writing.set()
            time.sleep(600)
        return counts

    partitions._write_scores = slow
    run_job(load_fleet(FLEET, settings), settings, first=date.min, last=date.max)


@pytest.mark.engine
def test_a_killed_job_leaves_whole_partitions_and_the_next_one_goes_on(place):
    fleet, settings = place
    first, last = START, AFTER
    run_job(fleet, settings, first=first, last=last)
    whole = digests(settings)
    for kind in ("scores", "incidents"):
        shutil.rmtree(settings.runs_dir(FLEET) / kind)
    writing = CONTEXT.Event()
    # What a kill leaves goes with the test.
    environment = os.environ | {"TMPDIR": str(settings.home)}
    job = CONTEXT.Process(target=slow_job, args=(settings.home, writing, environment))
    job.start()
    assert writing.wait(SECONDS), job.exitcode
    with pytest.raises(ServiceError, match="another job"):
        run_job(fleet, settings)
    job.kill()
    job.join()
    runs = settings.runs_dir(FLEET)
    left = digests(settings)
    finished = {name for name in left if "/." not in name}
    assert len([name for name in finished if name.endswith("part.parquet")]) == 2
    assert {name: left[name] for name in finished} == {name: whole[name] for name in finished}

    run_job(fleet, settings, first=first, last=last)
    assert digests(settings) == whole
    assert not list(runs.rglob(".stage-*")) and not list(runs.rglob(".old-*"))
    states = [read_json(p)["status"] for p in sorted((runs / "jobs").glob("*.json"))]
    assert sorted(states) == ["done", "done", "killed"]


@pytest.mark.engine
def test_ray_writes_the_same_bytes(place):
    """Also of days on which a sensor failed, which the workers read without it."""
    fleet, settings = place
    validated(fleet, settings, (("b-1", FAULTY, "heat"), ("a-1", FAULTY, "speed")))
    run_job(fleet, settings, first=START, last=AFTER, engine="process")
    whole, states = digests(settings), content_of(settings.runs_dir(FLEET) / "state")
    for kind in ("scores", "incidents", "state"):
        shutil.rmtree(settings.runs_dir(FLEET) / kind)
    log = run_job(fleet, settings, first=START, last=AFTER, engine="ray").content()
    assert log["engine"] == "ray"
    assert digests(settings) == whole
    assert content_of(settings.runs_dir(FLEET) / "state") == states
    assert len(states) == len(VEHICLES)
    run_job(fleet, settings, first=AFTER, last=AFTER, engine="process")
    assert digests(settings) == whole, "with the states that Ray's workers left"
    manifest = partitions.read_manifest(settings.runs_dir(FLEET), "1", FAULTY)
    assert manifest.withheld == {"a-1": ["speed"], "b-1": ["heat"]}


@pytest.mark.engine
def test_a_job_is_done_without_a_ray_that_cannot_start_and_its_log_says_so(
    place, capsys, monkeypatch
):
    fleet, settings = place
    monkeypatch.setenv("RAY_TMPDIR", str(settings.home / ("long" * 30)))  # for its sockets
    write_profile(settings.home, ClusterProfile(ray_min_vehicle_days=1))
    log = run_job(fleet, settings, first=START, last=START, engine="auto")
    assert (log.engine, log.dates) == ("process", [START])
    assert "Ray cannot start on this machine" in capsys.readouterr().err
    with pytest.raises(ServiceError, match="do without Ray"):
        run_job(fleet, settings, first=AFTER, last=AFTER, engine="ray")


@pytest.mark.engine
def test_days_that_validation_has_not_seen_are_judged(place, capsys):
    """A day full of impossible values comes in after the validate stage has run."""
    fleet, settings = place
    bad = AFTER + timedelta(days=3)
    folder = settings.data_dir / FLEET
    table = pq.read_table(folder / f"{START}-a-1-0.parquet")
    shift = pa.scalar(bad - START)
    moved = pc.add(table["timestamp"], shift).cast(table.schema.field("timestamp").type)
    table = table.set_column(table.schema.get_field_index("timestamp"), "timestamp", moved)
    wild = pa.array([9000.0] * table.num_rows)
    for name in ("speed", "torque"):
        table = table.set_column(table.schema.get_field_index(name), name, wild)
    pq.write_table(table, folder / "bad.parquet")
    add_nights(fleet, settings, [])
    log = run_job(fleet, settings, first=bad, last=bad).content()
    assert log["rows"] > 0 and log["incidents"] == 0
    assert set(scores(settings, bad)["status"].to_pylist()) == {"quarantined"}
    judged = read_json(settings.runs_dir(FLEET) / "judged.json")["days"]
    assert judged[f"{bad} a-1"][1], "the reason is kept"
    assert capsys.readouterr().err.count(f"a-1 on {bad}") == len(judged[f"{bad} a-1"][1][:3])
    assert run_job(fleet, settings, first=bad, last=bad).content()["rows"] == log["rows"]
