"""A lock file is held by one at a time, and whoever cannot have it is told why."""

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from amad.config import ServiceError, usable_error
from amad.config.file_lock import locked


def busy() -> ServiceError:
    return ServiceError("another one holds it")


def test_a_lock_is_held_while_the_body_runs_and_free_after_it(tmp_path: Path, capsys):
    file = tmp_path / "runs" / "kit.lock"
    with locked(file, busy):
        for seconds in (0, 0.05):
            wait = locked(file, busy, seconds=seconds, waiting="wait for it")
            with pytest.raises(ServiceError, match="another one holds it"), wait:
                pass
        assert capsys.readouterr().err.splitlines() == ["wait for it"] * 2
    with pytest.raises(ZeroDivisionError), locked(file, busy):
        raise ZeroDivisionError
    with locked(file, busy, waiting="wait for it"):
        pass
    assert not capsys.readouterr().err


def test_whoever_only_looks_whether_a_lock_is_held_keeps_nobody_from_it(tmp_path: Path):
    """A status that asks at the moment at which a job begins."""
    file = tmp_path / "kit.lock"
    file.touch()
    looking = os.open(file, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    end = threading.Timer(0.02, os.close, [looking])
    end.start()
    with locked(file, busy):
        pass
    end.join()


def test_a_file_system_without_locks_is_named_with_its_way_out(tmp_path: Path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(OSError) as error, locked(tmp_path / "kit.lock", busy):
        pass
    said = str(usable_error(error.value))
    assert said.startswith(f"{tmp_path / 'kit.lock'}: no locks available; its file system")
    assert "NFS from version 4" in said and "AMAD_HOME" in said
