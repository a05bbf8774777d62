"""What a command does where its output cannot be written: closed pipe, full disk, ASCII alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from amad.config import console

AMAD = [sys.executable, "-m", "amad.cli"]


@pytest.fixture
def unread(monkeypatch):
    """Standard error is a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        yield
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # so that it can be closed


def test_progress_that_nobody_reads_stops_no_work(unread):
    console.say("one")
    assert list(console.track([1, 2], "two")) == [1, 2]


@pytest.mark.parametrize("place", ["full disk", "closed pipe"])
def test_an_error_that_cannot_be_printed_keeps_its_exit_code(place, tmp_path: Path):
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.open("/dev/full", os.O_WRONLY) if place == "full disk" else writer
    ended = subprocess.run([*AMAD, "status"], cwd=tmp_path, stderr=stream, check=False)
    assert ended.returncode == 2


def test_a_closed_pipe_is_no_bug():
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run([*AMAD, "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.parametrize("command", ["--help", "--version", "doctor --json"])
def test_a_full_disk_under_standard_output_is_named(command: str, home: Path):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*AMAD, *command.split()], env=os.environ | {"AMAD_HOME": str(home)}, stdout=full,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    told = ended.stderr.splitlines()
    assert ended.returncode == 3 and len(told) == 1
    assert told[0].startswith("error: standard output: no space left on device; ")


def test_letters_that_the_locale_lacks_are_escaped(home: Path):
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii", "AMAD_HOME": str(home)}
    ended = subprocess.run([*AMAD, "doctor"], env=ascii_only, capture_output=True, check=False)
    assert rb"\u2192" in ended.stdout
    assert ended.returncode in (0, 6), ended.stderr
    ended = subprocess.run(
        [*AMAD, "doctor", "--json"], env=ascii_only, capture_output=True, check=False
    )
    assert json.loads(ended.stdout)
