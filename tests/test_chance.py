"""How likely as many successes are by chance alone, against exact sums and the published tail."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.evaluation.tally import touched_by_chance
from amad.metrics import chance_of_so_many


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.data())
def test_the_tail_is_the_sum_of_its_terms(tries: int, share: float, data: st.DataObject):
    found = data.draw(st.integers(0, tries))
    exact = sum(
        comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(found, tries + 1)
    )
    assert chance_of_so_many(found, tries, share) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_the_ends():
    assert chance_of_so_many(0, 12, 0.0) == 1 and chance_of_so_many(1, 12, 0.0) == 0
    assert chance_of_so_many(12, 12, 1.0) == 1
    assert chance_of_so_many(1, 0 + 1, 0.25) == pytest.approx(0.25)
    assert chance_of_so_many(600, 5000, 0.1) < 1e-5, "large counts do not overflow"
    for wrong in ((2, 1, 0.5), (-1, 1, 0.5), (0, 1, 1.5)):
        with pytest.raises(ValueError, match="no such chance"):
            chance_of_so_many(*wrong)


def test_a_stretch_longer_than_the_normal_rows_takes_them_all():
    import numpy as np

    one = np.array([False, False, True, False])
    assert touched_by_chance(one, 99) == 1 and touched_by_chance(one, 1) == 0.25
    assert touched_by_chance(np.zeros(0, bool), 5) == 0
