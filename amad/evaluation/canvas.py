"""What all pictures of an evaluation share: canvas, colours, titles, and writing the file."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from amad.telemetry.files import staged

OURS, QUIET, FLOOR = "#0b6e99", "#7a8791", "#b9bfc4"
EVENT, ALARM = "#f4c7ab", "#c8553d"
PRIMARY_NAME = "VUS-PR"  # of the metric ``evaluation_metrics.PRIMARY``


def save(figure: Figure, path: Path) -> None:
    """Write a PNG in one piece, without a date, so that the same picture gives the same bytes."""
    with staged(path) as stage:
        figure.savefig(stage, format="png", dpi=110, metadata={"Software": None})


def figure_of(width: float, height: float) -> Figure:
    """A figure of so many inches that needs no window system and no global state of matplotlib."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def bare(axes, grid: str | None = "y") -> None:
    """Leave two spines and small ticks; ``grid`` names the axis of a faint grid: x, y or both."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9, color=QUIET)
    if grid:
        axes.grid(axis=grid, color="#e6e9eb", linewidth=0.8)
        axes.set_axisbelow(True)


def title(axes, headline: str, detail: str) -> None:
    """Write a bold line that says what to see, and a quiet one below: how to read the picture."""
    axes.set_title(headline, loc="left", fontsize=12, fontweight="bold", pad=22)
    axes.annotate(
        detail, (0, 1), xytext=(0, 7), xycoords="axes fraction", textcoords="offset points",
        fontsize=9.5, color="#4a555c",
    )  # fmt: skip
