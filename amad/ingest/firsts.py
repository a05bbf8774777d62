"""What begins in a later file: columns that no channel reads, offsets of times, units."""

from collections.abc import Iterable

from amad.config.wording import some
from amad.reading.headers import tidy
from amad.reading.rows import FileParser
from amad.telemetry.manifest import Manifest

COLUMNS = (
    "{} has columns that no earlier file had, and no channel reads them: {}; to have one watched, "
    "make it a channel of the fleet file, with the first date that has it as its since"
)
OFFSET = (
    "{} has times {} an offset, as no earlier file had; those without one are read as of {}: look "
    "whether they are, and else set source.timestamp.timezone"
)
UNITS = (
    "{} tells a unit that no earlier file told, and the fleet file tells none: {}; look whether "
    "the earlier files are in it, and set the channel's unit, so that one in another is refused"
)


class Firsts:
    """Tells each of these once; nothing where it is not known what earlier files had.

    held: the manifest of the lake so far; one of an older amad does not know, until the lake is
    made anew. zone: that of times without an offset.
    """

    def __init__(self, held: Manifest, zone: str) -> None:
        self._tells = held.columns is not None
        self._knows = self._tells or not held.files
        self._zone = zone
        self._columns = {tidy(header): header for header in held.columns or ()}
        self._offsets = {*held.offsets}
        self._units = {*held.units}
        self._told: list[str] = []

    def add(self, path: str, file: FileParser | None) -> None:
        """Note what the next file has; None: it could not be opened."""
        if file is None:
            return
        new = {tidy(h): h for h in file.unread if tidy(h) not in self._columns}
        first = file.offsets - self._offsets if self._offsets else set()
        if self._tells:
            self._told += [COLUMNS.format(path, some(map(repr, new.values())))] if new else []
            self._told += [OFFSET.format(path, word, self._zone) for word in sorted(first)]
            if units := file.units.keys() - self._units:
                self._told.append(UNITS.format(path, some(sorted(units))))
        self._columns |= new
        self._offsets |= file.offsets
        self._units |= file.units.keys()

    def known(self) -> dict[str, list[str]]:
        """The fields of the manifest."""
        if not self._knows:
            return {}
        return {
            "columns": sorted(self._columns.values()),
            "offsets": sorted(self._offsets),
            "units": sorted(self._units),
        }

    def sentences(self) -> Iterable[str]:
        """What is told."""
        return self._told
