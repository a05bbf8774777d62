"""The sweep under Ray Tune: AMAD's masks and loss weights, on an objective that sees no labels.

Each trial trains for a few epochs with ``amad.model.training.train`` in a worker of its own, and is
judged after each by ``InjectedObjective``. Only the driver talks to MLflow: the sweep is a run, and
each trial a child of it. docs/explanation/training.md says how the result is made reproducible.
"""

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray import tune
from ray.exceptions import RayActorError
from ray.tune.result import TRIAL_ID

from amad.config import (
    ClusterProfile,
    DataError,
    DivergenceError,
    InterruptionError,
    Params,
    ServiceError,
    Stage,
    interruption,
)
from amad.config.console import say
from amad.config.wording import count
from amad.engines.shared.identity import RunState, work_digest
from amad.engines.shared.ray_cluster import ray_session, require_gpus, told_by_worker
from amad.engines.shared.store_on_nodes import StoreOnNodes
from amad.engines.shared.tracking import connect, log_settings, open_run
from amad.engines.tune.search import BatchedAsha, BatchedSearch, optuna_search, trial_name
from amad.engines.tune.sweep_log import SweepLog
from amad.engines.tune.sweep_outputs import best_trial, write_no_trial, write_outputs
from amad.engines.tune.sweep_result import (
    PLACES,
    State,
    SweepResult,
    Trial,
    described,
    is_range,
    present_settings,
)
from amad.engines.tune.trial import CURVE, DIVERGED, NUMBER, OBJECTIVE, run_trial
from amad.evaluation.objective import judged_vehicles, too_few_rows
from amad.model.compiled import require_compiler
from amad.windows import WindowStore, why_none_fits

CODE = (
    "amad.model", "amad.windows", "amad.detect", "amad.evaluation", "amad.metrics",
    "amad.simulator.faults",
)  # fmt: skip
ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # it ends a sweep as if it were finished, see _stoppable
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no CSV, JSON and TensorBoard file per trial
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output prints tables even with ``verbose=0``
}


def sweep_fleet(stage: Stage) -> SweepResult:
    """Search ``params.tune.space`` and write ``best.json``, ``trials.csv`` and ``sweep.png``.

    An interrupted sweep of the same settings, data and code goes on: finished trials are not run
    again, failed ones are, unless their training diverged. The result of a finished one is used
    again. Where no trial could be trained or judged, there is none, and the network keeps the
    settings of params.yaml.

    Raises:
        ConfigError: the machine lacks the GPUs or the compiler that the profile asks for, or the
            trainings of all trials diverged.
        DataError: the store is damaged.
        ServiceError: Ray or the tracking store does not answer, every trial failed, or workers
            were lost more often than ``max_failures`` of the profile.
    """
    fleet, params = stage.fleet.name, stage.params
    opened = WindowStore.checked(stage.folder / "store")
    if reason := _why_no_trial(opened, params.model.window):
        say(f"no sweep, so the network keeps the settings of params.yaml: {reason}")
        return write_no_trial(reason, stage.folder)
    digest = sweep_digest(params, opened, stage.profile)
    name = f"sweep-{digest}"
    state = RunState(stage.runs / "ray" / f"{name}.json")
    client = connect(stage.settings)
    tags = {"stage": "tune", "fleet": fleet, "digest": digest}
    with open_run(client, fleet, name, tags, state.get("run_id")) as run:
        state.put("run_id", run.info.run_id)
        log_settings(client, run.info.run_id, params)
        trials = [Trial.model_validate(known) for known in state.get("trials") or []]
        if len(trials) < params.tune.trials:
            wanted = stage.profile.gpus_per_trial
            if stage.profile.address is None and wanted:
                require_gpus(wanted, f"gpus_per_trial: {wanted:g}")
            if stage.profile.address is None:
                require_compiler(stage.profile.compile, "cuda" if wanted else "cpu")
            with ray_session(stage.profile):
                trials = _run_trials(stage, opened, name, state)
            if not any(trial.state == "failed" for trial in trials):
                state.put("trials", [trial.model_dump() for trial in trials])
        else:
            say(f"sweep {name} was finished before; taking its {count(len(trials), 'trial')}")
        result = write_outputs(trials, params.tune.space, stage.folder)
        assert result.objective is not None, "a sweep with trials has a best one"
        client.log_metric(run.info.run_id, "best_objective", result.objective)
        client.set_tag(run.info.run_id, "best_trial", str(result.trial))
        client.log_artifacts(run.info.run_id, str(stage.folder / "sweep"), "sweep")
        client.log_artifact(run.info.run_id, str(stage.folder / SweepResult.FILE), "sweep")
    say(
        f"best of {count(result.trials, 'trial')}: trial {result.trial}, objective "
        f"{result.objective:.4f}, {described(best_trial(trials).settings)}"
    )
    return result


def _why_no_trial(store: WindowStore, window: int) -> str:
    """Empty if a trial can be trained and judged."""
    if reason := why_none_fits(store, window):
        return reason
    return "" if judged_vehicles(store, window) else too_few_rows(store, window)


def sweep_digest(params: Params, store: WindowStore, profile: ClusterProfile) -> str:
    """Name of the sweep: what its result depends on, as that of a training does."""
    sections = {"seed", "model", "mask", "loss", "train", "tune", "detect"}
    content = params.model_dump(mode="json", include=sections)
    return work_digest(content | {"store": store.digest, "precision": profile.precision}, CODE)


def _run_trials(stage: Stage, store: WindowStore, name: str, state: RunState) -> list[Trial]:
    """Run what is left of the sweep; all its trials, in the order of their numbers."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    # It logs a traceback for each failed trial; SweepLog says the reason.
    logging.getLogger("ray.tune.execution.tune_controller").setLevel(logging.CRITICAL)
    path = f"{stage.checkpoints}/{name}"
    trainable = _trainable(stage, store, name)
    if tune.Tuner.can_restore(path):
        say(f"going on with sweep {name}")
        tuner = _restored(path, trainable, name)
    else:
        say(f"sweep {name}: {count(stage.params.tune.trials, 'trial')}")
        tuner = _new_tuner(stage, trainable, name, state)
    grid = _fit_all(tuner, stage, path, trainable, name)
    _check_one_worked(grid, path, name)
    return _trials_of(grid, stage.params.tune.epochs)


def _trainable(stage: Stage, store: WindowStore, name: str):
    """What Ray runs for each trial, and the processors that it reserves for it."""
    profile = stage.profile
    return tune.with_resources(
        tune.with_parameters(
            run_trial,
            store=StoreOnNodes.of(stage, store),
            params=stage.params,
            name=name,
            device="cuda" if profile.gpus_per_trial > 0 else "cpu",
            precision=profile.precision,
            compile=profile.compile,
        ),
        {"cpu": profile.cpus_per_trial, "gpu": profile.gpus_per_trial},
    )


def _fit_all(tuner: tune.Tuner, stage: Stage, path: str, trainable, name: str) -> tune.ResultGrid:
    """The results of all trials. After the loss of a worker, the sweep is restored and goes on.

    Raises:
        ServiceError: Tune failed, or workers were lost too often.
        InterruptionError: a signal came before all trials were done.
    """
    trials, allowed = stage.params.tune.trials, stage.profile.max_failures
    for restarts in range(allowed + 1):
        grid, stopped = _fit(tuner, name)
        lost = [result for result in _results(grid) if isinstance(result.error, RayActorError)]
        if stopped or not lost:
            break
        names = " and ".join(sorted(Path(result.path).name for result in lost))
        if restarts == allowed:
            reason = " ".join(str(lost[0].error).split())[:200]
            raise ServiceError(
                f"sweep {name} lost the worker of {names} once more than max_failures allows "
                f"({reason}); run the stage again to go on where it stopped"
            )
        say(f"the worker of {names} was lost; going on with sweep {name}")
        tuner = _restored(path, trainable, name)
    if stopped or len(grid) < trials:
        raise InterruptionError(
            f"sweep {name} was interrupted before all of its {trials} trials were done "
            "and has no result; run the stage again to go on with those that are left"
        )
    return grid


def _fit(tuner: tune.Tuner, name: str) -> tuple[tune.ResultGrid, bool]:
    """The results of the trials that ended, and whether a signal stopped the sweep."""
    try:
        with _stoppable() as signals:
            grid = tuner.fit()
    except Exception as error:
        raise ServiceError(
            f"sweep {name} was interrupted ({' '.join(str(error).split())[:300]}); run the "
            "stage again to go on where it stopped"
        ) from error
    return grid, bool(signals)


def _results(grid: tune.ResultGrid) -> list[tune.Result]:
    return [grid[i] for i in range(len(grid))]


def _check_one_worked(grid: tune.ResultGrid, path: str, name: str) -> None:
    """Raise the error of the first trial where every trial failed or diverged."""
    failed: list[Exception] = []
    for result in _results(grid):
        if result.error is not None:
            failed.append(result.error)
        elif reason := (result.metrics or {}).get(DIVERGED):
            failed.append(DivergenceError(reason))
    if len(failed) < len(grid):
        return
    told = told_by_worker(failed[0], path)
    if told is not None:
        raise told
    reason = " ".join(str(failed[0]).split())[-300:]
    raise ServiceError(f"every trial of sweep {name} failed, the first with: {reason}")


def _trials_of(grid: tune.ResultGrid, epochs: int) -> list[Trial]:
    """All trials, in the order of their numbers. epochs: of a trial that is not stopped early."""
    # A result has no settings where the trial failed before its first report; what was saved does.
    saved = tune.ExperimentAnalysis(grid.experiment_path, storage_filesystem=grid.filesystem)
    settings = saved.get_all_configs()
    trials = [
        _trial_of(settings[(result.metrics or {})[TRIAL_ID]], result, epochs)
        for result in _results(grid)
    ]
    return sorted(trials, key=lambda trial: trial.trial)


def _restored(path: str, trainable, name: str) -> tune.Tuner:
    """The sweep as it was saved in ``path``; unfinished and failed trials go on."""
    try:
        return tune.Tuner.restore(
            path, trainable, resume_unfinished=True, resume_errored=True, param_space={}
        )
    except Exception as error:  # reading Ray's pickles and JSON may raise anything
        raise DataError(
            f"what is known of sweep {name} in {path} is damaged "
            f"({' '.join(str(error).split())[:200]}); delete that folder, and it begins anew"
        ) from error


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Let SIGINT and SIGTERM stop a running sweep in order; yields the list of these signals.

    On SIGUSR1, Tune ends its loop, saves which trials are done and returns the results so far as if
    the sweep were finished, so the caller has to look at the list. A second signal interrupts at
    once.
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
            reuse_actors=True,  # a new one costs 5 s per trial, most of it to import torch
            trial_dirname_creator=trial_name,
            trial_name_creator=trial_name,
        ),
        run_config=tune.RunConfig(
            name=name,
            storage_path=stage.checkpoints,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            failure_config=tune.FailureConfig(max_failures=profile.max_failures),
            callbacks=[SweepLog(stage.settings, stage.fleet.name, state.path, searched.trials)],
            verbose=0,
        ),
    )


def distributions(params: Params) -> dict:
    """The space for Optuna: choices, and ranges, which are logarithmic unless they begin at 0."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

    found: dict[str, BaseDistribution] = {}
    for name in PLACES:
        values = getattr(params.tune.space, name)
        if is_range(values):
            found[name] = FloatDistribution(values[0], values[1], log=values[0] > 0)
        else:
            found[name] = CategoricalDistribution(values)
    return found


def _trial_of(settings: dict, result, epochs: int) -> Trial:
    """A trial from what Tune says of it. epochs: of a trial that is not stopped early."""
    metrics = result.metrics or {}
    objectives = metrics.get(CURVE, [])
    state: State = "complete" if len(objectives) >= epochs else "stopped"
    if result.error is not None:
        state = "failed"
    elif DIVERGED in metrics:
        state = "diverged"
    return Trial(
        trial=settings[NUMBER] + 1,
        **{name: settings[name] for name in PLACES},
        objective=metrics.get(OBJECTIVE),
        epochs=len(objectives),
        state=state,
    )
