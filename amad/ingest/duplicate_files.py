"""Raw files that were delivered twice: under another name, with the same content.

All rows of the second are refused as repeats. But they say nothing of the day that they are of, nor
of how the logger writes, so they count in no share that is judged; the file is named instead.
"""

from collections.abc import Iterable, Mapping

from amad.config import Fleet
from amad.reading.rows import vehicle_of_path
from amad.reading.rules import reading_rules


class Copies:
    """Knows the content of the files that gave rows. files: the manifest's entries by path."""

    def __init__(self, fleet: Fleet, files: Mapping[str, dict], stays: Iterable[str]) -> None:
        self._rules = reading_rules(fleet)
        # Elsewhere the path, or the place among other files, tells times too.
        self._looks = self._rules.timestamp.take == "column"
        self._files = files
        self._paths_of: dict[tuple[str, str], list[str]] = {}
        self.paths: set[str] = set()  # of the copies that were found
        for path in sorted(stays):
            self._add(files[path], path)

    def original_of(self, file: dict) -> str | None:
        """The file before it that this one is a copy of: of the same vehicle, if paths tell those.

        file: as ``fingerprint`` lists it; its own vehicle is told.
        """
        if not self._looks or "error" in file:
            return None
        for path in self._paths_of.get((file["sha256"], file["part"]), []):
            owners = {vehicle_of_path(self._rules, name) for name in (path, file["path"])}
            if self._files[path]["rows"] and len(owners) == 1:
                self.paths.add(file["path"])
                return path
        self._add(file, file["path"])
        return None

    def _add(self, file: dict, path: str) -> None:
        self._paths_of.setdefault((file["sha256"], file["part"]), []).append(path)
