"""What goes wrong around a scoring job: corrected, lost and damaged files, vehicles that are gone,
a registry begun anew, a full disk. Nothing of it passes in silence or takes the rest with it.
"""

import os
import shutil
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scoring_kit import (
    AFTER,
    FAULTY,
    FLEET,
    START,
    VEHICLES,
    add_nights,
    digests,
    incidents,
    kit_params,
    make_artifacts,
    read_json,
    refresh,
    run_job,
    scores,
    validated,
)

from amad.cli.ledger import _print as print_ledger
from amad.config import DataError, Stage
from amad.engines.score.dry_run import dry_run
from amad.engines.score.ledger import read_ledger
from amad.engines.score.scoring_plan import EVERYTHING_NEW
from amad.engines.validate import fleet_validation
from amad.engines.validate.fleet_validation import validate_fleet
from amad.scores import partitions
from amad.scores.job_log import job_logs
from amad.telemetry.checksums import Checksums
from amad.telemetry.files import write_parquet
from amad.telemetry.health import fleet_health
from amad.telemetry.lake import Lake
from amad.telemetry.validation import TABLES
from pipelines import register, report, score

pytestmark = pytest.mark.slow


def flip(file: Path) -> None:
    """One bit in the middle, with size and time of modification as they were."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(file: Path) -> None:
    """The second half is lost."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def place_of(settings, kind: str, day: date = FAULTY) -> Path:
    return partitions.folder(settings.runs_dir(FLEET), kind, "1", day)


def corrected(
    settings, day: date, vehicle: str, change: Callable, channels: tuple[str, ...] = ("speed",)
) -> None:
    """The raw file of a night delivered again with as many rows, some channels changed."""
    file = settings.data_dir / FLEET / f"{day}-{vehicle}-0.parquet"
    table = pq.read_table(file)
    for name in channels:
        value = pa.array(change(table[name].to_numpy()))
        table = table.set_column(table.schema.names.index(name), name, value)
    pq.write_table(table, file)


def test_a_corrected_day_of_as_many_rows_is_judged_and_scored_anew(place):
    """Validation has seen the day, with other values: its verdict says nothing of these."""
    fleet, settings = place
    run_job(fleet, settings)
    night = FAULTY - timedelta(days=1)
    both = ("speed", "torque")  # two of three, so little is left to be scored
    corrected(settings, night, "a-1", lambda value: value * 0 + 999, both)
    refresh(fleet, settings)
    log = run_job(fleet, settings).content()
    assert str(night) in log["dates"] and log["unscored"]["quarantined"] > 0
    rows = scores(settings, night).to_pylist()
    states = {row["vehicle"]: set() for row in rows}
    for row in rows:
        states[row["vehicle"]].add(row["status"])
    assert states["a-1"] == {"quarantined"} and states["b-1"] == {"scored"}
    # Mended: sound values again, and others than the first time.
    corrected(settings, night, "a-1", lambda v: 60 + 20 * np.sin(np.arange(len(v)) / 90), both)
    refresh(fleet, settings)
    assert str(night) in run_job(fleet, settings).content()["dates"]
    assert "quarantined" not in scores(settings, night)["status"].to_pylist()
    assert run_job(fleet, settings).content()["dates"] == []


@pytest.mark.parametrize("last", TABLES)
def test_what_a_validation_that_was_stopped_left_lets_no_bad_day_pass(
    place, capsys, monkeypatch, last
):
    """The table of what was measured knew the day, and that of what failed did not yet."""
    fleet, settings = place
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    validate_fleet(stage)
    night = FAULTY - timedelta(days=1)
    corrected(settings, night, "a-1", lambda value: value * 0 + 999, ("speed", "torque"))
    refresh(fleet, settings)

    def write(table, path: Path, schema) -> None:
        write_parquet(table, path, schema)
        if path.name == last:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fleet_validation, "write_parquet", write)
        with pytest.raises(KeyboardInterrupt):
            validate_fleet(stage)
    assert run_job(fleet, settings).unscored["quarantined"] > 0
    assert "not of the validation.json beside them" in capsys.readouterr().err
    validate_fleet(stage)
    assert run_job(fleet, settings).dates == []
    assert "validation.json" not in capsys.readouterr().err


def test_a_day_with_a_failed_sensor_is_scored_without_it_and_told(place, capsys):
    fleet, settings = place
    run_job(fleet, settings)
    night = FAULTY - timedelta(days=1)
    sound = partitions.read_manifest(settings.runs_dir(FLEET), "1", night)
    corrected(settings, night, "a-1", lambda speed: speed * 0 + 999)
    refresh(fleet, settings)
    log = run_job(fleet, settings)
    assert night in log.dates
    told = capsys.readouterr().err
    assert f"scored without speed: a-1 on {night}: speed outside its range in 49 %" in told
    assert "scored without failed sensors: a-1 (speed)" in told
    manifest = partitions.read_manifest(settings.runs_dir(FLEET), "1", night)
    assert manifest.quarantined == [] and manifest.withheld == {"a-1": ["speed"]}
    assert manifest.unmeasured == {} and log.withheld == {"a-1": ["speed"]}
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    ledger = read_ledger(stage)
    (entry,) = (item for item in ledger.dates if item.date == night)
    print_ledger(ledger, 14)
    assert f"{night} without failed sensors: a-1 (speed)\n" in capsys.readouterr().out
    assert entry.withheld == {"a-1": ["speed"]} and entry.quarantined == 0
    entry.withheld, entry.failed = {"a-1": [*"abcdefgh"]}, [f"a-{n}" for n in range(9)]
    print_ledger(ledger, 14)
    told = capsys.readouterr().out
    assert "a-1 (a, b, c, d, e and 3 more)\n" in told and "a-4 and 4 more\n" in told
    assert manifest.scored == sound.scored
    of_vehicle = scores(settings, night).filter(pc.field("vehicle") == "a-1")
    assert "speed" not in pc.list_flatten(of_vehicle["top_channels"]).to_pylist()
    before = (place_of(settings, "scores", night) / "part.parquet").read_bytes()
    assert run_job(fleet, settings).content()["dates"] == []
    run_job(fleet, settings, first=night, last=night, force=True)
    assert (place_of(settings, "scores", night) / "part.parquet").read_bytes() == before
    (trouble,) = fleet_health(fleet, settings).troubles
    assert trouble.kind == "sensor" and str(trouble).startswith(
        f"a-1 speed failed on 2 of the last 7 days, the newest {FAULTY}: speed outside its"
    )
    corrected(settings, night, "a-1", lambda v: 60 + 20 * np.sin(np.arange(len(v)) / 90))
    refresh(fleet, settings)
    assert str(night) in run_job(fleet, settings).content()["dates"]
    assert partitions.read_manifest(settings.runs_dir(FLEET), "1", night).withheld == {}


DAMAGE = {
    "scores deleted": lambda s: (place_of(s, "scores") / "part.parquet").unlink(),
    "scores cut": lambda s: cut(place_of(s, "scores") / "part.parquet"),
    "scores flipped": lambda s: flip(place_of(s, "scores") / "part.parquet"),
    "manifest deleted": lambda s: (place_of(s, "scores") / "_manifest.json").unlink(),
    "manifest cut": lambda s: cut(place_of(s, "scores") / "_manifest.json"),
    "manifest flipped": lambda s: flip(place_of(s, "scores") / "_manifest.json"),
    "date deleted": lambda s: shutil.rmtree(place_of(s, "scores")),
    "incidents deleted": lambda s: shutil.rmtree(place_of(s, "incidents")),
    "incidents cut": lambda s: cut(place_of(s, "incidents") / "incidents.parquet"),
    "incidents flipped": lambda s: flip(place_of(s, "incidents") / "incidents.parquet"),
    "lines flipped": lambda s: flip(place_of(s, "incidents") / "incidents.jsonl"),
}


def test_whatever_is_lost_or_damaged_of_a_date_is_scored_again_and_told(place, capsys):
    fleet, settings = place
    run_job(fleet, settings)
    whole = digests(settings)
    for what, damage in DAMAGE.items():
        damage(settings)
        capsys.readouterr()
        log = run_job(fleet, settings).content()
        assert log["dates"][0] == str(FAULTY) and len(log["dates"]) <= 2, what
        assert digests(settings) == whole, what
        assert str(FAULTY) in capsys.readouterr().err, what
    assert run_job(fleet, settings).content()["dates"] == []
    assert any(item["continued"] for item in incidents(settings, AFTER))


def test_a_date_asked_for_takes_a_damaged_day_before_along(place):
    """Else an incident over midnight would begin anew, with another id."""
    fleet, settings = place
    run_job(fleet, settings)
    whole = digests(settings)
    shutil.rmtree(place_of(settings, "incidents"))
    log = run_job(fleet, settings, first=AFTER, last=AFTER).content()
    assert log["dates"] == [str(FAULTY), str(AFTER)] and "damaged" in log["told"][0]
    assert digests(settings) == whole


def test_files_are_hashed_once_and_again_when_something_touched_them(tmp_path, monkeypatch):
    file = tmp_path / "a" / "part"
    file.parent.mkdir()
    file.write_bytes(bytes(1000))
    sums = Checksums(tmp_path)
    first = sums.of(file)
    sums.save()
    opened: list[Path] = []
    monkeypatch.setattr(
        "hashlib.file_digest", lambda *_: (opened.append(file), pytest.fail("read"))[0]
    )
    assert Checksums(tmp_path).of(file) == first and not opened
    monkeypatch.undo()
    flip(file)
    assert Checksums(tmp_path).of(file) != first
    (tmp_path / "checksums.json").write_text("{")
    assert Checksums(tmp_path).of(file) not in (None, first)
    file.unlink()
    assert Checksums(tmp_path).of(file) is None


def test_scores_of_another_detector_under_the_same_number_do_not_pass_as_its_own(place, capsys):
    """The tracking store is lost, and another detector becomes version 1."""
    fleet, settings = place
    first = score.run(kit_params(), settings).content()
    old = digests(settings)
    settings = settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/new.db"})
    register.run(make_artifacts(fleet, settings, alarm_budget=2.0), settings)
    stage = Stage(fleet=fleet, settings=settings, params=kit_params())
    plan, _ = dry_run(stage, EVERYTHING_NEW)
    (told,) = plan.told
    assert f"scores of {len(first['dates'])} dates by other detectors" in told
    assert digests(settings) == old, "a dry run moves nothing"
    capsys.readouterr()
    second = score.run(kit_params(), settings).content()
    assert "scored by other detectors" in capsys.readouterr().err
    assert second["dates"] == [str(day) for day in plan.days]
    assert second["model_version"] == first["model_version"] == "1"
    theirs = {item["detector"] for item in first["by_date"].values()}
    ours = {item["detector"] for item in second["by_date"].values()}
    assert len(theirs) == len(ours) == 1 and theirs != ours
    assert second["dates"] == first["dates"]
    kept = settings.runs_dir(FLEET) / "set_aside" / theirs.pop()
    assert {str(f.relative_to(kept)) for f in kept.rglob("*") if f.is_file()} == set(old)


def test_a_published_date_never_loses_a_vehicle_unless_asked(place):
    fleet, settings = place
    add_nights(fleet, settings, [AFTER])
    validated(fleet, settings)
    run_job(fleet, settings)
    before = digests(settings)
    folder = settings.fleet_dir(FLEET)
    for day in (FAULTY, AFTER):
        (settings.data_dir / FLEET / f"{day}-a-2-0.parquet").unlink()
    shutil.rmtree(folder / "lake")
    shutil.rmtree(folder / "rejected", ignore_errors=True)
    late = START + timedelta(days=9)
    add_nights(fleet, settings, [late])
    validated(fleet, settings)
    with pytest.raises(DataError, match=rf"were not published anew.*{AFTER}.*a-2.*--force"):
        score.run(kit_params(), settings)
    log = job_logs(settings.runs_dir(FLEET))[0][-1].content()
    refused = {item["date"]: item["vehicles"] for item in log["refused"]}
    assert refused[str(AFTER)] == ["a-2"] and log["status"] == "done"
    assert str(late) in log["dates"], "the rest is scored"
    after = digests(settings)
    kept = [name for name in before if any(f"date={day}" in name for day in refused)]
    assert kept and all(after[name] == before[name] for name in kept)
    log = run_job(fleet, settings, first=AFTER, last=AFTER, force=True).content()
    assert log["dates"] == [str(AFTER)] and not log["refused"]
    assert set(scores(settings, AFTER)["vehicle"].to_pylist()) == {"a-1", "b-1"}


def test_a_damaged_vehicle_day_does_not_stop_the_others_and_is_tried_again(place):
    fleet, settings = place
    lake = Lake(settings.fleet_dir(FLEET) / "lake", fleet)
    part = lake.part("a-1", FAULTY)
    sound = part.read_bytes()
    cut(part)
    with pytest.raises(DataError, match=r"could not be scored.*a-1 \(2\).*part\.parquet"):
        score.run(kit_params(), settings)
    log = job_logs(settings.runs_dir(FLEET))[0][-1].content()
    # The day itself, and the day whose history it is.
    failed = [(item["vehicle"], item["date"]) for item in log["failed"]]
    assert failed == [("a-1", str(FAULTY)), ("a-1", str(AFTER))]
    assert set(scores(settings, FAULTY)["vehicle"].to_pylist()) == {"a-2", "b-1"}
    receipt = read_json(settings.fleet_dir(FLEET) / "scoring.json")
    assert receipt["by_date"][str(FAULTY)]["vehicle_days"] == 2
    report.run(kit_params(), settings)
    page = (settings.fleet_dir(FLEET) / "report.html").read_text(encoding="utf-8")
    assert "Not done, or left as it was" in page
    assert "Not all is done: a-1 was not scored" in page, "it is told first"
    assert page.count("was not scored") == 3
    # Published as it is now, it keeps what it has when another one is damaged too.
    other = lake.part("a-2", FAULTY)
    kept = other.read_bytes()
    part.write_bytes(sound)
    cut(other)
    with pytest.raises(DataError, match="a-2"):
        score.run(kit_params(), settings)
    assert set(scores(settings, FAULTY)["vehicle"].to_pylist()) == {"a-2", "b-1"}
    other.write_bytes(kept)
    receipt = score.run(kit_params(), settings).content()
    assert receipt["by_date"][str(FAULTY)]["vehicle_days"] == len(VEHICLES)
    assert run_job(fleet, settings).content()["dates"] == []


def test_a_damaged_vehicle_day_that_was_not_validated_does_not_stop_the_others(place):
    fleet, settings = place
    add_nights(fleet, settings, [AFTER])
    cut(Lake(settings.fleet_dir(FLEET) / "lake", fleet).part("b-1", AFTER))
    log = run_job(fleet, settings).content()
    assert {item["vehicle"] for item in log["failed"]} == {"b-1"}
    assert set(scores(settings, AFTER)["vehicle"].to_pylist()) == {"a-1", "a-2"}


def test_a_damaged_log_or_note_of_a_job_stops_nothing_and_is_named(place, capsys):
    fleet, settings = place
    runs = settings.runs_dir(FLEET)
    run_job(fleet, settings, first=START, last=START)
    for name, content in (
        ("cut", '{"id": "x", "sta'),
        ("empty", ""),
        ("list", "[]"),
        ("nul", "\0"),
    ):
        (runs / "jobs" / f"20200101T000000-{name}.json").write_text(content)
    (runs / "judged.json").write_text('{"contract": 3')
    (runs / "scoring.holder.json").write_text("\0\0")
    log = run_job(fleet, settings).content()
    assert log["status"] == "done" and log["dates"]
    told = capsys.readouterr().err
    assert all(
        f"{name}.json is damaged and left out" in told for name in ("cut", "empty", "list", "nul")
    )
    assert [item.status for item in job_logs(runs)[0]] == ["done", "done"]


@pytest.mark.parametrize("name", ["validation.json", "profile.parquet", "quarantine.parquet"])
def test_what_validation_left_is_named_with_its_remedy_when_it_is_damaged(place, name):
    fleet, settings = place
    cut(settings.fleet_dir(FLEET) / name)
    with pytest.raises(DataError, match=rf"{name} is damaged.*amad validate"):
        run_job(fleet, settings)
