"""A command in a process of its own that gets a real signal at a given moment of its work.

Moments are counted: each rename of a file and each statement that changes MLflow's database is one.
The processes are forked from one that has imported the engines, which costs seconds but once.
"""

import multiprocessing
import os
import resource
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

SECONDS = 300
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([
    "stop_kit", "stages_kit", "preload_kit", "pipelines.register", "pipelines.evaluate",
    "pipelines.report", "pipelines.score", "pipelines.train", "pipelines.tune",
])  # fmt: skip
CHANGES = ("INSERT", "UPDATE", "DELETE")
START_SERVER = forkserver._forkserver.ensure_running


def _start_server() -> None:
    """Before Python 3.12, what the server imports is sought without this process's ``sys.path``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        START_SERVER()


forkserver._forkserver.ensure_running = _start_server


def run_to_its_end(process: BaseProcess, said: Path | None = None) -> int | None:
    """Run a process; its exit code, negative for a signal. said: the file of what it says."""
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        told = said.read_text(encoding="utf-8") if said else ""
        raise AssertionError(f"not over after {SECONDS} s: {told}")
    return process.exitcode


def stopped(
    work: Callable, home: Path, *, number: int, where: str, at: int = 1, arguments: tuple = ()
) -> tuple[int | None, str]:
    """Run ``work(home, *arguments)``; (its exit code, what it said on standard error).

    The signal comes right before its ``at``-th moment whose text (the two paths of a rename, the
    statement) holds ``where``.
    """
    said = home.parent / f"said-{at}-{number}.txt"
    process = CONTEXT.Process(
        target=_run, args=(work, home, number, at, where, arguments, str(said), dict(os.environ))
    )
    code = run_to_its_end(process, said)
    return code, said.read_text(encoding="utf-8")


def twice_at_once(
    work: Callable, home: Path, arguments: tuple = ()
) -> list[tuple[int | None, str]]:
    """Run ``work(home, *arguments)`` in two processes to their ends; for each, as ``stopped``."""

    def one(at: int) -> tuple[int | None, str]:
        return stopped(work, home, number=NO_SIGNAL, where="", at=at, arguments=arguments)

    with ThreadPoolExecutor() as both:
        return list(both.map(one, (1, 2)))


def _run(
    work: Callable,
    home: Path,
    number: int,
    at: int,
    where: str,
    arguments: tuple,
    said: str,
    environment: dict[str, str],
) -> None:
    assert "preload_kit" in sys.modules, "it was forked without the engines"
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    os.environ.clear()  # the process that this one is forked from may be older than the test
    os.environ |= environment
    os.environ |= {"AMAD_HOME": str(home), "AMAD_DATA_DIR": str(home / "raw"), "TMPDIR": str(home)}
    os.chdir(home)
    sys.argv = ["stage"]
    sys.stdout = sys.stderr = Path(said).open("w", encoding="utf-8")  # noqa: SIM115
    passed = 0

    def moment(text: str) -> None:
        nonlocal passed
        if where in text:
            passed += 1
            if passed == at:
                os.kill(os.getpid(), number)

    def audit(name: str, values: tuple) -> None:
        if name == "os.rename":
            moment(f"{values[0]} -> {values[1]}")

    @event.listens_for(Engine, "before_cursor_execute")
    def execute(connection: object, cursor: object, statement: str, *rest: object) -> None:
        if statement.lstrip().upper().startswith(CHANGES):
            moment(statement)

    sys.addaudithook(audit)
    try:
        work(home, *arguments)
    finally:
        sys.stderr.flush()


def stage(home: Path, name: str) -> None:
    """A stage as DVC and a person run it."""
    from importlib import import_module

    from pipelines import stage_main

    stage_main(import_module(f"pipelines.{name}").run)


def create_store(home: Path, how: str, number: int, uri: str | None = None) -> None:
    """Create MLflow's store of ``home``, in this process; what is said is in a file beside it.

    The process is stopped by a signal right before its ``number``-th table, or, where ``how`` is
    ``full``, no file may be longer than ``number`` bytes.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    from amad.config import AmadError, Settings
    from amad.config.console import say
    from amad.engines.shared.tracking import connect

    sys.stderr = (home.parent / f"{home.name}.txt").open("w", encoding="utf-8")
    if how == "full":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))
    made = 0

    @event.listens_for(Engine, "before_cursor_execute")
    def stop(connection: object, cursor: object, statement: str, *rest: object) -> None:
        nonlocal made
        made += statement.lstrip().upper().startswith("CREATE TABLE")
        if how in ("KILL", "INT") and made == number:
            made += 1
            os.kill(os.getpid(), getattr(signal, f"SIG{how}"))

    try:
        connect(Settings(home=home, mlflow_uri=uri))
    except AmadError as error:
        say(str(error))
        sys.exit(error.exit_code)


KILL, INTERRUPTS = signal.SIGKILL, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NO_SIGNAL = 0
