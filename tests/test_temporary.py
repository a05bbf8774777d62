"""Temporary folders that are gone after their process, and not before."""

import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import pytest

from amad.config import ServiceError
from amad.telemetry.temporary import (
    keep_apart,
    remove_leftovers,
    remove_unfinished,
    temporary_folder,
    user_folder,
)

CONTEXT = multiprocessing.get_context("spawn")
SECONDS = 60


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def killed(outside: str, ready, apart: bool) -> None:
    tempfile.tempdir = outside
    if apart:
        keep_apart()
        keep_apart()  # as the next trial in the same process
        assert user_folder().parent == Path(outside)
        Path(tempfile.mkdtemp(), "state.pt").touch()
        ready.set()
        signal.pause()
    with temporary_folder("detector") as folder:
        (folder / "state.pt").touch()
        ready.set()
        signal.pause()


def card(outside: str) -> None:
    tempfile.tempdir = outside
    with temporary_folder("card") as folder:
        later = folder.parent.with_name("left-meanwhile")
        later.mkdir()
    with temporary_folder("card") as other:
        assert not folder.exists() and later.is_dir(), "a process looks for leftovers once"
        assert other.parent == folder.parent
    later.rmdir()


def begin_another(outside: Path) -> None:
    process = CONTEXT.Process(target=card, args=(str(outside),))
    process.start()
    process.join(SECONDS)
    assert process.exitcode == 0


@pytest.mark.parametrize("apart", [False, True])
def test_what_a_killed_process_leaves_goes_when_the_next_one_begins(
    apart: bool, outside: Path
) -> None:
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=killed, args=(str(outside), ready, apart))
    process.start()
    assert ready.wait(SECONDS)
    begin_another(outside)
    assert list(outside.rglob("state.pt")), "its process is alive"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(outside.rglob("state.pt"))
    begin_another(outside)
    assert not list(outside.rglob("state.pt"))


def test_a_folder_in_use_is_no_leftover_and_goes_after_an_error(outside: Path) -> None:
    with pytest.raises(KeyError), temporary_folder("detector") as folder:
        remove_leftovers()
        assert folder.is_dir() and folder.name.startswith("detector-")
        raise KeyError
    (own,) = (user_folder() / "processes").iterdir()
    assert list(own.iterdir()) == []


def test_the_folder_of_a_process_goes_with_it(outside: Path) -> None:
    begin_another(outside)
    assert list((user_folder() / "processes").iterdir()) == []


def test_the_folder_of_another_user_is_not_trusted(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = user_folder()
    assert folder.parent == outside and folder.stat().st_mode & 0o077 == 0
    folder.rename(outside / f"amad-{os.getuid() + 1}")
    monkeypatch.setattr(os, "getuid", lambda: int(folder.name.removeprefix("amad-")) + 1)
    with pytest.raises(ServiceError, match="belongs to another user"):
        user_folder()


def test_among_files_of_others_only_what_was_to_get_a_name_is_removed(tmp_path: Path) -> None:
    names = (".stage-1f2e3d4c-amad.prom", ".stage-1f2e3d4c-node.prom", "amad.prom")
    for name in names:
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, of="amad.prom")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])
