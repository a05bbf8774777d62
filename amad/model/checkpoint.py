"""Checkpoints of a training run, and where its epochs are reported to.

A checkpoint is a folder with ``state.pt`` (plain tensors, numbers and strings, read without
pickle's code) and its hash in ``state.sha256``: torch reads a damaged file as if it were sound.
Learning rate, order of the windows, masks and random numbers are functions
of (seed, epoch), so that the weights, the optimiser and the epoch are all that a resume needs.
"""

import pickle
import shutil
from pathlib import Path
from typing import Protocol

import torch

from amad.config import DataError
from amad.config.digest import file_sha256
from amad.config.params import ModelParams
from amad.model.levels import Levels
from amad.model.network import Amad
from amad.telemetry.files import full_disk_named, staged

STATE, HASH = "state.pt", "state.sha256"


class Reporter(Protocol):
    """What runs a training: this process, torchrun, Ray Train or a trial of Ray Tune.

    rank, world_size: of this worker. device: what it trains on.
    """

    rank: int
    world_size: int
    device: torch.device

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """Take the metrics of an epoch and, from rank 0, a checkpoint folder to keep a copy of.

        Every rank calls it once an epoch; it may wait for the others.
        """

    def latest(self) -> Path | None:
        """The folder of the checkpoint to go on from; None at the start."""


class LocalReporter:
    """Keeps the newest checkpoint in ``folder``; rank and world size from torch.distributed."""

    def __init__(self, folder: Path, device: str | torch.device = "cpu") -> None:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else 0
        self.world_size = torch.distributed.get_world_size() if distributed else 1
        self.device = torch.device(device)
        self._kept = Path(folder) / "checkpoint"

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """Keep a copy of the checkpoint, in one piece."""
        if checkpoint is not None:
            with staged(self._kept) as stage:
                shutil.copytree(checkpoint, stage)
        if self.world_size > 1:
            torch.distributed.barrier()

    def latest(self) -> Path | None:
        """The kept checkpoint, if there is one."""
        return self._kept if self._kept.is_dir() else None


def save_checkpoint(folder: Path, state: dict) -> None:
    """Write ``state`` (tensors, numbers, strings, lists and dicts of them) into ``folder``."""
    with full_disk_named(folder / STATE):
        torch.save(state, folder / STATE)
        (folder / HASH).write_text(file_sha256(folder / STATE), encoding="ascii")


def load_checkpoint(folder: Path, device: torch.device | str = "cpu") -> dict:
    """Read what ``save_checkpoint`` wrote.

    Raises:
        DataError: the file is missing or broken.
    """
    path = Path(folder) / STATE
    try:
        if file_sha256(path) != (path.parent / HASH).read_text(encoding="ascii", errors="replace"):
            raise OSError("its content is not what was written")
        return torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(
            f"{path}: no readable checkpoint ({str(error).splitlines()[0]}); "
            "remove its folder to train from the start"
        ) from None


def require_digest(state: dict, digest: str, folder: Path) -> None:
    """Refuse a checkpoint that other settings, data or code have made.

    Raises:
        DataError: the digests differ.
    """
    if state["digest"] != digest:
        raise DataError(
            f"{folder}: the checkpoint was made by other settings, data or code (digest "
            f"{state['digest']}, this run's is {digest}); give the run another folder, or remove it"
        )


def restore_network(folder: Path, params: ModelParams) -> Amad:
    """The network of a checkpoint, on the CPU, ready to score.

    Raises:
        DataError: there is no readable checkpoint.
    """
    state = load_checkpoint(folder)
    network = Amad(state["channels"], params, Levels.from_json(state["levels"]), state["block"])
    weights = {
        name.removeprefix("network."): weight
        for name, weight in state["objective"].items()
        if name.startswith("network.")
    }
    network.load_state_dict(weights)
    return network.eval()
