"""How much of what was sent was refused: of the whole lake, and of the files that are new.

A refused file counts with the rows that it would have had: its size divided by the bytes per row of
the files that were read. Otherwise a file of many rows would weigh as little as a single row.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import pyarrow.parquet as pq

from amad.config import DataError, Fleet
from amad.reading.batch import FileRefusedError
from amad.reading.rules import reading_rules
from amad.reading.vehicle_ids import vehicle_of_path
from amad.telemetry.artifact import Artifact
from amad.telemetry.files import listed
from amad.telemetry.lake import Lake
from amad.telemetry.manifest import IngestedFile

ALL_FILES, NEW_FILES = "all files", "files since the last validation that passed"
BYTES_PER_ROW = 50.0  # where no file was read whole


@dataclass(slots=True, kw_only=True)
class FileRefusals:
    """What was refused of one raw file.

    rows: sent, estimated where the file could not be read whole. reason: the most frequent
    one. whole: why the file, or the rest of it, was refused. new: not of the last validation that
    passed.
    """

    path: str
    rows: int
    refused_rows: int
    reason: str = ""
    whole: str | None = None
    new: bool = False

    @property
    def refused_share(self) -> float:
        """Of its rows."""
        return self.refused_rows / self.rows if self.rows else 0.0


@dataclass(slots=True, kw_only=True)
class Refusals:
    """What was refused of a set of files. reasons: reason -> rows, estimated as ``rows`` are."""

    scope: str
    files: int = 0
    refused_files: int = 0
    rows: int = 0
    refused_rows: int = 0
    reasons: Counter = field(default_factory=Counter)

    @classmethod
    def of(cls, scope: str, counted: Iterable[tuple[FileRefusals, dict[str, int]]]) -> Self:
        """The sums of these files and their refused rows by reason."""
        found = cls(scope=scope)
        for file, reasons in counted:
            found.files += 1
            found.refused_files += file.whole is not None
            found.rows += file.rows
            found.refused_rows += file.refused_rows
            found.reasons.update(reasons)
        return found

    @property
    def refused_share(self) -> float:
        """Of the rows sent."""
        return self.refused_rows / self.rows if self.rows else 0.0

    @property
    def refused_files_share(self) -> float:
        """Of the files."""
        return self.refused_files / self.files if self.files else 0.0

    def to_json(self) -> dict:
        """Plain values, the shares with them."""
        return asdict(self) | {
            "refused_share": self.refused_share,
            "refused_files_share": self.refused_files_share,
            "reasons": dict(self.reasons),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Each file, and the sums: of all files, and of the new ones where they are not all."""

    files: list[FileRefusals]
    scopes: list[Refusals]


class PassedFiles(Artifact):
    """The raw files of the lake when it last passed validation: path -> SHA-256.

    The file lies in ``runs/<fleet>``, so that a lake that is made anew does not lose it.
    """

    FILE: ClassVar[str] = "validated.json"
    REMEDY: ClassVar[str] = (
        "the next validation that passes makes it anew; until then new files are not judged apart "
        "from all files"
    )

    files: dict[str, str]

    @classmethod
    def of(cls, lake: Lake) -> Self:
        """The files that are in the lake now."""
        return cls(files={path: file.sha256 for path, file in lake.files.items()})


def intake_of(lake: Lake, passed: PassedFiles | None = None) -> Intake:
    """What was refused of the lake's raw files.

    If of several vehicles that have new files only one was refused more than the fleet file allows,
    its new files are left out of the sum: a logger whose clock is wrong is no reason to leave all
    others unscored. They are among the files, and each is named.

    passed: the files of the last validation that passed; None: none has.
    """
    counted = list(_counted(lake.files))
    scopes = [Refusals.of(ALL_FILES, counted)]
    if passed is not None:
        for file, _ in counted:
            file.new = passed.files.get(file.path) != lake.files[file.path].sha256
        new = [(file, reasons) for file, reasons in counted if file.new]
        alone = _alone([file for file, _ in new], lake.fleet)
        scope = f"{NEW_FILES}, without those of {alone}" if alone else NEW_FILES
        if alone:
            new = [(f, reasons) for f, reasons in new if _vehicle(f, lake.fleet) != alone]
        scopes.append(Refusals.of(scope, new))
    return Intake(files=[file for file, _ in counted], scopes=[s for s in scopes if s.files])


def much_refused(lake: Lake, fleet: Fleet) -> list[FileRefusals]:
    """The files that were refused, whole or in more rows than the fleet file allows."""
    return [file for file in intake_of(lake).files if _is_much(file, fleet)]


def files_of(vehicle: str, refused: list[FileRefusals], fleet: Fleet) -> list[str]:
    """The paths of the refused files that may hold rows of the vehicle."""
    return [file.path for file in refused if _vehicle(file, fleet) in (None, vehicle)]


def example(rejected: Path, reason: str, files: Collection[str]) -> str | None:
    """The first refused row of a reason of these files in ``rejected/``, with the whole reason.

    Raises:
        DataError: a file there is damaged; names it and the way out.
    """
    for path in listed(rejected, "*.parquet"):
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(columns=["file", "row", "reason"]):
                    for row in batch.to_pylist():
                        if row["reason"].split(":")[0] == reason and row["file"] in files:
                            at = "" if row["row"] is None else f", row {row['row']}"
                            return f"{row['file']}{at}: {row['reason']}"
        except (OSError, ValueError) as error:
            raise DataError(
                f"{path} is damaged ({' '.join(str(error).split())}); run 'amad ingest --rebuild'"
            ) from None
    return None


def too_many(intake: Intake, fleet: Fleet, rejected: Path) -> str | None:
    """One sentence on the first set of files of which too much was refused; None where none is."""
    limit = fleet.quality.max_refused_share
    for scope in intake.scopes:
        of = "" if scope.scope == ALL_FILES else f" of the {scope.scope}"
        said = []
        if scope.refused_share > limit:
            said.append(
                f"{_percent(scope.refused_share)} of the rows{of} "
                f"({_about(intake)}{scope.refused_rows:,} of {scope.rows:,})"
            )
        if scope.refused_files_share > limit:
            said.append(f"{scope.refused_files:,} of {scope.files:,} files{of}")
        if said:
            reason, rows = scope.reasons.most_common(1)[0]
            files = {f.path for f in intake.files if f.new or scope.scope == ALL_FILES}
            shown = example(rejected, reason, files)
            return (
                f"{' and '.join(said)} were refused, most often: {reason} ({rows:,} rows)"
                + (f"; for example {shown}" if shown else "")
                + f". At most {_percent(limit)} may be (quality.max_refused_share); all stand in "
                f"{rejected}. Mend the files or the source section of the fleet file, then run "
                "'amad ingest'"
            )
    return None


def _counted(files: Mapping[str, IngestedFile]) -> Iterator[tuple[FileRefusals, dict[str, int]]]:
    """Each file and its refused rows by reason; not those that were delivered twice."""
    whole = [file for file in files.values() if not file.refused and file.rows]
    read_bytes, read_rows = sum(file.bytes for file in whole), sum(file.rows for file in whole)
    per_row = read_bytes / read_rows if read_rows and read_bytes else BYTES_PER_ROW
    for path, file in sorted(files.items()):
        if file.copy_of:
            continue
        rows, reasons = file.rows, dict(file.rejected)
        if file.refused:
            more = max(rows, round(file.bytes / per_row)) - rows
            name = file.refused.split(":")[0]
            rows += more
            reasons[name] = reasons.get(name, 0) + more
        yield (
            FileRefusals(
                path=path,
                rows=rows,
                refused_rows=sum(reasons.values()),
                reason=max(reasons, key=lambda name: reasons[name], default=""),
                whole=file.refused,
            ),
            reasons,
        )


def _alone(new: Sequence[FileRefusals], fleet: Fleet) -> str | None:
    """The only one of several vehicles whose new files were refused more than is allowed."""
    vehicles = {_vehicle(file, fleet) for file in new} - {None, ""}
    refused = {_vehicle(file, fleet) for file in new if _is_much(file, fleet)}
    return next(iter(refused)) or None if len(refused) == 1 < len(vehicles) else None


def _is_much(file: FileRefusals, fleet: Fleet) -> bool:
    """Was more of the file refused than the fleet file allows?"""
    return file.whole is not None or file.refused_share > fleet.quality.max_refused_share


def _vehicle(file: FileRefusals, fleet: Fleet) -> str | None:
    """The vehicle of all rows of a file; None if something within it tells, "" if nothing does."""
    try:
        return vehicle_of_path(reading_rules(fleet), file.path)
    except FileRefusedError:
        return ""


def _about(intake: Intake) -> str:
    """Rows of a file that was refused whole are estimated."""
    return "about " if any(file.whole for file in intake.files) else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
