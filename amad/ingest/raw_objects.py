"""Raw files in an object store: fingerprints by ETag, and only what is read comes to this disk.

What an object's content was is remembered with its ETag in ``runs/<fleet>/raw_objects.json``, so an
object that has not changed is not downloaded again, on no machine that follows the same storage.
"""

from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from amad.config import DataError, Fleet, Settings
from amad.config.digest import file_sha256
from amad.ingest.escaped_names import escaped, unescaped
from amad.storage.objects import Listed, Objects
from amad.telemetry.files import read_json, write_json


class RawObjects:
    """The objects below ``source.folder``, by path as ``escaped`` writes it.

    Raises a ServiceError where the object store does not answer or refuses.
    """

    def __init__(self, fleet: Fleet, settings: Settings) -> None:
        self._objects = Objects(fleet.source.folder)
        self._folder = fleet.source_folder(settings)
        self._memory = settings.runs_dir(fleet.name) / "raw_objects.json"
        self.listed: dict[str, Listed] = {
            escaped(item.key): item for item in self._objects.list() if not item.key.endswith("/")
        }
        found: dict = {}
        with suppress(DataError):  # then everything is downloaded once more
            found = read_json(self._memory, "") or {}
        same = found.get("folder") == fleet.source.folder
        self._known: dict[str, list] = found.get("files", {}) if same else {}
        self._address = fleet.source.folder

    def names(self, glob: str) -> list[str]:
        """The paths that a glob matches, as ``Path.glob`` does, sorted."""
        parts = [part for part in glob.split("/") if part != "."]
        return sorted(path for path in self.listed if _matches(unescaped(path).split("/"), parts))

    def hashes(self, paths: Iterable[str]) -> dict[str, str]:
        """The SHA-256 of each; an object that is new or has changed is downloaded for it."""
        paths = list(paths)
        new = [path for path in paths if self._state(path) != self._known.get(path, [])[:-1]]

        def learn(path: str) -> None:
            listed = self.listed[path]
            sha256 = self._objects.download(listed.key, self._place(path))
            self._known[path] = [*self._state(path), sha256]

        self._objects.all_at_once(learn, new, f"fetch raw files from {self._address}")
        known = {path: self._known[path] for path in paths}
        if new or set(self._known) != set(known):
            self._known = known
            write_json(self._memory, {"folder": self._address, "files": known})
        return {path: known[path][-1] for path in paths}

    def bring(self, hashes: dict[str, str]) -> None:
        """Have these files on this disk, by path with the hash that each must have.

        Raises:
            ServiceError: one has changed since it was listed.
        """

        def differs(path: str) -> bool:
            with suppress(OSError):
                return file_sha256(self._place(path)) != hashes[path]
            return True

        self._objects.all_at_once(
            lambda path: self._objects.download(unescaped(path), self._place(path), hashes[path]),
            [path for path in hashes if differs(path)],
            f"fetch raw files from {self._address}",
        )

    def _state(self, path: str) -> list:
        return [self.listed[path].size, self.listed[path].etag]

    def _place(self, path: str) -> Path:
        return self._folder / unescaped(path)


def _matches(path: list[str], glob: list[str]) -> bool:
    if not glob:
        return not path
    if glob[0] == "**":
        return any(_matches(path[n:], glob[1:]) for n in range(len(path)))
    return bool(path) and fnmatchcase(path[0], glob[0]) and _matches(path[1:], glob[1:])
