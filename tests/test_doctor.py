"""``amad doctor`` finds what is wrong, says what to do, and changes nothing."""

import errno
import json
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from engine_kit import begin_dvc, wait_until
from filelock import FileLock
from report_kit import (
    FIRST_DAY,
    an_incident,
    write_data,
    write_fleet,
    write_profile,
    write_run,
    write_verdicts,
)

from amad.cli.__main__ import run
from amad.cli.doctor import Check, diagnose, machine_checks
from amad.cli.doctor.health_checks import newest_date
from amad.cli.error_sentences import UNHEALTHY
from amad.config import Settings
from amad.config.wording import whole_pipeline
from amad.telemetry.files import read_json, write_json
from tests.closed_folders import close_folders


def findings(home: Path, fleet: str | None = None, **settings: object) -> dict[str, Check]:
    return {c.name: c for c in diagnose(Settings(home=home, **settings), fleet)}


def profile(home: Path, **keys: object) -> None:
    (home / "conf" / "cluster" / "local.yaml").write_text(yaml.safe_dump(keys))


def job(home: Path, fleet: str, **changes: object) -> None:
    """The log of the newest job."""
    now = datetime.now(UTC)
    log = {
        "id": f"{now:%Y%m%dT%H%M%S}-ffffff", "status": "done", "dates": ["2026-01-09"],
        "started": now.isoformat(), "ended": now.isoformat(), "host": "node", "pid": 1,
        "error": None,
    }  # fmt: skip
    log |= changes
    write_json(Settings(home=home).runs_dir(fleet) / "jobs" / f"{log['id']}.json", log)


@pytest.fixture
def scored(home: Path) -> Path:
    """A home with a fleet that has data and scores."""
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["a", "b"])
    write_run(fleet, settings, {0: [an_incident(fleet, "a", 0, 100, 60)]})
    return home


def test_a_new_project_has_warnings_and_no_failure(home: Path):
    found = findings(home, fleet="demo")
    assert {c.status for c in found.values()} <= {"ok", "warn"}, found
    assert found["lake"].status == found["last scoring"].status == "warn"
    assert found["tracking store"].remedy == whole_pipeline("demo")
    assert not (home / "mlflow.db").exists(), "it only looks"
    assert not (home / "data").exists() and not (home / "runs").exists()


def test_everything_that_is_not_ok_says_what_to_do(home: Path):
    for check in findings(home, fleet="demo").values():
        assert (check.status == "ok") == (check.remedy == "")


def test_the_exit_code_and_json_are_for_a_monitor(home: Path, capsys: pytest.CaptureFixture):
    assert run(["doctor", "--json", "--fleet", "demo"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] and {c["name"] for c in told["checks"]} >= {"python", "registry", "dvc"}
    (home / "conf" / "fleet" / "demo.yaml").write_text("name: demo\nchanels: []\n")
    assert run(["doctor", "--json", "--fleet", "demo"]) == UNHEALTHY
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"] and "chanels" in told["checks"][-1]["finding"]


def test_the_table_shows_findings_and_remedies(home: Path, capsys: pytest.CaptureFixture):
    assert run(["--fleet", "demo", "doctor"]) == 0
    text = capsys.readouterr().out
    assert "warn  lake" in text and "→ run 'amad ingest'" in text
    folded = [line for line in text.splitlines() if line.startswith(" ") and "→" not in line]
    assert not folded, "a path in a file or a pipe stands on one line"
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert max(map(len, text.splitlines())) > 80


def test_a_broken_params_file_ends_the_fleet_checks(home: Path):
    (home / "params.yaml").write_text("fleeet: demo\n")
    found = findings(home)
    assert found["params.yaml"].status == "fail" and "fleeet" in found["params.yaml"].finding
    assert "registry" not in found and found["python"].status == "ok"


def test_versions_are_held_against_the_lock(home: Path):
    lock = home / "requirements.lock"
    lock.write_text("# a comment\npytest==0.1\nrich==999\n")
    assert findings(home)["packages"].status == "warn"
    lock.write_text("no-such-package-here==1.0\n")
    found = findings(home)["packages"]
    assert found.status == "fail" and "no-such-package-here" in found.finding
    lock.write_text(f"pytest=={pytest.__version__}\n")
    assert findings(home)["packages"].status == "ok"


def test_missing_raw_data_is_told_with_how_to_obtain_it(home: Path, tmp_path: Path):
    source = {"format": "parquet", "files": [{"glob": "*.parquet"}], "obtain": "Ask the depot."}
    write_fleet(home, source=source)
    found = findings(home, fleet="kit", data_dir=tmp_path / "nowhere")["raw data"]
    assert found.status == "fail" and "nowhere" in found.finding
    assert "Ask the depot." in found.remedy and "AMAD_DATA_DIR" in found.remedy
    (tmp_path / "empty").mkdir()
    found = findings(home, fleet="kit", data_dir=tmp_path / "empty")["raw data"]
    assert found.status == "fail" and "*.parquet" in found.finding
    write_fleet(home, source=source | {"obtain": ""})
    found = findings(home, fleet="kit", data_dir=tmp_path / "empty")["raw data"]
    assert found.remedy.startswith("mount the folder again, bring the files back, or set AMAD")


def test_a_fleet_in_order(scored: Path):
    found = findings(scored, fleet="kit")
    assert found["raw data"].finding.startswith("4 files")
    assert found["lake"].finding == f"2,400 rows of 2 vehicles, {FIRST_DAY} to 2026-01-10"
    job(scored, "kit")
    assert findings(scored, fleet="kit")["last scoring"].status == "ok"


def test_raw_files_that_are_not_in_the_lake_are_named(scored: Path):
    raw = Settings(home=scored).data_dir
    (raw / "late.parquet").write_bytes((raw / "0-0.parquet").read_bytes())
    found = findings(scored, fleet="kit")["lake"]
    assert found.status == "warn" and "1 raw file is not in it" in found.finding
    assert "late.parquet" in found.finding and "amad ingest" in found.remedy


def test_a_lake_of_another_contract_fails(scored: Path):
    write_fleet(scored, source={"format": "csv", "files": [{"glob": "*.csv"}]})
    found = findings(scored, fleet="kit")["lake"]
    assert found.status == "fail" and "amad ingest" in found.finding


def test_how_the_last_job_ended(scored: Path):
    long_ago = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    next_year = (datetime.now(UTC) + timedelta(days=365)).isoformat()
    for changes, status, word in (
        ({"ended": long_ago}, "warn", "9 days ago"),
        ({"ended": next_year}, "warn", "which is in the future"),
        ({"status": "failed", "error": "DataError: no rows"}, "fail", "no rows"),
        ({"status": "killed"}, "fail", "killed"),
        (
            {"failed": [{"date": "2026-01-10", "vehicle": "a", "reason": "part is cut"}]},
            "warn",
            "part is cut",
        ),
        ({"status": "running"}, "fail", "killed"),
    ):
        job(scored, "kit", **changes)
        found = findings(scored, fleet="kit")["last scoring"]
        assert (found.status, word in found.finding) == (status, True), found
    with FileLock(Settings(home=scored).runs_dir("kit") / "scoring.lock"):
        assert findings(scored, fleet="kit")["last scoring"].status == "ok", "it is running"


def test_dates_without_scores_are_named(scored: Path):
    runs = Settings(home=scored).runs_dir("kit")
    places = sorted((runs / "scores").glob("*/date=*"))
    assert findings(scored, fleet="kit")["freshness"].status == "ok"
    (places[-1] / "_manifest.json").unlink()
    found = findings(scored, fleet="kit")["freshness"]
    assert found.status == "warn" and "2026-01-10" in found.finding


def test_dates_that_scoring_leaves_out_by_itself_are_no_finding(scored: Path):
    runs = Settings(home=scored).runs_dir("kit")
    *before, _ = sorted((runs / "scores").glob("*/date=*"))
    for place in before:
        (place / "_manifest.json").unlink()
    assert findings(scored, fleet="kit")["freshness"].status == "warn"
    job(scored, "kit", test_start="2026-01-10")
    assert findings(scored, fleet="kit")["freshness"].status == "ok"


def test_leftovers_of_killed_runs_are_named_when_they_are_old(home: Path, monkeypatch):
    left = Settings(home=home).fleet_dir("demo") / ".stage-abc-lake"
    left.mkdir(parents=True)
    assert findings(home, fleet="demo")["leftovers"].status == "ok", "a stage may be running"
    for age in (-7200, 7200):
        os.utime(left, (time.time() - age,) * 2)
        found = findings(home, fleet="demo")["leftovers"]
        assert found.status == "warn" and ".stage-abc-lake" in found.finding
    close_folders(monkeypatch, "lake")
    (left.parent / "lake").mkdir()
    found = findings(home, fleet="demo")["leftovers"]
    assert found.status == "fail" and "lake: permission denied" in found.finding
    broken = home / ".dvc" / "tmp" / "rwlock"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert str(broken) in findings(home, fleet="demo")["leftovers"].remedy


def test_a_cluster_that_does_not_listen_fails_and_nothing_is_started(home: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        profile(home, address=f"127.0.0.1:{port}")
        found = findings(home, fleet="demo")["cluster"]
        assert found.status == "fail" and str(port) in found.finding
        probe.listen()
        for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
            profile(home, address=address)
            assert findings(home, fleet="demo")["cluster"].status == "ok"
        profile(home, address=f"127.0.0.1:{port}", checkpoints=str(home / "not-mounted"))
        assert findings(home, fleet="demo")["cluster"].status == "warn"


def test_auto_means_the_ray_that_runs_here(home: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    profile(home, address="auto")
    found = findings(home, fleet="demo")["cluster"]
    assert found.status == "fail" and "no Ray runs" in found.finding
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        probe.listen()
        (tmp_path / "ray").mkdir()
        noted = tmp_path / "ray" / "ray_current_cluster"
        noted.write_text(f"127.0.0.1:{probe.getsockname()[1]}")
        assert findings(home, fleet="demo")["cluster"].status == "ok"


def test_a_store_that_does_not_answer_fails(home: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    found = findings(home, fleet="demo", mlflow_uri=uri)
    assert found["tracking store"].status == "fail" and uri in found["tracking store"].finding


@pytest.mark.engine
def test_a_store_without_models_warns(home: Path):
    from amad.engines.shared.tracking import connect, experiment_id

    client = connect(Settings(home=home))
    experiment_id(client, "demo")
    found = findings(home, fleet="demo")
    assert found["tracking store"].status == "ok"
    assert "amad-demo" in found["tracking store"].finding
    assert found["registry"].status == "warn"
    assert found["registry"].remedy == whole_pipeline("demo"), "nothing is trained yet"
    (home / "data" / "demo" / "detector").mkdir(parents=True)
    assert findings(home, fleet="demo")["registry"].remedy == "run 'amad register'"


@pytest.mark.engine
def test_changed_stages_are_named(home: Path):
    dvc = [sys.executable, "-m", "dvc"]
    quiet = {"cwd": home, "check": True, "capture_output": True}
    stage = {"cmd": "cp params.yaml copy", "deps": ["params.yaml"], "outs": ["copy"]}
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"prepare": stage}}))
    begin_dvc(home)
    assert findings(home, fleet="demo")["dvc"].status == "warn"
    subprocess.run([*dvc, "repro"], **quiet)
    assert findings(home, fleet="demo")["dvc"].status == "ok"
    params = home / "params.yaml"
    params.write_text(params.read_text() + "\n")
    assert findings(home, fleet="demo")["dvc"].finding == "changed since the last run: prepare"
    (home / "copy").unlink()  # as in a clone, which has the lock file of another machine
    found = findings(home, fleet="demo")["dvc"]
    assert found.finding == "not made here yet, or removed: what prepare leaves"
    write_fleet(home)  # whose stages are in no matrix of DVC
    found = findings(home, fleet="kit")["dvc"]
    assert "'dvc repro' leaves kit out" in found.finding and "up to date" not in found.finding


@pytest.mark.engine
def test_a_dvc_that_runs_is_no_failure(home: Path):
    dvc = [sys.executable, "-m", "dvc"]
    begin_dvc(home)
    lasts = {"cmd": "touch began; until test -e end; do sleep 0.1; done; touch out"}
    stages = {"prepare": lasts | {"outs": ["out"]}}
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (home / "dvc.lock").write_text("schema: '2.0'\n")
    with subprocess.Popen([*dvc, "repro"], cwd=home, stdout=subprocess.DEVNULL) as running:
        wait_until(lambda: (home / "began").is_file(), "dvc does not start")
        found = findings(home, fleet="demo")["dvc"]
        (home / "end").touch()
        assert running.wait() == 0
    assert found.status == "ok" and "another dvc runs" in found.finding


def test_what_a_fleet_lacks_is_a_warning_each_with_what_to_do(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["a"], days=9)
    write_data(fleet, home, ["b"], days=2)  # over the first two files of a, so b alone is short
    folder = settings.fleet_dir("kit")
    found = findings(home, fleet="kit")
    assert found["silent vehicles"].status == "warn"
    assert "silent since 2026-01-10" in found["silent vehicles"].finding
    assert "quality: retired:" in found["silent vehicles"].remedy
    assert found["vanished channels"].status == "warn"
    assert "amad validate" in found["vanished channels"].remedy
    assert found["counters that ran backwards"].finding == "not looked at yet"
    assert "not done, or left as it was" not in found, "'last scoring' tells it"
    write_profile(fleet, settings)
    counts = read_json(folder / "ingest.json", "")
    found = findings(home, fleet="kit")
    assert found["vanished channels"].status == found["refused files"].status == "ok"
    refused = [{"path": f"{n}.csv", "reason": "missing column: 'x'"} for n in range(6)]
    write_json(folder / "ingest.json", counts | {"files_refused": refused})
    found = findings(home, fleet="kit")["refused files"]
    assert found.status == "warn" and found.finding.startswith("6: 0.csv was refused: missing")
    assert "and 2 more" in found.finding and "amad ingest" in found.remedy
    (folder / "ingest.json").write_text("{")
    found = findings(home, fleet="kit")["fleet health"]
    assert found.status == "fail" and "ingest.json is damaged" in found.finding
    assert "amad ingest" in found.finding


def test_a_whole_fleet_that_is_silent_is_told_by_todays_date():
    first = FIRST_DAY
    days = [first + timedelta(days=n) for n in range(10)]
    for away, status in ((0, "ok"), (2, "ok"), (3, "warn"), (-1, "ok"), (-9, "warn")):
        found = Check("", *newest_date(days, days[-1] + timedelta(days=away)))
        assert found.status == status, (away, found)
    assert newest_date(days[:1], first + timedelta(days=3))[0] == "warn"
    weekly = [first + timedelta(days=7 * n) for n in range(5)]
    assert newest_date(weekly, weekly[-1] + timedelta(days=9))[0] == "ok"
    assert newest_date([], first)[0] == "warn"


def test_made_up_times_are_not_compared_with_the_clock(home: Path):
    fleet = write_fleet(home)
    write_data(fleet, home, ["a"])
    assert "the whole fleet is silent" in findings(home, fleet="kit")["newest row"].finding
    source = {
        "format": "parquet",
        "files": [{"glob": "*.parquet"}],
        "timestamp": {"take": "index", "start": "2020-01-01T00:00:00Z"},
    }
    write_data(write_fleet(home, "made-up", source=source), home, ["a"])
    found = findings(home, fleet="made-up")["newest row"]
    assert found.status == "ok" and "counted from the start" in found.finding


def test_the_verdict_of_validation_is_told_with_the_lake_it_is_of(scored: Path):
    fleet, settings = write_fleet(scored), Settings(home=scored)
    assert findings(scored, fleet="kit")["validation"].remedy == "run 'amad validate'"
    write_verdicts(fleet, settings)
    assert findings(scored, fleet="kit")["validation"].status == "ok"
    path = settings.fleet_dir("kit") / "validation.json"
    content = json.loads(path.read_text())
    write_json(path, content | {"data_hash": "another"})
    assert "has changed since" in findings(scored, fleet="kit")["validation"].finding
    write_json(path, content | {"ok": False, "refused_because": "96 % of the rows were refused"})
    found = findings(scored, fleet="kit")["validation"]
    assert found.status == "fail" and "96 % of the rows" in found.finding


def test_a_damaged_job_log_is_named_and_hides_no_other(scored: Path):
    job(scored, "kit")
    bad = Settings(home=scored).runs_dir("kit") / "jobs" / "20991231T000000-bad.json"
    bad.write_text('{"id": ')
    found = findings(scored, fleet="kit")
    assert found["last scoring"].status == "ok"
    assert found["leftovers"].status == "warn" and str(bad) in found["leftovers"].finding


def test_a_fleet_without_a_champion_is_told_as_such(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["a"])
    write_json(
        settings.fleet_dir("kit") / "scoring.json",
        {"dates": [], "no_champion": "version 1 was refused"},
    )
    found = findings(home, fleet="kit")["last scoring"]
    assert found.status == "warn" and "version 1 was refused" in found.finding
    assert "--force" in found.remedy


def test_a_folder_that_may_not_be_read_is_no_fault_of_the_check(tmp_path: Path, monkeypatch):
    def disk(settings: Settings) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/runs/jobs")

    monkeypatch.setattr(machine_checks, "disk", disk)
    found = {check.name: check for check in diagnose(Settings(home=tmp_path))}["disk"]
    assert found.status == "fail"
    assert found.finding.startswith("/srv/runs/jobs: permission denied; give the user")
