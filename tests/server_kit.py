"""A real MLflow server on this machine, and a proxy before it that can be made to fail."""

import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml
from engine_kit import wait_until

MANIFEST = Path(__file__).resolve().parent.parent / "infra" / "k8s" / "mlflow.yaml"
HOST = "127.0.0.1"
# What a proxy in front of a server answers in its place: status, type and content.
FOREIGN = {
    "gateway": (502, "text/html", b"<html><h1>502 Bad Gateway</h1><hr>nginx</html>"),
    "login": (200, "text/html", b"<html><h1>Please log in</h1></html>"),
    "empty": (200, "application/json", b"{}"),
}
HOP = ("connection", "keep-alive", "transfer-encoding", "content-length")  # not passed on


def manifest_command(values: dict[str, str]) -> list[str]:
    """The command of the server in infra/k8s/mlflow.yaml, with each text in ``values`` replaced."""
    (container,) = yaml.safe_load(MANIFEST.read_text("utf-8").split("\n---\n")[0])["spec"][
        "template"
    ]["spec"]["containers"]
    text = "\n".join([*container["command"], *container["args"]])
    for old, new in values.items():
        assert old in text, f"{MANIFEST.name} has no {old}"
        text = text.replace(old, new)
    return text.split("\n")


@contextmanager
def mlflow_server(
    folder: Path, store: str | None = None, artifacts: str | None = None
) -> Iterator[int]:
    """Yield the port of an ``mlflow server``, started with the command of infra/k8s/mlflow.yaml.

    store, artifacts: the URIs of its database and its artifacts; by default both in ``folder``.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", *manifest_command({
        "--host=0.0.0.0": f"--host={HOST}", "--port=5000": f"--port={port}",
        "--workers=2": "--workers=1",
        "$(STORE)": store or f"sqlite:///{folder}/server.db",
        "$(ARTIFACTS)": artifacts or str(folder / "artifacts"),
        "$(HOSTS)": f"mlflow,{HOST}:*",
    })]  # fmt: skip
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )  # fmt: skip

    def answers() -> bool:
        assert server.poll() is None, (folder / "server.log").read_text()[-2000:]
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    try:
        wait_until(answers, "the MLflow server does not come up")
        yield port
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
            server.wait(20)


class Proxy:
    """Passes requests on; ``fail`` says from when on not.

    count: of the requests since ``mend``. seen: their methods and paths.
    """

    def __init__(self, port: int) -> None:
        self._port, self._gone, self._lock = port, threading.Event(), threading.Lock()
        self.mend()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._answer(self)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    def fail(self, how: str, *, after: int = 0, where: str = "") -> None:
        """From the ``after``-th request to a path with ``where`` on: ``500``; ``hang``, no answer;
        ``lost``: the request is carried out, and 500 is answered; a name of ``FOREIGN``: that."""
        self.mend()
        self._how, self._left, self._where = how, after, where

    def mend(self) -> None:
        """Pass everything on again."""
        self._how, self._left, self._where = "", 0, ""
        self.seen: list[str] = []

    def close(self) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        with self._lock:
            self.seen.append(f"{request.command} {request.path}")
            failing = bool(self._how) and self._where in request.path
            if failing and self._left:
                self._left, failing = self._left - 1, False
            how = self._how if failing else ""
        if how == "hang":
            self._gone.wait(60)
        if how in ("500", "hang"):
            self._reply(request, 500, {}, b"the server is in trouble")
            return
        if how in FOREIGN:
            status, kind, content = FOREIGN[how]
            self._reply(request, status, {"Content-Type": kind}, content)
            return
        connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        kept = {k: v for k, v in request.headers.items() if k.lower() not in (*HOP, "host")}
        connection.request(request.command, request.path, body, kept)
        answer = connection.getresponse()
        content = answer.read()
        headers = {k: v for k, v in answer.getheaders() if k.lower() not in HOP}
        connection.close()
        if how == "lost":
            self._reply(request, 500, {}, b"the answer is lost")
        else:
            self._reply(request, answer.status, headers, content)

    @staticmethod
    def _reply(request: BaseHTTPRequestHandler, status: int, headers: dict, body: bytes) -> None:
        try:
            request.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("date", "server"):
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
        except OSError:  # whoever asked has given up
            request.close_connection = True
