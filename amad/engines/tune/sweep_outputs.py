"""What a sweep leaves for people and for the next stage: best settings, table, picture."""

import csv
from pathlib import Path

from amad.config import ServiceError
from amad.config.params import SearchSpace
from amad.config.wording import count
from amad.engines.tune.sweep_result import PLACES, SweepResult, Trial, is_range, overlay
from amad.telemetry.files import staged

GOLDEN = 0.618  # the golden ratio, which spreads points that would cover each other
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


def write_outputs(trials: list[Trial], space: SearchSpace, folder: Path) -> SweepResult:
    """Write ``best.json``, ``sweep/trials.csv`` and ``sweep/sweep.png`` in the fleet's folder.

    trials: in the order of their numbers. The same trials give the same bytes, as neither times nor
    paths are in them.
    """
    winner = best_trial(trials)
    assert winner.objective is not None, "a trial that had all its epochs has an objective"
    with staged(folder / "sweep") as stage:
        stage.mkdir()
        _write_table(trials, stage)
        _plot(trials, winner, space, stage / "sweep.png")
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
    with staged(folder / "sweep") as stage:
        stage.mkdir()
        _write_table([], stage)
    result = SweepResult(settings={}, trials=0, reason=reason)
    result.write(folder)
    return result


def _write_table(trials: list[Trial], folder: Path) -> None:
    with (folder / "trials.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(Trial.model_fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows(trial.model_dump() for trial in trials)


def _plot(trials: list[Trial], winner: Trial, space: SearchSpace, path: Path) -> None:
    """Objective against each setting, a panel for each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(PLACES), 3.4), layout="constrained")
    panels = figure.subplots(1, len(PLACES), sharey=True)
    for panel, name in zip(panels, PLACES, strict=True):
        values = getattr(space, name)
        categories = None if is_range(values) else [str(choice) for choice in values]
        for trial in trials:
            if trial.objective is None:
                continue
            x = getattr(trial, name)
            if categories is not None:
                x = categories.index(str(x)) + 0.4 * (trial.trial * GOLDEN % 1 - 0.5)
            best = trial is winner
            panel.plot(
                x,
                trial.objective,
                marker="*" if best else "o",
                markersize=15 if best else 7,
                color="#d1495b" if best else "#30638e",
                markerfacecolor=None if trial.state == "complete" else "none",
                linestyle="none",
                zorder=3 if best else 2,
            )
        if categories is None:
            _range_axis(panel, *values)
        else:
            panel.set_xticks(range(len(categories)), categories)
            panel.set_xlim(-0.5, len(categories) - 0.5)
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("objective")
    figure.suptitle(
        f"{count(len(trials), 'trial')}; star: the best (trial {winner.trial}, objective "
        f"{winner.objective:.3f}); hollow: ended early",
        fontsize=11,
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _range_axis(panel, low: float, high: float) -> None:
    """Three ticks from ``low`` to ``high``, on the scale on which the range is drawn."""
    if low > 0:
        panel.set_xscale("log")
        panel.set_xlim(low * (low / high) ** 0.05, high * (high / low) ** 0.05)
        middle = (low * high) ** 0.5
    else:
        panel.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        middle = (low + high) / 2
    panel.set_xticks([low, middle, high], [f"{x:.2g}" for x in (low, middle, high)])
    panel.set_xticks([], minor=True)
