"""A sweep without Ray, in this process, as an oracle: what a sweep under Tune has to come to."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from amad.config import Params
from amad.engines.shared.store_on_nodes import StoreOnNodes
from amad.engines.tune import trial as trials
from amad.engines.tune.search import BatchedAsha, BatchedSearch, optuna_search
from amad.engines.tune.sweep import distributions
from amad.engines.tune.sweep_outputs import write_outputs
from amad.engines.tune.sweep_result import PLACES, Trial, present_settings
from amad.engines.tune.trial import CURVE, EPOCH, NUMBER, OBJECTIVE, run_trial
from amad.model import LocalReporter
from amad.windows import WindowStore

OUTPUTS = ("best.json", "sweep/trials.csv", "sweep/sweep.png")


def outputs(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in OUTPUTS]


def expected_outputs(store: WindowStore, params: Params) -> list[bytes]:
    """The files of the sweep, one trial after the other."""
    searched = params.tune
    search = BatchedSearch(
        optuna_search(
            distributions(params), params.seed, searched.trials, present_settings(params)
        ),
        searched.batch,
        1,
    )
    asha = BatchedAsha(min(searched.grace_epochs, searched.epochs), searched.epochs, searched.batch)
    known: list[SimpleNamespace] = []
    for number in range(searched.trials):
        config = search.suggest(str(number))
        assert config is not None
        known.append(SimpleNamespace(trial_id=str(number), config=config, last_result={}))
        _train(store, params, asha, known)
        search.on_trial_complete(str(number), known[-1].last_result)
    curves = [one.last_result[CURVE] for one in known]
    found = [
        Trial(
            trial=number + 1,
            **{name: one.config[name] for name in PLACES},
            objective=curve[-1],
            epochs=len(curve),
            state="complete" if len(curve) == searched.epochs else "stopped",
        )
        for number, (one, curve) in enumerate(zip(known, curves, strict=True))
    ]
    with TemporaryDirectory() as folder:
        write_outputs(found, searched.space, Path(folder))
        return outputs(Path(folder))


class _StoppedError(Exception):
    pass


def _train(store: WindowStore, params: Params, asha: BatchedAsha, known: list) -> None:
    """The last of the known trials, from its first epoch to its last."""
    trial, controller = known[-1], SimpleNamespace(get_trials=lambda: known)

    class Reporter(LocalReporter):
        def report(self, metrics: dict, checkpoint: Path | None) -> None:
            curve = [*trial.last_result.get(CURVE, []), metrics[OBJECTIVE]]
            result = {EPOCH: len(curve), OBJECTIVE: curve[-1], CURVE: curve}
            action = asha.on_trial_result(controller, trial, result)
            trial.last_result = result
            if action == TrialScheduler.STOP:
                raise _StoppedError

    shared = StoreOnNodes(path=store.path, digest=store.digest, stored=None)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(trials, "TuneReporter", lambda device: Reporter(Path(folder), device))
        with suppress(_StoppedError):
            run_trial(
                trial.config, store=shared, params=params,
                name=f"alone-{trial.config[NUMBER]}", device="cpu", precision="auto",
                compile="none",
            )  # fmt: skip
