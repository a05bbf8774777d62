"""Ctrl-C and SIGTERM: exit code 130, one sentence, nothing unfinished taken for finished.

The stages run as a person or DVC runs them, in a process group of their own that gets the signal as
a terminal sends it: to everybody in it.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
import yaml
from engine_kit import DATA, begin_dvc, engine_store, is_there, wait_until, with_tracking_store
from stages_kit import TUNE, Forked, train, tune

from amad.config import InterruptionError, Settings, interruption
from amad.engines.shared.identity import RunState
from amad.engines.shared.tracking import connect, experiment_id
from amad.scores.job_log import job_logs, scoring_job

ROOT = Path(__file__).resolve().parent.parent
DVC = str(Path(sys.executable).with_name("dvc"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    engine_store(tmp_path / DATA)
    return with_tracking_store(tmp_path)


def start(home: Path, command: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        command,
        cwd=home,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"AMAD_HOME": str(home)},
    )


def interrupt(stage: subprocess.Popen | Forked, number: int = signal.SIGINT) -> str:
    """Send the signal, wait for the end, return what the stage said; no process is left."""
    children = psutil.Process(stage.pid).children(recursive=True)
    os.killpg(stage.pid, number)
    try:
        _, said = stage.communicate(timeout=180)
    except subprocess.TimeoutExpired:
        os.killpg(stage.pid, signal.SIGKILL)
        raise
    _, alive = psutil.wait_procs(children, timeout=90)
    assert not alive, "something goes on in the background"
    return said


def ray_folder(home: Path) -> Path:
    return home / "runs" / "toy" / "ray"


@pytest.mark.engine
def test_a_sweep_that_is_interrupted_is_not_finished_and_goes_on(home: Path) -> None:
    stage = Forked(tune, home)
    wait_until(lambda: is_there(ray_folder(home), "trial-003/checkpoint_*"), "no third trial")
    said = interrupt(stage)
    assert stage.returncode == InterruptionError.exit_code, said
    last = said.rstrip().splitlines()[-1]
    assert "interrupted before all of its 4 trials were done" in last, said
    assert "Traceback" not in said
    assert not (home / DATA / "best.json").exists()
    (state,) = ray_folder(home).glob("sweep-*.json")
    assert RunState(state).get("trials") is None
    files = list(ray_folder(home).rglob("trial-00[12]/checkpoint_*/*"))
    done = {file: file.stat().st_mtime_ns for file in files}
    again = Forked(tune, home)
    _, said = again.communicate(timeout=400)
    assert again.returncode == 0, said
    assert "going on with sweep" in said and "best of 4 trials" in said
    assert done and all(file.stat().st_mtime_ns == time for file, time in done.items())
    client = connect(Settings(home=home))
    assert len(client.search_runs([experiment_id(client, "toy")])) == 1 + TUNE["trials"]


@pytest.mark.engine
def test_dvc_stops_where_a_sweep_was_interrupted_before_any_trial_was_done(home: Path) -> None:
    code = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from stages_kit import as_stage, tune
as_stage(tune, Path({str(home)!r}))
"""
    (home / "stage.py").write_text(code)
    stages = {
        "tune": {
            "cmd": f"{sys.executable} stage.py",
            "outs": [{str(DATA / "best.json"): {"cache": False}}],
        },
        "next": {"cmd": "touch next", "deps": [str(DATA / "best.json")]},
    }
    (home / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    begin_dvc(home)
    repro = start(home, [DVC, "repro"])
    wait_until(lambda: is_there(ray_folder(home), "trial-001/*"), "no trial began")
    said = interrupt(repro)
    # Bash tells the stage's own code; dash, where SHELL is not set, dies of the signal itself.
    codes = (InterruptionError.exit_code, -signal.SIGINT)
    assert repro.returncode != 0 and any(f"exited with {code}" in said for code in codes), said
    assert "interrupted" in said and "TypeError" not in said
    assert not (home / DATA / "best.json").exists() and not (home / "next").exists()


@pytest.mark.engine
def test_a_training_that_is_interrupted_says_so_and_keeps_its_checkpoint(home: Path) -> None:
    stage = Forked(train, home)
    wait_until(
        lambda: any(f.stat().st_size for f in ray_folder(home).glob("train-*.jsonl")),
        "no epoch was reported",
    )
    said = interrupt(stage)
    assert stage.returncode == InterruptionError.exit_code, said
    assert said.rstrip().splitlines()[-1].startswith("error: interrupted; "), said
    assert "Traceback" not in said
    assert not (home / DATA / "bundle").exists() and any(ray_folder(home).rglob("checkpoint_*"))


@pytest.mark.engine
def test_sigterm_stops_a_training_in_this_process_without_ray(home: Path) -> None:
    stage = Forked(train, home, workers=0)
    wait_until(lambda: is_there(ray_folder(home), "checkpoint"), "no epoch was done")
    said = interrupt(stage, signal.SIGTERM)
    assert stage.returncode == InterruptionError.exit_code and "interrupted" in said, said
    assert not (home / DATA / "bundle").exists()


HANGS = """
import sys, time
from amad.config import interruption
from pipelines import stage_main

interruption.GRACE_SECONDS = 0.5

def run(params, settings):
    try:
        print("ready", file=sys.stderr, flush=True)
        while True:  # signal.pause() may begin after the signal
            time.sleep(0.05)
    finally:
        time.sleep(600)  # as an engine whose own processes are gone

import pipelines
pipelines.load_params = lambda *_: None
stage_main(run)
"""


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_what_hangs_after_the_signal_is_cut_off(tmp_path: Path, number: int) -> None:
    stage = subprocess.Popen(
        [sys.executable, "-c", HANGS], stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert stage.stderr is not None and "ready" in stage.stderr.readline()
    stage.send_signal(number)
    try:
        _, said = stage.communicate(timeout=120)
    finally:
        stage.kill()  # where this test runs under nohup, the signal is ignored
    assert stage.returncode == InterruptionError.exit_code and "interrupted" in said


def test_the_log_of_an_interrupted_scoring_job_says_that_it_was_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scoring_job(tmp_path, "toy"):
        raise KeyboardInterrupt
    (log,), _ = job_logs(tmp_path)
    assert log.status == "killed" and log.error == str(InterruptionError())


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruption.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(5)
    assert signal.getsignal(signal.SIGTERM) is before


WAITS = """
import os, sys, time
from pathlib import Path
import pipelines

def run(params, settings):
    Path("began").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    finally:
        time.sleep(0.5)
        Path("cleaned").touch()

pipelines.load_params = lambda *_: None
pipelines._check_place = lambda *_: None
pipelines.stage_main(run, [])
"""


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A DVC project whose only stage waits; ``began`` holds its process id."""
    (tmp_path / "stage.py").write_text(WAITS)
    stages = {"wait": {"cmd": f"{sys.executable} stage.py", "always_changed": True}}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    begin_dvc(tmp_path)
    return tmp_path


def stage_of(home: Path) -> psutil.Process:
    began = home / "began"
    wait_until(lambda: began.is_file() and bool(began.read_text()), "the stage did not begin")
    return psutil.Process(int(began.read_text()))


@pytest.mark.engine
@pytest.mark.parametrize(("shell", "number"), [("sh", signal.SIGTERM), ("bash", signal.SIGKILL)])
def test_a_stage_does_not_outlive_the_dvc_that_runs_it(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, shell: str, number: int
) -> None:
    """A second `dvc repro` would otherwise run the same stage beside it."""
    monkeypatch.setenv("SHELL", f"/bin/{shell}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    repro = start(waiting, [DVC, "repro"])
    stage = stage_of(waiting)
    repro.send_signal(number)  # to it alone
    try:
        repro.wait(60)
        psutil.wait_procs([stage], timeout=20)
        assert not stage.is_running() and (waiting / "cleaned").exists()
    finally:
        if stage.is_running():
            stage.kill()
    assert repro.stderr is not None and "error: interrupted; " in repro.stderr.read()


RETRAINS = """
import sys
from pathlib import Path
from amad.config.interruption import interruptible, run_group
with interruptible():
    run_group(sys.argv[1:], Path.cwd())
"""


@pytest.mark.engine
def test_a_signal_to_dvc_and_its_stage_lets_the_stage_clean_up(
    waiting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    repro = start(waiting, [DVC, "repro"])
    stage_of(waiting)
    assert "error: interrupted; " in interrupt(repro, signal.SIGTERM)
    assert (waiting / "cleaned").exists()


@pytest.mark.engine
def test_who_runs_dvc_waits_for_its_stage_when_it_is_interrupted(
    waiting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = start(waiting, [sys.executable, "-c", RETRAINS, DVC, "repro"])
    stage = stage_of(waiting)
    command.terminate()  # it alone
    command.communicate(timeout=60)
    assert not stage.is_running() and (waiting / "cleaned").exists()
