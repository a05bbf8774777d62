"""What the machine does not allow is one sentence that names the file and the way out."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from amad.config import ConfigError, DataError, Settings, usable_error
from amad.config.errors import CLOSED, NO_ROOM, UNUSABLE

ELSEWHERE = "AMAD_HOME (for temporary files TMPDIR) to a folder elsewhere"


def error_of(number: int, *files: str) -> OSError:
    return OSError(number, os.strerror(number), *files)


def copied(number: int) -> shutil.Error:
    """What ``shutil.copytree`` raises when one of its files cannot be copied."""
    harmless = ("/from/b", "/to/b", str(error_of(errno.ENOENT, "/from/b")))
    one = ("/from/a", "/to/a", str(OSError(number, os.strerror(number), "/from/a", None, "/to/a")))
    return shutil.Error([harmless, one])


@pytest.mark.parametrize("number", sorted(NO_ROOM))
@pytest.mark.parametrize("made", [lambda n: error_of(n, "/to/a"), copied])
def test_a_full_or_limited_disk_names_the_file_and_the_way_out(number, made) -> None:
    told = usable_error(made(number))
    assert isinstance(told, DataError)
    assert str(told).startswith(f"/to/a: {os.strerror(number).lower()}; ")
    assert ELSEWHERE in str(told)
    way_out = "ulimit -f" if number == errno.EFBIG else "free some space"
    assert way_out in str(told)


@pytest.mark.parametrize("number", sorted(CLOSED))
def test_what_may_not_be_read_or_written_is_named(number) -> None:
    told = usable_error(error_of(number, "/locked/part.parquet"))
    way_out = "mount it for writing" if number == errno.EROFS else "the right to read"
    assert str(told).startswith("/locked/part.parquet: ") and way_out in str(told)
    listed = [("/from/a", "/locked/a", str(error_of(number, "/from/a")))]
    assert str(usable_error(shutil.Error(listed))).startswith("/from/a: ")
    listed = [("/from/a", "/locked/a", str(error_of(number, "/locked/a")))]
    assert str(usable_error(shutil.Error(listed))).startswith("/locked/a: ")


def test_of_a_rename_the_target_is_named() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/a", None, "/b")
    assert str(usable_error(error)).startswith("/b: ")


def test_of_what_is_half_written_its_folder_is_named() -> None:
    for name in (".stage-lmgozl3l-waiting/0.arrow", ".stage-1f2e3d4c-part.parquet", ".old-1f-docs"):
        told = str(usable_error(error_of(errno.ENOSPC, f"/srv/runs/demo/scores/{name}")))
        assert told.startswith("/srv/runs/demo/scores: no space left on device; "), name


def test_a_current_folder_that_was_removed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Path:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "cwd", gone)
    for named in ({}, {"home": Path("/srv/amad")}):
        with pytest.raises(ConfigError, match="current folder does not exist any more; go to"):
            Settings(**named)


def test_a_file_that_arrow_names_in_its_words_alone_is_named() -> None:
    words = "Failed to open local file '/a/part.parquet'. Detail: [errno 13] Permission denied"
    told = str(usable_error(PermissionError(errno.EACCES, words)))
    assert told.startswith("/a/part.parquet: permission denied; ")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("x")
    with pytest.raises(FileExistsError) as failure:
        (tmp_path / "jobs").mkdir(exist_ok=True)
    told = str(usable_error(failure.value))
    assert told.startswith(f"{tmp_path}/jobs: file exists; move away a file")


def test_a_fault_of_the_code_is_none_of_the_machine() -> None:
    assert usable_error(FileNotFoundError(errno.ENOENT, "no such file", "/a")) is None
    assert usable_error(shutil.Error([("/a", "/b", str(error_of(errno.ENOENT, "/a")))])) is None
    assert usable_error(shutil.Error("Destination path '/b' already exists")) is None
    assert usable_error(ZeroDivisionError()) is None
    assert errno.ENOENT not in UNUSABLE


def test_no_folder_for_temporary_files_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Python itself tells it, of folders in which nothing can be made."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none", "/proc/self"])
    with pytest.raises(FileNotFoundError) as failure:
        tempfile.mkdtemp()
    told = usable_error(failure.value)
    assert isinstance(told, DataError)
    assert "/proc/none" in str(told) and "set TMPDIR to a folder" in str(told)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(PermissionError) as failure:
        (tmp_path / "locked" / "a").write_text("x")
    assert str(usable_error(failure.value)).startswith(f"{tmp_path}/locked/a: permission denied")


LIMITED = """
import resource, shutil, signal, sys
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, torch
from safetensors.numpy import save_file
from amad.config import usable_error
from amad.model.checkpoint import Checkpoint
from amad.model.owners import Owners
from amad.telemetry.files import staged, write_json

place, number_N = Path(sys.argv[1]), np.random.default_rng(0).random(1 << 17)
(place / "from").mkdir()
(place / "from" / "a").write_bytes(number_N.tobytes())
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

def within(write):
    def work(name):
        with staged(place / name) as stage:
            write(stage)
    return work

checkpoint = Checkpoint(
    digest="d1", channels=1, owners=Owners(), block=1, epochs=[],
    objective={"x": torch.zeros(1 << 17)}, optimiser={},
)
ways = {
    "json": lambda name: write_json(place / name, {"x": "y" * (1 << 20)}),
    "parquet": within(lambda file: pq.write_table(pa.table({"x": number_N}), file)),
    "numpy": within(lambda file: np.save(file.open("wb"), number_N)),
    "safetensors": within(lambda file: save_file({"x": number_N}, file)),
    "state.pt": lambda name: checkpoint.write(place),
    "copy": lambda name: shutil.copytree(place / "from", place / name),
}
for name, write in ways.items():
    try:
        write(name)
    except Exception as error:
        print(name, usable_error(error), sep="\\t")
"""


@pytest.mark.slow
def test_a_limited_size_of_files_is_told_by_whatever_writes(tmp_path: Path) -> None:
    """A real limit of the system: each library tells it in another way, or not at all."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path],
        cwd=Path(__file__).resolve().parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    told = dict(line.split("\t", 1) for line in done.stdout.splitlines())
    ways = ["json", "parquet", "numpy", "safetensors", "state.pt", "copy"]
    assert list(told) == ways, done.stderr
    for name, sentence in told.items():
        assert str(tmp_path) in sentence and name in sentence, sentence
        assert "file too large; raise the limit of a file's size (ulimit -f)" in sentence
