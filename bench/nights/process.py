"""Real processes that run a command of ``amad`` and may be killed, and a real server to be told.

The processes are forked from one that has imported the stages, which saves seconds each. SIGKILL
comes at the n-th moment of a command: right before a file is opened for writing, renamed or
removed, or a connection is made. So the same seed kills at the same steps on any machine.
"""

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

SECONDS = 600  # that a command may take
CONTEXT = multiprocessing.get_context("forkserver")
SCORING = ["pipelines.score", "amad.cli.app", "amad.notify.delivery", "bench.nights.process"]
ALL = [
    *SCORING, "pipelines.ingest", "pipelines.validate", "pipelines.register",
    "great_expectations", "amad.engines.validate.quality", "amad.engines.validate.datadocs",
    "amad.evaluation.harness", "amad.engines.score.ledger", "sklearn.linear_model",
    "mlflow.pyfunc",
]  # fmt: skip
HOST = "127.0.0.1"
MOMENTS = ("os.rename", "os.remove", "socket.connect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended. moments: how many it passed; None if it was killed."""

    code: int
    said: str
    moments: int | None


def preload(modules: list[str]) -> None:
    """Say what the process has imported that the others are forked from; before the first one."""
    CONTEXT.set_forkserver_preload(modules)


def amad(home: Path, *arguments: str, kill_at: int | None = None, here: bool = False) -> Ended:
    """Run ``amad ARGUMENTS`` on a home; killed at that moment, if it has so many."""
    return run(_command, home, arguments, kill_at=kill_at, here=here)


def run(
    work: Callable,
    home: Path,
    arguments: tuple = (),
    *,
    kill_at: int | None = None,
    here: bool = False,
) -> Ended:
    """Run ``work(*arguments)`` in a process of its own; what it returns is its exit code.

    here: in this process; moments are then not counted.
    """
    if here:
        said = io.StringIO()
        with (
            patch.dict(os.environ, environment(home)),
            chdir(home),
            redirect_stdout(said),
            redirect_stderr(said),
        ):
            code = work(*arguments)
        return Ended(code=code, said=said.getvalue(), moments=None)
    output, counted = home.parent / "said.txt", home.parent / "moments.txt"
    counted.unlink(missing_ok=True)
    process = CONTEXT.Process(
        target=_in_child, args=(work, home, arguments, kill_at, str(output), str(counted))
    )
    process.start()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        raise AssertionError(f"{arguments} not over after {SECONDS} s: {output.read_text()}")
    moments = int(counted.read_text()) if counted.exists() else None
    code = process.exitcode
    assert code is not None
    return Ended(code=code, said=output.read_text(encoding="utf-8"), moments=moments)


def _command(*arguments: str) -> int:
    from amad.cli.__main__ import run as run_command

    return run_command(list(arguments), debug=False)


def environment(home: Path) -> dict[str, str]:
    """The variables that a command of ``amad`` needs in a home."""
    return {
        "AMAD_HOME": str(home), "AMAD_DATA_DIR": str(home / "raw"),
        "AMAD_NOTIFY_WEBHOOK_KEY": "bench",
    }  # fmt: skip


def _in_child(
    work: Callable, home: Path, arguments: tuple, kill_at: int | None, said: str, counted: str
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "AMAD_MLFLOW_URI", "AMAD_CLUSTER"):
        os.environ.pop(name, None)
    os.environ |= environment(home) | {"TMPDIR": str(home)}  # a kill leaves nothing elsewhere
    os.chdir(home)
    sys.stdout = sys.stderr = Path(said).open("w", encoding="utf-8")  # noqa: SIM115
    passed = 0

    def audit(name: str, values: tuple) -> None:
        nonlocal passed
        if name == "open":
            _, mode, flags = values
            written = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if not (written or (isinstance(mode, str) and set(mode) & set("wax+"))):
                return
        elif name not in MOMENTS:
            return
        passed += 1
        if passed == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    code = work(*arguments)
    sys.stderr.flush()
    count, kill_at = passed, None
    Path(counted).write_text(str(count), encoding="utf-8")
    sys.exit(code)


@dataclass
class Receiver:
    """A real HTTP server on loopback that keeps what it gets. down: answers 503 and keeps nothing.

    got: key and body of every message taken, also of one that came before.
    """

    down: bool = False
    got: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if not outer.down:
                    outer.got.append((self.headers["Idempotency-Key"], body))
                self.send_response(503 if outer.down else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def taken(self) -> list[bytes]:
        """The messages as a receiver that knows the keys has them: each key once."""
        first: dict[str, bytes] = {}
        for key, body in self.got:
            first.setdefault(key, body)
        return list(first.values())
