"""The draft tried on the sample: what ingest would read of it, and what it would refuse."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from amad.config import Fleet
from amad.draft.sample import Sampled
from amad.reading.date_line import DateLine
from amad.reading.readers import FileRefusedError, read_batches
from amad.reading.rows import CleanRows, FileParser
from amad.reading.rules import PARTS, reading_rules
from amad.reading.times import DAY_US

HOUR_US = 3_600_000_000
NEAR = 10  # usual steps
FEWEST_AGAIN = 5  # rows that are in two files, which show that these are of one vehicle
MOST_CONTRADICT = 0.1  # share of such rows that may contradict each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """N clean rows of all files, file after file, with the values of the draft's C channels."""

    paths: list[str]  # of the files, by their numbers
    run_F: np.ndarray  # of each file; files of one run follow each other in the folder
    file_N: np.ndarray  # int64, the number of the file, rising
    vehicle_N: np.ndarray  # str
    time_N: np.ndarray  # int64 microseconds UTC
    value_NC: np.ndarray  # float64, NaN where there is no value
    reasons: Counter  # reason -> refused rows
    refused: dict[str, str]  # path of a refused file -> why
    nulls: Counter  # channel -> cells with one of its words for "no value", in rows that were read
    short: dict[str, int]  # path -> rows with fewer fields than the header
    out_of_line: list[str]  # what is told of dates that may be the other way round

    @property
    def rows(self) -> int:
        """Rows that were read."""
        return len(self.time_N)

    @property
    def vehicles(self) -> int:
        """Vehicles whose rows were read."""
        return len(np.unique(self.vehicle_N))

    @property
    def repeats(self) -> int:
        """Rows that contradict an earlier row of their vehicle and time."""
        key = pd.DataFrame({"vehicle": self.vehicle_N, "time": self.time_N})
        again_N = key.duplicated(keep=False).to_numpy()
        if not again_N.any():
            return 0
        values = pd.DataFrame(self.value_NC[again_N])
        key = key[again_N].reset_index(drop=True)
        first = values.groupby([key["vehicle"], key["time"]], sort=False).transform("first")
        differs_N = ((values != first) & values.notna() & first.notna()).any(axis=1)
        return int(differs_N.sum())

    @property
    def tells_twice(self) -> bool:
        """Are rows of one time in files of different spans, and do hardly any contradict?

        Of a sparse log few rows of one time tell the same channel, so these alone count, unless the
        files have no channel in common.
        """
        key = pd.DataFrame({"vehicle": self.vehicle_N, "time": self.time_N, "file": self.file_N})
        of_file = key["time"].groupby(self.file_N)
        key["first"], key["last"] = of_file.transform("min"), of_file.transform("max")
        spans = key.drop(columns="file").drop_duplicates()
        again = int(spans.duplicated(["vehicle", "time"]).sum())
        if again < FEWEST_AGAIN:
            return False
        several_N = key.groupby(["vehicle", "time"])["file"].transform("nunique").gt(1).to_numpy()
        number_N = key[several_N].groupby(["vehicle", "time"]).ngroup().to_numpy()
        told_NC = pd.DataFrame(~np.isnan(self.value_NC))
        fills_NC = told_NC.groupby(self.file_N).transform("max")[several_N]
        once_N = ~pd.DataFrame({"time": number_N, "file": self.file_N[several_N]}).duplicated()
        if not _twice(
            fills_NC[once_N.to_numpy()], number_N[once_N]
        ):  # the files complete each other
            return True
        again = min(again, _twice(told_NC[several_N], number_N))
        return again >= FEWEST_AGAIN and self.repeats <= MOST_CONTRADICT * again

    @property
    def shows_twelve_hours(self) -> bool:
        """Is no hour 0 or above 12, and does the clock go from 12 back to 1 in a file?"""
        hour_N = self.time_N // HOUR_US % 24
        back_N = np.diff(self.time_N) // HOUR_US
        from_12_N = (hour_N[:-1] == 12) & (hour_N[1:] == 1) & (np.diff(self.file_N) == 0)
        in_order = bool(len(hour_N)) and hour_N.min() >= 1 and hour_N.max() <= 12
        return bool(in_order and np.any(from_12_N & (back_N >= -12) & (back_N < -10)))

    @property
    def midnights(self) -> list[tuple[str, bool]]:
        """The files whose rows go on over midnight on the same date, and are newest rows first.

        A row is then nearly a day off the one beside it, and outside of all times before it.
        """
        key = pd.DataFrame({"file": self.file_N, "vehicle": self.vehicle_N})
        of_log_N = key.groupby(["file", "vehicle"]).ngroup().to_numpy()
        order_N = np.argsort(of_log_N, kind="stable")
        step_N, same_N = np.diff(self.time_N[order_N]), np.diff(of_log_N[order_N]) == 0
        nearly_N = same_N & (np.abs(np.abs(step_N) - DAY_US) < HOUR_US)
        found = []
        for log in np.unique(of_log_N[order_N][1:][nearly_N]):
            at_T = np.flatnonzero(of_log_N == log)
            time_T = self.time_N[at_T]
            back = bool(np.median(np.diff(time_T)) < 0)
            time_T = -time_T if back else time_T
            step_T = np.diff(time_T)
            usual = np.median(step_T[step_T > 0]) if (step_T > 0).any() else 0
            before_T = np.minimum.accumulate(time_T)[:-1] - time_T[1:]
            if np.any((np.abs(step_T + DAY_US) <= NEAR * usual) & (before_T > NEAR * usual)):
                found.append((self.paths[self.file_N[at_T[0]]], back))
        return found

    @property
    def recordings(self) -> tuple[np.ndarray, np.ndarray]:
        """The places (N,) of the rows, recording after recording, and their recordings (N,).

        A recording is a vehicle's rows of a file, in time order: in files, vehicles take turns and
        rows come late.
        """
        key = pd.DataFrame({"file": self.file_N, "vehicle": self.vehicle_N})
        number_N = key.groupby(["file", "vehicle"]).ngroup().to_numpy()
        order_N = np.lexsort((self.time_N, number_N))
        return order_N, number_N[order_N]

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last time of each file."""
        of_files = pd.Series(self.time_N).groupby(self.file_N).agg(["min", "max"])
        return list(of_files.itertuples(index=False, name=None))


def try_out(fleet: Fleet, folder: Path, samples: list[Sampled], parts: dict[str, str]) -> Trial:
    """Read the samples with the fleet file; ``parts`` tells the part of each file."""
    reasons: Counter = Counter()
    nulls: Counter = Counter()
    refused: dict[str, str] = {}
    short: dict[str, int] = {}
    index_rows: dict[str, int] = {}
    dates = DateLine(reading_rules(fleet).timestamp, {})
    file: list[int] = []
    read: list[CleanRows] = []
    order = sorted(samples, key=lambda s: (PARTS.index(parts[s.path]), s.path))
    for number, sample in enumerate(order):
        part = parts[sample.path]
        try:
            parser = FileParser(fleet, sample.path, part, index_rows, folder / sample.path)
            for rows in _rows(parser, fleet, sample, reasons):
                file.append(number)
                read.append(rows)
                dates.add(sample.path, rows)
            nulls.update(parser.nulls)
            if parser.short:
                short[sample.path] = parser.short
        except FileRefusedError as error:  # the rows before the fault stay
            refused[sample.path] = str(error)
    names = [np.array(rows.vehicles, object)[rows.code_T] for rows in read]
    values = [rows.value_TC for rows in read]
    times = [np.zeros(0, np.int64), *(rows.timestamp_T for rows in read)]
    every = sorted(parts, key=lambda path: (PARTS.index(parts[path]), path))
    place = {path: at for at, path in enumerate(every)}
    return Trial(
        paths=[sample.path for sample in order],
        run_F=np.array([place[sample.path] - at for at, sample in enumerate(order)]),
        file_N=np.repeat(np.array(file, np.int64), [len(rows.timestamp_T) for rows in read]),
        vehicle_N=np.concatenate([np.zeros(0, object), *names]).astype(str),
        time_N=np.concatenate(times),
        value_NC=np.concatenate([np.zeros((0, len(fleet.channels))), *values]),
        reasons=reasons,
        refused=refused,
        nulls=nulls,
        short=short,
        out_of_line=dates.sentences(),
    )


def _twice(told_NC: pd.DataFrame, number_N: np.ndarray) -> int:
    """In how many groups of rows, by their numbers, does a channel stand in several rows?"""
    return int(told_NC.groupby(number_N).sum().gt(1).any(axis=1).sum())


def _rows(
    parser: FileParser, fleet: Fleet, sample: Sampled, reasons: Counter
) -> Iterator[CleanRows]:
    seen = 0
    for batch in read_batches(sample.file, reading_rules(fleet), parser.resolve):
        clean, bad = parser.parse(batch)
        yield clean
        reasons.update(row.reason for row in bad)
        seen += len(batch.row_R)
        if seen >= sample.rows and not sample.whole:
            break
    parser.finish()
