"""python -m bench.performance

Writes the pages of docs/performance, and their pictures, from the measurements in bench/results, so
that no figure of a table is typed. ``make bench`` measures first.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from amad.evaluation.canvas import ALARM, OURS, QUIET, bare, figure_of, save, title
from bench import scale_page
from bench.data_plane import BAR
from bench.facts import facts_line
from bench.growth import DAYS, HOURS, LIMIT, STAGES
from bench.mounts import lines_of
from bench.options import parser_of
from bench.quality.tables import table

RESULTS, PAGES = Path("bench/results"), Path("docs/performance")
COLOURS = dict(zip(STAGES, (OURS, ALARM, "#588157", "#8a6fb0", "#3d5a80", "#c99a2e"), strict=True))
UNITS = {"rows": ("µs", 1e6), "vehicles": ("ms", 1e3), "night": ("µs", 1e6)}
READING = """\
Made by `make bench`, which measures and then writes this page (`python -m bench.performance`).
Every figure is a ratio or a rate of one run on one core, in seconds of the processor, beside its
opponent where it has one. Other pages: [what the machine allows](../results/limits.md), and
[what a fleet of any size takes](scale.md).
"""


def main(arguments: list[str] | None = None) -> None:
    """Write the pages of what has been measured."""
    parser = parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--out", type=Path, default=PAGES, help="the folder of the pages")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(options.results.glob("*.json"))
    }
    lines = ["# Performance", "", READING]
    if report := found.get("data_plane"):
        lines += data_plane(report, options.out)
    if report := found.get("growth"):
        lines += growth(report, options.out)
    if report := found.get("scoring"):
        lines += scoring(report)
    if report := found.get("mounts"):
        lines += lines_of(report, facts_line(report, "python -m bench.mounts"))
    if report := found.get("model"):
        lines += network(report)
    if report := found.get("metrics"):
        lines += metrics(report)
    if report := found.get("profile"):
        lines += [
            "## The profile against Great Expectations on every row",
            "",
            f"{report['rows']:,} rows of {report['channels']} channels: "
            f"{report['times_less_cpu']:.0f} times less processor time and "
            f"{report['times_less_memory']:.1f} times less memory than all rows in pandas "
            "(`python -m bench.profile`).",
            "",
        ]
    _write(options.out / "index.md", lines)
    if report := found.get("scale"):
        _write(options.out / "scale.md", scale_page.page(report, options.out))


def _write(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


def _share(one: dict, opponent: str) -> str:
    if f"share_of_{opponent}" not in one:
        return ""
    low, high = one[f"share_of_{opponent}_from_to"]
    return f"{one[f'share_of_{opponent}']:.2f} ({low:.2f} to {high:.2f})"


def _parts(one: dict) -> str:
    """The parts of a stage or job in percent, the largest first."""
    parts = sorted(one["parts"].items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in parts)


def _why(one: dict) -> str:
    """What a copy reaches of a read, and the parts of the stage."""
    if "parts" not in one:
        return "it writes no rows to compare with a copy, and its parts are not measured"
    copy = one["copy_rows_per_second"] / one["read_rows_per_second"]
    return f"a copy reaches {copy:.2f}; {_parts(one)}"


def data_plane(report: dict, out: Path) -> list[str]:
    """Rows per second of the stages that move rows, against Arrow alone."""
    stages = report["stages"]
    rows = [
        [
            name, f"{one['rows_per_second']:,.0f}", f"{one['read_rows_per_second']:,.0f}",
            *(_share(one, opponent) for opponent in ("read", "copy")),
        ]
        for name, one in stages.items()
    ]  # fmt: skip
    _data_plane_picture(stages, out / "data_plane.png")
    short = [name for name, one in stages.items() if not one["reaches_a_third_of_read"]]
    lines = [
        "## Data plane",
        "",
        facts_line(report, "python -m bench.data_plane"),
        f"{report['rows']:,} rows of {report['channels']} channels, a vehicle-day per file. A read "
        "brings the same files into Arrow tables; a copy writes them out again as the stage does. "
        "The best of several turns counts; in brackets, the ratios within a turn: a busy machine "
        "slows a read more than the rest.",
        "",
        *table(["stage", "rows/s", "bare read, rows/s", "of a read", "of a copy"], rows),
        "",
        "![shares of a bare read](data_plane.png)",
        "",
    ]
    if short:
        lines += [
            "These stages are below a third of a bare read. For each follows what a copy, which "
            "does nothing but read and write, reaches of a read, and where the processor's time "
            "of the stage goes in a run under cProfile, which may be later than the rates.",
            "",
            *(f"- {name}: {_why(stages[name])}." for name in short),
            "",
        ]
    return lines


def _data_plane_picture(stages: dict, path: Path) -> None:
    figure = figure_of(7.5, 3.2)
    axes = figure.subplots()
    at = range(len(stages))
    shares = [one["share_of_read"] for one in stages.values()]
    copies = [one.get("share_of_copy", 0.0) for one in stages.values()]
    axes.bar([x - 0.2 for x in at], shares, 0.38, color=OURS, label="of a read")
    axes.bar([x + 0.2 for x in at], copies, 0.38, color=QUIET, label="of a copy")
    axes.axhline(BAR, color=ALARM, linewidth=1, label="a third")
    axes.set_xticks(list(at), list(stages))
    axes.legend(frameon=False, fontsize=9)
    bare(axes)
    title(axes, "Rows per second, as a share of what Arrow alone does", "copy: read and write")
    save(figure, path)


def growth(report: dict, out: Path) -> list[str]:
    """Cost per row and memory as a fleet grows."""
    lines = ["## Growth", "", "Each stage of each fleet in a process of its own; memory is what "
             "the stage adds. A stage that is measured anew replaces its own figures alone, so the "
             "stages of a table may be of different days and loads.", ""]  # fmt: skip
    texts = {
        "rows": "Twelve vehicles with a history that grows in days.",
        "vehicles": f"Vehicles with short histories: {DAYS} days of {HOURS * 60:.0f} minutes.",
        "night": "Vehicles that report for 24 hours, of which one date is ingested and scored.",
    }
    texts = {per: text for per, text in texts.items() if per in report}
    for per, text in texts.items():
        fleets, (unit, _) = report[per]["fleets"], UNITS[per]
        size = "rows" if per == "night" else per
        rows = _growth_rows(report[per], per, size)
        heads = [f"{unit}, {one[size]:,}" for one in fleets]
        more = [f"MB, {one[size]:,}" for one in fleets]
        where = "a night" if per == "night" else per
        lines += [
            f"### In {where}",
            "",
            facts_line({"machine": report["machine"]} | report[per], "python -m bench.growth"),
            f"{text} {unit} per {size.removesuffix('s')}, how it grows from the last fleet "
            f"but one to the last (at most {1 + LIMIT:.1f} is wanted), and memory.",
            "",
            *table(["stage", *heads, "times", *more], rows),
            "",
        ]
    _growth_picture(report, out / "growth.png")
    lines += ["![seconds of each stage](growth.png)", ""]
    if "workers" in report:
        lines += _workers(report["workers"])
    return lines


def _workers(report: dict) -> list[str]:
    """How much sooner a stage is done with two workers than with one."""
    turns, (least, most) = len(report["seconds"]["1"]), report["times_as_fast_from_to"]
    return [
        "### In workers",
        "",
        facts_line(report, "python -m bench.growth --workers"),
        f"`evaluate` of {report['vehicles']:,} vehicles with short histories over Ray is "
        f"**{report['times_as_fast']:.2f} times as fast** with two workers as with one, by the "
        f"clock. That is the median of {turns} turns ({least:.2f} to {most:.2f}), each with one "
        "worker and then with two. Ray has started by then, its workers have not.",
        "",
    ]


def _growth_rows(report: dict, per: str, size: str) -> list[list[str]]:
    """A row per stage: its cost and memory in each fleet, and how the cost grows with ``size``."""
    fleets, grown = report["fleets"], report["growth"]
    rows, (_, per_second) = [], UNITS[per]
    for name in STAGES:
        if not any(name in one["stages"] for one in fleets):
            continue
        cost = [
            f"{one['stages'][name]['cpu_seconds'] / one[size] * per_second:,.1f}"
            if name in one["stages"] else ""
            for one in fleets
        ]  # fmt: skip
        memory = [
            f"{one['stages'][name]['memory_mb']:,.0f}" if name in one["stages"] else ""
            for one in fleets
        ]
        times = grown.get(name)
        told = "" if times is None else f"{times[f'cost_per_{size}_times']:.2f}"
        rows.append([name, *cost, told, *memory])
    return rows


def _growth_picture(report: dict, path: Path) -> None:
    figure = figure_of(9, 3.6)
    for axes, per in zip(figure.subplots(1, 2), ("rows", "vehicles"), strict=True):
        for name in STAGES:
            points = [
                (one[per], one["stages"][name]["cpu_seconds"])
                for one in report[per]["fleets"]
                if name in one["stages"]
            ]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, "o-", color=COLOURS[name], label=name, markersize=4)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(per, fontsize=9)
        axes.set_ylabel("seconds of the processor", fontsize=9)
        bare(axes, "both")
        title(axes, f"Cost as a fleet grows in {per}", "straight at 45 degrees: linear")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside right upper")
    save(figure, path)


def scoring(report: dict) -> list[str]:
    """From Parquet to written scores: by engine and rows per vehicle-day, and the job's parts.

    The first engine is this process, whose processor time is all that the job took.
    """
    found = report["periods"]
    rows = [
        [
            f"{one['period_seconds']:g}", f"{one['rows_per_vehicle_day']:,.0f}",
            f"{one['engines'][0]['rows_per_second_of_cpu']:,.0f}",
            *(f"{engine['rows_per_second']:,.0f}" for engine in one["engines"]),
            f"{one['read_rows_per_second_of_cpu']:,.0f}",
        ]
        for one in found
    ]  # fmt: skip
    cost, enough = report["cost"], report["cost"]["rows_that_suffice"]
    reached = (
        f"reached from about {enough:,.0f} rows in a vehicle-day on" if enough else "not reached"
    )
    names = [f"{engine['engine']}, rows/s by the clock" for engine in found[0]["engines"]]
    periods = " ".join(f"{one['period_seconds']:g}" for one in found)
    command = f"python -m bench.scoring --fleet {report['fleet']} --periods {periods}"
    same = " All engines wrote the same bytes." if all(one["same_bytes"] for one in found) else ""
    return [
        "## Scoring",
        "",
        facts_line(report, command),
        "No part of `make bench`, because it needs the raw files of that fleet. They tell no time, "
        "so the same rows can be taken as so many seconds apart. "
        f"The fleet {report['fleet']}: {found[0]['engines'][0]['rows']:,} rows of "
        f"{report['channels']} channels, from the lake's files to published scores, incidents and "
        f"states; the members in closed form.{same}",
        "",
        *table(
            ["seconds between rows", "rows per vehicle-day", "rows/s of a core", *names,
             "a bare read of the lake, rows/s of a core"], rows,
        ),
        "",
        f"A vehicle-day costs {cost['ms_per_vehicle_day']:.0f} ms and each of its rows "
        f"{cost['us_per_row']:.0f} µs, as the shortest and the longest days tell. So the wanted "
        f"{cost['wanted_rows_per_second']:,} rows per second of a core are {reached}. The parts of "
        "the job, from a profile:",
        "",
        *(f"- A row every {one['period_seconds']:g} s: {_parts(one)}." for one in found),
        "",
    ]  # fmt: skip


def network(report: dict) -> list[str]:
    """Training steps per second against other networks; nothing of a report of another form."""
    rows = [
        [
            f"{one['width']}", name, f"{speed:,.1f}",
            f"{one['windows_shipped_to_others'].get(name, 1.0):.2f}",
            f"{one['operations_per_second_shipped_to_others'].get(name, 1.0):.2f}",
        ]
        for one in report.get("training", [])
        for name, speed in one["windows_per_second"].items()
    ]  # fmt: skip
    if not rows:
        return []
    return [
        "## Training step",
        "",
        facts_line(report, "python -m bench.model"),
        f"{report['channels']} channels, windows of {report['window']} rows, batches of "
        f"{report['batch']}, one thread. The last columns are the shipped step over this one.",
        "",
        *table(["width", "step", "windows/s", "in windows/s", "in operations/s"], rows),
        "",
    ]


def metrics(report: dict) -> list[str]:
    """Seconds of the metrics."""
    rows = [
        [f"{one['rows']:,}", f"{one['vus_both_seconds']:.3f}", f"{one['vus_times_faster']:,.0f}",
         f"{max(one['seconds'].values()):.3f}"]
        for one in report["sizes"]
    ]  # fmt: skip
    head = ["rows", "VUS-PR and VUS-ROC, s", "times faster than the loop", "slowest metric, s"]
    return [
        "## Metrics",
        "",
        facts_line(report, "python -m bench.metrics"),
        "",
        *table(head, rows),
        "",
    ]


if __name__ == "__main__":
    main()
