"""SHA-256 of files that are checked every night, remembered as long as a file is not changed.

A file is hashed again when its size, its inode or one of its times has changed. The kernel sets the
time of the last change (ctime), so no writer can keep the old one.
"""

from contextlib import suppress
from pathlib import Path

from amad.config import DataError
from amad.config.digest import file_sha256
from amad.telemetry.files import SEAL, read_json, write_json


class Checksums:
    """Hashes of files below a folder, remembered in a file, by default ``checksums.json`` there.

    If that file is missing or damaged, every file is hashed again.
    """

    def __init__(self, root: Path, memory: Path | None = None) -> None:
        self._root, self._memory = root, memory or root / "checksums.json"
        self._known: dict[str, list] = {}
        with suppress(DataError):
            self._known = read_json(self._memory, "delete it", keys=[SEAL]) or {}
        self._seen: dict[str, list] = {}

    def of(self, file: Path) -> str | None:
        """The file's hash; None if the file is missing or cannot be read."""
        try:
            found = file.stat()
            state = [found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns]
            name = str(file.relative_to(self._root))
            known = self._seen.get(name) or self._known.get(name)
            if not known or known[:-1] != state:
                known = [*state, file_sha256(file)]
        except OSError:
            return None
        self._seen[name] = known
        return known[-1]

    def save(self, *, keep: bool = False) -> None:
        """Remember the files asked for since this object was made.

        keep: also those that were remembered before and are still there.
        """
        if keep:
            for name, known in self._known.items():
                if name not in self._seen and (self._root / name).is_file():
                    self._seen[name] = known
        write_json(self._memory, self._seen, sealed=True)
