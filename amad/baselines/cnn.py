"""A small causal convolutional network that forecasts the next row of all channels.

Shape legend: T rows of a vehicle, B windows, L steps in a window, C channels, W width.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.baselines.network import NetworkMember, minimise, seeded
from amad.model.losses import squared_error
from amad.model.network import INPUT_LIMIT
from amad.windows.series import Series

HISTORY = 20  # rows that a forecast sees
TARGETS = 32  # forecasts per train window
WIDTH = 64
BATCH = 64
RATE = 3e-3
STEPS = 500


class Forecaster(nn.Module):
    """Two convolutions and a linear map: each row from the 20 before it, all channels together.

        forecast_BLC = Forecaster(channels=38)(x_BLC)      # of rows 20 to L, L - 19 of them

    The first convolution sees 5 rows. The second joins 4 of its outputs, 5 rows apart, and so sees
    each of 20 rows once. There is no padding, so it sees history alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(channels, WIDTH, kernel_size=5)
        self.far = nn.Conv1d(WIDTH, WIDTH, kernel_size=4, dilation=5)
        self.out = nn.Conv1d(WIDTH, channels, kernel_size=1)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """Forecasts of the row after each 20 rows; the last one is of the row after the window."""
        x_BCL = x_BLC.clamp(-INPUT_LIMIT, INPUT_LIMIT).transpose(1, 2)
        hidden_BWL = functional.gelu(self.near(x_BCL))
        hidden_BWL = functional.gelu(self.far(hidden_BWL))
        return self.out(hidden_BWL).transpose(1, 2)


class CnnMember(NetworkMember[Forecaster]):
    """The forecast's error; NaN in the first 20 rows of each segment. Causal."""

    context_rows = HISTORY

    def train_network(self, train: Sequence[Series]) -> Forecaster:
        """A few hundred steps of Adam on the squared error of measured values."""
        with seeded(self.seed):
            network = Forecaster(train[0].value_TC.shape[1])

        def loss(x_BLC: Tensor, valid_BLC: Tensor) -> Tensor:
            total, count = squared_error(
                x_BLC[:, HISTORY:], network(x_BLC[:, :-1]), valid_BLC[:, HISTORY:]
            )
            return total / count.clamp_min(1)

        minimise(
            network.parameters(), loss, train, window=HISTORY + TARGETS, stride=HISTORY,
            batch=BATCH, steps=STEPS, rate=RATE, seed=self.seed,
        )  # fmt: skip
        return network.eval()

    @torch.inference_mode()
    def predict_error(self, series: Series, coefficients: dict) -> np.ndarray:
        """x - x_hat (T, C), segment by segment."""
        assert self.network is not None, "fit or restore comes first"
        residual_TC = np.full(series.value_TC.shape, np.nan, np.float32)
        for first, last in series.segments():
            if last - first <= HISTORY:
                continue
            x_LC = torch.from_numpy(np.ascontiguousarray(series.value_TC[first:last]))
            forecast_LC = self.network(x_LC[None, :-1])[0]
            residual_TC[first + HISTORY : last] = (x_LC[HISTORY:] - forecast_LC).numpy()
        return residual_TC
