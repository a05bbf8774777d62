"""One trial of the sweep, in a worker process of Ray: it trains, and reports after each epoch.

A worker imports this module, and neither MLflow nor Optuna, which take it a second of a processor.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ray import tune

from amad.config import DataError, DivergenceError, Params
from amad.config.cluster import Compile
from amad.engines.shared.ray_checkpoint import own_copy
from amad.engines.shared.store_on_nodes import StoreOnNodes
from amad.engines.tune.sweep_result import overlay, with_settings, with_trial_budget
from amad.telemetry.temporary import keep_apart
from amad.windows import WindowStore

if TYPE_CHECKING:
    from amad.model.checkpoint import Checkpoint

EPOCH, OBJECTIVE, CURVE, NUMBER = "epoch", "objective", "curve", "trial"
DIVERGED = "diverged"  # the reason, in the last report of a trial whose training diverged


class TuneReporter:
    """The ``Reporter`` of a trial; it reports the objectives of all epochs so far."""

    rank, world_size = 0, 1

    def __init__(self, device: str) -> None:
        import torch

        keep_apart()
        self.device = torch.device(device)
        self._curve: list[float] = []

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """Report an epoch; this call does not return where the scheduler stops the trial."""
        self._curve.append(metrics[OBJECTIVE])
        assert checkpoint is not None
        kept = tune.Checkpoint.from_directory(str(checkpoint))
        tune.report(metrics | {CURVE: list(self._curve)}, checkpoint=kept)

    def diverged(self, reason: str) -> None:
        """Report the end of the trial: as an error, Tune would try it again, to the same end."""
        objective = self._curve[-1] if self._curve else None
        tune.report({DIVERGED: reason, OBJECTIVE: objective, CURVE: list(self._curve)})

    def latest(self, digest: str) -> "Checkpoint | None":
        """The trial's checkpoint, after a restart; with a damaged one the trial begins anew."""
        from amad.model.checkpoint import Checkpoint

        found = tune.get_checkpoint()
        if found is None:
            return None
        try:
            with own_copy(found) as folder:
                checkpoint = Checkpoint.read(folder, self.device, digest)
        except DataError:
            return None
        self._curve = [metrics[OBJECTIVE] for metrics in checkpoint.epochs]
        return checkpoint


def run_trial(
    config: dict, *, store: StoreOnNodes, params: Params, name: str, device: str, precision: str,
    compile: Compile,
) -> None:  # fmt: skip
    """One trial, in a worker: train for a few epochs and report the objective after each."""
    from amad.evaluation.objective import InjectedObjective
    from amad.model.training import TrainJob, train

    chosen = {key: value for key, value in config.items() if key != NUMBER}
    own = with_settings(params, overlay(chosen))
    opened = WindowStore.open(store.here())
    objective = InjectedObjective(opened, own, own.tune.cases, own.seed)
    job = TrainJob(
        store=opened.path,
        params=with_trial_budget(own, len(opened.vehicles)),
        digest=f"{name}-{config[NUMBER]}",
        precision=precision,
        compile=compile,
    )
    reporter = TuneReporter(device)
    try:
        train(job, reporter, lambda network: {OBJECTIVE: objective(network)})
    except DivergenceError as error:
        reporter.diverged(str(error))
