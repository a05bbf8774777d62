"""LATAD as a member: how far a window is from what was usual in train, by channel.

Shape legend: T rows of a vehicle, C channels, B windows in a batch, L steps, D latent width,
N centres, S latents.
"""

from collections.abc import Sequence

import numpy as np
import torch

from amad.baselines.latad_network import (
    CENTRES,
    COLLAPSED,
    WINDOW,
    Latad,
    LatadNetwork,
    gather,
    latents,
    nearest,
    train_latad,
)
from amad.baselines.network import NetworkMember
from amad.config.threads import one_thread
from amad.detect.members.member import Arrays
from amad.model.residual import numbered_segments
from amad.windows.series import Series

STRIDE = 8  # rows between the ends of scored windows
BATCH = 128  # windows that are scored at once
STEPS = 150  # of training


class LatadMember(NetworkMember[LatadNetwork]):
    """One network for the fleet, centres of its latents for each owner of figures.

    The squared residual of a channel is its share of the distance, in units of its train mean:
    residual_c^2 = C share_c distance / ordinary. So the mean over channels is the distance itself.
    The train residuals are not cross-fitted, as with AMAD.

    Windows end on a grid of STRIDE sampling periods since the epoch, so that nothing depends on
    where the series was cut. A row has the residual of the window whose middle is nearest. With
    ``trailing`` it has that of the newest window that ends at it or before, and the first rows of a
    segment have none.
    """

    def __init__(self, name: str, *, trailing: bool, seed: int) -> None:
        super().__init__(name, seed=seed)
        self.trailing = trailing
        self.context_rows = WINDOW + STRIDE - 2
        self.lookahead_rows = 0 if trailing else WINDOW + STRIDE - 2

    def train_network(self, train: Sequence[Series]) -> LatadNetwork | None:
        """A network, or None where no window fits into the rows."""
        return train_latad(train, self.seed, STEPS)

    def fit(
        self, owner: str, train: Sequence[Series], folds: int, prior: Arrays | None = None
    ) -> list[np.ndarray]:
        """Find the centres of this owner."""
        if self.network is None:
            self.fit_shared(train)
        latad = None if self.network is None else cluster(self.network, train, self.seed)
        self.coefficients[owner] = {}
        if latad is not None:
            self.coefficients[owner] = {
                "centre": latad.centre_ND.numpy(), "ordinary": np.array(latad.ordinary)
            }  # fmt: skip
        return [self.residual(series, owner) for series in train]

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """sqrt(C share distance / ordinary), never negative; NaN where there is no window."""
        residual_TC = np.full(series.value_TC.shape, np.nan, np.float32)
        end_B, answer_T = window_ends(series, trailing=self.trailing)
        if not coefficients or len(end_B) == 0:
            return residual_TC
        assert self.network is not None, "fit comes first"
        centre_ND, ordinary = torch.from_numpy(coefficients["centre"]), coefficients["ordinary"]
        latad = Latad(network=self.network, centre_ND=centre_ND, ordinary=float(ordinary))
        parts = []
        for first in range(0, len(end_B), BATCH):
            start_B = end_B[first : first + BATCH] - WINDOW + 1
            x_BLC, present_BC = gather(series.value_TC, series.valid_TC, start_B)
            distance_B, share_BC = latad.diagnose(x_BLC, present_BC)
            count_B1 = present_BC.sum(1, keepdim=True)
            parts.append((count_B1 * share_BC * distance_B[:, None] / latad.ordinary).sqrt())
        known_T = answer_T >= 0
        residual_TC[known_T] = torch.cat(parts).numpy()[answer_T[known_T]]
        return residual_TC


def cluster(network: LatadNetwork, train: Sequence[Series], seed: int) -> Latad | None:
    """K-means (scikit-learn) of the series' latents.

    None where no window fits, or where the latents have collapsed onto their centres.
    """
    from sklearn.cluster import KMeans

    z_SD = latents(network, train)
    if z_SD is None:
        return None
    count = min(CENTRES, len(np.unique(z_SD.numpy(), axis=0)))
    with one_thread():  # keeps the order of summation, and so the result, the same
        found = KMeans(count, n_init=2, random_state=seed).fit(z_SD.numpy())
    centre_ND = torch.from_numpy(found.cluster_centers_.astype(np.float32))
    ordinary = float(nearest(z_SD, centre_ND).mean())
    if ordinary < COLLAPSED:
        return None
    return Latad(network=network, centre_ND=centre_ND, ordinary=ordinary)


def window_ends(series: Series, *, trailing: bool) -> tuple[np.ndarray, np.ndarray]:
    """Last rows of the scored windows, ascending, and for each row the index of its window or -1.

    Both int64, the second (T,).
    """
    ends, answer_T, known = [np.zeros(0, np.int64)], np.full(series.rows, -1, np.int64), 0
    ahead = 0 if trailing else WINDOW // 2 + STRIDE // 2
    for first, last, number in numbered_segments(series, WINDOW):
        earliest = first + WINDOW - 1
        end_B = np.arange(earliest + -(number + WINDOW - 1) % STRIDE, last, STRIDE)
        if len(end_B) == 0:
            continue
        row_T = np.arange(end_B[0] if trailing else first, last)
        index_T = (row_T + ahead - end_B[0]) // STRIDE
        answer_T[row_T] = known + np.clip(index_T, 0, len(end_B) - 1)
        ends.append(end_B)
        known += len(end_B)
    return np.concatenate(ends), answer_T
