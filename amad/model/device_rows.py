"""The rows of a store in the memory of an accelerator, where windows are cut from them.

A window that is gathered on the host is scaled there and copied for each step, which takes as long
as a step of a small network on a GPU.

Shape legend: N rows of all vehicles, V vehicles, B windows in a batch, L steps, C channels.
"""

import numpy as np
import torch
from torch import Tensor

from amad.windows import WindowIndex, WindowStore

LARGEST_SHARE = 0.5  # of the accelerator's free memory that the rows may take


class DeviceRows:
    """All rows of a store, scaled, and which of their cells were measured.

    Example: ``x_BLC, valid_BLC = DeviceRows(store, device).windows(index, ids_B)``
    """

    def __init__(self, store: WindowStore, device: torch.device) -> None:
        first_V1 = _first_rows(store)
        shape = (int(first_V1[-1]), len(store.channels))
        self._first_V = torch.from_numpy(first_V1[:-1]).to(device)
        self._value_NC = torch.empty(shape, device=device)
        self._valid_NC = torch.empty(shape, dtype=torch.bool, device=device)
        for vehicle, first in zip(store.vehicles, first_V1, strict=False):
            series = store.scaled(vehicle)
            rows = slice(first, first + series.rows)
            self._value_NC[rows] = torch.from_numpy(series.value_TC).to(device)
            self._valid_NC[rows] = torch.from_numpy(series.valid_TC == 1).to(device)

    @classmethod
    def where_they_fit(cls, store: WindowStore, device: torch.device) -> "DeviceRows | None":
        """The rows on a GPU; None on a CPU, and where they would take too much of its memory."""
        if device.type != "cuda":
            return None
        needed = int(_first_rows(store)[-1]) * len(store.channels) * 5  # bytes: a float and a bool
        free, _ = torch.cuda.mem_get_info(device)
        return cls(store, device) if needed <= LARGEST_SHARE * free else None

    def windows(self, index: WindowIndex, ids_B: np.ndarray) -> tuple[Tensor, Tensor]:
        """x_BLC float32 and valid_BLC bool of some windows of an index of this store."""
        device = self._first_V.device
        vehicle_B = torch.from_numpy(index.vehicle_W[ids_B]).to(device)
        row_B = torch.from_numpy(index.row_W[ids_B]).to(device) + self._first_V[vehicle_B]
        row_BL = row_B[:, None] + torch.arange(index.window, device=device)
        return self._value_NC[row_BL], self._valid_NC[row_BL]


def _first_rows(store: WindowStore) -> np.ndarray:
    """The first row of each vehicle among those of all, and how many these are, int64 (V + 1,)."""
    rows = [entry["rows"] for entry in store.content["vehicles"].values()]
    return np.cumsum([0, *rows], dtype=np.int64)
