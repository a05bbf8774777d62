"""Optuna's search and ASHA, made to give the same sweep whatever finishes first.

Asked and judged as results arrive, both depend on the order of arrival: the sampler on the results
it knows, ASHA on the trials that have reached a rung. With several trials at once no two sweeps
would be alike. So trials come in batches, whose size is one of the settings and does not depend on
the machine. A batch is drawn when every earlier one is complete, its results are told to Optuna in
the order of their numbers, and ASHA compares a trial only with those of earlier batches. How many
trials of a batch run at once changes nothing but the time.
"""

from pathlib import Path

from ray import cloudpickle
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from amad.engines.tune.trial import CURVE, DIVERGED, EPOCH, NUMBER, OBJECTIVE

REDUCTION = 2  # of ASHA: at each rung the worse half stops


class BatchedSearch(Searcher):
    """``searcher`` in batches of ``batch`` trials, at most ``concurrent`` of them at once.

    A suggestion has its number (from 0) as ``config["trial"]``.
    """

    def __init__(self, searcher: OptunaSearch, batch: int, concurrent: int) -> None:
        super().__init__(metric=searcher.metric, mode=searcher.mode)
        self.inner, self.batch, self.concurrent = searcher, batch, concurrent
        self.order: list[str] = []  # trial ids, by number
        self.done: dict[str, tuple[dict | None, bool]] = {}

    def suggest(self, trial_id: str) -> dict | None:
        """The next trial's settings; None while it has to wait."""
        number = len(self.order)
        first = number - number % self.batch
        if number - len(self.done) >= self.concurrent:
            return None
        if any(known not in self.done for known in self.order[:first]):
            return None
        if number == first:
            for known in self.order[max(0, first - self.batch) : first]:
                result, error = self.done[known]
                self.inner.on_trial_complete(known, result=result, error=error or result is None)
        config = self.inner.suggest(trial_id)
        assert config is not None, "Optuna always has a suggestion"
        self.order.append(trial_id)
        return config | {NUMBER: number}

    def on_trial_complete(
        self, trial_id: str, result: dict | None = None, error: bool = False
    ) -> None:
        """Keep the result until the batch is complete; a trial that diverged has none."""
        kept = None
        if result is not None and DIVERGED not in result:
            kept = {OBJECTIVE: result.get(OBJECTIVE)}
        self.done[trial_id] = (kept, error)

    def save(self, checkpoint_path: str) -> None:
        """Write the state; Tune calls it with each snapshot of the experiment."""
        Path(checkpoint_path).write_bytes(cloudpickle.dumps(self.__dict__))

    def restore(self, checkpoint_path: str) -> None:
        """Read the state back; failed trials run again, and their batch is not complete."""
        self.__dict__.update(cloudpickle.loads(Path(checkpoint_path).read_bytes()))
        self.done = {name: known for name, known in self.done.items() if not known[1]}


class BatchedAsha(FIFOScheduler):
    """Ray's ASHA, built anew for each report from the curves of earlier batches.

    A trial reports all its objectives so far (``curve``, one per epoch, larger is better). So
    nothing has to be remembered, and a restored sweep decides as the interrupted one would have.
    """

    def __init__(self, grace_epochs: int, epochs: int, batch: int) -> None:
        super().__init__()
        self.grace_epochs, self.epochs, self.batch = grace_epochs, epochs, batch

    def on_trial_result(self, tune_controller, trial, result: dict) -> str:
        """STOP where the trial is in the worse half at a rung, or has had all its epochs."""
        asha = ASHAScheduler(
            time_attr=EPOCH,
            metric=OBJECTIVE,
            mode="max",
            max_t=self.epochs,
            grace_period=self.grace_epochs,
            reduction_factor=REDUCTION,
        )
        batch = trial.config[NUMBER] // self.batch
        earlier = [
            other
            for other in tune_controller.get_trials()
            if other.config[NUMBER] // self.batch < batch and other.last_result
        ]
        for other in sorted(earlier, key=lambda known: known.config[NUMBER]):
            self._replay(asha, tune_controller, other, other.last_result.get(CURVE, []))
        return self._replay(asha, tune_controller, trial, result[CURVE])

    @staticmethod
    def _replay(asha: ASHAScheduler, tune_controller, trial, curve: list[float]) -> str:
        asha.on_trial_add(tune_controller, trial)
        action = TrialScheduler.CONTINUE
        for epoch, objective in enumerate(curve, start=1):
            report = {EPOCH: epoch, OBJECTIVE: objective}
            action = asha.on_trial_result(tune_controller, trial, report)
        return action


def optuna_search(space: dict, seed: int, trials: int, first: dict | None = None) -> OptunaSearch:
    """A seeded TPE over ``space`` (name -> Optuna distribution); a larger objective is better.

    ``first`` is tried before all others. A quarter of the trials, at least four, are random. TPE
    draws the rest, each as if the others of its batch had been bad (constant liar), so that the
    trials of a batch differ.
    """
    import warnings

    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=max(4, trials // 4), constant_liar=True
        )
    return OptunaSearch(
        space=space,
        metric=OBJECTIVE,
        mode="max",
        sampler=sampler,
        points_to_evaluate=[first] if first else None,
    )


def trial_name(trial) -> str:
    """``trial-001`` for the first; the name of its folder and of its run in MLflow."""
    return f"trial-{trial.config[NUMBER] + 1:03d}"
