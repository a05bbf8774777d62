"""What a person sees while work runs."""

import time
from itertools import pairwise

import pytest

from amad.config import console
from amad.config.console import never_silent, say, track


def three_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was told, once it has three lines; a busy machine may take its time."""
    found, end = "", time.monotonic() + 30
    while len(found.splitlines()) < 3 and time.monotonic() < end:
        time.sleep(0.01)
        found += capsys.readouterr().err
    return found.splitlines()


def test_long_silent_work_says_that_it_goes_on(capsys):
    with never_silent(0.05):
        say("fit the detector")
        told = three_lines(capsys)
    assert told[0] == "fit the detector" and len(told) >= 3
    assert all(line.startswith("still running, ") for line in told[1:])
    assert all(line.endswith("after: fit the detector") for line in told[1:])


def test_work_that_speaks_is_not_interrupted(capsys):
    with never_silent(60):
        for number in range(3):
            say(f"epoch {number}")
        assert list(track([1, 2], "read")) == [1, 2]
    assert "still running" not in capsys.readouterr().err


def test_work_that_is_counted_is_named_while_its_first_part_runs(capsys):
    with never_silent(0.05):
        say("fit the detector")
        for _ in track([1], "judge the methods"):
            told = three_lines(capsys)
    assert told[0] == "fit the detector" and told[-1].endswith("after: judge the methods")


def test_the_watch_ends_with_the_work(capsys):
    with never_silent(0.05):
        pass
    time.sleep(0.12)
    assert capsys.readouterr().err == ""


def test_the_lines_of_a_long_night_are_few_and_none_is_far_from_the_next(capsys, monkeypatch):
    """Four hours of work in steps of a second, by a clock that the steps move."""
    clock = [1000.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    said = []
    for second in track(range(4 * 3600), "score vehicle-days"):
        clock[0] += 1.0
        if capsys.readouterr().err:
            said.append(second)
    assert said[0] <= 6 and 40 < len(said) < 100
    assert max(late - early for early, late in pairwise(said)) <= 301
