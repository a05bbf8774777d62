"""How much of what was sent was refused: of the whole lake, and of the files that are new.

A refused file counts with the rows that it would have had: its size divided by the bytes per row of
the files that were read. Otherwise a file of many rows would weigh as little as a single row.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import DataError, Fleet
from amad.config.wording import count, some
from amad.reading.batch import FileRefusedError
from amad.reading.rules import reading_rules
from amad.reading.times import AHEAD
from amad.reading.vehicle_ids import NO_CLASS, vehicle_of_path
from amad.telemetry.artifact import Artifact
from amad.telemetry.files import listed
from amad.telemetry.lake import Lake
from amad.telemetry.manifest import IngestedFile

ALL_FILES, NEW_FILES = "all files", "files since the last validation that passed"
BYTES_PER_ROW = 50.0  # where no file was read whole


@dataclass(slots=True, kw_only=True)
class FileRefusals:
    """What was refused of one raw file.

    rows: sent, estimated where the file could not be read whole. reasons: reason -> rows. whole:
    why the file, or the rest of it, was refused. new: not of the last validation that passed.
    vehicle: that these rows name, where they are a part of the file.
    """

    path: str
    rows: int
    reasons: dict[str, int]
    whole: str | None = None
    new: bool = False
    vehicle: str | None = None

    @property
    def refused_rows(self) -> int:
        """Rows that were refused."""
        return sum(self.reasons.values())

    @property
    def reason(self) -> str:
        """The most frequent one."""
        return max(self.reasons, key=lambda name: self.reasons[name], default="")

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
    def of(cls, scope: str, counted: Collection[FileRefusals]) -> Self:
        """The sums of these files, or of the parts of them that are given."""
        found = cls(scope=scope, files=len({file.path for file in counted}))
        for file in counted:
            found.refused_files += file.whole is not None
            found.rows += file.rows
            found.refused_rows += file.refused_rows
            found.reasons.update(file.reasons)
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

    If of several vehicles only one was refused more than the fleet file allows, its rows are left
    out of a sum once a validation has passed: a logger whose clock is wrong is no reason to leave
    all others unscored. Its files are among the files, and it is named.

    passed: the files of the last validation that passed; None: none has.
    """
    files = list(_counted(lake.files))
    if passed is None:
        scopes = [Refusals.of(ALL_FILES, files)]
    else:
        for file in files:
            file.new = passed.files.get(file.path) != lake.files[file.path].sha256
        new = [file for file in files if file.new]
        scopes = [_without_one(ALL_FILES, files, lake), _without_one(NEW_FILES, new, lake)]
    return Intake(files=files, scopes=[scope for scope in scopes if scope.files])


def kind_of(reason: str) -> str:
    """The reason of a refusal without what it says of the single file or row."""
    return reason.partition(":")[0]


def much_refused(lake: Lake, fleet: Fleet) -> list[FileRefusals]:
    """The files of which more was refused than the fleet file allows, or the whole.

    Where rows name their vehicles, also what was refused so of a vehicle; not the file then.
    """
    files = list(_counted(lake.files))
    parts = [part for part in _parts(files, lake) if part.vehicle and _is_much(part, fleet)]
    told = {part.path for part in parts}
    much = [
        file for file in files if _is_much(file, fleet) and (file.whole or file.path not in told)
    ]
    return [*much, *parts]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRun:
    """Files that were read, and of which much was refused for one reason, of one vehicle.

    files: in the order in which they came.
    """

    files: list[FileRefusals]

    @property
    def name(self) -> str:
        """The same however many files follow the first."""
        return self._named([self.files[0].path])

    @property
    def subject(self) -> str:
        """Whose rows, and in which files."""
        return self._named([file.path for file in self.files])

    @property
    def text(self) -> str:
        """The rest of the sentence."""
        has = "have" if len(self.files) > 1 and not self.files[0].vehicle else "has"
        sums = Refusals.of("", self.files)
        return (
            f"{has} {sums.refused_rows:,} of {count(sums.rows, 'row')} refused, most often: "
            f"{self.files[0].reason}"
        )

    def _named(self, paths: list[str]) -> str:
        vehicle = self.files[0].vehicle
        return f"{vehicle} in {some(paths)}" if vehicle else some(paths)


def refused_runs(refused: list[FileRefusals], lake: Lake, fleet: Fleet) -> list[RefusedRun]:
    """The files of which much was refused, and not the whole, by vehicle and reason.

    A logger whose clock is ahead sends such a file every night, which is one finding. It is over
    once an ingest has brought rows of the vehicle and no such file. refused: of ``much_refused``.
    """
    much = [file for file in refused if file.whole is None]
    much.sort(key=lambda file: (lake.files[file.path].ingest, file.path))
    if not much:
        return []
    bad, sound = dict[str, set[int]](), dict[str, set[int]]()  # by vehicle; "" is of any
    runs: dict[tuple[str, str], list[FileRefusals]] = {}
    for file in much:
        vehicle = _vehicle(file, fleet) or ""
        bad.setdefault(vehicle, set()).add(lake.files[file.path].ingest)
        runs.setdefault((vehicle, file.reason), []).append(file)
    for row in (row for row in _origins(lake, lake.files).to_pylist() if row["rows_sum"]):
        for vehicle in ("", row["vehicle"]):
            sound.setdefault(vehicle, set()).add(lake.files[row["path"]].ingest)
    found = []
    for (vehicle, _), files in runs.items():
        over = max(sound.get(vehicle, set()) - bad[vehicle], default=-1)
        if lasting := [file for file in files if lake.files[file.path].ingest > over]:
            found.append(RefusedRun(files=lasting))
    return found


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
                        if kind_of(row["reason"]) == reason and row["file"] in files:
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
        of = "" if scope.scope == ALL_FILES else f" of the {scope.scope.removeprefix('all ')}"
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
            files = {f.path for f in intake.files if f.new or scope.scope.startswith(ALL_FILES)}
            shown = example(rejected, reason, files)
            return (
                f"{' and '.join(said)} were refused, most often: {reason} ({rows:,} rows)"
                + (f"; for example {shown}" if shown else "")
                + f". At most {_percent(limit)} may be (quality.max_refused_share); all stand in "
                f"{rejected}. {_remedy(reason)}, then run 'amad ingest'"
            )
    return None


def _remedy(reason: str) -> str:
    if reason == AHEAD:
        return "Set the clocks of this machine and of the loggers right"
    return "Mend the files or the source section of the fleet file"


def _counted(files: Mapping[str, IngestedFile]) -> Iterator[FileRefusals]:
    """Each file; not those that were delivered twice."""
    whole = [file for file in files.values() if not file.refused and file.rows]
    read_bytes, read_rows = sum(file.bytes for file in whole), sum(file.rows for file in whole)
    per_row = read_bytes / read_rows if read_rows and read_bytes else BYTES_PER_ROW
    for path, file in sorted(files.items()):
        if file.copy_of:
            continue
        rows, reasons = file.rows, dict(file.rejected)
        if file.refused:
            more = max(rows, round(file.bytes / per_row)) - rows
            name = kind_of(file.refused)
            rows += more
            reasons[name] = reasons.get(name, 0) + more
        yield FileRefusals(path=path, rows=rows, reasons=reasons, whole=file.refused)


def _without_one(scope: str, files: Sequence[FileRefusals], lake: Lake) -> Refusals:
    """The sums of the files, without the only one of several vehicles that was refused too much."""
    of: dict[str | None, list[FileRefusals]] = {}
    for part in _parts(files, lake):
        of.setdefault(_vehicle(part, lake.fleet), []).append(part)
    given = Counter[str]()
    for row in _origins(lake, [file.path for file in files]).to_pylist():
        given[row["vehicle"]] += row["rows_sum"]
    wrong = []
    for vehicle, own in of.items():
        refused = sum(part.refused_rows for part in own)
        sent = given[vehicle] + refused if vehicle else sum(part.rows for part in own)
        whole = any(part.whole for part in own)
        if whole or refused > lake.fleet.quality.max_refused_share * sent:
            wrong.append(vehicle)
    if len(wrong) != 1 or not wrong[0] or not {name for name in given if given[name]} - {*wrong}:
        return Refusals.of(scope, files)
    rest = [part for vehicle, own in of.items() if vehicle != wrong[0] for part in own]
    return Refusals.of(f"{scope}, without those of {wrong[0]}", rest)


def _origins(lake: Lake, paths: Collection[str]) -> pa.Table:
    """Of these files: path, vehicle and the rows that the lake has of both (rows_sum)."""
    table = lake.origins()
    table = table.filter(pc.is_in(table["path"], pa.array(sorted(paths), pa.string())))
    return table.group_by(["path", "vehicle"]).aggregate([("rows", "sum")])


def _parts(files: Iterable[FileRefusals], lake: Lake) -> Iterator[FileRefusals]:
    """The files; one whose refused rows name their vehicles as parts, and the rest of it.

    A part is what was sent by one of these vehicles. The rest has no vehicle.
    """
    split = dict[str, FileRefusals]()
    for file in files:
        known = lake.files[file.path]
        if not file.whole and (known.rejected_of or known.unknown):
            split[file.path] = file
        else:
            yield file
    given = {
        (row["path"], row["vehicle"]): row["rows_sum"]
        for row in (_origins(lake, split).to_pylist() if split else [])
    }
    for path, file in split.items():
        known = lake.files[path]
        unknown = {vehicle: {NO_CLASS: rows} for vehicle, rows in known.unknown.items()}
        rest, rows = Counter(file.reasons), file.rows
        for vehicle, own in (unknown | known.rejected_of).items():
            sent = given.get((path, vehicle), 0) + sum(own.values())
            rest.subtract(own)
            rows -= sent
            yield FileRefusals(path=path, vehicle=vehicle, rows=sent, reasons=own, new=file.new)
        yield FileRefusals(path=path, rows=max(0, rows), reasons=dict(+rest), new=file.new)


def _is_much(file: FileRefusals, fleet: Fleet) -> bool:
    """Was more of the file refused than the fleet file allows?"""
    return file.whole is not None or file.refused_share > fleet.quality.max_refused_share


def _vehicle(file: FileRefusals, fleet: Fleet) -> str | None:
    """The vehicle of all these rows; None if something in the file tells, "" if nothing does."""
    return path_vehicle(file.path, fleet) if file.vehicle is None else file.vehicle


def path_vehicle(path: str, fleet: Fleet) -> str | None:
    """The vehicle of a file; None if something in the file tells, "" if its path does not."""
    try:
        return vehicle_of_path(reading_rules(fleet), path)
    except FileRefusedError:
        return ""


def _about(intake: Intake) -> str:
    """Rows of a file that was refused whole are estimated."""
    return "about " if any(file.whole for file in intake.files) else ""


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
