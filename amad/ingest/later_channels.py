"""Channels whose sensors came later, so that older raw files have no column for them."""

from collections.abc import Collection, Iterable, Mapping

from amad.config import DataError, Fleet
from amad.config.wording import count
from amad.reading.rows import FileParser
from amad.reading.times import date_of
from amad.telemetry.manifest import IngestedFile

CAME_LATER = (
    "no column for {} in {} read now, of {}: it is null there, and nothing is expected of it until "
    "the end of {} (its since in the fleet file)"
)
SINCE = (
    "{} refused only for want of a column for {}, which others have: if the sensor came later, add "
    "the first date with it to the channel in the fleet file, since: {}"
)
NOWHERE = (
    "fleet {}: no raw file has a column for {} ({}), although since says that its sensor came on "
    "{}: correct its column in the fleet file, or leave the channel out until there is a file with "
    "it. The lake stays as it is"
)


class LaterChannels:
    """Notes which files lack the columns of channels, and what follows from it.

    is_first: are all files read, so that it is seen where a column begins?
    """

    def __init__(self, fleet: Fleet, *, is_first: bool) -> None:
        self._fleet, self._is_first = fleet, is_first
        self._begins: dict[str, int] = {}  # vehicle -> its first day in files with all columns
        self._refused: dict[str, list[str | None]] = {}  # channel -> vehicle of each refused file
        self._files: dict[str, int] = {}  # channel -> files that were read without its column
        self._vehicles: dict[str, set[str]] = {}  # the same -> their vehicles

    def refused(self, parser: FileParser | None, channels: Iterable[str]) -> None:
        """Note a file that was refused. channels: for want of the columns of which alone."""
        for channel in channels:
            vehicle = None if parser is None else parser.vehicle
            self._refused.setdefault(channel, []).append(vehicle)

    def add(self, parser: FileParser | None, days: Mapping[str, Collection[int]]) -> None:
        """Note the next file. days: of the rows of each vehicle, since 1970-01-01."""
        for channel in parser.lacks if parser and any(days.values()) else ():
            self._files[channel] = self._files.get(channel, 0) + 1
            self._vehicles.setdefault(channel, set()).update(days)
        for vehicle, own in days.items():
            if own:
                self._begins[vehicle] = min(min(own), self._begins.get(vehicle, min(own)))

    def since(self) -> list[str]:
        """Sentences on the channels that may need the key, each with the line to add."""
        told = []
        for channel, vehicles in self._refused.items() if self._is_first else ():
            own = [self._begins[v] for v in vehicles if v in self._begins]
            if self._begins:
                day = date_of(max(own) if own else min(self._begins.values()))
                told.append(SINCE.format(count(len(vehicles), "file"), channel, day))
        return told

    def sentences(self) -> list[str]:
        """What is told of the files that were read now."""
        return [
            CAME_LATER.format(
                channel.name, count(self._files[channel.name], "file"),
                count(len(self._vehicles[channel.name]), "vehicle"), channel.since,
            )
            for channel in self._fleet.channels
            if channel.name in self._files
        ] + self.since()  # fmt: skip

    def check(self, files: Collection[IngestedFile]) -> None:
        """Check that some file of the lake has the column of each such channel.

        Raises:
            DataError: none has.
        """
        read = [file for file in files if file.refused is None]
        for channel in self._fleet.channels:
            if channel.since and read and all(channel.name in file.lacks for file in read):
                columns = ", ".join(map(repr, channel.headers))
                raise DataError(
                    NOWHERE.format(self._fleet.name, channel.name, columns, channel.since)
                )
