"""Ridge regression in closed form, from a Gram matrix (sums of products of columns).

The Gram matrices of several stretches of rows add up, so one pass over the data is enough to fit
any set of stretches.

Shape legend: X predictors, the last of which is the intercept; Y targets; ... any leading axes;
A all columns, R predictors that are left out, O own predictors of a target, V these and the target.
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
    _add_penalties(normal, penalty, intercept_penalty)
    found = np.linalg.solve(normal, cross)
    return found if prior_XY is None else prior_XY + found


def _add_penalties(
    normal: np.ndarray, penalty: np.ndarray | float, intercept_penalty: np.ndarray | float
) -> None:
    """Add them to the diagonal of normal matrices (..., X, X), in place."""
    slopes = np.arange(normal.shape[-1] - 1)
    normal[..., slopes, slopes] += np.asarray(penalty)[..., None]
    normal[..., -1, -1] += intercept_penalty


class SharedRidge:
    """Ridge regressions of many targets on nearly the same predictors, from one inverse.

    Each target leaves out some of the shared predictors and adds a few of its own. With B the
    inverse of the normal matrix A of all shared ones, A without the set R has the inverse

        B - B_R (B_RR)^-1 B_R^T    in the rows and columns that are left

    (block inversion), and the own ones join by their Schur complement. So a target costs X^2 steps
    instead of X^3.
    """

    def __init__(
        self, gram: np.ndarray, shared: np.ndarray, *, penalty: float, intercept_penalty: float
    ) -> None:
        """gram, penalty, intercept_penalty: as in ``solve_ridge``. shared: their columns, int (X,).

        Raises:
            LinAlgError: the predictors are linearly dependent and the penalty is 0.
        """
        self.gram, self.penalty = gram, penalty
        self._gram_XA = gram[shared]
        normal_XX = self._gram_XA.take(shared, axis=1)
        _add_penalties(normal_XX, penalty, intercept_penalty)
        self._inverse_XX = np.linalg.inv(normal_XX)
        self._found_XA = self._inverse_XX @ self._gram_XA  # of every column, nothing left out

    def solve(
        self, target: int, left_out: np.ndarray, own: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of the shared predictors (X,), 0 for those left out, and of the own (O,).

        target, own: columns. left_out: positions among the shared predictors, int (R,).
        """
        wanted = [*own, target]
        vector_XV = self._gram_XA.take(wanted, axis=1)
        inverse_XR = self._inverse_XX[:, left_out]
        found_XV = self._found_XA[:, wanted] - inverse_XR @ vector_XV[left_out]
        found_XV -= inverse_XR @ np.linalg.solve(inverse_XR[left_out], found_XV[left_out])
        found_XV[left_out] = 0.0
        rest_VV = self.gram[wanted].take(wanted, axis=1) - vector_XV.T @ found_XV
        own_OO = rest_VV[:-1, :-1] + self.penalty * np.eye(len(own))
        own_O = np.linalg.solve(own_OO, rest_VV[:-1, -1])
        return found_XV[:, -1] - found_XV[:, :-1] @ own_O, own_O
