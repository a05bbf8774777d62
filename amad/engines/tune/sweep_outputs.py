"""What a sweep leaves for people and for the next stage: best settings, table, picture."""

import csv
from collections.abc import Sequence
from pathlib import Path

from amad.config import Params, ServiceError
from amad.config.params import SearchSpace
from amad.telemetry.files import staged, write_json

# name in tune.space -> where in the settings it stands
PLACES = {
    "mask_family": ("mask", "family"),
    "mask_ratio": ("mask", "ratio"),
    "contrast": ("loss", "contrast"),
    "temperature": ("loss", "temperature"),
    "maxmin": ("loss", "maxmin"),
}
GOLDEN = 0.618
COMPLETE, STOPPED, FAILED = "complete", "stopped", "failed"  # states of a trial


def overlay(settings: dict) -> dict:
    """Settings of a trial, by name in the space, as an overlay: ``{"mask": {"family": ...}}``."""
    sections: dict[str, dict] = {}
    for name, value in settings.items():
        section, key = PLACES[name]
        sections.setdefault(section, {})[key] = value
    return sections


def with_settings(params: Params, sections: dict) -> Params:
    """``params`` with the overlay's keys in place of its own."""
    content = params.model_dump()
    for section, values in sections.items():
        content[section] = content[section] | values
    return Params.model_validate(content)


def present_settings(params: Params) -> dict | None:
    """Those of ``params``, by name in the space; None where the space does not hold them."""
    content, space = params.model_dump(), params.tune.space
    found = {name: content[section][key] for name, (section, key) in PLACES.items()}
    for name, value in found.items():
        range_ = getattr(space, name)
        inside = range_[0] <= value <= range_[1] if is_range(range_) else value in range_
        if not inside:
            return None
    return found


def described(settings: dict) -> str:
    """``mask_family=time mask_ratio=0.5 ... maxmin=0.013``, whatever else ``settings`` holds."""
    return " ".join(
        f"{name}={value:.3g}" if isinstance(value := settings[name], float) else f"{name}={value}"
        for name in PLACES
    )


def is_range(values: Sequence) -> bool:
    """A (low, high) of the space; its choices are lists."""
    return isinstance(values, tuple)


def best_of(rows: list[dict]) -> dict:
    """The row with the largest objective of those that had all their epochs; the first of equals.

    Raises:
        ServiceError: no trial was completed.
    """
    complete = [row for row in rows if row["state"] == COMPLETE]
    if not complete:
        raise ServiceError(
            f"none of the {len(rows)} trials of the sweep was completed; run the stage again to "
            "restart those that failed"
        )
    return max(complete, key=lambda row: (row["objective"], -row["trial"]))


def write_outputs(rows: list[dict], space: SearchSpace, best: Path, folder: Path) -> dict:
    """Write ``best`` (JSON), ``trials.csv`` and ``sweep.png`` in ``folder``; returns the former.

    rows: a trial each: trial (from 1), its settings by name in the space, objective, epochs, state.
    The same rows give the same bytes: neither times nor paths are in them.
    """
    winner = best_of(rows)
    content = {
        "settings": overlay({name: winner[name] for name in PLACES}),
        "objective": winner["objective"],
        "trial": winner["trial"],
        "trials": len(rows),
    }
    with staged(folder) as stage:
        stage.mkdir()
        with (stage / "trials.csv").open("w", newline="", encoding="utf-8") as stream:
            names = ["trial", *PLACES, "objective", "epochs", "state"]
            writer = csv.DictWriter(stream, names, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        _plot(rows, winner, space, stage / "sweep.png")
    write_json(best, content, sealed=True)
    return content


def _plot(rows: list[dict], winner: dict, space: SearchSpace, path: Path) -> None:
    """Objective against each parameter, a panel each; what was stopped early is hollow."""
    from matplotlib.figure import Figure

    known = [row for row in rows if row["objective"] is not None]
    figure = Figure(figsize=(3 * len(PLACES), 3.4), layout="constrained")
    panels = figure.subplots(1, len(PLACES), sharey=True)
    for panel, name in zip(panels, PLACES, strict=True):
        choices = getattr(space, name)
        categories = None if is_range(choices) else [str(choice) for choice in choices]
        for row in known:
            x = row[name]
            if categories is not None:  # moved apart a little, or equal choices hide each other
                x = categories.index(str(x)) + 0.4 * (row["trial"] * GOLDEN % 1 - 0.5)
            whole, best = row["state"] == COMPLETE, row is winner
            panel.plot(
                x,
                row["objective"],
                marker="*" if best else "o",
                markersize=15 if best else 7,
                color="#d1495b" if best else "#30638e",
                markerfacecolor=None if whole else "none",
                linestyle="none",
                zorder=3 if best else 2,
            )
        if categories is None:
            low, high = choices
            if low > 0:
                panel.set_xscale("log")
                panel.set_xlim(low * (low / high) ** 0.05, high * (high / low) ** 0.05)
                middle = (low * high) ** 0.5
            else:
                panel.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
                middle = (low + high) / 2
            panel.set_xticks([low, middle, high], [f"{x:.2g}" for x in (low, middle, high)])
            panel.set_xticks([], minor=True)
        else:
            panel.set_xticks(range(len(categories)), categories)
            panel.set_xlim(-0.5, len(categories) - 0.5)
        panel.set_title(name.replace("_", " "), fontsize=10)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("objective")
    figure.suptitle(
        f"{len(rows)} trials; star: the best (trial {winner['trial']}, objective "
        f"{winner['objective']:.3f}); hollow: stopped early",
        fontsize=11,
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})
