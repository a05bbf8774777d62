"""Kills, full disks and damaged files: the old lake or the new one, and what is wrong is told."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from amad.config import DataError
from amad.ingest import pending_change
from amad.telemetry.lake import Lake
from tests.ingest_kit import DAY, Yard, content_of, line, raw_fleet, tree

ROOT = Path(__file__).resolve().parent.parent


class Killed(BaseException):
    """Ends a run where no code may catch it, as a kill does."""


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_lake_or_one_that_the_next_run_completes(
    yard, tmp_path, monkeypatch
):
    """Every write and rename of an ingest is once the last thing that happens."""
    fleet, folder = raw_fleet(), yard.settings.fleet_dir("tiny")
    yard.csv("1.csv", [line(seconds=s) for s in (0, 1, 1, DAY)])
    _, lake = yard.ingest(fleet)
    old = tree(lake.path)
    shutil.copytree(folder, tmp_path / "before")
    yard.csv("2.csv", [line(seconds=s) for s in (0.5, 1, 3 * DAY)] + [line("a-2")])
    _, lake = yard.ingest(fleet)
    done, hashed = tree(lake.path), lake.hash()
    rename, outcomes = pending_change.Path.replace, set()

    for moment in range(60):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "before", folder)
        reader = Lake(lake.path, fleet)
        was = content_of(reader)
        left = iter(range(moment))

        def dying(path, target, left=left):
            if next(left, None) is None:
                raise Killed
            return rename(path, target)

        monkeypatch.setattr(pending_change.Path, "replace", dying)
        try:
            yard.ingest(fleet)
            outcomes.add("lived")
        except Killed:
            begun = (folder / "lake/.pending/commit.json").is_file()
            outcomes.add("begun" if begun else "not begun")
            assert begun or tree(lake.path) == old
        monkeypatch.setattr(pending_change.Path, "replace", rename)
        # Whoever reads now finds the old lake or the new one; who read before, still the old one.
        assert content_of(reader) == was
        now = Lake(lake.path, fleet)
        seen = content_of(now)
        assert seen == was or (now.hash() == hashed and len(seen) == 2)
        outcomes.add("old seen" if seen == was else "new seen")
        counts, lake = yard.ingest(fleet)
        assert tree(lake.path) == done and lake.hash() == hashed
        assert counts.rows_in == 8 and counts.rows_rejected == 2 == len(yard.rejected(fleet))
        if "lived" in outcomes:
            break
    assert outcomes == {"not begun", "begun", "lived", "old seen", "new seen"}


def test_a_killed_commit_that_may_not_be_read_is_not_taken_for_an_empty_one(yard, monkeypatch):
    """A job of another user was killed, and its folders may be read by that user alone."""
    yard.csv("1.csv", [line()])
    fleet = raw_fleet()
    rename, scandir = pending_change.Path.replace, os.scandir

    def dying(path, target):
        if ".pending" in path.parts and "vehicle=" in path.as_posix():
            raise Killed
        return rename(path, target)

    def closed(path="."):
        if not isinstance(path, int) and "/.pending/lake/vehicle=" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(pending_change.Path, "replace", dying)
    with pytest.raises(Killed):
        yard.ingest(fleet)
    monkeypatch.setattr(pending_change.Path, "replace", rename)
    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(PermissionError, match=r"\.pending/lake/vehicle="):
        yard.ingest(fleet)
    monkeypatch.setattr(os, "scandir", scandir)
    counts, lake = yard.ingest(fleet)
    assert counts.rows_lake == 1 and len(content_of(lake)) == 1


PROGRAM = """
import errno, os, signal, sys
from pathlib import Path
from amad.config import Settings
from amad.ingest import pending_change
from tests.ingest_kit import Yard, raw_fleet
yard = Yard.__new__(Yard)
yard.settings = Settings(home=Path(sys.argv[1]) / "home", data_dir=Path(sys.argv[1]))
rename, moment = Path.replace, int(sys.argv[2])
def dying(path, target):
    global moment
    moment -= 1
    if moment < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(path, target)
pending_change.Path.replace = dying
yard.ingest(raw_fleet())
"""


def run(program: str, *arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("moment", [1, 7, 9])
def test_a_real_kill_leaves_a_lake_that_can_be_read_and_ingested(moment, yard, tmp_path):
    fleet = raw_fleet()
    yard.csv("1.csv", [line(seconds=s) for s in (0, DAY)])
    _, lake = yard.ingest(fleet)
    was = content_of(lake)
    yard.csv("2.csv", [line(seconds=0.5), line("a-2"), line("a-2", DAY)])
    assert run(PROGRAM, tmp_path, moment).returncode == -signal.SIGKILL
    assert content_of(Lake(lake.path, fleet)) == was
    counts, lake = yard.ingest(fleet)
    assert counts.vehicles == {"a-1": 3, "a-2": 2}
    assert not (lake.path / ".pending").exists()


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of so many bytes where the lake is to lie."""
    folder = tmp_path / "home"
    folder.mkdir()

    def mount(kilobytes: int) -> None:
        command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("may not mount a small file system here")

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def test_a_full_disk_leaves_the_old_lake(yard, small_disk):
    small_disk(600)
    fleet = raw_fleet()
    yard.csv("1.csv", [line(seconds=s) for s in (0, DAY)])
    _, lake = yard.ingest(fleet)
    was = content_of(lake)
    yard.csv("2.csv", [line(seconds=s / 3, speed=s * 1.7) for s in range(40_000)])
    with pytest.raises(OSError, match="No space left"):
        yard.ingest(fleet)
    assert content_of(lake) == was == content_of(Lake(lake.path, fleet))
    assert not (lake.path / ".pending").exists(), "what could not be finished gives its room back"
    yard.csv("2.csv", [line(seconds=1)])
    assert yard.ingest(fleet)[1].rows() == 3


@pytest.mark.parametrize("room", range(0, 40, 3))
def test_a_disk_that_is_full_at_any_write_leaves_the_old_lake(room, yard, monkeypatch):
    """Every file that is opened to be written is once the one that finds no room."""

    from amad.telemetry import files

    fleet = raw_fleet()
    yard.csv("1.csv", [line(seconds=s) for s in (0, DAY)])
    _, lake = yard.ingest(fleet)
    was = content_of(lake)
    yard.csv("2.csv", [line(seconds=0.5), line("a-2"), "a-2,x,1,2"])
    left = iter(range(room))
    write_table, write_text = pq.write_table, files.Path.write_text

    def full(write):
        def writing(*arguments, **options):
            if next(left, None) is None:
                raise OSError(28, "No space left on device")
            return write(*arguments, **options)

        return writing

    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", full(write_table))
        patch.setattr(files.Path, "write_text", full(write_text))
        try:
            yard.ingest(fleet)
        except OSError:
            assert content_of(Lake(lake.path, fleet)) == was == content_of(lake)
    assert yard.ingest(fleet)[0].vehicles == {"a-1": 3, "a-2": 1}


STATE = [
    "_manifest.json", "_days.parquet", "_origins.parquet", "_events.parquet",
    "vehicle=a-1/date=2026-01-05/part.parquet", "vehicle=a-1/date=2026-01-05/_origins.parquet",
]  # fmt: skip


def use(yard: Yard) -> dict:
    """Read all, then add a file to the vehicle-day: whatever the lake holds is looked at."""
    lake = Lake(yard.settings.fleet_dir("tiny") / "lake", raw_fleet())
    seen = content_of(lake) | {"events": lake.events().to_pylist(), "starts": lake.test_start()}
    yard.ingest(raw_fleet())
    return seen


@pytest.mark.parametrize("name", STATE)
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "rubbish"])
def test_a_damaged_file_is_told_with_its_name_and_the_way_out(name, damage, yard, tmp_path):
    fleet = raw_fleet()
    yard.csv("1.csv", [line(seconds=s) for s in range(50)])
    yard.csv("2.csv", [line(seconds=s + 0.5) for s in range(50)])
    _, lake = yard.ingest(fleet)
    was = use(yard)
    yard.csv("3.csv", [line(seconds=99)])
    path = lake.path / name
    whole = path.read_bytes()
    positions = range(0, len(whole), max(1, len(whole) // 12)) if damage == "flip" else [0]
    for position in positions:
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes({
                "flip": whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :],
                "cut": whole[: len(whole) // 2], "empty": b"", "rubbish": b"PAR1 {}" * 99,
            }[damage])  # fmt: skip
        if (name, damage) == ("_manifest.json", "gone"):
            with pytest.raises(DataError, match="there is no lake"):
                use(yard)
            continue
        with pytest.raises(DataError, match=r"(?s)lake/.*amad ingest --rebuild") as error:
            use(yard)
        assert str(path) in str(error.value)
    counts, lake = yard.ingest(fleet, rebuild=True)
    assert counts.rows_lake == 101 and len(content_of(lake)["a-1"]) == len(was["a-1"]) + 1


def test_a_damaged_list_of_refused_rows_stops_nothing(yard, capsys):
    fleet, folder = raw_fleet(), yard.settings.fleet_dir("tiny") / "rejected"
    yard.csv("1.csv", [line(), "a-1,x,1,2"])
    yard.csv("2.csv", [line(seconds=1), "a-1,y,1,2"])
    yard.ingest(fleet)
    (yard.raw / "2.csv").unlink()
    (folder / "00000.parquet").write_bytes(b"PAR1")
    yard.csv("1.csv", [line(speed=3)])
    counts, lake = yard.ingest(fleet)
    assert lake.rows() == 2 and counts.rows_rejected == 1
    assert "00000.parquet is damaged" in capsys.readouterr().err


def test_a_damaged_commit_is_told_and_forgotten_by_a_rebuild(yard, monkeypatch):
    yard.csv("1.csv", [line()])
    _, lake = yard.ingest(raw_fleet())
    yard.csv("2.csv", [line(seconds=1)])
    monkeypatch.setattr(
        pending_change.Pending, "_carry_out", lambda pending: (_ for _ in ()).throw(Killed)
    )
    with pytest.raises(Killed):
        yard.ingest(raw_fleet())
    monkeypatch.undo()
    (lake.path / ".pending/lake/_days.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"_days\.parquet is damaged.*--rebuild"):
        yard.ingest(raw_fleet())
    assert yard.ingest(raw_fleet(), rebuild=True)[1].rows() == 2


def test_a_lake_that_changes_twice_while_it_is_read_is_told(yard):
    yard.csv("1.csv", [line()])
    _, reader = yard.ingest(raw_fleet())
    for number in (2, 3):
        yard.csv(f"{number}.csv", [line(seconds=number)])
        yard.ingest(raw_fleet())
    with pytest.raises(DataError, match="was changed by an ingest while it was read"):
        reader.read("a-1")


def test_a_part_of_another_lake_is_not_taken_for_the_own_one(yard, tmp_path):
    """As many rows of the same times: only the hash tells."""
    yard.csv("1.csv", [line(speed=1)])
    _, lake = yard.ingest(raw_fleet())
    (tmp_path / "other").mkdir()
    other = Yard(tmp_path / "other")
    other.csv("1.csv", [line(speed=2)])
    day = lake.days()[0][:2]
    shutil.copy(other.ingest(raw_fleet())[1].part(*day), lake.part(*day))
    with pytest.raises(DataError, match=r"the rows of a-1 on 2026-01-05: its content is not"):
        lake.read("a-1")


def test_a_lake_of_a_format_before_is_written_anew(yard, monkeypatch):
    yard.csv("1.csv", [line()])
    monkeypatch.setattr("amad.telemetry.manifest.FORMAT", 2)
    _, lake = yard.ingest(raw_fleet())
    monkeypatch.undo()
    with pytest.raises(DataError, match="another version of fleet tiny"):
        Lake(lake.path, raw_fleet())
    assert yard.ingest(raw_fleet())[1].rows() == 1
