"""Ridge regression in closed form, from a Gram matrix (sums of products of columns).

The Gram matrices of several stretches of rows add up, so one pass over the data is enough to fit
any set of stretches.

Shape legend: X predictors, the last of which is the intercept; Y targets; ... any leading axes.
"""

import numpy as np


def solve_ridge(
    gram: np.ndarray,
    predictors: np.ndarray,
    targets: np.ndarray,
    *,
    penalty: np.ndarray | float,
    intercept_penalty: np.ndarray | float,
    prior_XY: np.ndarray | None = None,
) -> np.ndarray:
    """Coefficients (..., X, Y) of the predictors for each target.

    gram: sums of products of all columns, (..., columns, columns) float64. predictors, targets:
    indices of columns, int. penalty, intercept_penalty: on the squared coefficients, (...) or one
    number. prior_XY: the coefficients are shrunk towards it; default: 0.

    Raises:
        LinAlgError: the predictors are linearly dependent and the penalty is 0.
    """
    normal = gram[..., predictors[:, None], predictors]
    cross = gram[..., predictors[:, None], targets]
    if prior_XY is not None:
        cross = cross - normal @ prior_XY
    slopes = np.arange(len(predictors) - 1)
    normal[..., slopes, slopes] += np.asarray(penalty)[..., None]
    normal[..., -1, -1] += intercept_penalty
    found = np.linalg.solve(normal, cross)
    return found if prior_XY is None else prior_XY + found
