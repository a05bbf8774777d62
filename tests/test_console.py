"""What a person sees while work runs."""

import time

from amad.config.console import never_silent, say, track


def test_long_silent_work_says_that_it_goes_on(capsys):
    with never_silent(0.05):
        say("fit the detector")
        time.sleep(0.6)
    told = capsys.readouterr().err.splitlines()
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
            time.sleep(0.3)
    told = capsys.readouterr().err.splitlines()[1:-1]
    assert told and all(line.endswith("after: judge the methods") for line in told)


def test_the_watch_ends_with_the_work(capsys):
    with never_silent(0.05):
        pass
    time.sleep(0.12)
    assert capsys.readouterr().err == ""
