"""What must hold after each night of bench.nights, and a count of what did not.

- **rows**: every raw row is in the lake with its values, or in ``rejected/`` with its reason.
- **scores**: each lake row of a scored date has one score row, and ``amad status`` shows nothing
  open. In the end every partition that counts has the bytes of a run from scratch.
- **incidents**: no id twice, and what goes on over midnight keeps its id.
- **told**: a receiver that takes each key once heard of each change once and in order, and knows
  of each incident what is published.
- **where**: each event is told where it belongs, in an incident, as one notice of the fleet, or in
  the health of the fleet, and no sooner and no later than it should be.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from amad.config import Settings, load_fleet
from amad.notify.published import Window, read_window
from amad.scores import partitions
from amad.scores.daily import day_bounds
from amad.scores.job_log import JobLog, job_logs
from amad.telemetry.lake import Lake
from bench.nights.fleet import (
    AHEAD,
    CHANNELS,
    CLASSLESS,
    DUPLICATE,
    FLEET,
    NEW,
    START,
    STRANGER,
    Fault,
    RawYard,
)
from bench.nights.process import Ended, Receiver, run
from bench.nights.script import Script
from bench.nights.steps import FILES, from_scratch

NAMED = 20  # violations that are written out
REASONS = (DUPLICATE, AHEAD, CLASSLESS)
EXPECTED = {"silent", "unknown", "rows"}  # kinds of trouble that the script causes


@dataclass
class Checks:
    """Counts of what was checked and violated, by kind."""

    home: Path
    yard: RawYard
    receiver: Receiver
    faults: tuple[Fault, ...]
    amad: Callable[..., Ended]
    checked: Counter[str] = field(default_factory=Counter)
    violated: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.settings = Settings(home=self.home, data_dir=self.home / "raw")
        self.fleet = load_fleet(FLEET, self.settings)
        self.runs = self.settings.runs_dir(FLEET)

    def expect(self, good: bool, kind: str, text: object) -> None:
        """Count a check; where it does not hold, keep the text."""
        self.checked[kind] += 1
        if not good:
            self.violated[kind] += 1
            self.texts.append(f"{kind}: {text}"[:1000])

    def result(self) -> dict:
        """The counts, and the first violations in words."""
        return {
            "violations": self.violated.total(),
            "checks": {
                kind: {"checked": number, "violated": self.violated[kind]}
                for kind, number in sorted(self.checked.items())
            },
            **self.figures,
            "texts": self.texts[:NAMED],
        }

    def published(self) -> tuple:
        """What a second run of a job may not change."""
        alerts = self.runs / "alerts.jsonl"
        hashes = {
            str(file.relative_to(self.runs)): hashlib.sha256(file.read_bytes()).hexdigest()
            for kind in ("scores", "incidents")
            for file in sorted((self.runs / kind).rglob("*.*"))
        }
        return hashes, len(self.receiver.got), alerts.read_bytes() if alerts.exists() else b""

    def after_night(self, night: int, script: Script) -> None:
        """What holds after the job of a night."""
        lake = Lake(self.settings.fleet_dir(FLEET) / "lake", self.fleet)
        self._rows(night, lake)
        job = job_logs(self.runs)[0][-1]
        window = read_window(self.runs, job.model_version)
        self._scores(night, lake, job)
        self._incidents(night, job)
        for sink, notices in self._sinks():
            self._told(f"night {night}, {sink}", notices, window)
        self._health(night, script, job)
        status = self.amad("status", "--json")
        self.expect(status.code == 0, "nothing open", f"night {night}: {status.said}")

    def at_the_end(self, script: Script) -> None:
        """What holds in the end, and figures of the whole."""
        self._events(script)
        champion = job_logs(self.runs)[0][-1].model_version or ""
        begun = partitions.begun(self.runs)
        counts = {day: partitions.current(found, champion) for day, found in begun.items()}
        wanted = [(version, str(day)) for day, version in counts.items()]
        fresh = self.home.parent / "fresh"
        arguments = (self.home, fresh, wanted)
        ended = run(from_scratch, self.home, arguments, here=script.nights < 14)
        self.expect(ended.code == 0, "from scratch", ended.said)
        for day, version in counts.items():
            for kind, names in FILES.items():
                for name in names:
                    mine, other = (
                        partitions.folder(runs, kind, version, day) / name
                        for runs in (self.runs, fresh / "runs" / FLEET)
                    )
                    same = other.exists() and mine.read_bytes() == other.read_bytes()
                    self.expect(same, "from scratch", f"version {version}, {day}, {name}")
        files = dict(self._sinks())
        self.figures |= {
            "raw_rows": self.yard.rows,
            "lake_rows": len(self.yard.sound()),
            "refused_rows": dict(self.yard.refused()),
            "dates": len(begun),
            "incidents": len(read_window(self.runs, champion, days=1000).incidents),
            "notices": {sink: len(notices) for sink, notices in files.items()},
            "messages_repeated": len(self.receiver.got) - len(self.receiver.taken),
        }

    def _rows(self, night: int, lake: Lake) -> None:
        held: dict[tuple[str, int], tuple[float, ...]] = {}
        for vehicle in lake.vehicles():
            part = lake.read(vehicle)
            us = np.asarray(part["timestamp"].cast("int64")).tolist()
            values = zip(*(part[name].to_pylist() for name in CHANNELS), strict=True)
            held |= zip(((vehicle, at) for at in us), values, strict=True)
        lost = self.yard.sound().keys() ^ held.keys()
        text = f"night {night}: {len(lost)} rows lost or too many: {list(lost)[:3]}"
        self.expect(not lost, "rows", text)
        self.expect(held == self.yard.sound(), "rows", f"night {night}: other values in the lake")
        found: Counter[str] = Counter()
        for file in (self.settings.fleet_dir(FLEET) / "rejected").rglob("*.parquet"):
            for reason in pq.read_table(file)["reason"].to_pylist():
                found[next((name for name in REASONS if name in reason), reason)] += 1
        same = found == self.yard.refused()
        self.expect(same, "rows", f"night {night}: refused {found}, not {self.yard.refused()}")

    def _scores(self, night: int, lake: Lake, job: JobLog) -> None:
        rows: dict[date, Counter[str]] = {}
        for vehicle, day, number in lake.days():
            rows.setdefault(day, Counter())[vehicle] += number
        found = partitions.manifests(self.runs)
        for day, wanted in rows.items():
            if job.test_start is None or day < job.test_start:
                continue
            if day not in found:
                self.expect(False, "scores", f"night {night}: {day} has no scores")
                continue
            version = partitions.current(found[day], job.model_version or "")
            file = partitions.table_file(self.runs, "scores", version, day)
            held = pq.read_table(file, columns=["vehicle"], partitioning=None)["vehicle"]
            self.expect(Counter(held.to_pylist()) == wanted, "scores", f"night {night}: {day}")
        self.expect(job.status == "done" and not job.failed, "scores", f"night {night}: {job.id}")

    def _incidents(self, night: int, job: JobLog) -> None:
        found = partitions.manifests(self.runs)
        dates: dict[str, list[date]] = {}
        last: dict[str, tuple[str, int]] = {}  # vehicle -> id and end of its newest incident
        for day, versions in found.items():
            version = partitions.current(versions, job.model_version or "")
            midnight, gap = day_bounds(day)[0], versions[version].gap_us
            items = partitions.incidents_of_date(self.runs, version, day)
            twice = len({item.incident_id for item in items}) < len(items)
            self.expect(not twice, "incidents", f"night {night}: an id twice on {day}")
            for item in sorted(items, key=lambda item: item.open_from):
                where = f"night {night}: {item.incident_id} of {item.vehicle} on {day}"
                known = dates.setdefault(item.incident_id, [])
                goes_on = known == [] or known[-1] == day - timedelta(days=1)
                self.expect(goes_on, "incidents", f"{where}, before that on {known}")
                self.expect(item.continued == bool(known), "incidents", f"{where}: continued")
                name, end = last.get(item.vehicle, ("", -gap - 1))
                split = name != item.incident_id and end + gap >= max(midnight, item.open_from) > 0
                near = split and item.open_from - end <= gap and end <= midnight
                self.expect(not near, "over midnight", f"{where} goes on from {name}")
                known.append(day)
                last[item.vehicle] = item.incident_id, item.open_until

    def _sinks(self) -> Iterator[tuple[str, list[dict]]]:
        file = self.runs / "alerts.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        yield "file", [json.loads(line) for line in lines]
        yield "webhook", [json.loads(body) for body in self.receiver.taken]

    def _told(self, where: str, notices: list[dict], window: Window) -> None:
        known: dict[str, str] = {}
        ends: dict[str, date] = {}
        of: dict[str, str] = {}
        heard: Counter[str] = Counter()
        for item in (item for notice in notices for item in notice["incidents"]):
            name, state = item["incident_id"], item["state"]
            heard[item["key"]] += 1
            before = known.pop(item["replaces"] or name, "withdrawn")
            of[name] = item["vehicle"]
            in_order = (state == "new") == (before == "withdrawn")
            self.expect(in_order, "told", f"{where}: {name} is {state} after {before}")
            now = "open" if item["ongoing"] else "over"
            known[name] = "withdrawn" if state == "withdrawn" else now
            ends[name] = datetime.fromisoformat(item["end"]).date()
        self.expect(not heard or max(heard.values()) == 1, "told", f"{where}: a change twice")
        for name, item in window.incidents.items():
            now = "open" if item.ongoing else "over"
            if name not in known and item.ongoing:  # its start moved, which is told when it ends
                old = (item.incident.vehicle, "open")
                told = [n for n in known if (of[n], known[n]) == old and n not in window.incidents]
                if told:
                    known[name], ends[name] = known.pop(told[0]), ends[told[0]]
            self.expect(known.get(name) == now, "told", f"{where}: {name} {now}, {known.get(name)}")
        for name, state in known.items():
            there = state == "withdrawn" or name in window.incidents
            old = window.first is not None and ends[name] < window.first
            self.expect(there or old, "told", f"{where}: {name} is {state} and not published")
        bodies: dict[str, set[bytes]] = {}
        for key, body in self.receiver.got:
            bodies.setdefault(key, set()).add(body)
        self.expect(all(len(b) == 1 for b in bodies.values()), "told", f"{where}: a key reused")

    def _health(self, night: int, script: Script, job: JobLog) -> None:
        named = {kind: {text.split()[0] for text in told} for kind, told in job.health.items()}
        gone = script.silent is not None and night >= script.silent + 2
        silent = named.get("silent", set()) == ({"van-4"} if gone else set())
        self.expect(silent, "where", f"night {night}: silent {named.get('silent')}")
        came = script.stranger is not None and night >= script.stranger
        unknown = named.get("unknown", set()) == ({STRANGER} if came else set())
        self.expect(unknown, "where", f"night {night}: unknown {named.get('unknown')}")
        self.expect(named.keys() <= EXPECTED, "where", f"night {night}: {job.health}")
        if script.new is not None and night >= script.new:
            day = START + timedelta(days=night)
            version = job.model_version or ""
            file = partitions.table_file(self.runs, "scores", version, day)
            if file.exists():
                part = pq.read_table(file, partitioning=None).to_pylist()
                own = {row["status"] for row in part if row["vehicle"] == NEW}
                self.expect(own == {"scored"}, "where", f"night {night}: {NEW} is {own}")

    def _events(self, script: Script) -> None:
        """Each fault: one notice to each sink, of the right vehicles and channels."""
        champion = job_logs(self.runs)[0][-1].model_version
        published = read_window(self.runs, champion, days=1000).incidents.values()
        for fault in script.faults:
            for vehicle in fault.vehicles:
                ids = [
                    item.incident.incident_id
                    for item in published
                    if item.incident.vehicle == vehicle
                    and fault.overlaps(vehicle, item.incident.start, item.incident.end)
                ]
                text = f"{fault.what} of night {fault.night} on {vehicle} is {ids}"
                self.expect(len(ids) == 1, "one incident an event", text)
        for sink, notices in self._sinks():
            for fault in script.faults:
                told = [n for n in notices if n["state"] == "new" and self._about(n, fault)]
                where = f"{sink}: {fault.what} of night {fault.night} told in {len(told)} notices"
                self.expect(len(told) == 1, "where", f"{where}: {[n['headline'] for n in told]}")
                for notice in told:
                    channels = set(notice["incidents"][0]["channels"][:2])
                    mine = {"noise": {"torque"}, "swap": {"front", "rear"}, "unit": {"pressure"}}
                    right = bool(channels & mine[fault.what])
                    self.expect(right, "where", f"{where}: {notice['headline']}")
                    whole = (notice["vehicles_reporting"] is not None) == (fault.what == "unit")
                    self.expect(whole, "where", f"{where}: {notice['headline']}")

    @staticmethod
    def _about(notice: dict, fault: Fault) -> bool:
        """Does a notice tell of the fault, and not of an incident told before under another id?"""
        for item in notice["incidents"]:
            start, end = (
                round(datetime.fromisoformat(item[name]).timestamp() * 1e6)
                for name in ("start", "end")
            )
            first_word = item["state"] == "new" and not item["replaces"]
            if first_word and fault.overlaps(item["vehicle"], start, end):
                return True
        return False
