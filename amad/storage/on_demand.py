"""Files that this disk gets from the storage when they are read: the parts of the lake.

A night reads a day or two of a lake that may hold years.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from amad.config import ServiceError
from amad.storage.objects import Objects
from amad.storage.roots import FileContent, file_key
from amad.telemetry import lake

# Artifact -> which of the files in its folders still belong to it, by what lies on this disk. What
# lies directly in the artifact is fetched at once.
ON_DEMAND: dict[str, Callable[[Path], set[Path]]] = {"data/lake": lake.named_files}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFiles:
    """The files of one version of an artifact; it can be sent to another process.

    address: of the fleet's storage. name: of the artifact. place: its folder on this disk. files:
    by path, with the artifact's name.
    """

    address: str
    name: str
    place: Path
    files: Mapping[str, FileContent]

    def __call__(self, path: Path) -> bool:
        """Bring a file to its place; False where the artifact has none of this path.

        Raises:
            ServiceError: the storage does not answer, or the file is gone or damaged there.
        """
        name = f"{self.name}/{path.relative_to(self.place).as_posix()}"
        file = self.files.get(name)
        if file is None:
            return False
        try:
            Objects(self.address).download(file_key(name, file.sha256), path, file.sha256)
        except FileNotFoundError:
            raise ServiceError(
                f"{self.address} does not have {name} any more as it was when this command began; "
                "run the command again"
            ) from None
        return True
