"""A fleet whose published incidents a test writes night by night, and real servers to tell.

The servers run on loopback in threads of the test's process. Each can be told to fail: ``500`` or
``451``, ``hang`` (no answer), ``endless`` (the message is taken, and the answer does not end),
``lost`` (the message is taken, and the answer is not sent) and
``400`` or ``554`` (never taken). ``429 60`` also asks for a pause, in seconds or until a date.
"""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import yaml
from report_kit import publish, score_table, stage_of, write_fleet

from amad.config import Fleet, Settings, Stage
from amad.incidents.incident import Incident, incident_id
from amad.incidents.severity import level_of
from amad.scores.job_log import JobLog, save

DAY = date(2026, 1, 10)
MINUTE = 60_000_000
HOUR = 60 * MINUTE
GAP = 30 * MINUTE
COOLANT, SPEED, VOLTAGE = "Vehicle.Coolant", "Vehicle.Speed", "Vehicle.Voltage"
HOST = "127.0.0.1"


def at(n: int, hour: float = 0.0) -> int:
    """Microseconds of an hour of night ``n``, counted from ``DAY``."""
    start = datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC) + timedelta(days=n)
    return round(start.timestamp()) * 1_000_000 + round(hour * HOUR)


def an_incident(
    vehicle: str = "van-1",
    night: int = 0,
    hour: float = 7.0,
    hours: float = 0.5,
    severity: float = 60.0,
    channels: dict[str, float] | None = None,
    **changes: object,
) -> Incident:
    """An incident of the fleet ``kit``; on the coolant, where no channels are given."""
    channels = channels or {COOLANT: 0.7, SPEED: 0.2}
    start = at(night, hour)
    made = Incident(
        incident_id=incident_id("kit", vehicle, start),
        vehicle=vehicle,
        vehicle_class="all",
        start=start,
        end=start + round(hours * HOUR),
        peak=start,
        peak_score=8.0,
        threshold=5.0,
        severity=severity,
        level=level_of(severity),
        type="level_shift",
        alarm_rows=10,
        open_from=0,
        open_until=0,
        channels=tuple(channels),
        shares=tuple(channels.values()),
        deviation=60.0,
    )
    made = replace(made, **changes)
    return replace(made, open_from=made.start, open_until=made.end)


@dataclass
class Yard:
    """A home with the fleet ``kit`` and what a scoring job leaves there."""

    home: Path
    vehicles: list[str] = field(default_factory=lambda: ["van-1", "van-2", "van-3", "van-4"])

    def __post_init__(self) -> None:
        self.fleet: Fleet = write_fleet(self.home)
        self.settings = Settings(home=self.home)
        (self.home / "params.yaml").write_text("fleets: [kit]\n", encoding="utf-8")

    @property
    def stage(self) -> Stage:
        return stage_of(self.fleet, self.settings)

    @property
    def runs(self) -> Path:
        return self.settings.runs_dir("kit")

    def sinks(self, **content: object) -> None:
        """Write ``conf/notify/kit.yaml``."""
        path = self.home / "conf" / "notify" / "kit.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content), encoding="utf-8")

    def publish(
        self,
        night: int,
        *incidents: Incident,
        until: float = 24.0,
        version: str = "1",
        drives: Callable[[str, np.ndarray], np.ndarray] = lambda vehicle, hour_T: hour_T >= 0,
        withheld: dict[str, list[str]] | None = None,
    ) -> None:
        """Publish a date and the log of its job.

        until: the hour of each vehicle's newest row. drives: at which hours a vehicle has rows.
        """
        day = DAY + timedelta(days=night)
        all_T = np.arange(at(night), at(night, until), 10 * MINUTE)
        hour_T = (all_T - at(night)) / HOUR
        rows = {vehicle: all_T[drives(vehicle, hour_T)] for vehicle in self.vehicles}
        tables = {vehicle: score_table(vehicle, us_T, incidents) for vehicle, us_T in rows.items()}
        publish(self.runs, version, day, tables, incidents, GAP, withheld=withheld)
        self.log(night, version, rows=sum(map(len, rows.values())), incidents=len(incidents))

    def log(self, night: int, version: str = "1", **changes: object) -> JobLog:
        """Write the log of a job that ended well."""
        started = datetime(DAY.year, DAY.month, DAY.day, 4, tzinfo=UTC) + timedelta(days=night + 1)
        values = {
            "id": f"{started:%Y%m%dT%H%M%S}-{version}", "fleet": "kit", "status": "done",
            "started": started, "ended": started + timedelta(seconds=90), "threshold": 5.0,
            "model_version": version, "dates": [DAY + timedelta(days=night)],
            "findings": [],
        }  # fmt: skip
        log = JobLog(**values | changes)
        save(self.runs, log)
        return log


def lines(yard: Yard) -> list[dict]:
    """What the sink ``file`` of the fleet was told, line by line."""
    path = yard.runs / "alerts.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Request:
    """A request that a server got. taken: whether it kept what it got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    taken: bool

    @property
    def json(self) -> dict:
        return json.loads(self.body)


class HttpServer:
    """A real HTTP server. fail: how it answers the next requests, in order; answers: the text."""

    def __init__(self) -> None:
        self.got: list[Request] = []
        self.fail: list[str] = []
        self.answers = b""
        self._gone = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._answer(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def taken(self) -> list[Request]:
        """The messages that it has, each key once, as a receiver that knows the keys has them."""
        found: dict[str, Request] = {}
        for request in self.got:
            if request.taken:
                found.setdefault(request.headers.get("idempotency-key", request.path), request)
        return list(found.values())

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def close(self) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        how = self.fail.pop(0) if self.fail else "200"
        headers = {name.lower(): value for name, value in request.headers.items()}
        taken = how in ("200", "lost", "endless")
        self.got.append(Request(request.command, request.path, headers, body, taken))
        if how == "hang":
            self._gone.wait(20)
        if how in ("hang", "lost"):
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        if how == "endless":
            request.send_response(200)
            request.end_headers()
            with suppress(OSError):
                while not self._gone.wait(0.05):
                    request.wfile.write(b".")
            return
        code, _, pause = how.partition(" ")
        request.send_response(int(code))
        if pause:
            request.send_header("Retry-After", pause)
        request.send_header("Content-Length", str(len(self.answers)))
        request.end_headers()
        request.wfile.write(self.answers)


class SmtpServer:
    """A real SMTP server. fail: as of the HTTP server. password: the one that it lets in.

    refuse: addresses that it does not take, with its answer.
    """

    def __init__(self, password: str = "", **options: object) -> None:
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult

        self.got: list[Message] = []
        self.fail: list[str] = []
        self.refuse: dict[str, str] = {}
        self.told: list[list[str]] = []
        outer = self

        class Handler:
            async def handle_RCPT(self, server, session, envelope, address, options) -> str:
                if address in outer.refuse:
                    return outer.refuse[address]
                envelope.rcpt_tos.append(address)
                return "250 OK"

            async def handle_DATA(self, server, session, envelope) -> str:
                how = outer.fail.pop(0) if outer.fail else "250"
                if how in ("250", "lost"):
                    outer.got.append(message_from_bytes(envelope.content))
                    outer.told.append(sorted(envelope.rcpt_tos))
                if how == "lost":
                    server.transport.abort()
                if how == "hang":
                    import asyncio

                    await asyncio.sleep(1.0)
                return {"250": "250 taken", "451": "451 later", "554": "554 never"}.get(
                    how, "250 x"
                )

        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        options |= {"hostname": HOST, "port": self.port}
        if password:
            options["authenticator"] = lambda *given: AuthResult(
                success=given[-1].password == password.encode(), handled=False
            )
        self._controller = Controller(Handler(), **options)
        self._controller.start()

    @property
    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.got]

    def close(self) -> None:
        self._controller.stop()

    def mail(self, **changes: object) -> dict:
        """The section ``mail`` for this server."""
        return {
            "host": HOST, "port": self.port, "security": "none", "sender": "amad@fleet.example",
            "to": ["night@fleet.example"],
        } | changes  # fmt: skip


def patience(fault: str) -> dict[str, float]:
    """How long a job waits for a server with this fault: not long for one that hangs.

    Any other server is waited for as usual, because a busy machine answers late.
    """
    return {"timeout_seconds": 0.2} if fault == "hang" else {}


@contextmanager
def closing(server) -> Iterator:
    try:
        yield server
    finally:
        server.close()


def text_of(message: Message, kind: str = "plain") -> str:
    """The part of a mail that is text/plain or text/html."""
    part = next(p for p in message.walk() if p.get_content_type() == f"text/{kind}")
    return part.get_payload(decode=True).decode()


def a_certificate(folder: Path, hours: tuple[int, int] = (-1, 1)) -> tuple[Path, ssl.SSLContext]:
    """A certificate of ``localhost`` that signs itself, and a server's context with it.

    hours: from when until when it is valid, from now on.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(hours=hours[0]))
        .not_valid_after(now + timedelta(hours=hours[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .sign(key, hashes.SHA256())
    )
    certificate, both = folder / "certificate.pem", folder / "both.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.read_bytes()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return certificate, context
