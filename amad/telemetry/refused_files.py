"""Raw files that were refused, by vehicle and reason: what goes on every night is one finding."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from amad.config import Fleet
from amad.config.wording import some
from amad.reading.day_month import DATE, TO_MINUTES
from amad.telemetry.ingest_result import RefusedFile
from amad.telemetry.lake import Lake
from amad.telemetry.refusals import kind_of, path_vehicle

PARTITION = re.compile(r"(?<![^/=])\d+(?=/)")  # a folder such as 05 or month=05


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedSeries:
    """Files of one vehicle that are refused now, for one reason. name: see ``refused_series``."""

    name: str
    files: list[RefusedFile]

    @property
    def subject(self) -> str:
        """Which files."""
        return some([file.path for file in self.files])

    @property
    def text(self) -> str:
        """The rest of the sentence."""
        return f"{'were' if len(self.files) > 1 else 'was'} refused: {self.files[-1].reason}"


def refused_series(refused: Sequence[RefusedFile], lake: Lake, fleet: Fleet) -> list[RefusedSeries]:
    """The files that are refused now, by vehicle and reason.

    The name of a series is the path of its first file, also where that is gone now, so that it
    stays as it is while files follow. A series ends where an ingest has read files of the vehicle
    and refused none. A vehicle that no path tells is known by the paths without their dates.
    """
    all_of: dict[tuple[str, str], list[tuple[int, str]]] = {}  # owner, reason -> ingest, path
    bad, sound = dict[str, set[int]](), dict[str, set[int]]()
    for path, file in lake.files.items() if refused else ():
        owner = _owner(path, fleet)
        if file.refused:
            all_of.setdefault((owner, kind_of(file.refused)), []).append((file.ingest, path))
            bad.setdefault(owner, set()).add(file.ingest)
        elif file.rows_given:
            sound.setdefault(owner, set()).add(file.ingest)
    for series in all_of.values():
        series.sort()
    over = {owner: sorted(ingests - bad.get(owner, set())) for owner, ingests in sound.items()}
    found: dict[str, list[RefusedFile]] = {}
    for item in refused:
        owner, name = _owner(item.path, fleet), item.path
        if item.path in lake.files:
            ends, mine = over.get(owner, []), all_of.get((owner, kind_of(item.reason)), [])
            at = bisect_left(ends, lake.files[item.path].ingest)
            since = ends[at - 1] if at else -1
            first = bisect_left(mine, (since + 1, ""))
            name = mine[first][1] if first < len(mine) else name
        found.setdefault(name, []).append(item)
    return [RefusedSeries(name=name, files=files) for name, files in found.items()]


def _owner(path: str, fleet: Fleet) -> str:
    return path_vehicle(path, fleet) or PARTITION.sub("#", DATE.sub("#", TO_MINUTES.sub("#", path)))
