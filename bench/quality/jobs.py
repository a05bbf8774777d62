"""The jobs of the benchmark: they train a network, or judge a detector, and write one result file.

The file's name is a digest of everything that its content depends on: data, settings, seed, code.
So an interrupted run goes on where it stopped, and a second run finds everything done.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from amad.baselines import baseline_names
from amad.config import DataError, Fleet, Params
from amad.detect.detector import Detector
from amad.detect.members.member import Member
from amad.detect.residual_cache import ResidualCache
from amad.detect.scorer import Scorer
from amad.engines.shared.identity import code_digest, work_digest
from amad.evaluation.harness import judge
from amad.evaluation.units import fitting_parts
from amad.evaluation.vote import decide_vote
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.series import TEST
from amad.windows.store import WindowStore
from bench.quality.fleets import HALVES, CleanStretches, judged_fleet
from bench.quality.methods import DETERMINISTIC, build, looks_ahead
from bench.quality.records import result_to_json

NETWORK_CODE = ("amad.model", "amad.windows")
JUDGE_CODE = (
    "amad.detect", "amad.incidents", "amad.metrics", "amad.windows", "amad.evaluation.harness",
    "amad.evaluation.method_result", "amad.evaluation.objective", "amad.evaluation.units",
    "amad.evaluation.vote", "amad.simulator.faults", "bench.quality.jobs", "bench.quality.fleets",
    "bench.quality.records",
)  # fmt: skip
TIMED_ROWS = 5000  # of a test part, scored once more to measure the time


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkJob:
    """Train one network with the ``params`` of its method; the bundle goes to ``out``."""

    fleet: Fleet
    store: Path
    params: Params
    out: Path

    @property
    def title(self) -> str:
        """The name of the job in a line of progress."""
        return f"{self.fleet.name} / {self.store.name} / train a network, seed {self.params.seed}"

    def done(self) -> bool:
        """Is the result there already?"""
        return (self.out / "bundle").is_dir()

    def run(self) -> None:
        """Train the network, going on where an earlier run stopped."""
        from amad.model import Bundle, LocalReporter, TrainJob, train, write_bundle

        started = time.perf_counter()
        reporter = LocalReporter(self.out)
        digest = self.out.name
        train(TrainJob(store=self.store, params=self.params, digest=digest), reporter)
        network = reporter.latest(digest).network(self.params.model)
        meta = {"digest": digest, "train_seconds": time.perf_counter() - started}
        scaler = WindowStore.open(self.store).scaler
        bundle = Bundle(
            model=network, params=self.params, fleet=self.fleet, scaler=scaler, meta=meta
        )
        write_bundle(self.out / "bundle", bundle)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeJob:
    """Fit one method on one store and judge it.

    lake: has the events. out: the file of the result of each pass: ``test``, ``injected`` or a half
    of ``unseen``. network: the folder of the ``NetworkJob`` that the method needs. candidate: the
    name of the settings, where these are not the shipped ones.
    """

    fleet: Fleet
    store: Path
    lake: Path
    method: str
    form: str
    params: Params
    network: Path | None
    out: dict[str, Path]
    candidate: str | None = None

    @property
    def title(self) -> str:
        """The name of the job in a line of progress."""
        passes, method = "+".join(self.out), self.candidate or self.method
        return f"{self.fleet.name} / {passes} / {self.form} / {method}, seed {self.params.seed}"

    def done(self) -> bool:
        """Is the result there already?"""
        return all(path.is_file() for path in self.out.values())

    def run(self) -> None:
        """Fit the method once, judge it in each pass, and write a file per pass.

        Raises:
            AmadError: the method cannot be fitted, or looks ahead in the online form.
        """
        store = WindowStore.open(self.store)
        detector, costs = self._fitted(store)
        for name, path in self.out.items():
            if path.is_file():
                continue
            view = CleanStretches.of(store) if name == "injected" else store
            fleet = judged_fleet(self.fleet, name, len(store.vehicles))
            events = Lake(self.lake, self.fleet).events()
            results, unscorable = judge(
                {self.method: detector}, view, fleet, self.params, events, {}
            )
            if name in HALVES:  # the other half judges the known vehicles
                hidden = store.meta["hidden"]
                unscorable = {u: why for u, why in unscorable.items() if u in hidden}
            content = {
                "method_result": result_to_json(results[self.method]),
                "unscorable": unscorable,
                **costs,
            }
            write_json(path, content)

    def _fitted(self, store: WindowStore) -> tuple[Scorer, dict]:
        """The fitted method, and what it costs."""
        params, bundle, vote = self.params, None, None
        if self.network is not None:
            from amad.model import read_bundle

            bundle = read_bundle(self.network / "bundle")
        train, calibration = fitting_parts(store)
        cache, started = ResidualCache(), time.perf_counter()
        if bundle is not None and params.detect.amad_weight == "auto":
            detect, vote = decide_vote(store, bundle, params)
            params = params.model_copy(update={"detect": detect})
        detector = build(self.method, params, self.fleet, store, bundle)
        self._check(detector)
        for member in members_of(detector):
            member.cache = cache
        detector.fit(train, calibration)
        seconds = time.perf_counter() - started
        self._check(detector)  # some know only after the fit how far they look ahead
        cache.clear()
        costs = {
            "fit_seconds": seconds,
            "train_seconds": bundle.meta["train_seconds"] if bundle else 0.0,
            "parameters": numbers_learnt(detector),
            "vote": vote and vote.model_dump(mode="json"),
            "rows_per_second": _rows_per_second(detector, store),
        }
        cache.clear()
        return detector, costs

    def _check(self, detector: Scorer) -> None:
        if self.form == "online" and (reason := looks_ahead(detector)):
            raise LooksAheadError(reason)


Job = NetworkJob | JudgeJob


class LooksAheadError(DataError):
    """The method looks ahead, so it is left out of the online form, which is no failure."""


def network_job(fleet: Fleet, store: WindowStore, params: Params, home: Path) -> NetworkJob:
    """The training that these settings need; methods with the same network share it."""
    content = params.model_dump(mode="json")
    inputs = {key: content[key] for key in ("seed", "model", "mask", "loss", "train")}
    inputs |= {"store": store.digest, "code": _code(NETWORK_CODE)}
    out = home / "networks" / work_digest(inputs, ())
    return NetworkJob(fleet=fleet, store=store.path, params=params, out=out)


def judge_job(
    fleet: Fleet, store: WindowStore, lake: Path, method: str, form: str, params: Params,
    network: NetworkJob | None, passes: Sequence[str], home: Path,
) -> JudgeJob:  # fmt: skip
    """The job that judges one method on one store in these passes."""
    content = params.model_dump(mode="json")
    inputs = {key: content[key] for key in ("seed", "detect")}
    inputs |= {
        "fleet": fleet.digest,
        "store": store.digest,
        "method": method,
        "form": form,
        "network": network.out.name if network else None,
    }
    code = JUDGE_CODE
    if method in baseline_names():
        code += ("amad.baselines",) if method in DETERMINISTIC else ("amad.baselines", "amad.model")
    digest = work_digest(inputs | {"code": _code(code)}, ())
    out = {name: home / "jobs" / fleet.name / f"{name}-{digest}.json" for name in passes}
    return JudgeJob(
        fleet=fleet, store=store.path, lake=lake, method=method, form=form, params=params,
        network=network.out if network else None, out=out,
    )  # fmt: skip


@lru_cache
def _code(packages: tuple[str, ...]) -> str:
    """The digest of the code, read once, because the code that runs was also loaded once."""
    return code_digest(*packages)


def numbers_learnt(detector: Scorer) -> int:
    """All coefficients of all members, and weights of the networks that vote.

    What several owners share counts once. The chain's calibration is not counted: every method
    has the same.
    """
    arrays: list[np.ndarray] = []
    members = members_of(detector)
    for owner in members or [detector]:  # the bundle of a detector travels along, whoever votes
        bundle = getattr(owner, "bundle", None)
        network = bundle.model if bundle is not None else getattr(owner, "network", None)
        if network is not None:
            arrays += [p.detach().numpy() for p in network.parameters()]
    for member in members:
        arrays += [
            array for arrays_of in member.coefficients.values() for array in arrays_of.values()
        ]
    distinct = {
        hashlib.sha256(np.ascontiguousarray(array, np.float32)).digest(): array.size
        for array in arrays
    }
    return sum(distinct.values())


def members_of(detector: Scorer) -> list[Member]:
    """The members of a detector; an empty list for a method without members."""
    return detector.members if isinstance(detector, Detector) else []


def _rows_per_second(detector: Scorer, store: WindowStore) -> float:
    """Rows per second of scoring the first ``TIMED_ROWS`` test rows of a vehicle."""
    for vehicle in store.vehicles:
        test = store.scaled(vehicle).part(TEST)
        if test.rows:
            test = test.rows_between(0, min(TIMED_ROWS, test.rows))
            started = time.perf_counter()
            detector.score(test)
            return test.rows / (time.perf_counter() - started)
    return 0.0


def read_result(path: Path) -> dict:
    """Read what a finished judgement wrote."""
    return json.loads(path.read_text(encoding="utf-8"))
