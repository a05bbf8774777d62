"""What a sweep leaves for people and for the next stage: best settings and a table."""

import csv
from pathlib import Path

from amad.config import ServiceError
from amad.engines.tune.sweep_result import SweepResult, Trial, overlay
from amad.telemetry.files import staged

CHANCE = 0.003  # of the objective; another draw of faults changes a comparison by as much or more


def best_trial(trials: list[Trial]) -> Trial:
    """Of the trials that had all their epochs, the first that is as good as the best.

    Raises:
        ServiceError: no trial was completed.
    """
    complete = [
        (trial.objective, trial)
        for trial in trials
        if trial.state == "complete" and trial.objective is not None
    ]
    if not complete:
        raise ServiceError(
            f"no trial of the sweep was completed, of {len(trials)}; run the stage again to "
            "restart those that failed"
        )
    return complete[first_as_good([objective for objective, _ in complete])][1]


def first_as_good(objectives: list[float]) -> int:
    """The position of the first objective that lies less than ``CHANCE`` below the largest.

    The first trial has the settings of params.yaml, where the space holds them; so a sweep that
    tells nothing keeps these.
    """
    least = max(objectives) - CHANCE
    return next(place for place, objective in enumerate(objectives) if objective > least)


def write_outputs(trials: list[Trial], folder: Path) -> SweepResult:
    """Write ``best.json`` and ``sweep/trials.csv`` in the fleet's folder.

    trials: in the order of their numbers. The same trials give the same bytes, as neither times nor
    paths are in them.
    """
    winner = best_trial(trials)
    assert winner.objective is not None, "a trial that had all its epochs has an objective"
    _write_table(trials, folder / "sweep")
    result = SweepResult(
        settings=overlay(winner.settings),
        objective=winner.objective,
        trial=winner.trial,
        trials=len(trials),
    )
    result.write(folder)
    return result


def write_no_trial(reason: str, folder: Path) -> SweepResult:
    """The same of a sweep that could have no trial: ``best.json`` and a table without a row."""
    _write_table([], folder / "sweep")
    result = SweepResult(settings={}, trials=0, reason=reason)
    result.write(folder)
    return result


def _write_table(trials: list[Trial], folder: Path) -> None:
    with staged(folder) as stage:
        stage.mkdir()
        with (stage / "trials.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(Trial.model_fields), lineterminator="\n")
            writer.writeheader()
            writer.writerows(trial.model_dump() for trial in trials)
