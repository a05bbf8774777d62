"""What the steps of a training see: windows of a store, what was measured in them, and masks.

Shape legend: T rows of a vehicle, B windows in a batch, L steps, C channels, W windows of an index.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from amad.config.params import Params
from amad.model.checkpoint import Reporter
from amad.model.device_rows import DeviceRows
from amad.model.losses import hidden_and_counted
from amad.model.masks import draw_mask
from amad.model.owners import Owners
from amad.windows import CALIBRATION, TRAIN, WindowIndex, WindowStore, epoch_batches

VALIDATION_WINDOWS = 512  # at most, evenly spaced over the calibration rows


class Windows:
    """The train and validation windows of a store, this rank's share of them, on its device."""

    def __init__(
        self, store: WindowStore, owners: Owners, params: Params, reporter: Reporter
    ) -> None:
        """owners: those of the network, by which each window names its vehicle's."""
        self.params, self.reporter = params, reporter
        self.channels = len(store.channels)
        self._owner = np.array(
            [owners.index(name, store.vehicle_class(name)) for name in store.vehicles]
        )
        window = params.model.window
        stride, apart = params.train.stride, window
        if params.model.direction == "past":
            # Only the last block of a window is predicted, so windows start at most a block apart.
            stride, apart = (min(n, params.mask.block) for n in (stride, apart))
        self.train = WindowIndex(store, window, stride, TRAIN)
        self.validation = WindowIndex(store, window, apart, CALIBRATION)
        count = min(len(self.validation), VALIDATION_WINDOWS)
        evenly = np.linspace(0, len(self.validation) - 1, count).astype(np.int64)
        self.validation_ids = evenly[reporter.rank :: reporter.world_size]
        self.per_epoch = min(params.train.windows_per_epoch(len(store.vehicles)), len(self.train))
        self._valid = [store.series(vehicle).valid_TC for vehicle in store.vehicles]
        self._on_device = DeviceRows.where_they_fit(store, reporter.device)

    @property
    def per_step(self) -> int:
        """This rank's windows in a step; the last of an epoch may have fewer."""
        rank, world_size = self.reporter.rank, self.reporter.world_size
        count = min(self.params.train.batch, self.per_epoch)
        return len(range(rank, count, world_size)) if count >= world_size else count

    def gather(self, index: WindowIndex, ids_B: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """x_BLC float32, valid_BLC bool and owner_B (long) of some windows."""
        device = self.reporter.device
        owner_B = torch.from_numpy(self._owner[index.vehicle_W[ids_B]]).to(device)
        if self._on_device is not None:
            return *self._on_device.windows(index, ids_B), owner_B
        x_BLC = torch.from_numpy(index.gather(ids_B)).to(device)
        valid_BLC = torch.from_numpy(measured(index, self._valid, ids_B)).to(device)
        return x_BLC, valid_BLC, owner_B

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Window ids of each step, of all ranks together."""
        settings = self.params
        return epoch_batches(self.train, settings.train.batch, settings.seed, epoch, self.per_epoch)

    def steps(
        self, batches: list[np.ndarray], epoch: int
    ) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor, float]]:
        """x_BLC, hidden_BLC, counted_BLC and owner_B of this rank's windows in each step.

        The last of the five is how many they are, as a ratio to the mean over the ranks. Masks are
        drawn for the global batch. In a step with fewer windows than ranks, each takes all of them.
        """
        mask, direction = self.params.mask, self.params.model.direction
        rank, world_size = self.reporter.rank, self.reporter.world_size
        generator = torch.Generator().manual_seed(seed_of(self.params.seed, epoch, -1))
        for ids_B in batches:
            shape = (len(ids_B), self.train.window, self.channels)
            mask_BLC, share = draw_mask(mask, shape, generator, direction), 1.0
            if len(ids_B) >= world_size:
                own_B, mask_BLC = ids_B[rank::world_size], mask_BLC[rank::world_size]
                ids_B, share = own_B, len(own_B) * world_size / len(ids_B)
            x_BLC, valid_BLC, owner_B = self.gather(self.train, ids_B)
            mask_BLC = mask_BLC.to(self.reporter.device)
            yield x_BLC, *hidden_and_counted(mask_BLC, valid_BLC), owner_B, share


def measured(index: WindowIndex, valid: Sequence[np.ndarray], ids_B: np.ndarray) -> np.ndarray:
    """Which cells of some windows were measured, bool (B, L, C). valid: valid_TC per vehicle."""
    pairs = zip(index.vehicle_W[ids_B], index.row_W[ids_B], strict=True)
    return np.stack([valid[vehicle][row : row + index.window] == 1 for vehicle, row in pairs])


def seed_of(seed: int, epoch: int, stream: int) -> int:
    """A seed of its own for each epoch and rank (stream -1: the masks, alike on all ranks)."""
    return int(np.random.SeedSequence([seed, epoch, stream + 1]).generate_state(1)[0])
