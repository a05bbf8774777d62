"""How likely as many successes are by chance alone, against exact sums and the published tail."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.evaluation.chance import binomial_tail, poisson_interval, poisson_tail
from amad.evaluation.method_result import touched_by_chance


@given(st.integers(1, 40), st.floats(0.01, 0.99), st.data())
def test_the_tail_is_the_sum_of_its_terms(tries: int, share: float, data: st.DataObject):
    found = data.draw(st.integers(0, tries))
    exact = sum(
        comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(found, tries + 1)
    )
    assert binomial_tail(found, tries, share) == pytest.approx(exact, rel=1e-9, abs=1e-300)


def test_the_ends():
    assert binomial_tail(0, 12, 0.0) == 1 and binomial_tail(1, 12, 0.0) == 0
    assert binomial_tail(12, 12, 1.0) == 1
    assert binomial_tail(1, 0 + 1, 0.25) == pytest.approx(0.25)
    assert binomial_tail(600, 5000, 0.1) < 1e-5, "large counts do not overflow"


def test_counts_that_come_by_themselves():
    assert poisson_tail(0, 3.0) == 1 and poisson_tail(1, 0.0) == 0
    assert poisson_tail(1, 0.5) == pytest.approx(1 - 2.718281828**-0.5)
    assert poisson_tail(700, 500.0) < 1e-6 and poisson_tail(400, 500.0) > 0.999
    many = binomial_tail(8, 100_000, 3.0 / 100_000)
    assert poisson_tail(8, 3.0) == pytest.approx(many, rel=1e-3), "the limit of many small chances"


@pytest.mark.parametrize("found", [0, 1, 2, 20, 300])
def test_the_interval_ends_where_so_many_or_so_few_become_unlikely(found: int):
    low, high = poisson_interval(found, 0.9)
    assert 1 - poisson_tail(found + 1, high) == pytest.approx(0.05)
    assert poisson_tail(found, low) == pytest.approx(0.05) if found else low == 0


def test_a_stretch_longer_than_the_normal_rows_takes_them_all():
    import numpy as np

    one = np.array([False, False, True, False])
    assert touched_by_chance(one, 99) == 1 and touched_by_chance(one, 1) == 0.25
    assert touched_by_chance(np.zeros(0, bool), 5) == 0
