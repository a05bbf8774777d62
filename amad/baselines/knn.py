"""Nearest neighbours: how far a row is from the train rows that are most like it.

Shape legend: T rows of a vehicle, C channels, N reference rows, J neighbours.
"""

from collections.abc import Sequence

import numpy as np

from amad.baselines.kmeans import sample
from amad.detect.members.member import Arrays, Member
from amad.windows.series import Series

NEIGHBOURS = 5  # J
REFERENCE = 2000  # the most train rows that are searched
STRETCH = 500  # the most of them from one stretch of rows


class KnnMember(Member):
    """A row minus the mean of its 5 nearest among 2,000 train rows drawn by seed.

    Imputed cells count as they are. The search is exact, in scaled units.
    """

    def __init__(self, name: str, *, seed: int) -> None:
        super().__init__(name)
        self.seed = seed

    def summarise(self, series: Series) -> Arrays:
        """A sample of the rows, (N, C)."""
        return {"row": series.value_TC[sample(series.rows, STRETCH, self.seed)]}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """The reference rows (N, C)."""
        row_NC = np.concatenate([s["row"] for s in summaries])
        return {"row": row_NC[sample(len(row_NC), REFERENCE, self.seed)].astype(np.float64)}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """x minus the mean of its neighbours, (T, C)."""
        from sklearn.neighbors import NearestNeighbors

        row_NC = coefficients["row"].astype(np.float32)
        search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(row_NC)), algorithm="brute")
        near_TJ = search.fit(row_NC).kneighbors(series.value_TC, return_distance=False)
        return series.value_TC - row_NC[near_TJ].mean(axis=1)
