"""The command line: what it answers, how it fails, and that it calls the stages rightly."""

import errno
import inspect
import json
import subprocess
import sys
from datetime import date
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from report_kit import stage_of, write_data, write_fleet, write_verdicts

from amad.cli import scoring
from amad.cli.__main__ import main, run
from amad.cli.app import EXIT_CODES, app
from amad.cli.error_sentences import BUG, MEANINGS
from amad.cli.pipeline_summary import lines
from amad.config import (
    AmadError,
    DataError,
    GateError,
    InterruptionError,
    PartlyDoneError,
    Settings,
    load_params,
)  # fmt: skip
from amad.config.wording import whole_pipeline
from amad.ingest.ingestion import ingest
from pipelines import stage_main

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "init", "simulate", "ingest", "validate", "prepare", "tune", "train", "evaluate", "register",
    "review", "promote", "rollback", "score", "report", "notify", "feedback", "export", "drift",
    "retrain", "prune", "doctor", "summary", "status",
]  # fmt: skip
HEAVY = ["torch", "ray", "mlflow", "great_expectations", "pandas", "pyarrow", "numpy"]
STAGES = [name for name in COMMANDS if (ROOT / "pipelines" / f"{name}.py").is_file()]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Stages say with what they were called instead of running; their signatures stay."""
    calls = []
    for name in STAGES:
        module = import_module(f"pipelines.{name}")
        signature = inspect.signature(module.run)

        def record(*args, _name=name, _signature=signature, **options):
            bound = _signature.bind(*args, **options)
            calls.append((_name, *bound.args, bound.kwargs))
            return SimpleNamespace(path="there", no_champion=None, blank=None)

        monkeypatch.setattr(module, "run", record)
    return calls


@pytest.mark.parametrize("command", [[], ["score"], ["doctor"]])
def test_help_imports_nothing_heavy(command: list[str]):
    code = (
        "import sys\nfrom amad.cli.__main__ import run\n"
        f"assert run([*{command!r}, '--help']) == 0\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.splitlines()[-1] == "[]", result.stdout + result.stderr
    assert "Usage: amad" in result.stdout


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture):
    assert run(["--help"]) == run([]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert set(typer.main.get_command(app).commands) == set(COMMANDS)
    assert all(f"│ {command} " in text for command in COMMANDS)
    assert run(["score", "--help"]) == 0
    assert "<bool>" not in text + capsys.readouterr().out, "a flag takes no value"
    for error in [*AmadError.__subclasses__(), *DataError.__subclasses__()]:
        assert f"· {error.exit_code} " in EXIT_CODES


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture):
    assert run([command, "--help"]) == 0
    assert f"amad {command}" in capsys.readouterr().out


def test_the_installed_command_is_the_same(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("amad 0.")


@pytest.mark.parametrize("stage", STAGES)
def test_a_command_calls_its_stage_with_the_fleet(stage: str, home: Path, called: list):
    for arguments in ([stage, "--fleet", "smd"], ["--fleet", "smd", stage]):
        assert run(arguments) == 0
    (name, params, settings, *_), again = called
    assert name == stage == again[0]
    assert params.fleet == again[1].fleet == "smd"
    assert settings.home == home


def test_without_the_option_the_fleet_is_the_one_in_params(home: Path, called: list):
    assert run(["ingest"]) == 0
    assert called[0][1] == load_params(home / "params.yaml")


@pytest.mark.parametrize("command", ["ingest", "validate", "score", "report"])
def test_a_daily_command_takes_several_fleets(command: str, home: Path, called: list):
    """Named before or after the command, each once; without any, those of params.yaml."""
    for arguments in (["-f", "asd", command, "-f", "smd", "-f", "demo", "-f", "smd"], [command]):
        assert run(arguments) == 0
    assert [call[1].fleet for call in called] == ["smd", "demo", "demo"]
    params = home / "params.yaml"
    params.write_text(params.read_text().replace("fleets: [demo]", "fleets: [asd, kit_obd]"))
    assert run([command]) == 0
    assert [call[1].fleet for call in called[3:]] == ["asd", "kit_obd"]


@pytest.mark.parametrize("codes", [{"asd": 3, "smd": 4}, {"asd": 4, "smd": 3}, {"asd": 1}])
def test_a_fleet_that_fails_stops_no_other(codes, home, monkeypatch, capsys):
    done = []

    def stage(params, settings, **options):
        done.append(params.fleet)
        code = codes.get(params.fleet)
        if code == BUG:
            raise ZeroDivisionError("division by zero")
        if code:
            raise next(k for k in AmadError.__subclasses__() if k.exit_code == code)("no")
        return SimpleNamespace(path="page")

    monkeypatch.setattr(import_module("pipelines.report"), "run", stage)
    assert run(["report", "-f", "asd", "-f", "smd", "-f", "demo"]) == max(codes.values())
    told = capsys.readouterr()
    assert done == ["asd", "smd", "demo"] and told.out.splitlines() == ["page"] * (3 - len(codes))
    assert all(f"error: fleet {fleet}: " in told.err for fleet in codes)
    assert told.err.splitlines()[-3:] == [
        f"fleet {fleet} ended with code {codes.get(fleet, 0)}: {MEANINGS[codes.get(fleet, 0)]}"
        for fleet in done
    ]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [({"asd": 10, "smd": 9}, 9), ({"asd": 10}, 10), ({"asd": 9, "smd": 8}, 8), ({}, 0)],
)
def test_an_error_comes_before_what_was_found_and_critical_before_nothing_new(
    found, wanted, home, monkeypatch, capsys
):
    def work(params, settings, request):
        if found.get(params.fleet) == 8:
            raise PartlyDoneError("a vehicle is left")
        return SimpleNamespace(no_champion=None, blank=None)

    monkeypatch.setattr(import_module("pipelines.score"), "run", work)
    monkeypatch.setattr(
        scoring, "_found", lambda stage, *_, **__: {found.get(stage.params.fleet)} & {9, 10}
    )
    fleets = ["-f", "asd", "-f", "smd", "-f", "demo"]
    assert run(["score", *fleets, "--fail-on", "critical", "--fail-on", "nothing-new"]) == wanted
    told = capsys.readouterr().err.splitlines()[-3:]
    assert [line.split(":")[0] for line in told] == [
        f"fleet {fleet} ended with code {found.get(fleet, 0)}" for fleet in ("asd", "smd", "demo")
    ]


@pytest.mark.parametrize("arguments", [["train"], ["report", "--out", "x"], ["doctor"]])
def test_what_works_on_one_fleet_takes_one(arguments, home, capsys):
    assert run([*arguments, "-f", "asd", "-f", "smd"]) == 2
    assert "works on one fleet, not on asd, smd" in capsys.readouterr().err
    params = home / "params.yaml"
    params.write_text(params.read_text().replace("fleets: [demo]", "fleets: [asd, smd]"))
    if arguments != ["doctor"]:  # it tells the same in its table
        assert run(arguments) == 2
        assert "several fleets: asd, smd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "first", "last"),
    [
        ([], None, None),
        (["--date", "2026-01-31"], date(2026, 1, 31), date(2026, 1, 31)),
        (["--from", "2026-01-01", "--to", "2026-01-31"], date(2026, 1, 1), date(2026, 1, 31)),
        (["--from", "2026-01-01"], date(2026, 1, 1), date.max),
    ],
)
def test_score_takes_a_date_a_range_or_what_is_new(arguments, first, last, home, called):
    assert run(["score", *arguments, "--engine", "process", "--cluster", "gpu-cluster"]) == 0
    _, _, settings, request, _ = called[0]
    assert request.dates == (None if first is None else (first, last))
    assert request.engine == "process" and not request.force
    assert settings.cluster == "gpu-cluster"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["scor"], "score"),
        (["score", "--date", "yesterday"], "yesterday"),
        (["score", "--date", "2026-01-01", "--to", "2026-01-02"], "--from and --to"),
        (["score", "--from", "2026-01-02", "--to", "2026-01-01"], "before"),
        (["score", "--to", "2026-01-02"], "--to needs --from"),
        (["score", "--vehicle", "a-1"], "say which dates"),
        (["score", "--engine", "spark"], "'process'"),
        (["promote", "--force"], "--reason"),
        (["simulate", "--days", "0"], "--days"),
        (["ingest", "--nope"], "--nope"),
    ],
)
def test_a_wrong_command_is_told_in_one_sentence(arguments, names, home, capsys):
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and names in error and "--help'" in error
    assert error.count("\n") == 1


def test_outside_the_project_the_way_out_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("AMAD_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    assert run(["ingest"]) == 2
    assert "AMAD_HOME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("the lake is gone"), 3),
        (GateError("not better"), 5),
        (KeyboardInterrupt(), InterruptionError.exit_code),
        (InterruptionError("sweep one was interrupted"), 130),
        (ZeroDivisionError("division by zero"), BUG),
    ],
)
def test_errors_have_codes_and_one_sentence(error, code, home, monkeypatch, capsys):
    def broken(*_args, **_options):
        raise error

    monkeypatch.setattr(import_module("pipelines.report"), "run", broken)
    assert run(["report"]) == code
    told = capsys.readouterr().err
    assert str(error) in told and "Traceback" not in told
    assert ("--debug" in told) == (code == BUG)


def test_a_full_disk_is_no_bug_in_a_command_or_a_stage(home, monkeypatch, capsys):
    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/part")

    monkeypatch.setattr(import_module("pipelines.report"), "run", full)
    assert run(["report"]) == DataError.exit_code
    told = capsys.readouterr().err
    assert told.startswith("error: /data/part: no space left on device") and "doctor" in told
    with pytest.raises(SystemExit) as stop:
        stage_main(full, [])
    assert stop.value.code == DataError.exit_code and capsys.readouterr().err == told


def test_nothing_that_lasts_is_done_in_a_temporary_experiment(home, monkeypatch, capsys):
    copy = home / ".dvc" / "tmp" / "exps" / "tmp1"
    for name in ("conf", "params.yaml"):
        copy.mkdir(parents=True, exist_ok=True)
        (copy / name).symlink_to(home / name)
    monkeypatch.chdir(copy)
    done = []

    def stage(params, settings):
        done.append(settings.home)

    stage_main(stage, ["--fleet", "smd"])
    stage_main(stage, ["--fleet", "smd"], lasting="receipt.json")
    assert done == [copy]
    told = json.loads((copy / "data/smd/receipt.json").read_text())["left_out"]
    assert "dvc exp apply" in told and str(home) in told and told in capsys.readouterr().err
    for name in ("register", "score", "report"):
        text = (ROOT / "pipelines" / f"{name}.py").read_text(encoding="utf-8")
        assert "stage_main(run, lasting=" in text


def test_a_stage_of_dvc_refuses_another_home(home, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("DVC_STAGE", "train@demo")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        stage_main(lambda *_: {}, [])
    assert stop.value.code == 2 and "AMAD_HOME" in capsys.readouterr().err


def test_an_interrupted_stage_says_so(home, capsys):
    def stopped(*_args):
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        stage_main(stopped, [])
    assert stop.value.code == 130 and "interrupted" in capsys.readouterr().err


def test_debug_shows_the_traceback_wherever_it_stands(home, monkeypatch, capsys):
    def broken(*_args, **_options):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(import_module("pipelines.report"), "run", broken)
    for arguments in (["report", "--debug"], ["--debug", "report"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == BUG
        told = capsys.readouterr().err
        assert "Traceback" in told and "in broken" in told and "run the command again" not in told


def test_simulate_writes_what_was_asked_for(home: Path, tmp_path: Path, capsys):
    out = tmp_path / "load"
    command = ["simulate", "--vehicles", "2", "--days", "1", "--out", str(out)]
    assert run(command) == 0
    assert "2 vehicles" in capsys.readouterr().out
    assert len(list(out.glob("*/*.parquet"))) == 2
    first = {p.name: p.read_bytes() for p in sorted(out.glob("*/*.parquet"))}
    assert (
        run(["simulate", "--vehicles", "2", "--days", "1", "--seed", "8", "--out", str(out)]) == 0
    )
    assert {p.name: p.read_bytes() for p in sorted(out.glob("*/*.parquet"))} != first


def test_a_fleet_with_real_data_is_not_simulated(home: Path, capsys: pytest.CaptureFixture):
    assert run(["simulate", "--fleet", "smd"]) == 2
    assert "smd" in capsys.readouterr().err


def test_the_summary_says_what_has_not_run(home: Path):
    fleet = write_fleet(home)
    text = "\n".join(lines(stage_of(fleet, Settings(home=home))))
    assert text.count(f"not yet: {whole_pipeline(fleet.name)}") == 7
    assert "mlflow ui" not in text


def test_the_summary_tells_the_stages_apart(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["a", "b"], days=1)
    write_verdicts(fleet, settings)
    folder = settings.fleet_dir(fleet.name)
    ingest(fleet, settings).write(folder)
    published = {
        "detector": "d", "vehicle_days": 2, "rows": 600, "scored": 600, "alarms": 9,
        "incidents": 2, "sha256": "s",
    }  # fmt: skip
    versions = {"2026-01-09": "10", "2026-01-10": "3"}
    (folder / "scoring.json").write_text(json.dumps(
        {"dates": list(versions), "model_version": "3", "rows": 1200,
         "by_date": {day: published | {"model_version": n} for day, n in versions.items()}}
    ))  # fmt: skip
    (folder / "report.html").write_text("page")
    (settings.home / "mlflow.db").touch()
    text = "\n".join(lines(stage_of(fleet, settings)))
    assert "0.650 [0.600, 0.700]  the detector" in text
    assert text.index("the detector") < text.index("the best baseline") < text.index("chance")
    assert "1 of 4 vehicle-days quarantined (gaps)" in text
    assert "2026-01-09 to 2026-01-10 with versions 3, 10: 1,200 rows, 18 alarms" in text
    assert "1,200 rows of 2 vehicles from 2 files, 0 rejected" in text
    assert "version 3: promoted" in text and "1,200 rows, 18 alarms" in text
    assert f"mlflow ui --backend-store-uri sqlite:///{settings.home}/mlflow.db" in text
    assert "http://127.0.0.1:5000/#/models/amad-kit?workflowType=machine_learning" in text
    assert str(folder / "report.html") in text


@pytest.mark.engine
def test_promote_and_rollback_say_what_is_missing(home: Path, capsys: pytest.CaptureFixture):
    assert run(["promote"]) == 4
    assert "amad register" in capsys.readouterr().err
    assert run(["promote", "12"]) == 4
    assert run(["rollback"]) == 4
    assert "no champion" in capsys.readouterr().err
