"""Rows that arrive after newer rows of their vehicle, counted by vehicle and day.

Rows of one time count as one: in some formats they become one row of the lake, and a file may have
one signal after the other. So a time is late if its first row is.
"""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np

from amad.reading.rows import DAY_US, CleanRows

KEPT_BYTES = 16 << 20  # of a file's times, before they go to the disk
KEY = 1 << 32  # more than there are days


class Lateness:
    """Counts late rows, file by file.

    A row is late if it is older than another that stood before it in its file, or than a row of an
    earlier file, provided that its own file also brings newer ones: a file that lies in the past as
    a whole is a backfill, and nothing in it is late.

    Nothing is counted before the file has been read, since only then is it known on which days the
    clock was wrong. Until then the times are kept, in ``folder`` where they are many.
    """

    def __init__(self, newest: Mapping[str, int], folder: Path) -> None:
        self.newest = dict(newest)  # vehicle -> newest time in the files before
        self.counts: Counter = Counter()  # (vehicle, day) -> late rows
        self._folder = folder
        self._kept: tempfile.SpooledTemporaryFile | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._start()

    def add(self, rows: CleanRows) -> None:
        """Keep the next rows of the current file."""
        if len(rows.timestamp_T) == 0:
            return
        numbers = self._numbers
        number_V = np.array([numbers.setdefault(name, len(numbers)) for name in rows.vehicles])
        number_T = number_V[rows.code_T]
        day_T = rows.timestamp_T // DAY_US
        key_T = number_T * KEY + day_T
        if (np.diff(key_T) >= 0).all() and (np.diff(rows.timestamp_T) >= 0).all():
            order_T = np.arange(len(key_T))
        else:
            order_T = np.lexsort((rows.timestamp_T, number_T))  # so by day too
            key_T = key_T[order_T]
        start_D = np.flatnonzero(np.diff(key_T, prepend=-1))
        count_D = np.diff(start_D, append=len(key_T))
        for at, count in zip(order_T[start_D].tolist(), count_D.tolist(), strict=True):
            days = self.days[rows.vehicles[rows.code_T[at]]]
            first_us, before = days.get(int(day_T[at]), (int(rows.timestamp_T[at]), 0))
            days[int(day_T[at])] = (min(first_us, int(rows.timestamp_T[at])), before + count)
        if self._kept is None:
            self._kept = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (_start closes it)
                KEPT_BYTES, dir=str(self._folder)
            )
        np.save(self._kept, np.stack([number_T, rows.timestamp_T]))
        self._batches += 1

    def end_file(self, wrong_days: Mapping[str, set[int]]) -> None:
        """The current file is read: count its late rows.

        wrong_days: vehicle -> days on which its clock was wrong; they are left out.
        """
        newest: dict[str, int] = {}  # vehicle -> newest time in the file
        late: dict[str, list[np.ndarray]] = defaultdict(list)
        older: dict[str, Counter] = defaultdict(Counter)  # times older than the files before
        for vehicle, late_T, ordered_T in self._again(wrong_days):
            late[vehicle].append(np.unique(late_T))
            older_T = ordered_T[ordered_T < self.newest.get(vehicle, -1)]
            older[vehicle].update(_per_day(vehicle, older_T))
            newest[vehicle] = max(newest.get(vehicle, -1), int(ordered_T.max(initial=-1)))
        times = {v: np.unique(np.concatenate(found)) for v, found in late.items()}
        times = {vehicle: time_L for vehicle, time_L in times.items() if len(time_L)}
        is_late = {vehicle: np.ones(len(time_L), bool) for vehicle, time_L in times.items()}
        for vehicle, _, ordered_T in self._again(wrong_days, only=times):
            if len(ordered_T):  # those whose first row came in order are not late
                low, high = np.searchsorted(times[vehicle], ordered_T[[0, -1]] + [0, 1])
                again_L = np.isin(times[vehicle][low:high], ordered_T)
                is_late[vehicle][low:high] &= ~again_L
        for vehicle, own in newest.items():
            if vehicle in times:
                self.counts.update(_per_day(vehicle, times[vehicle][is_late[vehicle]]))
            if own > self.newest.get(vehicle, -1):
                self.counts.update(older[vehicle])
                self.newest[vehicle] = own
        self._start()

    def _again(
        self, wrong_days: Mapping[str, set[int]], only: Collection[str] | None = None
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """The batches of the current file again, by vehicle, without the wrong days of its clock.

        Of each: the vehicle, the times (int64) that are older than one before them, and those that
        are newer than all before them, which rise over all batches. only: these vehicles, or all.
        """
        vehicles, newest = list(self._numbers), dict[str, int]()
        wanted = [n for n, vehicle in enumerate(vehicles) if only is None or vehicle in only]
        for number_T, time_T in self._read_back() if wanted else ():
            there_V = np.bincount(number_T, minlength=len(vehicles))
            for number in (n for n in wanted if there_V[n]):
                vehicle = vehicles[number]
                of_it_T = time_T if len(vehicles) == 1 else time_T[number_T == number]
                if days := wrong_days.get(vehicle):
                    of_it_T = of_it_T[~np.isin(of_it_T // DAY_US, list(days))]
                if len(of_it_T) == 0:
                    continue
                before = newest.get(vehicle, -1)
                highest_T = np.maximum(np.maximum.accumulate(of_it_T), before)
                newest[vehicle] = int(highest_T[-1])
                before_T = np.concatenate([[before], highest_T[:-1]])
                yield vehicle, of_it_T[of_it_T < before_T], of_it_T[of_it_T > before_T]

    def _read_back(self) -> Iterator[np.ndarray]:
        """The batches of the current file: (2, T), the number of the vehicle and the time."""
        if self._kept is not None:
            self._kept.seek(0)
            for _ in range(self._batches):
                yield np.load(self._kept)

    def _start(self) -> None:
        if self._kept is not None:
            self._kept.close()
        self._numbers: dict[str, int] = {}
        self._batches = 0
        self._kept = None
        # Of the current file: vehicle -> day since 1970-01-01 -> (first time, rows).
        self.days: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)


def _per_day(vehicle: str, time_T: np.ndarray) -> dict[tuple[str, int], int]:
    """(vehicle, day) -> how many of the times are on it."""
    days, counts = np.unique(time_T // DAY_US, return_counts=True)
    return {(vehicle, day): n for day, n in zip(days.tolist(), counts.tolist(), strict=True)}
