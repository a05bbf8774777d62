"""MLflow on a real PostgreSQL: the same code, another URI."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from amad.config import ServiceError, Settings
from amad.engines import tracking


def binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[str]:
    """The URI of a fresh PostgreSQL server of the test's own, stopped afterwards."""
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
    data = tmp_path / "pg"
    data.mkdir()
    if user:
        shutil.chown(data, "postgres", "postgres")
        for parent in data.parents:  # the server's user must be able to reach its folder
            if parent.stat().st_uid == os.getuid() and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)
    quiet = {"cwd": data, "check": True, "stdout": subprocess.DEVNULL, **user}
    subprocess.run([folder / "initdb", "-D", data / "db", "-U", "amad", "-A", "trust"], **quiet)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data}"
    control = [folder / "pg_ctl", "-D", data / "db", "-w"]
    subprocess.run([*control, "-o", options, "-l", data / "log", "start"], **quiet)
    try:
        yield f"postgresql://amad@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)


@pytest.mark.engine
def test_runs_are_kept_in_postgres(home: Path, postgres: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMAD_MLFLOW_URI", postgres)
    client = tracking.connect(Settings())
    with tracking.open_run(client, "demo", "a run") as run:
        client.log_metric(run.info.run_id, "loss", 0.5)
    again = tracking.connect(Settings())
    with tracking.open_run(again, "demo", "a run", run_id=run.info.run_id) as resumed:
        assert resumed.info.run_id == run.info.run_id
    assert again.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
    assert not (home / "mlflow.db").exists()


def test_a_dead_server_is_told(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AMAD_MLFLOW_URI", "postgresql://amad:secret@127.0.0.1:1/none")
    with pytest.raises(ServiceError, match="does not answer") as error:
        tracking.connect(Settings())
    assert "secret" not in str(error.value)
