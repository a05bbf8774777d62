"""The list of refused rows that an ingest writes to ``rejected/``."""

from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amad.config import DataError
from amad.reading.row_times import iso
from amad.telemetry.schemas import REJECTED

CHUNK_ROWS = 20_000
MOST = 10  # vehicles of a file whose refused rows the manifest counts apart


class RejectedLog:
    """Writes refused rows to one Parquet file of the schema REJECTED, and counts them by reason."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(path, REJECTED, compression="zstd")
        self._rows: list[tuple] = []
        self.counts: dict[str, Counter] = defaultdict(Counter)  # file -> reason -> rows
        self._of: dict[str, dict[str, Counter]] = {}  # file -> vehicle -> reason -> rows
        self.ahead: dict[str, str] = {}  # file -> the first time that lay in the future
        self.first: tuple[str, str] | None = None  # reason and content of the first one
        self.first_rows: dict[str, str] = {}  # reason -> the first row, and what is told of it
        self.first_files: dict[str, str] = {}  # the same of the files that were refused whole

    def add(
        self,
        file: str,
        row: int | None,
        reason: str,
        content: str | None,
        ahead_us: int | None = None,
        vehicle: str | None = None,
    ) -> None:
        """Note a row, or with ``row`` None a whole file, as refused.

        What follows a colon in ``reason`` is detail and not counted apart. ahead_us: the row's
        time, if it is refused as one of the future. vehicle: the row's, where that is known.
        """
        kind, _, detail = reason.partition(":")
        self.counts[file][kind] += 1
        if vehicle is not None:
            self._of.setdefault(file, {}).setdefault(vehicle, Counter())[kind] += 1
        firsts = self.first_files if row is None else self.first_rows
        if kind not in firsts:
            which = file if row is None else f"row {row} of {file}"
            firsts[kind] = which + f":{detail}" * bool(detail)
        if ahead_us is not None:
            at = iso(ahead_us)
            self.ahead[file] = min(at, self.ahead.get(file, at))
        where = file if row is None else f"{file}, row {row}"
        self.first = self.first or (f"{where}: {reason}", content or "")
        self._rows.append((file, row, reason, content))
        if len(self._rows) >= CHUNK_ROWS:
            self._flush()

    def most_refused(self, file: str) -> dict[str, dict[str, int]]:
        """The ``MOST`` vehicles with most refused rows of a file: vehicle -> reason -> rows."""
        of = self._of.get(file, {})
        most = sorted(of, key=lambda vehicle: (-of[vehicle].total(), vehicle))[:MOST]
        return {vehicle: dict(of[vehicle]) for vehicle in most}

    def nothing_read(self, fleet: str, files: int) -> DataError:
        """The error where not one row of so many files could be read."""
        reason, content = self.first or ("the files hold no rows", "")
        return DataError(
            f"fleet {fleet}: not one row of {files} raw files could be read. First: {reason}. "
            f"{f'The row: {content[:300]}. ' if content else ''}Mend the files, or the fleet "
            "file's source section"
        )

    def close(self) -> None:
        """Write the rest."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        rows = [dict(zip(REJECTED.names, row, strict=True)) for row in self._rows]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=REJECTED))
        self._rows = []
