"""A lock file is held by one at a time, and whoever cannot have it is told why."""

from pathlib import Path

import pytest

from amad.config import ServiceError
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
