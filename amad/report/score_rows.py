"""The score rows of one vehicle after the other, as the plots of a page need them.

A table of scores has a row group per vehicle, so in a large fleet it takes longer to read what
describes the table than to read a vehicle. Here each table is described once.
"""

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.scores.partitions import REWRITE
from amad.telemetry.files import damaged
from amad.telemetry.schemas import SCORES, check

COLUMNS = ("vehicle", "timestamp", "score", "threshold")


class ScoreRows:
    """Reads from the tables of dates, which it keeps open."""

    def __init__(self) -> None:
        self._opened: dict[Path, _Table] = {}

    def of(self, vehicle: str, file: Path, day: date) -> pa.Table:
        """``COLUMNS`` of the rows of a vehicle on a date.

        Raises:
            DataError: the date's table is damaged or missing.
        """
        try:
            if file not in self._opened:
                self._opened[file] = _Table(file)
            return self._opened[file].rows(vehicle)
        except PermissionError:
            raise
        except (OSError, pa.ArrowException) as error:
            raise damaged(file, REWRITE.format(day), str(error)) from None


class _Table:
    def __init__(self, file: Path) -> None:
        self._path, self._file = file, pq.ParquetFile(file, page_checksum_verification=True)
        about, names = self._file.metadata, self._file.schema_arrow.names
        if "vehicle" not in names:
            raise pa.ArrowInvalid("it has no column vehicle")
        groups = [about.row_group(n) for n in range(about.num_row_groups)]
        held = [(n, group.column(names.index("vehicle"))) for n, group in enumerate(groups)]
        # First and last vehicle of each row group; one without rows has none.
        self._vehicles = {n: (c.statistics.min, c.statistics.max) for n, c in held if c.num_values}

    def rows(self, vehicle: str) -> pa.Table:
        own = [n for n, (first, last) in self._vehicles.items() if first <= vehicle <= last]
        table = self._file.read_row_groups(own, columns=COLUMNS, use_threads=False)
        table = check(table, pa.schema(map(SCORES.field, COLUMNS)), str(self._path))
        return table.filter(pc.equal(table["vehicle"], vehicle))
