"""Columns that begin in a later file and are read by no channel, such as those of a new sensor."""

from collections.abc import Iterable, Iterator

from amad.config.wording import some
from amad.reading.headers import tidy

NEW = (
    "{} has columns that no earlier file had, and no channel reads them: {}; to have one watched, "
    "make it a channel of the fleet file, and add it to the older files without values"
)


class NewColumns:
    """Tells each such column once. known: those of earlier files; None if these are not known."""

    def __init__(self, known: Iterable[str] | None) -> None:
        self._tells = known is not None
        self.known = {tidy(header): header for header in known or ()}
        self._told: dict[str, list[str]] = {}  # path -> headers

    def add(self, path: str, unread: Iterable[str]) -> None:
        """Note the columns of the next file that are not read."""
        new = {tidy(header): header for header in unread if tidy(header) not in self.known}
        if new and self._tells:
            self._told[path] = [*new.values()]
        self.known |= new

    def sentences(self) -> Iterator[str]:
        """What is told of them."""
        for path, headers in self._told.items():
            yield NEW.format(path, some(map(repr, headers)))
