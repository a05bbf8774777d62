"""The window store for workers on any node of a cluster.

Workers import this module, and not MLflow, which takes a second.
"""

import socket
from dataclasses import dataclass
from pathlib import Path

from amad.config import DataError, ServiceError, Stage
from amad.storage.copies import StoredFolder
from amad.windows import WindowStore


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOnNodes:
    """The store of a training or a sweep: where the driver has it, or a copy of the node's own.

    path: on the disk of the driver. digest: of the store. stored: where a node without that disk
    gets it from; None where the store is in no storage.
    """

    path: Path
    digest: str
    stored: StoredFolder | None

    @classmethod
    def of(cls, stage: Stage, store: WindowStore) -> "StoreOnNodes":
        """The store of a fleet. A local Ray has no other nodes."""
        other_nodes = stage.profile.address is not None
        return cls(
            path=store.path,
            digest=store.digest,
            stored=StoredFolder.of(stage, "data/store") if other_nodes else None,
        )

    def here(self) -> Path:
        """The folder of the store on this node.

        Raises:
            ServiceError: the driver's disk is not mounted here, and no storage has the store.
        """
        if self._is_at(self.path):
            return self.path
        if self.stored is not None:
            copy = self.stored.copy()
            if self._is_at(copy):
                return copy
        raise ServiceError(
            f"node {socket.gethostname()} does not see the window store of the driver at "
            f"{self.path}, and no storage has it; set storage: in the profile, or mount the folder "
            "on every node under the same path"
        )

    def _is_at(self, path: Path) -> bool:
        try:
            return WindowStore.open(path).digest == self.digest
        except (DataError, OSError):
            return False
