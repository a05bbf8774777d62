"""What becomes of a file without the columns of some channels.

It is refused, as a column with another name would else be missing in silence. A channel whose
sensor came later (``since``) may be lacking, and null, until the end of that date (UTC); a later
row of such a file is refused.

Shape legend: R rows of a batch.
"""

from collections.abc import Collection, Mapping

import numpy as np

from amad.config import Channel
from amad.reading.batch import FileRefusedError
from amad.reading.headers import Headers, are_values
from amad.reading.times import day_of
from amad.reading.units import IN_ANOTHER

NO_HEADER = "if that is a row, the file has no header: put that of the other files before it"
ADD_IT = (
    "where it has another name for one, list both as the channel's column; where the sensor came "
    "later, set the channel's since to that date; else leave these channels out of the fleet file, "
    "or out of some vehicle classes"
)
TOO_LATE = (
    ", and lies after its since, {}: set since to a later date if the sensor came later; if the "
    "column has another name, list both as the channel's column"
)


def refuse_lacking(
    absent: Mapping[str, str], required: Collection[str], due: Collection[Channel], there: Headers
) -> None:
    """Refuse a file that lacks a required column, or has one of a channel in another unit.

    absent: name of a channel or of a role -> the column that was not found. due: channels that the
    file may only lack if their sensor came later.

    Raises:
        FileRefusedError: says what the file lacks, and what it has.
    """
    missing = {name: header for name, header in absent.items() if name in required}
    channels = {channel.name for channel in due} & absent.keys()
    is_channel = missing.keys() <= channels
    for name in sorted(channels) if is_channel else ():
        if other := there.in_another_unit(absent[name]):
            raise FileRefusedError(f"another unit: {IN_ANOTHER.format(other, absent[name])}")
    if missing:
        way_out = NO_HEADER if are_values(there.told) else ADD_IT if is_channel else ""
        told = _told(missing, there) + f"; {way_out}" * bool(way_out)
        raise FileRefusedError(told, missing if is_channel else ())


def is_due(channel: Channel, day_R: np.ndarray) -> np.ndarray:
    """Shall these rows have the channel's column? bool (R,). day_R: days since 1970-01-01, UTC."""
    return np.ones(len(day_R), bool) if channel.since is None else day_R > day_of(channel.since)


def no_column(channel: Channel) -> str:
    """Why a row of a vehicle that has the channel is refused in a file without its column."""
    told = f"the file has no column for {channel.name}"
    return told if channel.since is None else told + TOO_LATE.format(channel.since)


def _told(missing: Mapping[str, str], there: Headers) -> str:
    names, headers = (", ".join(map(repr, texts)) for texts in (missing.values(), there.told))
    return f"missing column: {names} not among the headers {headers}"
