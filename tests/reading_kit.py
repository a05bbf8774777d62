"""What a reader makes of a small file: rows by number, cells, refused lines, counts."""

from dataclasses import dataclass, field
from pathlib import Path

from amad.config.source import Source
from amad.reading.readers import FileRefusedError, read_batches


def source(**changes: object) -> Source:
    """CSV files, unless the changes say otherwise."""
    return Source.model_validate({"format": "csv", "files": [{"glob": "*"}]} | changes)


def everything(headers: list[str]) -> dict[str, int]:
    """Ask for each column of the file, whatever it has."""
    return {name: position for position, name in enumerate(headers)}


def only(*names: str):
    """Ask for these columns; a file without one of them is refused."""

    def resolve(headers: list[str]) -> dict[str, int]:
        told = [header.strip() for header in headers]
        missing = [name for name in names if name not in told]
        if missing:
            raise FileRefusedError(f"missing column: {missing} not among {told}")
        return {name: told.index(name) for name in names}

    return resolve


@dataclass
class Seen:
    """All batches of a file, one after the other."""

    rows: dict[int, tuple] = field(default_factory=dict)  # number: cells
    broken: dict[int, str] = field(default_factory=dict)  # number: reason
    texts: list[str] = field(default_factory=list)  # of the broken lines
    ignored: dict[str, int] = field(default_factory=dict)
    preambles: list[list[str]] = field(default_factory=list)  # one per batch
    refused: str = ""  # why the rest of the file is


def seen(path: Path, rules: Source, resolve=everything) -> Seen:
    """Read a file to its end or to where it is refused."""
    result = Seen()
    try:
        for batch in read_batches(path, rules, resolve):
            cells = [column.to_pylist() for column in batch.columns.values()]
            told = zip(batch.row_R.tolist(), zip(*cells, strict=True), strict=True)
            for number, row in told:
                assert number not in result.rows
                result.rows[number] = row
            result.broken |= {number: reason for number, reason, _ in batch.broken}
            result.texts += [text for *_, text in batch.broken]
            for what, count in batch.ignored.items():
                result.ignored[what] = result.ignored.get(what, 0) + count
            result.preambles.append(batch.preamble)
    except FileRefusedError as error:
        result.refused = str(error)
    return result
