"""The files of a checkpoint of Ray, for a process that reads it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from amad.telemetry.temporary import temporary_folder

if TYPE_CHECKING:
    from ray.train import Checkpoint


@contextmanager
def own_copy(checkpoint: "Checkpoint") -> Iterator[Path]:
    """A folder with the files of the checkpoint, for this process alone.

    The folder of Ray's own ``as_directory`` belongs to all processes of a node, and one of them may
    fetch the files anew while another one reads them.
    """
    with temporary_folder("checkpoint") as folder:
        yield Path(checkpoint.to_directory(folder))
