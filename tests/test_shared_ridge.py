"""One inverse for regressions that leave some predictors out, against solving each alone."""

import numpy as np
import pytest

from amad.windows.ridge import SharedRidge, solve_ridge


@pytest.mark.parametrize("left_out", [[], [3], [0, 4, 7]])
@pytest.mark.parametrize("own", [[], [12, 14]])
def test_one_inverse_serves_regressions_that_leave_some_predictors_out(
    left_out: list[int], own: list[int]
) -> None:
    rng = np.random.default_rng(len(left_out) + len(own))
    design = np.c_[rng.normal(size=(60, 16)) @ rng.normal(size=(16, 16)), np.ones(60)]
    gram, shared, target = design.T @ design, np.append(np.arange(9), 16), 15
    about = {"penalty": 3.0, "intercept_penalty": 1e-9}
    ridge = SharedRidge(gram, shared, **about)
    shared_X, own_O = ridge.solve(target, np.array(left_out, int), np.array(own, int))
    predictors = np.array([*np.setdiff1d(np.arange(9), left_out), *own, 16])
    direct_X = solve_ridge(gram, predictors, np.array([target]), **about)[:, 0]
    found_X = np.zeros(17)
    found_X[shared], found_X[own] = shared_X, own_O
    np.testing.assert_allclose(found_X[predictors], direct_X, rtol=1e-9, atol=1e-12)
    assert (found_X[left_out] == 0).all()
