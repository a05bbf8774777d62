"""A real PostgreSQL server on this machine; the test is skipped where it is not installed."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest


def binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


class Server:
    """A PostgreSQL server of the test's own. uri: where it answers while it runs."""

    def __init__(self, control: list, options: list, uri: str, quiet: dict) -> None:
        self._control, self._options, self._quiet = control, options, quiet
        self.uri = uri

    def database(self, name: str) -> str:
        """The URI of a new, empty database."""
        with psycopg.connect(f"{self.uri}postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{self.uri}{name}"

    def start(self) -> None:
        subprocess.run([*self._control, *self._options, "start"], **self._quiet)

    def stop(self) -> None:
        """As a crash does it: connections are cut."""
        subprocess.run([*self._control, "-m", "immediate", "stop"], **self._quiet)


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A fresh server, running; stopped afterwards."""
    folder = binaries()
    if folder is None:
        pytest.skip("PostgreSQL is not installed")
    user = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        import pwd

        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("running as root, and there is no user postgres")
        user = {"user": account.pw_uid, "group": account.pw_gid}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Not pytest's own folder, which the server's user cannot reach.
    data = Path(tempfile.mkdtemp(prefix="amad-postgres-"))
    if user:
        shutil.chown(data, "postgres", "postgres")
    quiet = {"cwd": data, "check": True, "stdout": subprocess.DEVNULL, **user}
    new = [folder / "initdb", "-D", data / "db", "-U", "amad", "-A", "trust", "--no-sync"]
    subprocess.run(new, **quiet)
    # A crash of the server loses nothing without fsync; one of the machine would.
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    options += " -c fsync=off"
    control = [folder / "pg_ctl", "-D", data / "db", "-w"]
    server = Server(
        control,
        ["-o", options, "-l", data / "log"],
        f"postgresql://amad@127.0.0.1:{port}/",
        quiet,
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(data)
