"""What the driver tells MLflow and the person who watches while a sweep runs."""

from pathlib import Path

from mlflow import MlflowClient
from ray.tune import Callback

from amad.config import Settings
from amad.config.console import say
from amad.engines.shared.identity import RunState
from amad.engines.shared.tracking import connect, experiment_id, run_exists
from amad.engines.shared.training_curve import TrainingCurve
from amad.engines.tune.search import CURVE, NUMBER, OBJECTIVE
from amad.engines.tune.sweep_outputs import described


class SweepLog(Callback):
    """Each trial a child run of the sweep's: settings as parameters, a point an epoch.

    Ray keeps a copy of its callbacks to restore a sweep with, so everything that must outlive this
    process (run ids) stands in the sweep's state file, and the client is made when it is needed.
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
        """Log the epoch and say it: a trial may take minutes."""
        say(
            f"trial {trial.config[NUMBER] + 1}/{self._trials}, epoch {result['epoch']}: "
            f"objective={result[OBJECTIVE]:.4f}"
        )
        self._curve(trial).log(
            {
                key: result[key]
                for key in ("epoch", OBJECTIVE, "loss", "validation", "windows_per_second")
            }
        )

    def on_trial_complete(self, iteration: int, trials: list, trial, **info) -> None:
        """Close the child run and say how the trial did."""
        curve = self._curve(trial)
        objectives = trial.last_result.get(CURVE, [])
        for epoch, value in enumerate(objectives, start=1):  # what a kill kept from being logged
            curve.log({"epoch": epoch, OBJECTIVE: value})
        self._end(trial, "FINISHED")
        last = f"{objectives[-1]:.4f}" if objectives else "none"
        say(
            f"trial {trial.config[NUMBER] + 1}/{self._trials}: {described(trial.config)} "
            f"objective={last} epochs={len(objectives)}"
        )

    def on_trial_error(self, iteration: int, trials: list, trial, **info) -> None:
        """Close the child run as failed."""
        self._end(trial, "FAILED")
        say(f"trial {trial.config[NUMBER] + 1}/{self._trials} failed: {described(trial.config)}")

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
        """Id of the trial's run."""
        state = RunState(self._state)
        key = f"trial-{trial.config[NUMBER] + 1:03d}"
        known = state.get(key)
        if run_exists(self._client, known):
            return known
        run = self._client.create_run(
            experiment_id(self._client, self._fleet),
            run_name=key,
            tags={
                "mlflow.parentRunId": state.get("run_id"),
                "stage": "trial",
                "fleet": self._fleet,
            },
        )
        for name, value in trial.config.items():
            if name != NUMBER:
                self._client.log_param(run.info.run_id, name, value)
        state.put(key, run.info.run_id)
        return run.info.run_id

    def _end(self, trial, status: str) -> None:
        self._curve(trial)
        run_id = RunState(self._state).get(f"trial-{trial.config[NUMBER] + 1:03d}")
        self._client.set_terminated(run_id, status)
