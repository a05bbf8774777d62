"""The ledger of a fleet's dates: what `amad status` and `amad score --dry-run` say, and that they
only look; and scoring some vehicles of a date again.
"""

import json
import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scoring_kit import (
    AFTER,
    FAULTY,
    FLEET,
    START,
    add_nights,
    digests,
    kit_params,
    refresh,
    run_job,
    scores,
    validated,
)

from amad.cli.__main__ import run
from amad.config import ConfigError, PartlyDoneError, Stage
from amad.engines.score.dry_run import dry_run
from amad.engines.score.ledger import Ledger, read_ledger
from amad.engines.score.scoring_plan import EVERYTHING_NEW, ScoringRequest
from amad.ingest.ingestion import ingest
from amad.reading import times
from amad.scores import partitions
from amad.scores.job_log import job_logs, scoring_job
from amad.telemetry.lake import Lake
from pipelines import score

pytestmark = pytest.mark.slow


def stage_of(place) -> Stage:
    fleet, settings = place
    return Stage(fleet=fleet, settings=settings, params=kit_params())


def ledger_of(place) -> Ledger:
    return read_ledger(stage_of(place))


def states(ledger: Ledger) -> dict:
    return {item.date: item.state for item in ledger.dates}


def everything(home: Path) -> dict[str, bytes]:
    """All files of a home with their content."""
    return {str(file): file.read_bytes() for file in home.rglob("*") if file.is_file()}


def late_rows(place, vehicle: str, night) -> None:
    """Forty rows of a night that come late."""
    fleet, settings = place
    folder = settings.data_dir / FLEET
    late = pq.read_table(folder / f"{night}-{vehicle}-0.parquet").slice(0, 40)
    at = late.schema.get_field_index("timestamp")
    shifted = pc.add(late["timestamp"], pa.scalar(timedelta(seconds=3)))
    late = late.set_column(at, "timestamp", shifted.cast(late.schema.field(at).type))
    pq.write_table(late, folder / f"late-{vehicle}.parquet")
    refresh(fleet, settings)


def test_the_ledger_follows_a_fleet_from_its_first_job_to_its_troubles(place, monkeypatch):
    fleet, settings = place
    runs = settings.runs_dir(FLEET)
    before = ledger_of(place)
    assert not before.dates and not before.behind, "the dates of the training are not awaited"
    assert not before.is_well and "no job has run yet" in before.job_trouble
    log = run_job(fleet, settings)
    after = ledger_of(place)
    assert after.is_well and set(states(after)) == set(log.dates)
    assert (after.newest_scored, after.behind) == (AFTER, 0)
    last = after.dates[-1]
    manifest = partitions.read_manifest(runs, "1", AFTER)
    assert (last.inputs, last.detector) == (manifest.inputs, manifest.detector)
    assert (last.job, last.job_status, last.attempts) == (log.id, "done", 1)
    assert last.seconds > 0 and last.scored == manifest.scored and not last.over
    assert all(item.over for item in after.dates[:-1])

    with monkeypatch.context() as clock:  # the machine's clock falls behind: nothing new is told
        midnight = datetime.combine(AFTER - timedelta(days=2), time.min, UTC)
        clock.setattr(times, "now_us", lambda: int(1e6 * midnight.timestamp()))
        ledger = ledger_of(place)
        assert not ledger.is_well and not ledger.open
        assert f"{AFTER} lies in the future by the clock of this machine" in ledger.troubles[0]

    late_rows(place, "a-1", FAULTY)
    ledger = ledger_of(place)
    assert states(ledger)[FAULTY] == "stale" and "rows of a-1 came late" in ledger.open[0].why
    (partitions.folder(runs, "incidents", "1", AFTER) / "incidents.parquet").unlink()
    assert states(ledger_of(place))[AFTER] == "damaged"

    part = Lake(settings.fleet_dir(FLEET) / "lake", fleet).part("a-1", FAULTY)
    sound = part.read_bytes()
    part.write_bytes(sound[:100])
    with pytest.raises(PartlyDoneError) as end:
        score.run(kit_params(), settings)
    assert end.value.exit_code == 8
    ledger = ledger_of(place)
    entry = next(item for item in ledger.open if item.date == FAULTY)
    assert (entry.state, entry.failed, entry.attempts) == ("refused", ["a-1"], 2)
    part.write_bytes(sound)
    log = run_job(fleet, settings)
    assert not log.failed and ledger_of(place).is_well
    assert next(i for i in ledger_of(place).dates if i.date == FAULTY).attempts == 3


def test_a_vehicle_that_failed_and_a_job_that_was_killed_are_in_the_ledger(place):
    fleet, settings = place
    runs = settings.runs_dir(FLEET)
    part = Lake(settings.fleet_dir(FLEET) / "lake", fleet).part("b-1", AFTER)
    sound = part.read_bytes()
    part.write_bytes(sound[:100])
    run_job(fleet, settings)
    (entry,) = ledger_of(place).open
    assert (entry.date, entry.state, entry.failed) == (AFTER, "incomplete", ["b-1"])
    assert entry.vehicles == 2 and "the next job tries again" in entry.why
    part.write_bytes(sound)
    request = ScoringRequest(dates=(AFTER, AFTER), vehicles=("b-1",))
    score.run(kit_params(), settings, request)
    assert ledger_of(place).is_well, "the vehicle alone was enough"
    with scoring_job(runs, FLEET) as log:
        assert ledger_of(place).job.status == "running"
    content = json.loads((runs / "jobs" / f"{log.id}.json").read_text())
    del content["seal"]
    killed = {"status": "running", "ended": None, "attempts": [{"date": str(AFTER)}]}
    (runs / "jobs" / f"{log.id}.json").write_text(json.dumps(content | killed))
    ledger = ledger_of(place)
    assert "the last job was killed" in ledger.job_trouble and not ledger.is_well
    assert (ledger.dates[-1].attempts, ledger.dates[-1].job_status) == (3, "killed")


def test_a_date_that_the_lake_has_lost_is_damaged_where_its_scores_are(place):
    fleet, settings = place
    run_job(fleet, settings, first=START, last=FAULTY)
    for file in (settings.data_dir / FLEET).glob(f"{START}-*"):
        file.unlink()
    ingest(fleet, settings, rebuild=True)
    assert states(ledger_of(place))[START] == "scored"
    partitions.table_file(settings.runs_dir(FLEET), "scores", "1", START).unlink()
    assert states(ledger_of(place))[START] == "damaged"


def test_status_and_a_dry_run_change_nothing_and_tell_what_the_job_would_do(place):
    fleet, settings = place
    add_nights(fleet, settings, [AFTER])  # not judged yet
    whole = everything(settings.home)
    plan, version = dry_run(stage_of(place), EVERYTHING_NEW)
    ledger = ledger_of(place)
    assert everything(settings.home) == whole
    assert version == "1" and ledger.unjudged > 0
    assert set(plan.days.values()) == {"no scores yet"}
    log = run_job(fleet, settings)
    assert list(plan.days) == log.dates
    late_rows(place, "a-2", FAULTY)
    whole = everything(settings.home)
    plan, _ = dry_run(stage_of(place), EVERYTHING_NEW)
    open_dates = [item.date for item in ledger_of(place).open]
    assert everything(settings.home) == whole
    assert list(plan.days) == open_dates == run_job(fleet, settings).dates
    assert "rows of a-2 came late" in plan.days[FAULTY]


def test_one_vehicle_is_scored_again_and_the_manifest_says_what_the_others_were_made_of(place):
    fleet, settings = place
    run_job(fleet, settings, first=FAULTY, last=AFTER)
    whole = digests(settings)
    log = run_job(fleet, settings, first=FAULTY, last=AFTER, vehicles=("b-1", "a-1"))
    assert log.dates == [FAULTY, AFTER] and log.vehicles == ["b-1", "a-1"]
    assert digests(settings) == whole, "nothing had changed, so neither did a byte"

    late_rows(place, "a-1", FAULTY)
    late_rows(place, "a-2", FAULTY)
    validated(fleet, settings)
    run_job(fleet, settings, first=FAULTY, last=FAULTY, vehicles=("a-1",))
    table = scores(settings, FAULTY)
    rows = {v: table.filter(pc.equal(table["vehicle"], v)).num_rows for v in ("a-1", "a-2")}
    assert rows["a-1"] == rows["a-2"] + 40
    entry = next(item for item in ledger_of(place).dates if item.date == FAULTY)
    assert entry.state == "stale" and "rows of a-2 came late" in entry.why
    run_job(fleet, settings)
    mixed = digests(settings)
    for kind in ("scores", "incidents"):
        shutil.rmtree(settings.runs_dir(FLEET) / kind)
    run_job(fleet, settings, first=FAULTY, last=AFTER)
    anew = digests(settings)
    assert {name: mixed[name] for name in anew} == anew


def test_what_cannot_be_scored_in_part_is_refused_with_the_way_out(place):
    fleet, settings = place
    with pytest.raises(ConfigError, match=r"no rows of vehicle x-9.*a-1, a-2, b-1"):
        run_job(fleet, settings, first=FAULTY, last=FAULTY, vehicles=("x-9",))
    log = run_job(fleet, settings, first=FAULTY, last=FAULTY, vehicles=("a-1",))
    assert not log.dates and "no scores yet" in log.refused[0].reason
    assert f"amad score --date {FAULTY}" in log.refused[0].reason
    log = run_job(fleet, settings, first=START - timedelta(days=9), last=START, vehicles=("a-1",))
    assert [item.date for item in log.refused] == [START]


def test_the_commands_tell_it_with_exit_codes(place, monkeypatch, capsys):
    _, settings = place
    root = Path(__file__).resolve().parent.parent
    params = kit_params().model_dump(mode="json")
    del params["fleet"]
    (settings.home / "params.yaml").write_text(json.dumps(params | {"fleets": [FLEET]}))
    shutil.copytree(root / "conf", settings.home / "conf", dirs_exist_ok=True)
    monkeypatch.setenv("AMAD_HOME", str(settings.home))
    monkeypatch.setenv("AMAD_DATA_DIR", str(settings.data_dir))
    for name in ("MLFLOW_TRACKING_URI", "AMAD_MLFLOW_URI", "AMAD_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    assert run(["status"]) == 6
    told = capsys.readouterr().out
    assert "no job has run yet" in told and "not scored" not in told
    assert run(["score", "--from", str(FAULTY), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert f"nights {FAULTY}: would be scored, asked for" in told
    assert f"nights {AFTER}: would be scored" in told and "2 dates; nothing was changed" in told
    monkeypatch.setattr(
        "amad.scores.partitions.incidents_of_date",
        lambda runs, version, day: [_critical(i) for i in real(runs, version, day)],
    )
    assert run(["score", "--fail-on", "critical", "--fail-on", "nothing-new"]) == 9
    assert "critical incident" in capsys.readouterr().err
    assert run(["score", "--fail-on", "critical"]) == 0, "nothing was scored"
    assert run(["score", "--fail-on", "nothing-new"]) == 10
    assert run(["score"]) == 0
    assert run(["status", "--json", "--days", "1"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["ok"] and [item["date"] for item in content["fleets"][0]["dates"]] == [
        str(AFTER)
    ]
    assert run(["status"]) == 0
    assert "nothing is open" in capsys.readouterr().out
    mistyped = ["--date", str(AFTER), "--vehicle", "nobody"]
    for wrong in (["--vehicle", "a-1"], ["--to", str(AFTER)], ["--force"], mistyped):
        assert run(["score", *wrong]) == 2
    (settings.conf_dir / "notify" / f"{FLEET}.yaml").write_text("file: {}")
    empty = str(START - timedelta(days=400))
    unscored = ["--date", str(START), "--vehicle", "a-1"]
    for wrong in (["--date", empty], ["--from", "2062-01-01"], unscored):
        assert run(["score", *wrong]) == 3
    assert not (settings.runs_dir(FLEET) / "alerts.jsonl").exists(), "nobody else is told"
    last = job_logs(settings.runs_dir(FLEET))[0][-1]
    assert last.dates == [] and last.status == "done", "a wrong command is no job that failed"
    assert run(["status"]) == 0


def test_a_fleet_whose_only_log_is_damaged_is_not_one_without_a_job():
    ledger = Ledger(
        fleet=FLEET, dates=[], first=None, newest_row=None, newest_scored=None, behind=0,
        unjudged=0, job=None, damaged_logs=["jobs/1.json"],
    )  # fmt: skip
    assert "no log of a job can be read" in (ledger.job_trouble or "") and not ledger.is_well


real = partitions.incidents_of_date


def _critical(incident):
    from dataclasses import replace

    return replace(incident, level="critical")
