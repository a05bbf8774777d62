"""Checkpoints of a training run, and where its epochs are reported to.

The learning rate, the order of the windows, the masks and the random numbers are functions of
(seed, epoch), so the weights, the optimiser and the epochs so far are all that a resume needs.
"""

import pickle
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch

from amad.config import DataError
from amad.config.digest import file_sha256
from amad.config.params import ModelParams
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.telemetry.files import full_disk_named, staged

# The hash is needed because torch reads a damaged file as if it were sound.
STATE, HASH = "state.pt", "state.sha256"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A training after some of its epochs.

    digest: of everything that the weights depend on. channels, owners, block: what ``Amad`` is
    built with, beside its settings. epochs: the metrics of each. objective, optimiser: their state
    dicts.
    """

    digest: str
    channels: int
    owners: Owners
    block: int
    epochs: list[dict]
    objective: dict
    optimiser: dict

    def write(self, folder: Path) -> None:
        """Write the files of the checkpoint into a folder that exists."""
        with full_disk_named(folder / STATE):
            torch.save(vars(self) | {"owners": asdict(self.owners)}, folder / STATE)
            (folder / HASH).write_text(file_sha256(folder / STATE), encoding="ascii")

    @classmethod
    def read(
        cls, folder: Path, device: torch.device | str = "cpu", digest: str | None = None
    ) -> "Checkpoint":
        """Read what ``write`` wrote, without the code that a pickle may hold.

        digest: that the checkpoint must have; default: any.

        Raises:
            DataError: a file is missing or damaged, or the digest is another.
        """
        path = Path(folder) / STATE
        try:
            known = (path.parent / HASH).read_text(encoding="ascii", errors="replace")
            if file_sha256(path) != known:
                raise OSError("its content is not what was written")
            content = torch.load(path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                f"{path}: no readable checkpoint ({str(error).splitlines()[0]}); "
                "remove its folder to train from the start"
            ) from None
        if digest is not None and content["digest"] != digest:
            raise DataError(
                f"{folder}: the checkpoint was made by other settings, data or code (digest "
                f"{content['digest']}, this run's is {digest}); give the run another folder, or "
                "remove it"
            )
        return cls(**content | {"owners": Owners(**content["owners"])})

    def network(self, params: ModelParams) -> Amad:
        """The trained network, on the CPU, ready to score. params: those it was trained with."""
        network = Amad(self.channels, params, self.owners, self.block)
        weights = {
            name.removeprefix("network."): weight
            for name, weight in self.objective.items()
            if name.startswith("network.")
        }
        network.load_state_dict(weights)
        return network.eval()


class Reporter(Protocol):
    """What runs a training: this process, torchrun, Ray Train or a trial of Ray Tune.

    rank, world_size: of this worker. device: what it trains on.
    """

    rank: int
    world_size: int
    device: torch.device

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """Take the metrics of an epoch and, from rank 0, a checkpoint folder to keep a copy of.

        Every rank calls it once per epoch; it may wait for the others.
        """

    def latest(self, digest: str) -> Checkpoint | None:
        """The checkpoint to go on from, with this digest; None at the start.

        Raises:
            DataError: it cannot be read, or has another digest.
        """


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

    def latest(self, digest: str) -> Checkpoint | None:
        """The kept checkpoint, if there is one; see ``Reporter``."""
        return Checkpoint.read(self._kept, self.device, digest) if self._kept.is_dir() else None
