"""Vehicle-days and rows of the lake so far that the new one no longer has."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from amad.config import DataError
from amad.config.wording import count
from amad.ingest.refused_rows import RejectedLog
from amad.telemetry.files import read_table
from amad.telemetry.lake import DAYS, DAYS_FILE
from amad.telemetry.manifest import Manifest

Held = Sequence[tuple[str, date, int]]  # vehicle, date, rows
Days = Mapping[tuple[str, date], dict]  # by vehicle and date, of the schema DAYS
MOST = 600  # characters of a reason

GONE = (
    "fleet {}: the fleet file has changed, and by it {} of {:,} of the lake would be gone ({} on "
    "{}{}), with {:,} of its {:,} rows{}. Correct the fleet file, or run 'amad ingest --rebuild' "
    "to go on without them. The lake stays as it is"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """A lake that was written under another fleet file. rejected: reason -> rows."""

    days: Held
    rejected: Counter[str]

    @classmethod
    def of(cls, lake: Path, manifest: Manifest) -> "Former":
        """That in a folder; without days where its table of them is damaged."""
        days: Held = []
        with suppress(DataError):
            columns = read_table(lake / DAYS_FILE, DAYS, Manifest.REMEDY).to_pydict()
            days = list(zip(columns["vehicle"], columns["date"], columns["rows"], strict=True))
        return cls(days=days, rejected=_summed(f.rejected for f in manifest.files.values()))

    def refuse_to_lose(
        self, fleet: str, days: Days, log: RejectedLog, ways_out: Sequence[str]
    ) -> None:
        """Refuse a fleet file by which whole vehicle-days can no longer be read.

        Rows that get another vehicle or date are not lost. days: of the lake to be. log: what is
        refused now. ways_out: sentences on what may help.

        Raises:
            DataError: says how many would be gone, and why.
        """
        gone = [(vehicle, day) for vehicle, day, _ in self.days if (vehicle, day) not in days]
        before, now = sum(rows for *_, rows in self.days), sum(r["rows"] for r in days.values())
        if not gone or now >= before:
            return
        why = ""
        for kind, more in (_summed(log.counts.values()) - self.rejected).most_common(1):
            first = log.first_files.get(kind) or log.first_rows.get(kind, "")
            why = f": {count(more, 'row or file', 'rows or files')} more refused, {kind}: {first}"
        raise DataError(
            GONE.format(
                fleet, count(len(gone), "vehicle-day"), len(self.days), *gone[0],
                ", ..." * (len(gone) > 1), before - now, before,
                ". ".join([why[:MOST], *ways_out]),
            )
        )  # fmt: skip


def _summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return total


def days_lost(held: Held, days: Days) -> str:
    """A sentence on the rows that the lake no longer has; "" where no vehicle-day has fewer rows.

    A file that was corrected may hold less than before.
    """
    now = ((v, d, rows, days[v, d]["rows"] if (v, d) in days else 0) for v, d, rows in held)
    lost = [(v, d, rows - left, left) for v, d, rows, left in now if left < rows]
    if not lost:
        return ""
    vehicle, day, *_ = lost[0]
    whole = sum(left == 0 for *_, left in lost)
    return (
        f"{sum(gone for _, _, gone, _ in lost):,} rows of {count(len(lost), 'vehicle-day')}"
        f"{f', {whole:,} of them whole,' if whole else ''} have left the lake ({vehicle} on {day}"
        f"{', ...' if len(lost) > 1 else ''}): the files that gave them have changed and no longer "
        "hold them"
    )
