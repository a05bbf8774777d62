"""python -m bench.sweep --fleet asd demo --trials 10 --seeds 1 --out bench/results/sweep.json

Is the sweep's objective worth following? This draws settings as the sweep does, trains a network
with each at the budget of the sweep, and computes the objective. Afterwards it measures, with
labels, what each network is worth by itself and in the detector. It writes the figures
(docs/explanation/sweep.md has the keys) and a plot beside them. What is finished stays in --home,
so an interrupted run goes on where it stopped.
"""

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from amad.config import DataError, Fleet, Params, Settings, load_params
from amad.config.console import say
from amad.engines.shared.environment import quiet
from amad.engines.shared.identity import code_digest, work_digest
from amad.engines.tune.search import NUMBER, OBJECTIVE, BatchedSearch, optuna_search
from amad.engines.tune.sweep import distributions
from amad.engines.tune.sweep_result import (
    PLACES,
    overlay,
    present_settings,
    with_settings,
    with_trial_budget,
)
from amad.evaluation.canvas import save
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.objective import InjectedObjective
from amad.evaluation.summary import by_unit, rounded
from amad.model import Bundle, read_bundle, write_bundle
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.telemetry.files import write_json
from amad.windows.store import WindowStore
from bench.facts import machine_facts
from bench.options import parser_of, positive, run
from bench.quality.fleets import PROTOCOLS, Prepared, find_fleet, judged_fleet, prepare_fleet
from bench.quality.jobs import JudgeJob, NetworkJob, judge_job, network_job, read_result
from bench.quality.methods import NETWORK, settings_of
from bench.quality.pool import Failure, run_all
from bench.quality.records import joined
from bench.sweep_figures import VIEWS, draw_sweeps, fleet_figures

TRIAL = (
    "trial", "settings", "failed", "objective", "objectives", "objective_seconds", PRIMARY,
    f"{PRIMARY}_seeds",
)  # fmt: skip
OBJECTIVE_CODE = (
    "amad.detect", "amad.evaluation.objective", "amad.evaluation.units", "amad.metrics",
    "amad.simulator.faults", "amad.windows",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class UntrainedJob(NetworkJob):
    """The network before its first step: with the linear skip it predicts what the skip does."""

    def run(self) -> None:
        """Write its bundle."""
        import torch

        store = WindowStore.open(self.store)
        torch.manual_seed(self.params.seed)
        network = Amad(
            len(store.channels), self.params.model, Owners.of(store),
            self.params.mask.block,
        )  # fmt: skip
        if network.linear is not None:
            network.linear.fit(store)
        meta = {"digest": self.out.name, "train_seconds": 0.0}
        bundle = Bundle(
            model=network.eval(), params=self.params, fleet=self.fleet, scaler=store.scaler,
            meta=meta,
        )  # fmt: skip
        write_bundle(self.out / "bundle", bundle)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveJob:
    """The objective of a trained network, for each of ``seeds``, which draw the injected faults."""

    fleet: Fleet
    store: Path
    params: Params
    network: Path
    seeds: tuple[int, ...]
    out: Path

    @property
    def title(self) -> str:
        """The name of the job in a line of progress."""
        return f"{self.fleet.name} / objective of {self.network.name}"

    def done(self) -> bool:
        """Is the result there already?"""
        return self.out.is_file()

    def run(self) -> None:
        """Compute the objective and write the file."""
        store, network = WindowStore.open(self.store), read_bundle(self.network / "bundle").model
        cases, started = self.params.tune.cases, time.perf_counter()
        objectives = [InjectedObjective(store, self.params, cases, seed) for seed in self.seeds]
        values = [objective(network) for objective in objectives]
        seconds = (time.perf_counter() - started) / len(values)
        write_json(self.out, {"objective": values, "seconds": seconds})


class FleetSweep:
    """The trials of one fleet. options: the command line."""

    def __init__(self, prepared: Prepared, params: Params, options: argparse.Namespace) -> None:
        self.prepared, self.options, self.home = prepared, options, options.home.absolute()
        self.fleet, self.store = prepared.fleet, prepared.store
        self.params = with_trial_budget(params, len(self.store.vehicles))
        self.protocols = [p for p in options.protocols if p not in prepared.skipped]

    def run(self) -> dict:
        """Draw settings, train, compute objectives, judge; return the report on the fleet."""
        untrained = self._measured([(0, {})], (self.params.seed,), UntrainedJob)
        trials: list[dict] = []
        count, batch = self.options.trials, self.params.tune.batch
        search = BatchedSearch(
            optuna_search(
                distributions(self.params), self.params.seed, count, present_settings(self.params)
            ),
            batch, batch,
        )  # fmt: skip
        seeds = tuple(range(self.params.seed, self.params.seed + self.options.seeds))
        while len(trials) < count:
            numbers = range(len(trials), min(len(trials) + batch, count))
            drawn = [search.suggest(str(number)) for number in numbers]
            settings = [{name: own[name] for name in PLACES} for own in drawn]
            new = self._measured(
                [(own[NUMBER] + 1, chosen) for own, chosen in zip(drawn, settings, strict=True)],
                seeds, NetworkJob,
            )  # fmt: skip
            for number, trial in zip(numbers, new, strict=True):
                found = None if trial["failed"] else {OBJECTIVE: trial["objective"]}
                search.on_trial_complete(str(number), found, error=found is None)
            trials += new
        self._judge([*untrained, *trials])
        for trial in [*untrained, *trials]:
            del trial["work"]
        if reason := untrained[0]["failed"]:
            raise DataError(f"fleet {self.fleet.name}: the untrained network fails: {reason}")
        return fleet_figures(self.fleet, self.protocols, untrained[0], trials, self.params.seed)

    def _measured(
        self, drawn: Sequence[tuple[int, dict]], seeds: tuple[int, ...], kind: type[NetworkJob]
    ) -> list[dict]:
        """Train the networks of these (trial, settings) and compute their objectives."""
        networks, objectives = [], []
        for _, settings in drawn:
            for seed in seeds:
                own = with_settings(self.params, overlay(settings))
                own = own.model_copy(update={"seed": seed})
                job = network_job(self.fleet, self.store, own, self.home)
                if kind is not NetworkJob:
                    out = job.out.with_name(f"{kind.__name__.lower()}-{job.out.name}")
                    job = kind(fleet=job.fleet, store=job.store, params=job.params, out=out)
                networks.append(job)
                objectives.append(self._objective(job))
        broken = self._run_all(networks, "networks")
        trained = [job for i, job in enumerate(objectives) if i not in broken]
        failed = self._run_all(trained, "objectives")
        failed = {id(trained[i]): failure for i, failure in failed.items()}
        failed |= {id(objectives[i]): failure for i, failure in broken.items()}
        found = []
        for i, (number, settings) in enumerate(drawn):
            mine = slice(i * len(seeds), (i + 1) * len(seeds))
            reasons = [failed[id(j)].reason for j in objectives[mine] if id(j) in failed]
            trial = dict.fromkeys(TRIAL) | {"trial": number, "settings": settings}
            trial["failed"] = reasons[0] if reasons else None
            if not reasons:
                results = [read_result(job.out) for job in objectives[mine]]
                values_SI = [result["objective"] for result in results]  # by seed and injection
                trial |= {
                    "objective": float(np.mean([values[0] for values in values_SI])),
                    "objectives": values_SI,
                    "objective_seconds": float(np.mean([r["seconds"] for r in results])),
                }
                say(f"{self.fleet.name}: trial {number}: objective {trial['objective']:.4f}")
            found.append(trial | {"work": networks[mine]})
        return found

    def _objective(self, network: NetworkJob) -> ObjectiveJob:
        first = self.params.seed  # the faults do not depend on the seed of the training
        seeds = tuple(range(first, first + self.options.injections))
        inputs = {
            "network": network.out.name,
            "seeds": seeds,
            "cases": network.params.tune.cases,
            "detect": network.params.detect.model_dump(mode="json"),
            "code": code_digest(*OBJECTIVE_CODE),
        }
        out = self.home / "objectives" / f"{work_digest(inputs, ())}.json"
        return ObjectiveJob(
            fleet=self.fleet, store=network.store, params=network.params, network=network.out,
            seeds=seeds, out=out,
        )  # fmt: skip

    def _judge(self, trials: list[dict]) -> None:
        """Add the VUS-PR of each trial by protocol and view, which takes labels."""
        able = [trial for trial in trials if trial["failed"] is None]
        jobs = {trial["trial"]: [self._judge_job(n) for n in trial["work"]] for trial in able}
        order = [job for mine in jobs.values() for job in mine]
        failed = {id(order[i]): f for i, f in self._run_all(order, "judgements").items()}
        for trial in able:
            mine = jobs[trial["trial"]]
            if reasons := [failed[id(job)].reason for job in mine if id(job) in failed]:
                trial["failed"] = reasons[0]
                continue
            trial[PRIMARY], trial[f"{PRIMARY}_seeds"] = {}, {}
            for protocol in self.protocols:
                by_seed = [self._truth(read_result(job.out[protocol]), protocol) for job in mine]
                trial[f"{PRIMARY}_seeds"][protocol] = by_seed
                trial[PRIMARY][protocol] = {
                    view: float(np.mean([values[view] for values in by_seed])) for view in VIEWS
                }

    def _judge_job(self, network: NetworkJob) -> JudgeJob:
        detect = network.params.detect
        members = list(detect.members)
        if NETWORK not in members:
            members.append(NETWORK)
        # A network without a vote gets one here, to measure what it would be worth.
        update = {"members": members, "amad_weight": detect.vote or 1.0}
        detect = detect.model_copy(update=update)
        params = network.params.model_copy(update={"detect": detect})
        params = settings_of(NETWORK, "offline", params.seed, params)
        return judge_job(
            self.fleet, self.store, self.prepared.folder / "lake", NETWORK, "offline", params,
            network, self.protocols, self.home,
        )  # fmt: skip

    def _truth(self, result: dict, protocol: str) -> dict[str, float]:
        judged = judged_fleet(self.fleet, protocol, len(self.store.vehicles))
        found = {}
        for view, name in (("alone", "alone"), ("detector", "whole")):
            method_result = joined([result.get(name, result["whole"])["method_result"]])
            units = by_unit(method_result.per_unit, method_result.vehicle, judged)
            found[view] = float(np.mean([figures[PRIMARY] for figures in units.values()]))
        return found

    def _run_all(self, jobs: list, what: str) -> dict[int, Failure]:
        return run_all(jobs, self.options.jobs, f"{self.fleet.name}: {what}")


def main(arguments: Sequence[str] | None = None) -> dict:
    """Sweep every fleet, write ``--out`` and the plot, and return what was written.

    Raises:
        ConfigError: an unknown fleet or key.
        DataError: raw data is missing, or there are no rows to judge a trial on.
        ServiceError: a worker was killed.
    """
    quiet()
    options = options_of(arguments)
    settings = Settings()
    params = load_params(options.params or settings.params_file, options.fleet[0])
    options.trials = options.trials or params.tune.trials
    home, fleets = options.home.absolute(), {}
    for name in options.fleet:
        _, path = find_fleet(name, settings)
        prepared = prepare_fleet(path, params, home / "fleets", settings.data_dir, [])
        if "injected" in options.protocols and prepared.fleet.labels.kind in ("injected", "none"):
            prepared.skipped["injected"] = "the protocol test injects faults already"
        fleets[prepared.fleet.name] = FleetSweep(prepared, params, options).run()
    report = rounded({
        "machine": machine_facts(),
        "params": params.model_dump(mode="json"),
        "seeds": options.seeds,
        "injections": options.injections,
        "fleets": fleets,
    })  # fmt: skip
    write_json(options.out, report)
    picture = options.plot or options.out.with_suffix(".png")
    if any(fleet["correlation"] for fleet in report["fleets"].values()):
        save(draw_sweeps(report["fleets"]), picture)
    say(f"wrote {options.out} and {picture}")
    return report


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "--fleet", nargs="+", action="extend", metavar="FILE", required=True,
        help="fleet files, or names in conf/fleet",
    )  # fmt: skip
    parser.add_argument("--trials", type=positive, help="default: tune.trials")
    parser.add_argument(
        "--seeds", type=positive, default=1, help="trainings of each trial (default 1)"
    )
    parser.add_argument(
        "--injections",
        type=positive,
        default=3,
        help="draws of faults for the objective (default 3)",
    )
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS[:2], default=["test"])
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--plot", type=Path, help="default: beside --out")
    parser.add_argument("--home", type=Path, default=Path("runs/sweep"), help="finished work")
    parser.add_argument("--jobs", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(main, lambda done: False)
