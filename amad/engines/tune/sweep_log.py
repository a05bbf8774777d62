"""What the driver tells MLflow and the person who watches while a sweep runs."""

import signal
from pathlib import Path

from mlflow import MlflowClient
from ray import cloudpickle
from ray.exceptions import RayActorError
from ray.tune import Callback

from amad.config import Settings
from amad.config.console import say
from amad.engines.shared.identity import RunState
from amad.engines.shared.ray_cluster import told_by_worker
from amad.engines.shared.tracking import connect, experiment_id, run_exists
from amad.engines.shared.training_curve import TrainingCurve
from amad.engines.tune.search import trial_name
from amad.engines.tune.sweep_result import State, described
from amad.engines.tune.trial import CURVE, DIVERGED, NUMBER, OBJECTIVE


class SweepLog(Callback):
    """Each trial is a child run of the sweep's run: settings as parameters, a point per epoch.

    Ray pickles its callbacks to restore a sweep. So the run ids, which must outlive this process,
    are in the sweep's state file, and the client is made when it is needed.
    """

    def __init__(self, settings: Settings, fleet: str, state: Path, trials: int) -> None:
        self._settings, self._fleet, self._state, self._trials = settings, fleet, state, trials
        self._connected: MlflowClient | None = None
        self._curves: dict[int, TrainingCurve] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_connected": None, "_curves": {}}

    def on_trial_start(self, iteration: int, trials: list, trial, **info) -> None:
        """Create the child run, or find it again."""
        self._curve(trial)

    def on_trial_result(self, iteration: int, trials: list, trial, result: dict, **info) -> None:
        """Log each epoch and say it, as a trial may take minutes."""
        if DIVERGED in result:
            return
        objective = f"objective={result[OBJECTIVE]:.4f}"
        say(f"{self._position(trial)}, epoch {result['epoch']}: {objective}")
        names = ("epoch", OBJECTIVE, "loss", "validation", "windows_per_second")
        self._curve(trial).log({name: result[name] for name in names})

    def on_trial_complete(self, iteration: int, trials: list, trial, **info) -> None:
        """Close the child run and say the result of the trial, or that its training diverged."""
        objectives = trial.last_result.get(CURVE, [])
        # After a kill, some of them may not have been logged.
        for epoch, value in enumerate(objectives, start=1):
            self._curve(trial).log({"epoch": epoch, OBJECTIVE: value})
        if reason := trial.last_result.get(DIVERGED):
            self._failed(trial, "diverged", f": {reason}")
            return
        self._end(trial, "FINISHED")
        last = f"{objectives[-1]:.4f}" if objectives else "none"
        say(
            f"{self._position(trial)}: {described(trial.config)} objective={last} "
            f"epochs={len(objectives)}"
        )

    def on_trial_error(self, iteration: int, trials: list, trial, **info) -> None:
        """Close the child run as failed; a trial whose worker was lost is to go on instead.

        Tune does not begin it again where its worker, used before by another trial, was dead
        already. The next batch would be drawn without its result. SIGUSR1 ends Tune's loop before
        that and saves the sweep; Tune handles the signal in the main thread only.
        """
        why = ""
        if trial.pickled_error_file is not None:
            error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
            if isinstance(error, RayActorError):
                if callable(signal.getsignal(signal.SIGUSR1)):
                    signal.raise_signal(signal.SIGUSR1)
                return
            told = told_by_worker(error, trial.local_path)
            why = f": {told or (str(error).strip().splitlines() or [type(error).__name__])[-1]}"
        self._failed(trial, "failed", why)

    def _failed(self, trial, state: State, why: str) -> None:
        """Close the child run as failed, and say the trial's state as ``trials.csv`` tells it."""
        self._end(trial, "FAILED")
        say(f"{self._position(trial)} {state}, {described(trial.config)}{why}")

    def _position(self, trial) -> str:
        return f"trial {trial.config[NUMBER] + 1}/{self._trials}"

    @property
    def _client(self) -> MlflowClient:
        if self._connected is None:
            self._connected = connect(self._settings)
        return self._connected

    def _curve(self, trial) -> TrainingCurve:
        number = trial.config[NUMBER]
        if number not in self._curves:
            self._curves[number] = TrainingCurve(self._client, self._child(trial), OBJECTIVE)
        return self._curves[number]

    def _child(self, trial) -> str:
        """Id of the trial's run, which is created where it does not exist."""
        state, name = RunState(self._state), trial_name(trial)
        known = state.get(name)
        if run_exists(self._client, known):
            return known
        run = self._client.create_run(
            experiment_id(self._client, self._fleet),
            run_name=name,
            tags={
                "mlflow.parentRunId": state.get("run_id"),
                "stage": "trial",
                "fleet": self._fleet,
            },
        )
        for key, value in trial.config.items():
            if key != NUMBER:
                self._client.log_param(run.info.run_id, key, value)
        state.put(name, run.info.run_id)
        return run.info.run_id

    def _end(self, trial, status: str) -> None:
        self._client.set_terminated(self._child(trial), status)
