"""A folder of the storage on a node that does not share the disk of the driver."""

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import FileLock

from amad.config import ServiceError, Stage
from amad.config.digest import text_digest
from amad.storage.objects import Objects
from amad.storage.roots import fetch, read_manifest
from amad.storage.scratch import Scratch
from amad.storage.steps import storage_of
from amad.telemetry.files import staged
from amad.telemetry.temporary import user_folder

KEPT_SECONDS = 7 * 86_400  # a copy that nobody asked for meanwhile is removed by the next one


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFolder:
    """One version of a folder of a fleet.

    address: of the fleet's storage. name: of the artifact, such as ``data/store``. sha256: of its
    manifest.
    """

    address: str
    name: str
    sha256: str

    @classmethod
    def of(cls, stage: Stage, name: str) -> "StoredFolder | None":
        """The version that this disk was made equal to; None without a storage that has it."""
        address = storage_of(stage)
        if address is None:
            return None
        sha256 = Scratch(stage, Objects(address)).version_of(name)
        return cls(address=address, name=name, sha256=sha256) if sha256 else None

    def copy(self) -> Path:
        """The folder on this node, below its folder for temporary files; fetched by the first.

        Raises:
            ServiceError: the storage does not answer, or lacks an object or has a damaged one; or
                another user has made the folder.
        """
        copies = user_folder() / text_digest(self.address)
        copies.mkdir(exist_ok=True)
        place = copies / text_digest(self.name + self.sha256)
        with FileLock(copies / "copies.lock"):
            if not place.is_dir():
                for other in copies.iterdir():
                    if other.is_dir() and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                        shutil.rmtree(other)
                with staged(place, durable=False) as part:
                    self._fetch(part)
            os.utime(place)
        return place

    def _fetch(self, target: Path) -> None:
        objects = Objects(self.address)
        try:
            fetch(
                objects,
                read_manifest(objects, self.name, self.sha256),
                lambda path: target / PurePosixPath(path).relative_to(self.name),
                f"fetch {self.name} from {self.address}",
            )
        except FileNotFoundError as error:
            raise ServiceError(
                f"{self.address} does not have {self.name} any more as it was when this job began "
                f"({' '.join(str(error).split())[:200]}); run the command again"
            ) from None
