"""The sweep under Ray Tune: AMAD's masks and loss weights, on an objective that sees no labels.

Each trial trains for a few epochs through ``amad.model.training.train`` in a worker of its own and
is judged after each by ``InjectedObjective``. The driver alone talks to MLflow: the sweep is a
run, each trial a child of it. docs/explanation/training.md says how the result is
made reproducible.
"""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray import tune

from amad.config import (
    DataError,
    InterruptionError,
    Params,
    ServiceError,
    Stage,
    interruption,
)
from amad.config.console import say
from amad.engines.shared.identity import RunState, work_digest
from amad.engines.shared.ray_cluster import ray_session, told_by_worker
from amad.engines.shared.tracking import connect, log_settings, open_run
from amad.engines.tune.search import (
    CURVE,
    NUMBER,
    OBJECTIVE,
    BatchedAsha,
    BatchedSearch,
    optuna_search,
)
from amad.engines.tune.sweep_log import SweepLog
from amad.engines.tune.sweep_outputs import (
    COMPLETE,
    FAILED,
    PLACES,
    STOPPED,
    best_of,
    described,
    is_range,
    overlay,
    present_settings,
    with_settings,
    write_outputs,
)
from amad.windows import WindowStore

CODE = (
    "amad.model", "amad.windows", "amad.detect", "amad.evaluation", "amad.metrics",
    "amad.simulator.faults",
)  # fmt: skip
ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it ends a sweep as if it were finished, see _stoppable
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard file a trial
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the other one prints tables whatever ``verbose`` says
}


def sweep_fleet(stage: Stage) -> dict:
    """Search ``params.tune.space`` and write ``best.json``, ``trials.csv`` and ``sweep.png``.

    A sweep of the same settings, data and code that was interrupted goes on: finished trials are
    not run again, failed ones are. One that was finished is taken as it is. Returns the content of
    ``best.json``.

    Raises:
        DataError: no window fits, or there are no rows to judge a trial on.
        ServiceError: Ray or the tracking store does not answer, or every trial failed.
    """
    fleet, params = stage.fleet.name, stage.params
    out_best, out_folder = stage.folder / "best.json", stage.folder / "sweep"
    digest = sweep_digest(params, WindowStore.checked(stage.folder / "store"))
    name = f"sweep-{digest}"
    state = RunState(stage.runs / "ray" / f"{name}.json")
    client = connect(stage.settings)
    tags = {"stage": "tune", "fleet": fleet, "digest": digest}
    with open_run(client, fleet, name, tags, state.get("run_id")) as run:
        state.put("run_id", run.info.run_id)
        log_settings(client, run.info.run_id, params)
        rows = state.get("trials")
        if rows is None or len(rows) < params.tune.trials:
            with ray_session(stage.profile):
                rows = _run_trials(stage, name, state)
            if not any(row["state"] == FAILED for row in rows):
                state.put("trials", rows)
        else:
            say(f"sweep {name} was finished before; taking its {len(rows)} trials")
        content = write_outputs(rows, params.tune.space, out_best, out_folder)
        client.log_metric(run.info.run_id, "best_objective", content["objective"])
        client.set_tag(run.info.run_id, "best_trial", str(content["trial"]))
        client.log_artifacts(run.info.run_id, str(out_folder), "sweep")
        client.log_artifact(run.info.run_id, str(out_best), "sweep")
    winner = best_of(rows)
    say(
        f"best of {len(rows)} trials: trial {winner['trial']}, objective "
        f"{winner['objective']:.4f}, {described(winner)}"
    )
    return content


def sweep_digest(params: Params, store: WindowStore) -> str:
    """Name of the sweep: what its result depends on."""
    content = params.model_dump(mode="json")
    parts = ("seed", "model", "mask", "loss", "train", "tune", "detect")
    return work_digest({key: content[key] for key in parts} | {"store": store.digest}, CODE)


def _run_trials(stage: Stage, name: str, state: RunState) -> list[dict]:
    """Run what is left of the sweep; the table of all its trials, by number."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    params, profile = stage.params, stage.profile
    trainable = tune.with_resources(
        tune.with_parameters(
            run_trial, store=str(stage.folder.absolute() / "store"), params=params, name=name,
            device="cuda" if profile.gpus_per_trial > 0 else "cpu", precision=profile.precision,
        ),
        {"cpu": profile.cpus_per_trial, "gpu": profile.gpus_per_trial},
    )  # fmt: skip
    path = f"{stage.storage}/{name}"
    if tune.Tuner.can_restore(path):
        say(f"going on with sweep {name}")
        try:
            tuner = tune.Tuner.restore(
                path, trainable, resume_unfinished=True, restart_errored=True, param_space={}
            )
        except Exception as error:  # whatever reading Ray's pickles and JSON raises
            raise DataError(
                f"what is known of sweep {name} in {path} is damaged "
                f"({' '.join(str(error).split())[:200]}); delete that folder, and it begins anew"
            ) from error
    else:
        say(f"sweep {name}: {params.tune.trials} trials")
        tuner = _new_tuner(stage, trainable, name, state)
    try:
        with _stoppable() as stopped:
            grid = tuner.fit()
    except Exception as error:
        raise ServiceError(
            f"sweep {name} was interrupted ({' '.join(str(error).split())[:300]}); run the stage "
            "again to go on where it stopped"
        ) from error
    if stopped or len(grid) < params.tune.trials:
        raise InterruptionError(
            f"sweep {name} was interrupted before its {params.tune.trials} trials were done and "
            "has no result; run the stage again to go on with those that are left"
        )
    results = [grid[i] for i in range(len(grid))]
    rows = sorted((_row(result, params) for result in results), key=lambda row: row["trial"])
    failed = [result.error for result in results if result.error is not None]
    if len(failed) == len(rows):
        told = told_by_worker(failed[0], path)
        if told is not None:
            raise told
        reason = " ".join(str(failed[0]).split())[-300:]
        raise ServiceError(f"every trial of sweep {name} failed, the first with: {reason}")
    return rows


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM stop a running sweep in an orderly way; yields the signals that came.

    Tune ends its loop on SIGUSR1, saves which trials are done and returns the results so far as if
    they were all: the caller has to look at the list. A second signal interrupts at once.
    """
    came: list[int] = []

    def stop(number: int, frame: object) -> None:
        came.append(number)
        interruption.end_soon()
        if len(came) > 1 or not callable(signal.getsignal(signal.SIGUSR1)):
            raise KeyboardInterrupt
        os.kill(os.getpid(), signal.SIGUSR1)

    with interruption.handlers_kept(signal.SIGUSR1):
        if threading.current_thread() is threading.main_thread():
            for number in interruption.SIGNALS:
                signal.signal(number, stop)
        yield came


def _new_tuner(stage: Stage, trainable, name: str, state: RunState) -> tune.Tuner:
    params, profile, searched = stage.params, stage.profile, stage.params.tune
    search = BatchedSearch(
        optuna_search(
            distributions(params), params.seed, searched.trials, present_settings(params)
        ),
        searched.batch,
        profile.max_concurrent_trials,
    )
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=search,
            scheduler=BatchedAsha(
                min(searched.grace_epochs, searched.epochs), searched.epochs, searched.batch
            ),
            num_samples=searched.trials,
            reuse_actors=True,  # 5 s a trial, most of it to import torch
            trial_dirname_creator=_trial_name,
            trial_name_creator=_trial_name,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=stage.storage,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=profile.max_failures),
            callbacks=[SweepLog(stage.settings, stage.fleet.name, state.path, searched.trials)],
            verbose=0,
        ),
    )


def distributions(params: Params) -> dict:
    """The space for Optuna: choices, and ranges, in the logarithm unless they begin at 0."""
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
    )

    found: dict[str, BaseDistribution] = {}
    for name in PLACES:
        values = getattr(params.tune.space, name)
        if is_range(values):
            found[name] = FloatDistribution(values[0], values[1], log=values[0] > 0)
        else:
            found[name] = CategoricalDistribution(values)
    return found


def _trial_name(trial) -> str:
    return f"trial-{trial.config[NUMBER] + 1:03d}"


class TuneReporter:
    """``amad.model.Reporter`` inside a trial; knows the objectives of all epochs so far."""

    rank, world_size = 0, 1

    def __init__(self, device: str) -> None:
        import torch

        self.device = torch.device(device)
        self._curve: list[float] = []
        self._folder: tempfile.TemporaryDirectory | None = None

    def report(self, metrics: dict, checkpoint: Path | None) -> None:
        """The trial ends in here where the scheduler stops it."""
        self._curve.append(metrics[OBJECTIVE])
        assert checkpoint is not None
        kept = tune.Checkpoint.from_directory(str(checkpoint))
        tune.report(metrics | {CURVE: list(self._curve)}, checkpoint=kept)

    def latest(self) -> Path | None:
        """A local copy of the trial's checkpoint, after a restart."""
        from amad.model.checkpoint import load_checkpoint

        found = tune.get_checkpoint()
        if found is None:  # and no folder: Ray ends its workers before they could remove one
            return None
        self._folder = self._folder or tempfile.TemporaryDirectory(prefix="amad-")
        folder = Path(found.to_directory(self._folder.name))
        self._curve = [metrics[OBJECTIVE] for metrics in load_checkpoint(folder)["epochs"]]
        return folder


def run_trial(
    config: dict, *, store: str, params: Params, name: str, device: str, precision: str
) -> None:
    """One trial, in a worker: train a few epochs and report the objective after each."""
    from amad.evaluation.objective import InjectedObjective
    from amad.model.training import TrainJob, train

    chosen = {key: value for key, value in config.items() if key != NUMBER}
    own = with_settings(params, overlay(chosen))
    objective = InjectedObjective(WindowStore.open(Path(store)), own, own.tune.cases, own.seed)

    def judge(network, epoch: int) -> dict:
        del epoch
        return {OBJECTIVE: objective(network)}

    job = TrainJob(
        store=Path(store),
        params=own,
        digest=f"{name}-{config[NUMBER]}",
        precision=precision,
        epochs=own.tune.epochs,
        max_windows=own.tune.max_windows,
    )
    train(job, TuneReporter(device), judge)


def _row(result, params: Params) -> dict:
    """The table's row of one trial."""
    metrics = result.metrics or {}
    epochs = len(metrics.get(CURVE, []))
    if result.error is not None:
        state = FAILED
    else:
        state = COMPLETE if epochs >= params.tune.epochs else STOPPED
    return {
        "trial": result.config[NUMBER] + 1,
        **{name: result.config[name] for name in PLACES},
        "objective": metrics.get(OBJECTIVE),
        "epochs": epochs,
        "state": state,
    }
