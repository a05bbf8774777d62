"""The draft tried on the sample: what ingest would read of it, and what it would refuse.

Shape legend: T clean rows of a file, C channels of the draft.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amad.config import Fleet
from amad.draft.sample import Sampled
from amad.reading.readers import FileRefusedError, read_batches
from amad.reading.rows import CleanRows, FileParser
from amad.reading.rules import PARTS, reading_rules


@dataclass(slots=True, kw_only=True)
class Tried:
    """One file's rows, as ingest reads them."""

    path: str
    vehicle_T: np.ndarray  # str
    timestamp_T: np.ndarray  # int64 microseconds
    value_TC: np.ndarray


@dataclass(slots=True)
class Trial:
    """What came of all files."""

    files: list[Tried] = field(default_factory=list)
    reasons: Counter = field(default_factory=Counter)  # of refused rows
    refused: dict[str, str] = field(default_factory=dict)  # of files

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return sum(len(file.timestamp_T) for file in self.files)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last time of each file."""
        told = [file.timestamp_T for file in self.files if len(file.timestamp_T)]
        return [(int(time_T.min()), int(time_T.max())) for time_T in told]


def try_out(fleet: Fleet, folder: Path, samples: list[Sampled], parts: dict[str, str]) -> Trial:
    """Read the samples with the fleet file; ``parts`` tells the part of each file."""
    trial = Trial()
    index_rows: dict[str, int] = {}
    order = sorted(samples, key=lambda s: (PARTS.index(parts[s.path]), s.path))
    for sample in order:
        _try(fleet, folder, sample, parts[sample.path], index_rows, trial)
    return trial


def _try(
    fleet: Fleet,
    folder: Path,
    sample: Sampled,
    part: str,
    index_rows: dict[str, int],
    trial: Trial,
) -> None:
    try:
        parser = FileParser(fleet, sample.path, part, index_rows, file=folder / sample.path)
    except FileRefusedError as error:
        trial.refused[sample.path] = str(error)
        return
    clean: list[CleanRows] = []
    seen = 0
    try:
        for batch in read_batches(sample.file, reading_rules(fleet), parser.resolve):
            good, bad = parser.parse(batch)
            clean.append(good)
            trial.reasons.update(row.reason for row in bad)
            seen += len(batch.row_R)
            if seen >= sample.rows and not sample.whole:
                break
        parser.finish()
    except FileRefusedError as error:  # of a file that breaks off, what came before stays
        trial.refused[sample.path] = str(error)
    names = [np.array(rows.vehicles, object)[rows.code_T] for rows in clean if len(rows.code_T)]
    kept = [rows for rows in clean if len(rows.code_T)]
    if kept:
        trial.files.append(
            Tried(
                path=sample.path,
                vehicle_T=np.concatenate(names).astype(str),
                timestamp_T=np.concatenate([rows.timestamp_T for rows in kept]),
                value_TC=np.concatenate([rows.value_TC for rows in kept]),
            )
        )
