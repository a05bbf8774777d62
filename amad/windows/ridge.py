"""Ridge regression in closed form, from sums of products alone.

Sums of products (a Gram matrix) of several stretches of rows add up, so that one pass over the data
serves any set of stretches.

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
    which columns, int. penalty, intercept_penalty: of the squared coefficients, (...) or one
    number. prior_XY: what the coefficients are shrunk to; default: 0.

    Raises:
        LinAlgError: the predictors depend on each other and the penalty is 0.
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
