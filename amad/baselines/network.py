"""What the baselines with a trained network share: one network of the fleet, and its training.

Shape legend: T rows of a vehicle, B windows in a batch, L steps in a window, C channels.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from amad.detect.members.member import Arrays, TrainedMember
from amad.model.batches import measured
from amad.model.training import AdamW, learning_rate, minimising_step
from amad.windows.sampler import WindowIndex
from amad.windows.series import Series

CLIP = 1.0  # the largest norm of a step's gradient

Network = TypeVar("Network", bound=nn.Module)


class NetworkMember(TrainedMember, Generic[Network]):
    """A member with one network for all owners of figures.

    One that is fitted by itself, outside a detector, trains on its first owner's series.
    """

    def __init__(self, name: str, *, seed: int) -> None:
        super().__init__(name)
        self.seed = seed
        self.network: Network | None = None

    @abstractmethod
    def train_network(self, train: Sequence[Series]) -> Network | None:
        """A network fitted to these scaled series, in evaluation mode.

        The same seed gives the same weights. None where the series are too short to train on.
        """

    def fit_shared(self, train: Sequence[Series]) -> None:
        """Train the network."""
        self.network = self.train_network(train)

    def fit(
        self, owner: str, train: Sequence[Series], folds: int, prior: Arrays | None = None
    ) -> list[np.ndarray]:
        """The residuals of the network as it is."""
        if self.network is None:
            self.fit_shared(train)
        return super().fit(owner, train, folds, prior)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's random numbers within the body; those of the caller stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def minimise(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[Tensor, Tensor], Tensor],
    train: Sequence[Series],
    *,
    window: int,
    stride: int,
    batch: int,
    steps: int,
    rate: float,
    seed: int,
) -> None:
    """``steps`` of Adam on batches of train windows drawn by seed.

    loss: a scalar of x_BLC (scaled, float32) and valid_BLC (bool, what was measured). rate: the
    highest learning rate, as in ``amad.model.training.learning_rate``.

    Raises:
        DataError: no window fits into any segment.
    """
    index = WindowIndex(train, window, stride)
    parameters = [p for p in parameters if p.requires_grad]
    optimiser = AdamW(parameters, weight_decay=0.0)
    rng = np.random.default_rng(seed)
    valid = [series.valid_TC for series in train]
    for step in range(steps):
        ids_B = rng.integers(len(index), size=batch)
        valid_BLC = measured(index, valid, ids_B)
        value = loss(torch.from_numpy(index.gather(ids_B)), torch.from_numpy(valid_BLC))
        minimising_step(
            optimiser, parameters, value, rate=learning_rate(step, steps, rate), clip=CLIP
        )
