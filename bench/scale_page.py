"""The page of what a fleet of any size takes, from the result of bench.scale."""

from collections.abc import Callable
from pathlib import Path

from amad.evaluation.canvas import OURS, bare, figure_of, save, title
from bench.facts import facts_line
from bench.quality.tables import table

PER_DAY: dict[str, Callable[[dict], str]] = {  # rows of the table of a day
    "rows per day": lambda one: f"{one['rows']:,.0f}",
    "coming in, Gbit/s": lambda one: f"{one['gigabits_per_second_in']:.2f}",
    "core-hours per night": lambda one: f"{one['core_hours_of_a_night']:,.1f}",
    "cores for a night of 4 h": lambda one: f"{one['cores_for_the_night']:,.0f}",
    "network on cores, core-hours": lambda one: f"{one['network_core_hours']:,.1f}",
    "network, PFLOP": lambda one: f"{one['network_operations'] / 1e15:,.1f}",
    "network on GPUs, GPU-hours": lambda one: f"{one['network_gpu_hours']:,.2f}",
    "lake, TB per day": lambda one: f"{one['lake_terabytes']:.3f}",
    "lake, TB per year": lambda one: f"{one['lake_terabytes_per_year']:,.1f}",
    "scores, TB per day": lambda one: f"{one['scores_terabytes']:.3f}",
    "spilled by ingest, TB per day": lambda one: f"{one['spilled_terabytes']:.3f}",
    "objects per day": lambda one: f"{one['objects']:,}",
    "dollars per day": lambda one: f"{one['dollars']['total']:,.0f}",
    "of these cores": lambda one: f"{one['dollars']['cores']:,.0f}",
    "of these GPUs": lambda one: f"{one['dollars']['gpu']:,.0f}",
    "of these keeping a year": lambda one: f"{one['dollars']['storage_of_a_year']:,.0f}",
    "of these requests": lambda one: f"{one['dollars']['requests']:,.0f}",
}


def page(report: dict, out: Path) -> list[str]:
    """What fleets of several sizes take per day."""
    days = report["per_day"]
    heads = [f"{one['vehicles']:,} x {one['hours']:g} h" for one in days]
    rows = [[name, *map(show, days)] for name, show in PER_DAY.items()]
    stages = [
        [name, f"{one['seconds_per_cell'] * 1e9:.0f}",
         f"{one['seconds_per_unit'] * 1e3:.1f} per {one['unit']}",
         f"{one['seconds_once']:.2f}", f"{one['largest_error']:.0%}"]
        for name, one in report["stages"].items()
    ]  # fmt: skip
    per_vehicle = [
        f"`{name}`" for name, one in report["stages"].items() if one["unit"] == "vehicle"
    ]
    first = report["first_to_break"]
    _scale_picture(first, out / "scale.png")
    trained, prices = report["training"], report["prices"]
    return [
        "# What a fleet of any size takes",
        "",
        facts_line(report, "python -m bench.scale"),
        "[The cost model](../explanation/scale.md) says what follows from it.",
        "",
        "## One day",
        "",
        f"Vehicles of {days[0]['channels']} channels at {days[0]['hertz']:g} Hz, for some hours "
        f"per day. Prices are assumptions: {prices['core_hour']} dollars per core-hour, "
        f"{prices['gpu_hour']} per GPU-hour, {prices['gigabyte_month']} per GB and month, "
        f"{prices['thousand_puts']} per thousand puts. A night is ingest, profile and score.",
        "",
        *table(["", *heads], rows),
        "",
        f"A training of the largest fleet: {trained['windows_per_epoch']:,} windows per epoch, "
        f"{trained['epochs']} epochs, {trained['operations'] / 1e12:,.0f} TFLOP: "
        f"{trained['core_hours']:.2f} core-hours, or {trained['gpu_hours'] * 3600:,.0f} seconds of "
        "a GPU. It does not grow with the fleet.",
        "",
        "## What breaks first",
        "",
        *table(
            ["on one machine", "from so many vehicles on"],
            [[one["what"], f"{one['vehicles']:,}"] for one in first],
        ),
        "",
        "![what breaks first](scale.png)",
        "",
        "## The rates behind it",
        "",
        "Fitted to the fleets of `python -m bench.growth`: seconds = a cells + b vehicle-days + c; "
        f"for {' and '.join(per_vehicle)}, b vehicles.",
        "",
        *table(["stage", "a, ns per cell", "b, ms", "c, s", "largest error"], stages),
        "",
        "Lakes of vehicle-days without rows, which only have their tables:",
        "",
        *table(
            ["vehicle-days", "MB of tables", "opening, s", "writing, s", "peak memory, MB"],
            [
                [f"{one['vehicle_days']:,}", f"{one['bytes'] / 1e6:.1f}",
                 f"{one['opening_seconds']:.2f}", f"{one['writing_seconds']:.2f}",
                 f"{one['peak_mb']:,.0f}"]
                for one in report["tables_of_the_lake"]
            ],
        ),
    ]  # fmt: skip


def _scale_picture(first: list[dict], path: Path) -> None:
    figure = figure_of(8.5, 3.4)
    axes = figure.subplots()
    names = [one["what"].split(" (")[0] for one in first][::-1]
    axes.barh(names, [one["vehicles"] for one in first][::-1], color=OURS)
    axes.set_xscale("log")
    axes.set_xlabel("vehicles", fontsize=9)
    bare(axes, "x")
    title(axes, "What one machine stops doing", "2 h per day, 50 channels at 1 Hz")
    save(figure, path)
