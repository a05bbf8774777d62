"""The two passes of ingest, into a pending change of the lake.

Pass one reads every new file, refuses what cannot be read, and spills the clean rows by
vehicle-day. Pass two (``parts.py``) sorts each vehicle-day, merges rows of one time, and writes its
part. Memory holds a batch, the spill's buffer and one vehicle-day.

Shape legend: T rows of a vehicle-day, C channels.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import DataError, Fleet
from amad.config.console import say, track
from amad.config.digest import file_sha256
from amad.config.units import RunUnits, in_process
from amad.config.wording import count
from amad.ingest.clock_errors import ClockErrors
from amad.ingest.duplicate_files import Copies
from amad.ingest.escaped_names import unescaped
from amad.ingest.events import read_events, without_rows
from amad.ingest.firsts import Firsts
from amad.ingest.late_rows import Lateness
from amad.ingest.later_channels import LaterChannels
from amad.ingest.lost_days import days_lost
from amad.ingest.parts import Parts
from amad.ingest.pending_change import Pending
from amad.ingest.raw_files import RawFile
from amad.ingest.reading_plan import Plan
from amad.ingest.refused_rows import RejectedLog
from amad.ingest.rolling_files import entry_of, name_of, rolled_on, rows_before
from amad.ingest.spill import Spill
from amad.reading.clocks import LocalClock
from amad.reading.date_line import DateLine
from amad.reading.readers import FileRefusedError, read_batches, refusing
from amad.reading.rows import CleanRows, FileParser, RefusedRow
from amad.reading.rules import reading_rules
from amad.reading.times import date_of
from amad.telemetry import lake as lakes
from amad.telemetry.files import read_table, write_parquet
from amad.telemetry.manifest import IngestedFile, Manifest, lake_contract, reading_contract
from amad.telemetry.schemas import EVENTS, REJECTED

EVERY = "*"
COUNTED = ("unknown", "nulls", "outside_class", "ignored", "short", "lacks")  # of a file, parsed
NO_ROWS = "{}: {} on days without a row of the vehicle, such as {}"


class Loading:
    """One run of ingest."""

    def __init__(self, fleet: Fleet, folder: Path, rejected: Path, pending: Pending, plan: Plan):
        self._fleet = fleet
        self._folder = folder  # of the raw files
        self._rules = reading_rules(fleet)
        # Where a row is told by its position, none can be told behind a file that was not read.
        rule = self._rules.timestamp
        self._by_index = rule.take == "index"
        self._by_position = self._by_index and rule.gap_between_files is None
        self._rejected = rejected
        self._pending = pending
        self._plan = plan
        self._paths = [file.path for file in plan.read]  # by number
        self._rolled: dict[str, int] = {}  # file of the lake -> time before which its rows stay
        nothing = Manifest(contract="", files={})
        self._held = plan.before.manifest if plan.before is not None else nothing
        self._stays = set(plan.stays)
        self._files = {path: self._held.files[path].lacking(plan.lacks) for path in self._stays}
        self._copies = Copies(fleet, self._files, self._stays)
        names = self._held.rejected
        self._number = 1 + max((int(name.split(".")[0]) for name in names), default=-1)
        followed = nothing if plan.anew else self._held
        self._index_rows = dict(followed.index_rows)
        self._newest = dict(followed.newest)
        self._lateness = Lateness(followed.newest, pending.scratch)
        self._clock_errors = ClockErrors(fleet, plan.before, self._stays)
        self._clock = LocalClock(self._rules.timestamp.timezone, followed.newest)
        self._later = LaterChannels(fleet, is_first=plan.before is None)
        self._firsts = Firsts(followed, self._rules.timestamp.timezone)
        self._dates = DateLine(self._rules.timestamp, followed.newest)
        # Vehicles whose later rows have no place in time, where rows are told by their position.
        self._lost: set[str | None] = set(followed.lost)
        self._counts: dict[tuple, Counter] = defaultdict(Counter)  # (path, vehicle, date) -> counts
        self._log_name = f"{self._number:05d}.parquet"
        self._log = RejectedLog(pending.rejected_file(self._log_name))
        self._spill = Spill(pending.scratch, len(fleet.channels))
        self._parts = Parts(
            fleet, pending, plan.before, self._stays, self._copies.paths, anew=plan.anew
        )

    def run(self, run: RunUnits = in_process) -> dict:
        """Read the files of the plan and write all that changes; returns what was done.

        ``{files_read, rows_added, days_changed, first_rejected}``: the lake's rows more than
        before, the vehicle-days that were written, the first refused row of each reason.

        Raises:
            DataError: the lake would be empty, or the file of culprits cannot be read.
        """
        for number, file in enumerate(track(self._plan.read, "read raw files")):
            self._read(number, file)
        for path, start_us in self._rolled.items():
            self._keep_before(path, start_us)
        self._spill.flush()
        if not self._parts.vehicles(self._spill):
            raise self._log.nothing_read(self._fleet.name, len(self._plan.read))
        early = self._by_index or self._fleet.labels.culprits_by == "timestamp"
        events = self._events() if early else None
        self._parts.write(self._spill, self._paths, self._log, events, run)
        self._log.close()
        self._later.check(self._files.values())
        if (old := self._plan.former) is not None:
            old.refuse_to_lose(self._fleet.name, self._parts.days, self._log, self._later.since())
        if events is None:  # rows of the test part are counted in the parts that are now written
            events = self._events()
        days = self._write_tables(events)
        if apart := without_rows(events, self._parts.days):
            known = count(len(apart), "known event")
            say(NO_ROWS.format(self._fleet.labels.culprits, known, ", ".join(apart[:3])))
        for telling in (self._dates, self._clock_errors, self._firsts, self._later):
            for line in telling.sentences():
                say(line)
        held = self._plan.before.days() if self._plan.before is not None else []
        if lost := days_lost(held, self._parts.days):
            say(lost)
        return {
            "files_read": len(self._plan.read),
            "rows_added": sum(days["rows"].to_pylist()) - sum(rows for *_, rows in held),
            "days_changed": self._parts.changed,
            "first_rejected": self._log.first_rows,
        }

    def _read(self, number: int, file: RawFile) -> None:
        path, rows, refused, parser, first_us = file.path, 0, None, None, None
        original: str | None = None
        try:
            parser = self._parser(file)
            first_us = parser.first_us
            original = self._copies.original_of(file)
            if self._lost & {parser.vehicle, EVERY}:
                raise FileRefusedError(
                    "no place in time: an earlier file of the vehicle was refused"
                )
            for clean, bad in self._batches(file, parser):
                rows = parser.rows
                self._spill.add(clean, number)
                self._lateness.add(clean)
                self._dates.add(path, clean)
                self._log_refused(path, bad, is_copy=original is not None)
        except FileRefusedError as error:
            refused = str(error)
            self._later.refused(parser, error.channels)
            if rows == 0 and path in self._plan.replaces and self._keep(file, refused):
                return
            self._log.add(path, rows + 1 if rows else None, refused, None)
            if self._by_position:
                self._lost.add((parser and parser.vehicle) or EVERY)
            elif parser is not None:
                parser.break_off()
            rows += 1
        first_of = self._end_rows(number, path)
        self._later.add(parser, first_of)
        self._note_rolled(path, first_of)
        test_start = {}
        if file.part == "test":  # a time that is told before the rows counts even if they do not
            test_start = {
                vehicle: min(times.values()) if first_us is None else first_us
                for vehicle, times in first_of.items()
                if times
            }
        self._files[path] = IngestedFile(
            bytes=file.bytes,
            sha256=file.sha256,
            part=file.part,
            rows=rows,
            refused=refused,
            copy_of=original,
            test_start=test_start,
            **{name: getattr(parser, name) for name in COUNTED if parser},
        )
        self._firsts.add(path, parser)

    def _log_refused(self, path: str, rows: list[RefusedRow], *, is_copy: bool) -> None:
        """Log the refused rows of a batch; those of a copy are counted in its original alone."""
        for row in rows:
            self._log.add(path, row.row, row.reason, row.content, row.ahead_us, row.vehicle)
            if row.vehicle is not None and row.day is not None and not is_copy:
                self._counts[path, row.vehicle, date_of(row.day)]["unreadable"] += 1

    def _end_rows(self, number: int, path: str) -> dict[str, dict[int, int]]:
        """After all rows of a file: withdraw those of a wrong clock and count the late ones.

        Returns vehicle -> day (since 1970-01-01) -> time of its first row, of the rows that stay.
        """
        days = self._lateness.days
        wrong = self._clock_errors.withdraw(days, self._spill, self._log, (number, path))
        self._lateness.end_file(wrong)
        for (vehicle, day), late in self._lateness.counts.items():
            self._counts[path, vehicle, date_of(day)]["late"] += late
        self._lateness.counts.clear()
        return {
            vehicle: {
                day: day_us
                for day, (day_us, _) in times.items()
                if day not in wrong.get(vehicle, ())
            }
            for vehicle, times in days.items()
        }

    def _note_rolled(self, path: str, first_of: dict[str, dict[int, int]]) -> None:
        """Remember a file that no longer holds its oldest rows, which then stay in the lake.

        first_of: as ``_end_rows`` returns it.
        """
        old, before = self._plan.replaces.get(path), self._plan.before
        if old is None or before is None or self._by_index:
            return
        start_us = rolled_on(before, old, first_of)
        if start_us is not None:
            self._rolled[old] = start_us

    def _keep_before(self, path: str, start_us: int) -> None:
        """Keep the older rows of a file that has rolled on, as those of a file that is gone."""
        before, number = self._plan.before, len(self._paths)
        assert before is not None, "the file was in the lake"
        name = name_of(before, path, start_us)
        self._paths.append(name)
        kept = 0
        for rows in rows_before(before, path, start_us, self._fleet):
            self._spill.add(rows, number)
            kept += len(rows.timestamp_T)
        self._files[name] = entry_of(self._held.files[path], kept)

    def _keep(self, file: RawFile, refused: str) -> bool:
        """Keep the rows of a file that has changed and now cannot be read.

        Returns whether its entry is complete: a file that moved has an entry of its own.
        """
        old = self._plan.replaces[file.path]
        if self._by_position:
            raise DataError(
                f"{file.path} has changed and cannot be read now ({refused}), and without it "
                "later rows of its vehicle have no place in time. Mend it, or run `amad ingest "
                "--rebuild` to make the lake without it. The lake stays as it is"
            )
        self._stays.add(old)
        self._files[old] = self._held.files[old]
        if old != file.path:
            return False
        reason = f"it has changed and cannot be read now, so its rows of before stay: {refused}"
        now = {"bytes": file.bytes, "sha256": file.sha256, "part": file.part, "refused": reason}
        self._files[old] = self._files[old].model_copy(update=now)
        return True

    def _parser(self, file: RawFile) -> FileParser:
        with refusing():
            if file.error:
                raise FileRefusedError(f"unreadable file: {file.error}")
            path = self._folder / unescaped(file.path)
            return FileParser(
                self._fleet, file.path, file.part, self._index_rows, path, self._clock
            )

    def _batches(
        self, file: RawFile, parser: FileParser
    ) -> Iterator[tuple[CleanRows, list[RefusedRow]]]:
        with refusing():
            path = self._folder / unescaped(file.path)
            for batch in read_batches(path, self._rules, parser.resolve, parser.plain):
                yield parser.parse(batch)
            if not parser.rows and file.path in self._plan.replaces:
                raise FileRefusedError("it holds no rows")
            parser.finish()

    def _events(self) -> pa.Table:
        labels = self._fleet.labels
        if not labels.culprits:
            return EVENTS.empty_table()
        return read_events(
            self._folder / labels.culprits,
            self._fleet,
            self._parts.vehicles(self._spill),
            self._rows_to_time,
        )

    def _test_start(self) -> dict[str, int]:
        """Vehicle -> time of its first row in files of part test."""
        found: dict[str, int] = {}
        for file in self._files.values():
            for vehicle, start_us in file.test_start.items():
                found[vehicle] = min(found.get(vehicle, start_us), start_us)
        return found

    def _rows_to_time(self, vehicle: str, first: int, last: int) -> tuple[int, int] | None:
        """Times of rows of the vehicle's test part (of all its rows where no file is marked)."""
        start_us = self._test_start().get(vehicle)
        if self._rules.timestamp.take == "index":
            period, zero_us = self._fleet.period_us, self._rules.timestamp.start_us
            start_us = zero_us if start_us is None else start_us
            end_us = start_us + last * period
            known_us = zero_us + self._index_rows.get(vehicle, 0) * period
            return (start_us + first * period, end_us) if end_us <= known_us else None
        time_T = self._parts.times(vehicle)
        time_T = time_T[time_T >= (start_us or 0)]
        if last > len(time_T):
            return None
        end_us = time_T[last] if last < len(time_T) else time_T[-1] + 1
        return int(time_T[first]), int(end_us)

    def _write_tables(self, events: pa.Table) -> pa.Table:
        """Write every table and the manifest; returns the table of days."""
        origins = self._origins()
        summed = ("duplicates", "late", "unreadable")
        sums = origins.group_by(["vehicle", "date"]).aggregate([(name, "sum") for name in summed])
        for row in sums.to_pylist():
            day = self._parts.days.get((row["vehicle"], row["date"]))
            if day is not None:
                day.update({name: row[f"{name}_sum"] for name in summed})
        rows = [self._parts.days[key] for key in sorted(self._parts.days)]
        days = pa.Table.from_pylist(rows, schema=lakes.DAYS)
        write_parquet(days, self._pending.lake_file(lakes.DAYS_FILE), lakes.DAYS)
        write_parquet(origins, self._pending.lake_file(lakes.ORIGINS_FILE), lakes.ORIGINS)
        write_parquet(events, self._pending.lake_file(lakes.EVENTS_FILE), EVENTS)
        self._finish_files()
        for vehicle, newest_us in self._parts.newest.items():
            self._newest[vehicle] = max(self._newest.get(vehicle, newest_us), newest_us)
        names = (lakes.DAYS_FILE, lakes.ORIGINS_FILE, lakes.EVENTS_FILE)
        manifest = Manifest(
            fleet=self._fleet.name,
            contract=lake_contract(self._fleet),
            reading=reading_contract(self._fleet),
            class_of={v: self._fleet.class_of(v) for v, _ in sorted(self._parts.days)},
            culprits=self._plan.culprits,
            globs=self._plan.globs,
            files=self._files,
            rejected=[*self._kept_logs(), self._log_name],
            test_start=self._test_start(),
            newest=self._newest,
            index_rows=self._index_rows,
            lost=sorted(v for v in self._lost if v),
            tables={n: file_sha256(self._pending.lake_file(n)) for n in names},
            **self._firsts.known(),
            hash=lakes.content_hash(days, events, self._test_start()),
        )
        manifest.write_file(self._pending.lake_file(Manifest.FILE))
        return days

    def _origins(self) -> pa.Table:
        """What each file gave to each vehicle-day: the files that stay, and those read now."""
        for key, counts in self._parts.counts.items():
            self._counts[key].update(counts)
        names = ("rows", "duplicates", "late", "unreadable")
        new = [
            {"path": path, "vehicle": vehicle, "date": date} | {n: counts[n] for n in names}
            for (path, vehicle, date), counts in sorted(self._counts.items())
        ]
        table = pa.Table.from_pylist(new, schema=lakes.ORIGINS)
        if self._plan.before is None:
            return table
        held = self._plan.before.origins()
        stays = pa.array(sorted(self._stays), pa.string())
        return pa.concat_tables([held.filter(pc.is_in(held["path"], stays)), table])

    def _finish_files(self) -> None:
        """Complete the files' entries: what was refused, and what became part of another's row."""
        number = 1 + max((file.ingest for file in self._held.files.values()), default=-1)
        for path in set(self._paths) - self._stays:
            rejected, ahead = dict(self._log.counts.get(path, {})), self._log.ahead.get(path, "")
            of = self._log.most_refused(path) if self._rules.vehicle.take == "column" else {}
            now = {"rejected": rejected, "ahead": ahead, "rejected_of": of, "ingest": number}
            now |= {"merged": self._parts.merged[path]}
            self._files[path] = self._files[path].model_copy(update=now)
        if self._plan.anew:
            for path in self._stays:
                merged = self._files[path].rows_given - self._parts.first[path]
                self._files[path] = self._files[path].model_copy(update={"merged": merged})

    def _kept_logs(self) -> list[str]:
        """The lists of refused rows so far, without the rows of files that do not stay."""
        if set(self._held.files) == self._stays:
            return self._held.rejected
        names, stays = [], pa.array(sorted(self._stays), pa.string())
        for name in self._held.rejected:
            remedy = "only what was refused before is lost with it"
            try:
                table = read_table(self._rejected / name, REJECTED, remedy)
            except DataError as error:  # the lake itself does not rest on it
                say(str(error))
                continue
            kept = table.filter(pc.is_in(table["file"], stays))
            if len(kept) < len(table):
                self._number += 1
                name = f"{self._number:05d}.parquet"
                write_parquet(kept, self._pending.rejected_file(name), REJECTED)
            names.append(name)
        return names
