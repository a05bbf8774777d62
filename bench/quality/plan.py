"""Which jobs a run needs, where their results are, and the report on a fleet from them."""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from amad.config import Fleet, Params
from amad.evaluation.harness import RANDOM_SEEDS
from amad.evaluation.units import is_injected
from amad.windows.store import WindowStore
from bench.quality.figures import form_figures
from bench.quality.fleets import HALVES, Prepared, judged_fleet
from bench.quality.jobs import JudgeJob, NetworkJob, judge_job, network_job, read_result
from bench.quality.methods import (
    DETECTOR,
    FLOOR,
    is_random,
    left_out,
    needs_network,
    settings_of,
)
from bench.quality.pool import Failure, run_all, sentence


class Plan:
    """All jobs of a run, and where their results are.

    candidates: other settings of the method ``amad``, by a name that stands among the methods.
    """

    def __init__(
        self, options: argparse.Namespace, params: Params, methods: list[str], home: Path,
        candidates: Mapping[str, Params] | None = None,
    ) -> None:  # fmt: skip
        self.options, self.params, self.methods, self.home = options, params, methods, home
        self.candidates = candidates or {}
        self.networks: dict[Path, NetworkJob] = {}
        self.jobs: dict[tuple[Path, ...], JudgeJob] = {}  # by the files of their results
        self.judgements: dict[tuple, list[JudgeJob]] = {}  # (fleet, form, method)
        self.refused: dict[tuple, str] = {}  # (fleet, form, method)
        self.impossible: dict[tuple, str] = {}
        self.failed: dict[int, Failure] = {}  # by id of the job

    def add(self, fleet: Prepared) -> None:
        """Plan the jobs of one fleet."""
        wanted = [p for p in self.options.protocols if p not in fleet.skipped]
        whole = [p for p in wanted if p != "unseen"]
        passes_of = {"whole": whole} if whole else {}
        passes_of |= {half: [half] for half in HALVES if "unseen" in wanted}
        stores = [(WindowStore.open(fleet.stores[name]), p) for name, p in passes_of.items()]
        for form in self.options.forms:
            for method in self.methods:
                key = (fleet.fleet.name, form, method)
                try:
                    name, shipped = self._named(method)
                    params = settings_of(name, form, shipped.seed, shipped)
                    if reason := left_out(name, form, params, fleet.fleet, fleet.store):
                        self.refused[key] = reason
                        continue
                    self.judgements[key] = [
                        self._job(fleet, store, passes, form, method, seed)
                        for seed in self._seeds(method)
                        for store, passes in stores
                    ]
                except Exception as error:  # a method that cannot be built stops no other
                    self.impossible[key] = sentence(error)

    def _named(self, method: str) -> tuple[str, Params]:
        """The name under which a method is built, and its settings before any form changes them."""
        if method in self.candidates:
            return DETECTOR, self.candidates[method]
        return method, self.params

    def _seeds(self, method: str) -> range:
        count = self.options.seeds if is_random(*self._named(method)) else 1
        if method == FLOOR:
            count = max(count, RANDOM_SEEDS)
        return range(self.params.seed, self.params.seed + count)

    def _job(
        self, fleet: Prepared, store: WindowStore, passes: list[str], form: str, method: str,
        seed: int,
    ) -> JudgeJob:  # fmt: skip
        name, shipped = self._named(method)
        params = settings_of(name, form, seed, shipped)
        network = None
        if needs_network(name, shipped):
            network = network_job(fleet.fleet, store, params, self.home)
            network = self.networks.setdefault(network.out, network)
        job = judge_job(
            fleet.fleet, store, fleet.folder / "lake", name, form, params, network, passes,
            self.home,
        )  # fmt: skip
        if method in self.candidates:
            job = replace(job, candidate=method)
        return self.jobs.setdefault(tuple(job.out.values()), job)

    def run(self, processes: int) -> None:
        """Train the networks, then judge with those that are there."""
        networks = list(self.networks.values())
        broken = {
            networks[i].out: error for i, error in run_all(networks, processes, "networks").items()
        }
        jobs = list(self.jobs.values())
        self.failed = {id(j): broken[j.network] for j in jobs if j.network in broken}
        jobs = [job for job in jobs if id(job) not in self.failed]
        for i, error in run_all(jobs, processes, "judgements").items():
            self.failed[id(jobs[i])] = error

    def report(self, prepared: Prepared) -> dict:
        """The report on one fleet."""
        fleet, store = prepared.fleet, prepared.store
        content = {
            "description": fleet.description,
            "digest": fleet.digest,
            "period_seconds": fleet.period_seconds,
            "buffer_rows": fleet.evaluation.buffer_rows,
            "labels": fleet.labels.kind,
            "vehicles": store.vehicles,
            "channels": store.channels,
            "rows": {
                part: sum(v["parts"][part] for v in store.content["vehicles"].values())
                for part in ("train", "calibration", "test")
            },
            "skipped": prepared.skipped,
            "protocols": {},
        }
        for protocol in self.options.protocols:
            if protocol in prepared.skipped:
                continue
            judged = judged_fleet(fleet, protocol, len(store.vehicles))
            content["protocols"][protocol] = {
                form: self._form(protocol, form, prepared, judged) for form in self.options.forms
            }
        return content

    def _form(self, protocol: str, form: str, prepared: Prepared, judged: Fleet) -> dict:
        name = prepared.fleet.name
        results, failed, out = {}, {}, {}
        passes = HALVES if protocol == "unseen" else (protocol,)
        for method in self.methods:
            key = (name, form, method)
            if key in self.refused:
                out[method] = self.refused[key]
                continue
            if key in self.impossible:
                failed[method] = self.impossible[key]
                continue
            jobs = [j for j in self.judgements[key] if set(passes) & set(j.out)]
            failures = [self.failed[id(job)] for job in jobs if id(job) in self.failed]
            if failures:
                (out if failures[0].left_out else failed)[method] = failures[0].reason
                continue
            by_seed: dict[int, list[dict]] = {}
            for job in jobs:
                parts = [read_result(job.out[p]) for p in passes if p in job.out]
                by_seed.setdefault(job.params.seed, []).extend(parts)
            results[method] = list(by_seed.values())
        content = {"unit": judged.evaluation.unit, "units": 0, "unscorable": {}, "methods": {}}
        content["share_of_amad"] = None
        if FLOOR in results:
            one_fault = is_injected(judged)
            content = form_figures(results, judged, self.params, one_fault=one_fault)
        return content | {"failed": failed, "left_out": out}
