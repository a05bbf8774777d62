"""The schedules of cron and systemd: what they run, what they tell, and their files."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
SCHEDULE = ROOT / "infra" / "schedule"
NIGHT = SCHEDULE / "night.sh"
UNITS = sorted(p for p in SCHEDULE.iterdir() if p.suffix in (".service", ".timer"))


@pytest.mark.parametrize("path", UNITS, ids=lambda p: p.name)
def test_systemd_units_parse(path: Path):
    unit = configparser.RawConfigParser(strict=False, delimiters="=")
    unit.optionxform = str
    unit.read(path)
    assert unit.has_option("Unit", "Description")
    if path.suffix == ".service":
        assert unit.get("Service", "Type") == "oneshot"
        other = unit.get("Unit", "OnFailure", fallback="").replace("%i", "")
        assert not other or (SCHEDULE / other).is_file()
    else:
        assert unit.getboolean("Timer", "Persistent") and unit.get("Timer", "OnCalendar")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_units(tmp_path: Path):
    for path in UNITS:
        text = path.read_text().replace("/srv/amad/infra/schedule/night.sh", str(NIGHT))
        (tmp_path / path.name).write_text(text)
    result = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / p.name for p in UNITS)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    ours = [line for line in result.stderr.splitlines() if "amad-" in line]
    assert result.returncode == 0 and not ours, result.stderr


def test_the_crontab_has_five_fields_and_a_lock():
    lines = (SCHEDULE / "crontab").read_text().splitlines()
    entries = [line for line in lines if line and line[0] in "0123456789*"]
    for entry in entries:
        *when, command = entry.split(maxsplit=5)
        assert len(when) == 5 and all(re.fullmatch(r"[\d*/,-]+", field) for field in when)
        assert "%" not in command, "cron would cut the line there"
    assert "night.sh $FLEETS" in entries[0]
    unit = (SCHEDULE / "amad-score@.service").read_text()
    started = re.findall(r"^ExecStart=(.*)$", unit, re.M)
    assert len(entries) == 2 and len(started) == 1
    for command in [*entries, *started]:  # a backup takes the same lock, see the guide
        assert re.search(r"flock (-w 300 -E 75|--shared) \S*runs/nightly\.lock ", command)


@pytest.fixture
def stub(tmp_path: Path):
    """Run a command of a schedule with an ``amad`` that ends with the codes of a file."""
    amad = tmp_path / "bin" / "amad"
    amad.parent.mkdir()
    amad.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/log\n'
        f'sed -n "s/^$1 //p" {tmp_path}/codes > {tmp_path}/code\nexit $(cat {tmp_path}/code)\n'
    )
    amad.chmod(0o755)
    (tmp_path / "runs").mkdir()

    def run(
        command: list[str] | str, codes: str = "", **variables: str
    ) -> tuple[int, str, list[str]]:
        (tmp_path / "log").write_text("")
        (tmp_path / "codes").write_text(codes)
        environment = {"PATH": f"{amad.parent}:/usr/bin:/bin", "FLEETS": "one two"} | variables
        result = subprocess.run(
            command, shell=isinstance(command, str), cwd=tmp_path, capture_output=True, text=True,
            env=environment | {"NIGHT_PAUSE": "0"}, timeout=300,
        )  # fmt: skip
        return result.returncode, result.stdout, (tmp_path / "log").read_text().splitlines()

    return run


def test_a_night_goes_on_where_it_can_and_returns_the_first_code(stub):
    every = ["ingest", "validate", "score", "report", "status"]
    code, told, ran = stub([NIGHT, "one"])
    assert code == 0 and ran == [f"{name} --fleet one" for name in every]
    assert re.search(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ amad score --fleet one begins$", told, re.M)
    code, told, ran = stub([NIGHT, "one", "two"], "score 8\nstatus 6\n")
    assert code == 8 and ran == [f"{name} --fleet {f}" for f in ("one", "two") for name in every]
    assert "amad score --fleet two ends with code 8" in told
    code, _, ran = stub([NIGHT, "one"], "validate 3\n")
    assert code == 3
    assert [line.split()[0] for line in ran] == ["ingest", "validate", "report", "status"]
    code, _, ran = stub([NIGHT, "one"], "score 4\n")
    assert code == 4 and ran.count("score --fleet one") == 3, "a server may come back"
    assert stub([NIGHT])[0] != 0, "nothing would be scored, and nobody told"


def test_a_night_takes_dates_for_a_backfill(stub):
    code, _, ran = stub([NIGHT, "2026-01-01", "2026-01-31", "one", "two"])
    assert code == 0 and ran[2] == "score --fleet one --from 2026-01-01 --to 2026-01-31"
    assert ran[7] == "score --fleet two --from 2026-01-01 --to 2026-01-31" and len(ran) == 10
    code, _, ran = stub([NIGHT, "2026-01-01", "one"])
    assert code == 0 and ran[2] == "score --fleet one --from 2026-01-01 --to 2026-01-01"
    for wrong in ("2026-01-01", "2026-01-01 2026-01-31", "one 2026-01-01", "one 2026-01-01 two"):
        code, told, ran = stub(f"{NIGHT} {wrong} 2>&1")
        assert code == 2 and not ran, "nothing would be scored, and nobody told"
        assert "it takes [FIRST [LAST]] FLEET..., with dates like 2026-01-31" in told


def test_a_command_that_takes_too_long_is_stopped_and_the_night_says_why(stub):
    code, said, ran = stub(["sh", str(NIGHT), "one"], "score 124\n", NIGHT_DEADLINE="2h")
    assert code == 124 and ran[-2:] == ["report --fleet one", "status --fleet one"]
    assert "amad score --fleet one ends with code 124: NIGHT_DEADLINE, 2h, was over" in said
    assert said.count("NIGHT_DEADLINE") == 1


def test_drift_and_export_run_where_they_are_asked_for_and_something_was_scored(stub):
    asked = {"NIGHT_DRIFT": "yes", "NIGHT_EXPORT": "sqlite:////a b/fleet.db"}
    code, _, ran = stub([NIGHT, "one"], **asked)
    assert code == 0 and ran[2:5] == [
        "score --fleet one", "drift --fleet one",
        "export --to sqlite:////a b/fleet.db --fleet one",
    ]  # fmt: skip
    code, _, ran = stub([NIGHT, "one"], "score 8\nexport 3\n", **asked)
    assert code == 8 and [line.split()[0] for line in ran][3:] == [
        "drift", "export", "report", "status",
    ]  # fmt: skip
    code, _, ran = stub([NIGHT, "one"], "export 3\n", **asked)
    assert code == 3 and len(ran) == 7
    code, _, ran = stub([NIGHT, "one"], "score 3\n", **asked)
    assert code == 3 and len(ran) == 5, "nothing is new"


def test_the_secrets_of_a_night_are_read_from_their_file_and_not_from_the_crontab(tmp_path: Path):
    amad = tmp_path / "amad"
    amad.write_text("#!/bin/sh\necho key: $AMAD_NOTIFY_WEBHOOK_KEY\n")
    amad.chmod(0o755)
    (tmp_path / "secrets.env").write_text("AMAD_NOTIFY_WEBHOOK_KEY=abc\n")
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "NIGHT_SECRETS": f"{tmp_path}/secrets.env"}
    told = subprocess.run([NIGHT, "one"], env=environment, capture_output=True, text=True).stdout
    assert told.count("key: abc") == 5
    (tmp_path / "secrets.env").write_bytes(
        b"# of the sinks\r\n\n  x\nexport AMAD_NOTIFY_WEBHOOK_KEY='slack://a b?c=$1&d=\"`2'"
    )
    ran = subprocess.run([NIGHT, "one"], env=environment, capture_output=True, text=True)
    assert ran.stdout.count('key: slack://a b?c=$1&d="`2\n') == 5
    assert ran.returncode == 2 and "line 3 of" in ran.stderr and "slack" not in ran.stderr
    environment["NIGHT_SECRETS"] = str(tmp_path / "gone.env")
    for script in (NIGHT, SCHEDULE / "minute.sh"):
        ran = subprocess.run([script, "one"], env=environment, capture_output=True, text=True)
        assert ran.returncode == 2 and "key:\n" in ran.stdout
        assert f"NIGHT_SECRETS names {tmp_path}/gone.env" in ran.stderr
    crontab = (SCHEDULE / "crontab").read_text(encoding="utf-8")
    assert not re.search(r"^AMAD_NOTIFY", crontab, re.M), "cron writes its variables into mails"


def test_cron_runs_every_fleet_and_prints_only_after_a_bad_night(stub, tmp_path: Path):
    lines = (SCHEDULE / "crontab").read_text().splitlines()
    entry = next(line for line in lines if "night.sh" in line and line[0].isdigit())
    command = entry.split(maxsplit=5)[5].replace("/srv/amad", str(tmp_path))
    command = command.replace("-w 300", "-w 1")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    code, told, ran = stub(command)
    assert (code, told, len(ran)) == (0, "", 10)
    code, told, _ = stub(command, "score 3\n")
    assert "amad score --fleet one ends with code 3" in told
    assert len((tmp_path / "runs" / "nightly.log").read_text().splitlines()) == 40
    with FileLock(tmp_path / "runs" / "nightly.lock"):
        code, told, ran = stub(command)
        assert ran == [], "the night before goes on"
        assert told.endswith("this night was left out: another job holds runs/nightly.lock\n")


def test_cron_tells_of_a_fleet_whose_old_results_did_not_go(stub, tmp_path: Path):
    lines = (SCHEDULE / "crontab").read_text().splitlines()
    entry = next(line for line in lines if "amad prune" in line)
    command = entry.split(maxsplit=5)[5].replace("/srv/amad", str(tmp_path))
    ran = [f"prune --fleet {fleet} --days 400" for fleet in ("one", "two")]
    assert stub(command) == (0, "", ran)
    (tmp_path / "runs" / "nightly.log").write_text("held by another job\n")
    assert stub(command, "prune 4\n")[1:] == ("held by another job\n", ran)


def test_cron_runs_a_minute_and_leaves_it_out_while_another_job_goes_on(stub, tmp_path: Path):
    lines = (SCHEDULE / "crontab").read_text().splitlines()
    entry = next(line for line in lines if "minute.sh" in line)
    assert entry.startswith("#* * * * * ")
    command = entry.split(maxsplit=5)[5].replace("/srv/amad", str(tmp_path))
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    ran = [f"{name} --fleet {fleet}" for fleet in ("one", "two") for name in ("ingest", "score")]
    assert stub(command) == (0, "", ran)
    assert stub(command, "ingest 3\n")[2] == [line for line in ran if "ingest" in line]
    with FileLock(tmp_path / "runs" / "nightly.lock"):
        assert stub(command) == (0, "", [])
