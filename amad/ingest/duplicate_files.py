"""Raw files that were delivered twice: under another name, with the same content.

All rows of the second are refused as repeats. But they say nothing of the day that they are of, nor
of how the logger writes, so they count in no share that is judged; the file is named instead.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from amad.config import Fleet
from amad.ingest.raw_files import RawFile
from amad.reading.rules import reading_rules
from amad.reading.vehicle_ids import vehicle_of_path
from amad.telemetry.manifest import IngestedFile


class Copies:
    """Knows the content of the files that gave rows. files: of the new manifest, by path."""

    def __init__(
        self, fleet: Fleet, files: Mapping[str, IngestedFile], stays: Iterable[str]
    ) -> None:
        self._rules = reading_rules(fleet)
        # Elsewhere the path, or the place among other files, tells times too.
        self._looks = self._rules.timestamp.take == "column"
        self._files = files
        self._paths_of: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.paths: set[str] = set()  # of the copies that were found
        for path in sorted(stays):
            self._paths_of[files[path].sha256, files[path].part].append(path)

    def original_of(self, file: RawFile) -> str | None:
        """The file before it that this one is a copy of: of the same vehicle, if paths tell those.

        The path of ``file`` names its vehicle, or a column does.
        """
        if not self._looks or file.error:
            return None
        for path in self._paths_of[file.sha256, file.part]:
            owners = {vehicle_of_path(self._rules, name) for name in (path, file.path)}
            if self._files[path].rows and len(owners) == 1:
                self.paths.add(file.path)
                return path
        self._paths_of[file.sha256, file.part].append(file.path)
        return None
