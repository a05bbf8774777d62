"""The sweep's search and stopping rule give the same sweep in whatever order results arrive."""

from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import TrialScheduler

from amad.engines.tune.search import BatchedAsha, BatchedSearch, optuna_search
from amad.engines.tune.trial import CURVE, EPOCH, NUMBER, OBJECTIVE

SPACE = {
    "x": optuna.distributions.FloatDistribution(0.1, 10, log=True),
    "kind": optuna.distributions.CategoricalDistribution(["a", "b"]),
}
EPOCHS = 4


def objective(config: dict, epoch: int) -> float:
    """Best near x = 3, better with training, and more so for kind b."""
    return -abs(np.log(config["x"] / 3)) + (0.1 + 0.2 * (config["kind"] == "b")) * epoch


def sweep(
    trials: int, batch: int, concurrent: int, order: np.random.Generator, seed: int = 7
) -> list[tuple]:
    """Tune's loop without Ray: (settings, epochs) of each trial; ``order`` says who reports next.

    The state of the search is written and read back now and then, as a restored sweep would.
    """
    search = BatchedSearch(optuna_search(SPACE, seed, trials), batch, concurrent)
    asha = BatchedAsha(grace_epochs=1, epochs=EPOCHS, batch=batch)
    known: list[SimpleNamespace] = []
    controller = SimpleNamespace(get_trials=lambda: known)
    live: list[SimpleNamespace] = []
    while len(known) < trials or live:
        if len(known) < trials and (not live or order.random() < 0.5):
            name = f"t{len(known)}"
            config = search.suggest(name)
            if config is not None:
                trial = SimpleNamespace(trial_id=name, config=config, last_result={CURVE: []})
                known.append(trial)
                live.append(trial)
                assert len(live) <= concurrent
                continue
        trial = live[order.integers(len(live))]
        curve = trial.last_result[CURVE]
        curve = [*curve, objective(trial.config, len(curve) + 1)]
        result = {EPOCH: len(curve), OBJECTIVE: curve[-1], CURVE: curve}
        action = asha.on_trial_result(controller, trial, result)
        trial.last_result = result
        if action == TrialScheduler.STOP:
            search.on_trial_complete(trial.trial_id, result)
            live.remove(trial)
    return [(tuple(trial.config.items()), len(trial.last_result[CURVE])) for trial in known]


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 3))
def test_the_order_of_arrival_and_the_concurrency_change_nothing(
    seed: int, concurrent: int, batch: int
) -> None:
    one = sweep(8, batch, concurrent, np.random.default_rng(seed))
    assert one == sweep(8, batch, 1, np.random.default_rng(0))


def test_the_worse_half_stops_early_and_the_first_batch_never() -> None:
    found = sweep(16, 2, 2, np.random.default_rng(0))
    epochs = [count for _, count in found]
    assert epochs[:2] == [EPOCHS, EPOCHS]
    assert min(epochs) == 1 and epochs.count(EPOCHS) >= 4


def test_the_search_finds_the_better_half() -> None:
    found = sweep(24, 2, 2, np.random.default_rng(0))
    distance = [abs(np.log(dict(config)["x"] / 3)) for config, _ in found]
    assert np.median(distance[12:]) < np.median(distance[:12])


def test_another_seed_searches_elsewhere() -> None:
    rng = np.random.default_rng
    assert sweep(4, 2, 2, rng(0), seed=1) != sweep(4, 2, 2, rng(0), seed=2)


def test_the_first_point_is_tried_first_and_numbers_count_up() -> None:
    first = {"x": 2.0, "kind": "b"}
    search = BatchedSearch(optuna_search(SPACE, 7, 4, first), 2, 2)
    assert search.suggest("a") == first | {NUMBER: 0}
    assert search.suggest("b")[NUMBER] == 1
    assert search.suggest("c") is None  # the batch is not complete
    search.on_trial_complete("b", {OBJECTIVE: 1.0})
    assert search.suggest("c") is None
    search.on_trial_complete("a", None, error=True)
    assert search.suggest("c")[NUMBER] == 2


def test_a_restored_search_goes_on_as_the_first_would(tmp_path) -> None:
    one = BatchedSearch(optuna_search(SPACE, 7, 6), 2, 2)
    for name in "ab":
        one.suggest(name)
        one.on_trial_complete(name, {OBJECTIVE: 1.0})
    one.save(str(tmp_path / "state"))
    other = BatchedSearch(optuna_search(SPACE, 99, 6), 2, 2)
    other.restore(str(tmp_path / "state"))
    assert [one.suggest("c"), one.suggest("d")] == [other.suggest("c"), other.suggest("d")]


def test_a_restored_search_waits_for_a_trial_that_failed(tmp_path) -> None:
    """Tune runs it again under the same id."""
    one = BatchedSearch(optuna_search(SPACE, 7, 6), 2, 2)
    for name in "ab":
        one.suggest(name)
    one.on_trial_complete("a", {OBJECTIVE: 1.0})
    one.on_trial_complete("b", None, error=True)
    one.save(str(tmp_path / "state"))
    other = BatchedSearch(optuna_search(SPACE, 99, 6), 2, 2)
    other.restore(str(tmp_path / "state"))
    assert other.suggest("c") is None
    other.on_trial_complete("b", {OBJECTIVE: 2.0})
    one = BatchedSearch(optuna_search(SPACE, 7, 6), 2, 2)
    for name, value in (("a", 1.0), ("b", 2.0)):
        one.suggest(name)
        one.on_trial_complete(name, {OBJECTIVE: value})
    assert other.suggest("c") == one.suggest("c")


@pytest.mark.parametrize("value", [float("nan"), None])
def test_a_trial_without_a_number_stops_nobody(value) -> None:
    search = BatchedSearch(optuna_search(SPACE, 7, 4), 1, 1)
    search.suggest("a")
    search.on_trial_complete("a", {OBJECTIVE: value})
    assert search.suggest("b")[NUMBER] == 1
