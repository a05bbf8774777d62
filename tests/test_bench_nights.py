"""Three nights of bench.nights: late, repeated, corrected and future rows, and a killed job."""

import pytest

from bench.nights.__main__ import measure
from bench.nights.script import SMALL

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_three_nights_lose_nothing_and_tell_each_change_once(tmp_path):
    found = measure(tmp_path / "home", SMALL, seed=1, brief=True)
    assert found["violations"] == 0, found["texts"]
    assert found["kills"] == SMALL.nights
