"""The member that predicts each row from the rows before it and from the errors of other channels.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members.member import Arrays, Member, RidgeMember
from amad.detect.members.tolerance import root_mean_square
from amad.windows.series import Series


class InnovationMember(Member):
    """What neither a channel's own past nor the surprise of the other channels explains.

    The innovation of a channel is the error of a ridge regression on its last rows. A manoeuvre or
    a burst of load surprises many channels at once, in the proportions that the train rows show.
    So a second ridge regression predicts each innovation from the innovations of the other channels
    in the same row, and its error is the residual. An innovation enters it in units of its root
    mean square, cut to ``LIMIT``, so that a broken sensor does not blame the others; where a cell
    was not measured it enters as 0.

    The penalty of the second regression is a fixed number and not a share of the rows, so what was
    learnt from few rows counts less.
    """

    PENALTY = 4000.0  # of the squared coefficients; the innovations have about unit variance
    LIMIT = 5.0  # root mean squares
    LAGS = range(1, 6)

    def __init__(self) -> None:
        super().__init__("innovation")
        self.past = RidgeMember("innovation_past", self.LAGS)
        self.context_rows = self.past.context_rows

    def summarise(self, series: Series) -> Arrays:
        """What the first regression needs to know; ``fit`` learns the second from its errors."""
        return self.past.summarise(series)

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """The coefficients of the first regression."""
        return self.past.solve(summaries)

    def sums(self, owner: str, train: Sequence[Series]) -> Arrays:
        """gram: of the first regression. peer_gram: of the second, whose errors are the owner's."""
        coefficients = self.coefficients[owner]
        errors = [self.past._masked(series, coefficients) for series in train]
        peer_gram = self._gram(errors, coefficients["scale"])
        return self.past.sums(owner, train) | {"peer_gram": peer_gram}

    def fit(
        self, owner: str, train: Sequence[Series], folds: int, prior: Arrays | None = None
    ) -> list[np.ndarray]:
        """Learn both regressions, the second from cross-fitted errors of the first.

        Returns: the residual of each series, cross-fitted in both regressions.
        """
        errors = self.past.fit(owner, train, folds, prior)
        scale_C = root_mean_square(errors)
        if len(errors) == 1:
            groups = [[part] for part in np.array_split(errors[0], folds)]
        else:
            groups = [errors[k::folds] for k in range(min(folds, len(errors)))]
        grams = [self._gram(group, scale_C) for group in groups]
        whole = np.sum(grams, axis=0) + (prior["peer_gram"] if prior else 0.0)
        second = {"scale": scale_C, "peer": self._peers(whole)}
        self.coefficients[owner] = self.past.coefficients[owner] | second
        for group, gram in zip(groups, grams, strict=True):
            peers = self._peers(whole - gram) if len(groups) > 1 else second["peer"]
            for part_TC in group:  # of the errors
                part_TC[:] = self._unexplained(part_TC, {"scale": scale_C, "peer": peers})
        return errors

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Innovation minus its prediction; NaN where a lag lies outside the segment."""
        error_TC = self.past.predict_error(series, coefficients)
        error_TC[series.valid_TC == 0] = np.nan
        return self._unexplained(error_TC, coefficients)

    def _unexplained(self, error_TC: np.ndarray, coefficients: Arrays) -> np.ndarray:
        scale_C, peer_CC = (coefficients[name].astype(np.float32) for name in ("scale", "peer"))
        return error_TC - self._surprise(error_TC, scale_C) @ (peer_CC.T * scale_C)

    def _surprise(self, error_TC: np.ndarray, scale_C: np.ndarray) -> np.ndarray:
        """The innovations in root mean squares, cut, and 0 where unknown; (T, C)."""
        surprise_TC = error_TC / scale_C
        np.clip(surprise_TC, -self.LIMIT, self.LIMIT, out=surprise_TC)
        surprise_TC[np.isnan(surprise_TC)] = 0.0
        return surprise_TC

    def _gram(self, errors: Sequence[np.ndarray], scale_C: np.ndarray) -> np.ndarray:
        """Sums of products of the innovations of these rows, (C, C) float64."""
        gram_CC = np.zeros((len(scale_C), len(scale_C)))
        for error_TC in errors:
            surprise_TC = self._surprise(error_TC, scale_C)
            gram_CC += surprise_TC.T @ surprise_TC
        return gram_CC

    def _peers(self, gram_CC: np.ndarray) -> np.ndarray:
        """Coefficients (C, C) of the other channels' innovations, 0 for the channel's own.

        All C regressions have the same normal matrix but for their own row and column, so one
        inverse P gives them all: the coefficients of channel c are -P[c] / P[c, c] (the conditional
        mean of a normal distribution by its precision matrix).
        """
        inverse_CC = np.linalg.inv(gram_CC + self.PENALTY * np.eye(len(gram_CC)))
        peer_CC = -inverse_CC / np.diag(inverse_CC)[:, None]
        np.fill_diagonal(peer_CC, 0.0)
        return peer_CC
