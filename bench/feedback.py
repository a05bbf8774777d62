"""python -m bench.feedback --out bench/results/feedback.json

What verdicts are worth (``amad.notify.learnt``): a simulated engineer judges the incidents of the
test part, and each incident is told or not by the verdicts of the dates before its own alone.

An incident is true where a labelled row lies in it. The engineer judges what is told, and nothing
else: every incident; a random half; or every one, with one verdict in ten wrong. An event is found
where an incident that is told overlaps it. **plain** is the opponent: the thresholds of all
vehicles raised alike, until as few false incidents are left, critical ones told as well.
**settings** has other values of ``SAME_CHANNELS``, ``ELSEWHERE`` and ``ODDS``, with every incident
judged rightly. **left_out** has, of each fleet, the figures with the settings that the other fleets
would choose: of those that lose fewest of their events, the one with fewest false incidents. The
detector has no network.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, product
from pathlib import Path

import numpy as np

from amad.config import Fleet, Settings, load_params
from amad.config.console import say
from amad.detect.alarms import DAY_US
from amad.incidents.incident import Incident, incidents_of
from amad.notify import learnt
from amad.scores.feedback import Feedback, Judgement
from amad.windows.series import TEST
from amad.windows.store import WindowStore
from bench.facts import machine_facts, write_result
from bench.options import parser_of
from bench.quality.fleets import find_fleet, prepare_fleet
from bench.quality.methods import closed_form
from bench.quality.tables import table

ENGINEERS = {"all": (1.0, 0.0), "half": (0.5, 0.0), "one in ten wrong": (1.0, 0.1)}
SEEDS = (0, 1, 2)
TRIED = {"SAME_CHANNELS": (0.7, 0.8, 0.9, 0.95), "ELSEWHERE": (5, 8, 10, 12, 20), "ODDS": (1, 3, 9)}
AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarmed:
    """What a fleet's test part holds. incidents: by end. events: (vehicle, start, end)."""

    incidents: list[Incident]
    events: list[tuple[str, int, int]]

    def is_true(self, item: Incident) -> bool:
        """Does a labelled row lie in it?"""
        return any(_lies_in(item, event) for event in self.events)

    def counts(self, told: Sequence[Incident]) -> dict[str, int]:
        """False and true incidents of these, and the events that they find."""
        true = sum(self.is_true(item) for item in told)
        found = sum(any(_lies_in(item, event) for item in told) for event in self.events)
        return {"false": len(told) - true, "true": true, "events": found}


def _lies_in(item: Incident, event: tuple[str, int, int]) -> bool:
    vehicle, start, end = event
    return item.vehicle == vehicle and item.open_from < end and start < item.open_until


def alarmed(store: WindowStore, fleet: Fleet, detector) -> Alarmed:
    """The incidents and labelled events of the test part of each vehicle."""
    incidents, events = [], []
    for vehicle in store.vehicles:
        test = store.series(vehicle).part(TEST)
        if not test.rows:
            continue
        assert test.label_T is not None, f"fleet {fleet.name} has no labels"
        scaled = store.scaler.apply(test)
        incidents += incidents_of(detector.score(scaled), scaled, detector)
        edges = np.flatnonzero(np.diff(np.r_[0, test.label_T > 0, 0].astype(int)))
        time_T = test.timestamp_T
        for first, last in list(pairwise(edges))[::2]:
            end = int(time_T[last - 1]) + fleet.period_us
            events.append((vehicle, int(time_T[first]), end))
    return Alarmed(incidents=sorted(incidents, key=lambda i: (i.end, i.incident_id)), events=events)


def lived(found: Alarmed, judged: float, wrong: float, seed: int) -> list[Incident]:
    """The incidents that are told, date after date. judged, wrong: shares of the verdicts."""
    chance, told = random.Random(seed), list[Incident]()
    verdicts, lessons = dict[str, tuple[int, Judgement]](), dict[int, learnt.Lessons]()
    for item in found.incidents:
        date = item.start // DAY_US
        if date not in lessons:  # by end, so all that ended before that date are known by now
            known = {name: j for name, (day, j) in verdicts.items() if day < date}
            lessons[date] = learnt.Lessons(Feedback(incidents=known))
        if lessons[date].of(item):
            continue
        told.append(item)
        if chance.random() < judged:
            true = found.is_true(item) != (chance.random() < wrong)
            verdicts[item.incident_id] = (item.end // DAY_US, _judgement(item, true))
    return told


def _judgement(item: Incident, true: bool) -> Judgement:
    return Judgement(
        verdict="true" if true else "false", by="engineer", at=AT, vehicle=item.vehicle,
        start=item.start, level=item.level, type=item.type, channels=list(item.channels),
        shares=list(item.shares), margin=item.peak_score - item.threshold, end=item.end,
        vehicle_class=item.vehicle_class,
    )  # fmt: skip


def plain(found: Alarmed, false: int) -> dict[str, int]:
    """The counts where all thresholds are raised alike, until at most ``false`` are false."""
    for rise in sorted({0.0, *(i.peak_score - i.threshold for i in found.incidents)}):
        told = [i for i in found.incidents
                if i.peak_score - i.threshold > rise or i.level == "critical"]  # fmt: skip
        counts = found.counts(told)
        if counts["false"] <= false:
            return counts
    return found.counts([])


@contextmanager
def rule_with(settings: Mapping[str, float]) -> Iterator[None]:
    """The rule with other settings."""
    kept = {name: getattr(learnt, name) for name in settings}
    try:
        vars(learnt).update(settings)
        yield
    finally:
        vars(learnt).update(kept)


def figures(found: Alarmed) -> dict:
    """The figures of one fleet."""
    engineers = {}
    for name, (judged, wrong) in ENGINEERS.items():
        runs = [found.counts(lived(found, judged, wrong, seed))
                for seed in (SEEDS if name != "all" else SEEDS[:1])]  # fmt: skip
        engineers[name] = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
    settings = []
    for values in product(*TRIED.values()):
        setting = dict(zip(TRIED, values, strict=True))
        with rule_with(setting):
            settings.append(setting | found.counts(lived(found, 1.0, 0.0, 0)))
    return {
        "events": len(found.events),
        "before": found.counts(found.incidents),
        "engineers": engineers,
        "plain": plain(found, round(engineers["all"]["false"])),
        "settings": settings,
    }


def left_out(fleets: Mapping[str, dict]) -> dict[str, dict]:
    """By fleet, its figures with the settings that the others would choose, see the module."""
    found = {}
    for name, own in fleets.items() if len(fleets) > 1 else ():
        others = [other["settings"] for key, other in fleets.items() if key != name]
        columns = enumerate(zip(*others, strict=True))
        _, _, best = min(
            (-sum(one["events"] for one in of), sum(one["false"] for one in of), n)
            for n, of in columns
        )
        found[name] = own["settings"][best]
    return found


def lines(result: dict) -> list[str]:
    """The table of docs/guide/alerts.md."""
    head = ["fleet", "events", "told as before", *ENGINEERS, "all thresholds raised"]
    rows = []
    for name, own in result["fleets"].items():
        cells = [own["before"], *(own["engineers"][e] for e in ENGINEERS), own["plain"]]
        told = [f"{c['false']:.3g} false, {c['events']:.3g} found" for c in cells]
        rows.append([name, str(own["events"]), *told])
    return table(head, rows)


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure each fleet and write the result."""
    parser = parser_of(__doc__)
    default = ["smd", "asd", "js2", "demo", "msl", "smap"]
    parser.add_argument("--fleet", nargs="+", metavar="FILE", default=default)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    settings, fleets = Settings(), {}
    for name in options.fleet:
        params = load_params(settings.params_file, name)
        _, file = find_fleet(name, settings)
        prepared = prepare_fleet(file, params, options.home, settings.data_dir, [])
        detector = closed_form(prepared.store, prepared.fleet, params)
        fleets[name] = figures(alarmed(prepared.store, prepared.fleet, detector))
        own = fleets[name]
        say(f"{name}: {own['before']} before, {own['engineers']['all']} with verdicts")
    rule = {name: getattr(learnt, name) for name in (*TRIED, "SLACK", "MOST")}
    result = {
        "machine": machine_facts(), "rule": rule, "left_out": left_out(fleets),
        "fleets": fleets,
    }  # fmt: skip
    write_result(result, options.out)
    print("\n".join(lines(result)))
    return result


if __name__ == "__main__":
    main()
