"""python -m bench.nights --out bench/results/nights.json

Fourteen simulated nights of a fleet of six, each with the job of a real night: ``amad ingest``,
``validate`` and ``score``, each first killed (SIGKILL) at a seeded moment, then run to its end,
then run once more. Over the nights files come late, twice, corrected and with rows of the future, a
vehicle falls silent, a new one and one of no class come, two sensors are swapped, the whole fleet
changes a unit, the receiver of messages is down, a second model is registered and promoted and
later rolled back. A file and a webhook on a real HTTP server are told what changed.

After each night, and at the end, it is checked that nothing is lost and nothing is there twice; see
bench/nights/checks.py. The exit code is 1 if anything is violated.
"""

import random
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.facts import machine_facts, write_result
from bench.nights.checks import Checks
from bench.nights.fleet import (
    NEW,
    OLD,
    PARAMS,
    STRANGER,
    RawYard,
    future_rows,
    prepare_home,
    rows_of,
)
from bench.nights.process import ALL, SCORING, Ended, Receiver, amad, preload, run
from bench.nights.script import FULL, SMALL, Script
from bench.nights.steps import make_artifacts
from bench.options import parser_of, positive

COMMANDS = ("ingest", "validate", "score")
UNTOLD, NOTHING_NEW, KILLED = 7, 10, -9  # exit codes


@dataclass
class Nights:
    """The nights of one seed in a home.

    brief: the job alone is killed, and what is not killed runs in this process. kills, commands:
    how many there were. moments: of each command when it ran last, see ``bench.nights.process``.
    """

    home: Path
    script: Script
    receiver: Receiver
    draw: random.Random
    brief: bool = False
    kills: int = 0
    commands: int = 0
    moments: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.yard: RawYard = prepare_home(self.home, self.receiver.url)
        self.checks = Checks(self.home, self.yard, self.receiver, self.script.faults, self._amad)

    def run(self) -> None:
        """All nights, and the checks of the whole."""
        self.begin()
        for night in range(self.script.nights):
            self._files(night)
            if night == self.script.rollback:
                self._well(self._amad("rollback"), "rollback")
            self._job(night)
            self.checks.after_night(night, self.script)
            if night == self.script.retrain:
                self._retrain()
        self.checks.at_the_end(self.script)

    def begin(self) -> None:
        """The first champion."""
        for command in ("ingest", "validate"):
            self._well(self._amad(command), command)
        self._train()

    def _train(self) -> None:
        self._well(run(make_artifacts, self.home, (self.home,), here=self.brief), "training")
        self._well(self._amad("register"), "register")

    def _retrain(self) -> None:
        self._train()
        promoted = self._amad("promote", "2", "--force", "--reason", "a bench")
        self._well(promoted, "promote")

    def _well(self, ended: Ended, what: str) -> None:
        assert ended.code == 0, f"{what} ended with code {ended.code}: {ended.said}"

    def _files(self, night: int) -> None:
        script, put, faults = self.script, self.yard.put, self.script.faults
        gone = script.silent is not None and night >= script.silent
        vehicles = [vehicle for vehicle in OLD if not (gone and vehicle == "van-4")]
        vehicles += [NEW] if script.new is not None and night >= script.new else []
        for vehicle in vehicles:
            rows = rows_of(night, vehicle, faults)
            if (vehicle, night) in {(v, n) for v, n, _ in script.whole}:
                continue
            if (vehicle, night) in {(v, n) for v, n, _ in script.late}:
                rows = rows.slice(0, rows.num_rows // 2)
            put(f"n{night:02}-{vehicle}", rows)
        for vehicle, of, come in script.late:
            if come == night:
                rows = rows_of(of, vehicle, faults)
                put(f"n{of:02}-{vehicle}-late", rows.slice(rows.num_rows // 2))
        for vehicle, of, come in script.whole:
            if come == night:
                put(f"n{of:02}-{vehicle}", rows_of(of, vehicle, faults))
        if night == script.twice:
            rows = rows_of(night, "van-1", faults)
            put(f"n{night:02}-van-1-again", rows)
            put(f"n{night:02}-van-3_overlap", rows_of(night, "van-3", faults).slice(300, 20))
        if night == script.stranger:
            put(f"n{night:02}-{STRANGER}", rows_of(night, STRANGER).slice(0, 100))
        if night == script.future:
            put(f"n{night:02}-van-1-future", future_rows("van-1", 5))
        if script.corrected is not None and night == script.corrected + 1:
            put(f"n{script.corrected:02}-bus-2", rows_of(script.corrected, "bus-2", faults, seed=1))

    def _job(self, night: int) -> None:
        """Each command killed, run, and run again; then nothing may have changed."""
        self.receiver.down = night == self.script.down
        for command in COMMANDS:
            if command == "score" or not self.brief:
                self._killed(command)
            ended = self._run(command)
            wanted = UNTOLD if command == "score" and self.receiver.down else 0
            self.checks.expect(ended.code == wanted, "exit code", f"{command}: {ended}")
        if self.receiver.down:
            self.receiver.down = False
            self.checks.expect(self._run("score").code == 0, "exit code", "score after code 7")
        before = self.checks.published()
        for command in COMMANDS[-1:] if self.brief else COMMANDS:
            more = ("--fail-on", "nothing-new") if command == "score" else ()
            ended = self._run(command, *more)
            wanted = NOTHING_NEW if command == "score" else 0
            self.checks.expect(ended.code == wanted, "exit code", f"{command} again: {ended}")
        self.checks.expect(self.checks.published() == before, "run twice", f"night {night}")

    def _killed(self, command: str) -> None:
        """Kill it at a moment that is drawn from those that it had when it ran last."""
        at = self.draw.randint(1, self.moments.get(command, 30))
        ended = amad(self.home, command, kill_at=at)
        self.commands += 1
        self.kills += ended.code == KILLED
        if ended.code not in (KILLED, 0, UNTOLD):
            self.checks.expect(False, "exit code", f"{command} killed at {at}: {ended}")

    def _amad(self, *arguments: str) -> Ended:
        return amad(self.home, *arguments, here=self.brief)

    def _run(self, command: str, *more: str) -> Ended:
        ended = self._amad(command, *more)
        self.commands += 1
        if ended.moments and not more:
            self.moments[command] = ended.moments
        return ended


def measure(home: Path, script: Script, seed: int, brief: bool = False) -> dict:
    """Live through the nights in an empty folder, and count what was violated.

    brief: see ``Nights``.
    """
    began = time.perf_counter()
    home.mkdir(parents=True)
    preload(SCORING if brief else ALL)
    with Receiver() as receiver:
        nights = Nights(home, script, receiver, random.Random(seed), brief)
        nights.run()
    return {
        "seed": seed,
        "nights": script.nights,
        "commands": nights.commands,
        "kills": nights.kills,
        "seconds": round(time.perf_counter() - began, 1),
        **nights.checks.result(),
    }


def main(arguments: list[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written."""
    parser = parser_of(__doc__)
    parser.add_argument("--seeds", type=positive, default=1, help="how often, with other kills")
    parser.add_argument("--small", action="store_true", help="three nights instead of fourteen")
    parser.add_argument("--home", type=Path, help="an empty folder that stays; default: temporary")
    parser.add_argument("--out", type=Path, help="JSON file; default: standard output")
    options = parser.parse_args(arguments)
    script, runs = SMALL if options.small else FULL, []
    with TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            home = (options.home or Path(folder)) / f"seed-{seed}" / "home"
            runs.append(measure(home, script, seed))
    result = {"machine": machine_facts(), "params": PARAMS, "runs": runs}
    write_result(result, options.out)
    return result


if __name__ == "__main__":
    sys.exit(1 if any(run["violations"] for run in main()["runs"]) else 0)
