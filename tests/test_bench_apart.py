"""A measurement in a process of its own measures that process alone."""

from resource import RUSAGE_SELF, getrusage

import pytest

from bench.apart import run_apart


def test_a_process_of_its_own_does_not_begin_with_the_memory_of_its_parent() -> None:
    held = b"x" * 700_000_000
    own = getrusage(RUSAGE_SELF).ru_maxrss
    assert own > len(held) / 1024
    assert run_apart(getrusage, RUSAGE_SELF).ru_maxrss < own / 2


def test_an_error_of_a_process_of_its_own_is_raised_here() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        run_apart(int, "many")
