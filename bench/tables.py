"""python -m bench.tables

Writes the pages of docs/results from the measurements in bench/results, so that no figure of a
table is typed. The first page, index.md, is bench/reading.md, which says what the figures mean,
with the first table at its marker. There is a page per fleet, and one each for the comparison of
all methods, how they carry over to other fleets and to kinds that nobody tuned on, the network, the
machine's limits and fourteen nights of the scoring job.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from amad.evaluation.evaluation_metrics import PRIMARY, STRENGTHS
from bench import kinds_page, limits, minutes, nights_page, severity
from bench.carry_over_tables import carry_over_tables, headline, short_histories_table
from bench.options import parser_of
from bench.present import dated
from bench.quality.figures import RELATION
from bench.quality.methods import FLOOR
from bench.quality.tables import methods_table, named, or_dash, signed, table

RESULTS, READING, PAGES = Path("bench/results"), Path("bench/reading.md"), Path("docs/results")
MARKER = "<!-- The first table stands here. -->"
NOTE = (
    "Made by `python -m bench.tables`. Brackets are bootstrap intervals; "
    "[how it was measured](index.md#how-it-was-measured) explains the columns."
)
TITLES = {
    "test": "the test part, by its labels", "injected": "faults injected into clean test rows",
    "unseen": "unknown vehicles",
}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Write the pages."""
    parser = parser_of(__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--reading", type=Path, default=READING)
    parser.add_argument("--out", type=Path, default=PAGES, help="the folder of the pages")
    options = parser.parse_args(arguments)
    quality = _read(options.results / "quality.json") or {"fleets": {}}
    fleets = {name: fleet for name, fleet in quality["fleets"].items() if "error" not in fleet}
    reading = options.reading.read_text(encoding="utf-8")
    carry_over = _read(options.results / "carry_over.json")
    first = [*dated([], carry_over), *headline(carry_over)] if carry_over else []
    pages = {"index": reading.replace(MARKER, "\n".join(first)).splitlines()}
    pages |= {name: dated(_fleet(name, fleet), quality) for name, fleet in fleets.items()}
    methods = ["# Every method on every fleet", "", NOTE, "", *_overview(fleets), ""]
    pages["methods"] = dated([*methods, *_point_adjusted(fleets)], quality)
    shares = ["# What the network adds", "", NOTE, "", *_shares(fleets), ""]
    pages["network"] = dated(shares, quality)
    for name, section in {
        "vote": _votes, "per_vehicle": _per_vehicle, "fleet_size": _fleet_size,
    }.items():  # fmt: skip
        if found := _read(options.results / f"{name}.json"):
            pages["network"] += dated(section(found), found)
    pages["carry_over"] = ["# Does it carry over?", "", NOTE, ""]
    if carry_over:
        pages["carry_over"] = dated(pages["carry_over"] + carry_over_tables(carry_over), carry_over)
    else:
        pages["carry_over"].append("Not measured yet: `python -m bench.carry_over` does it.")
    if short := _read(options.results / "short_histories.json"):
        pages["carry_over"] += dated(short_histories_table(short), short)
    for name, page in {"kinds": kinds_page, "minutes": minutes, "severity": severity}.items():
        if found := _read(options.results / f"{name}.json"):
            pages[name] = dated(page.page(found), found)
    for name, page in {"limits": limits, "nights": nights_page}.items():
        if found := _read(options.results / f"{name}.json"):
            pages[name] = page.page(found)  # no figures of detection quality
    options.out.mkdir(parents=True, exist_ok=True)
    for name, lines in pages.items():
        text = "\n".join(lines).rstrip() + "\n"
        (options.out / f"{name}.md").write_text(text, encoding="utf-8")


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _false_alarms(method: dict) -> float | None:
    return method["operating_point"]["normal_test"]["incidents_per_vehicle_day"]


def _overview(fleets: Mapping[str, dict]) -> list[str]:
    """A table of mean VUS-PR by method, a column per fleet and protocol, with the best in bold."""
    columns = {
        f"{name}, {form}" if protocol == "test" else f"{name}, {protocol}": content["methods"]
        for protocol, form in (
            ("test", "offline"), ("test", "online"), ("injected", "offline"), ("unseen", "offline")
        )
        for name, fleet in fleets.items()
        if (content := fleet["protocols"].get(protocol, {}).get(form))
    }  # fmt: skip
    names = dict.fromkeys(name for methods in columns.values() for name in methods)
    value = {
        (name, column): methods[name]["mean"][PRIMARY]
        for column, methods in columns.items() for name in methods
    }  # fmt: skip
    best = {column: max(value[n, column] for n in methods) for column, methods in columns.items()}
    rows = [
        [
            named(name),
            *(
                "-" if (v := value.get((name, column))) is None
                else f"**{v:.3f}**" if v == best[column] else f"{v:.3f}"
                for column in columns
            ),
        ]
        for name in sorted(names, key=lambda n: -np.mean([value.get((n, c), 0) for c in columns]))
    ]  # fmt: skip
    return table(["VUS-PR", *columns], rows)


def _votes(report: dict) -> list[str]:
    lines = [
        "## The rule for its vote",
        "",
        "`python -m bench.vote`, one network per fleet and form, trained with the settings as "
        "shipped. Without labels: the share of the vote in average precision on injected faults, "
        "and how far the network's error on held-out rows is below that of its linear skip. Beside "
        "it what the vote is worth on the test part, in VUS-PR, which decides nothing (kit_obd "
        "and car_obd have no labels: faults injected into test rows). *s*: seconds of one core "
        "that the rule took.",
        "",
    ]
    rows = [
        [
            name, form, f"{own['vehicles']}", signed(vote["share"]), f"{vote['gain'][0]:+.1%}",
            "yes" if vote["weight"] else "no", signed(own["share"]), f"{own['without'][0]:.3f}",
            f"{own['vote_cpu_seconds']:.0f}",
        ]
        for name, forms in report["fleets"].items() for form, own in forms.items()
        if (vote := own["vote"])["measured"]
    ]  # fmt: skip
    head = ["fleet", "form", "vehicles", "share, injected", "gain", "votes", "share, test part",
            "without it", "s"]  # fmt: skip
    return [*lines, *table(head, rows), ""]


def _per_vehicle(report: dict) -> list[str]:
    lines = [
        "## One network for the fleet, or one per vehicle",
        "",
        f"`python -m bench.per_vehicle`, {report['seeds']} seeds, the network by itself, VUS-PR. "
        "Seconds are of all trainings of a seed.",
        "",
    ]
    rows = [
        [
            f"{name}, {units['vehicles']} vehicles", skip, f"{own['fleet']:.3f}",
            f"{own['vehicle']:.3f}", signed(own["difference"]),
            f"{own['train_seconds']['fleet']:.0f}", f"{own['train_seconds']['vehicle']:.0f}",
        ]
        for name, units in report["fleets"].items() for skip, own in units["skip"].items()
    ]  # fmt: skip
    head = ["fleet", "skip", "one for all", "one each", "difference", "s, one", "s, each"]
    return [*lines, *table(head, rows), ""]


def _fleet_size(report: dict) -> list[str]:
    lines = [
        "## The network's share in larger fleets",
        "",
        f"`python -m bench.fleet_size`, fleet {report['fleet']} with more vehicles, offline, "
        f"{report['seeds']} seeds: VUS-PR of the detector with the network voting, minus the same "
        "without it. Windows are those of an epoch.",
        "",
    ]
    rows = [
        [
            f"{run['vehicles']}", f"{run['max_windows']:,}", TITLES[protocol],
            signed(found["share"]), signed(found["relation"]), or_dash(found["spread"], ".3f"),
            *(f"{found['mean'][name]:.3f}" for name in ("amad_without_network", "amad_alone")),
        ]
        for run in report["runs"] for protocol, found in run["protocols"].items()
    ]  # fmt: skip
    head = ["vehicles", "windows", "where", "share", "relation faults", "over seeds", "without",
            "network alone"]  # fmt: skip
    return [*lines, *table(head, rows), ""]


def _point_adjusted(fleets: Mapping[str, dict]) -> list[str]:
    """A table of the fleets on which random scores, an untrained network and PCA were judged."""
    columns = {
        name: methods
        for name, fleet in fleets.items()
        if (content := fleet["protocols"].get("test", {}).get("offline"))
        and {FLOOR, "untrained", "pca"} <= (methods := content["methods"]).keys()
    }
    if not columns:
        return []
    names = dict.fromkeys(name for methods in columns.values() for name in methods)
    rows = [
        [name, *(or_dash(methods.get(name, {}).get("pa_k_curve", [None])[0], ".3f")
                 for methods in columns.values())]
        for name in names
    ]  # fmt: skip
    return [
        "## Point-adjusted F1, to show that it is worthless",
        "",
        "An event counts as found by one lucky row. Nothing is chosen or claimed by it.",
        "",
        *table(["point-adjusted F1", *columns], sorted(rows, key=lambda row: row[0] != FLOOR)),
        "",
    ]


def _shares(fleets: Mapping[str, dict]) -> list[str]:
    """A table of the network's share, wherever the detector was judged with and without it."""
    rows = []
    for name, fleet in fleets.items():
        for protocol, forms in fleet["protocols"].items():
            for form, content in forms.items():
                share = content.get("share_of_amad")
                if share:
                    found = content["methods"]["amad_with_network"]
                    broken = found["difference"]["amad_without_network"].get(RELATION)
                    rows.append([
                        f"{name}, {TITLES[protocol]}", form, signed(share[PRIMARY]),
                        signed(broken), or_dash(found["spread"].get(PRIMARY), ".3f"),
                    ])  # fmt: skip
    return table(["where", "form", "VUS-PR", "relation faults", "over seeds"], rows)


def _fleet(name: str, fleet: dict) -> list[str]:
    rows = ", ".join(f"{count:,} {part}" for part, count in fleet["rows"].items())
    lines = [
        f"# The fleet {name}",
        "",
        NOTE,
        "",
        f"{fleet['description']}. {len(fleet['vehicles'])} vehicles, {len(fleet['channels'])} "
        f"channels; rows: {rows}. VUS with a buffer of {fleet['buffer_rows']} rows.",
        "",
    ]
    for protocol, forms in fleet["protocols"].items():
        for form, content in forms.items():
            noun = "injected cases" if content["unit"] == "case" else "vehicles"
            title = f"{TITLES[protocol].capitalize()}, {form} ({content['units']} {noun})"
            lines += [f"## {title}", "", *methods_table(content["methods"]), ""]
            if "amad" in content["methods"]:
                lines += _details(content["methods"])
    return lines


def _details(methods: Mapping[str, dict]) -> list[str]:
    """Operating point, culprits, severity and faults of the detector."""
    own = methods["amad"]
    point = own["operating_point"]
    lines = [
        f"- alarms: {point['alarm_budget']} incidents per vehicle-day promised, "
        f"{or_dash(_false_alarms(own), '.2f')} on normal test rows; "
        f"recall of events {or_dash(point['event_recall'], '.2f')}, median delay "
        f"{or_dash(point['median_delay_rows'], '.0f')} rows, looking "
        f"{point['lookahead_seconds']:.0f} s ahead"
    ]
    if found := own["localisation"]:
        lines.append(
            f"- culprit channels of {found['events']} events: HitRate@100 % "
            f"{found['hit_rate_100']:.2f}, @150 % {found['hit_rate_150']:.2f}, NDCG@100 % "
            f"{found['ndcg_100']:.2f}, @150 % {found['ndcg_150']:.2f}"
        )
    if own["severity_order"] is not None:
        lines.append(f"- severity order: Kendall's tau-b {own['severity_order']:.2f}{_bounds(own)}")
    if (types := own.get("guessed_types", {})).get("mean_recall") is not None:
        lines.append(f"- guessed types of faults: recall {types['mean_recall']:.2f} in the mean")
    return [*lines, "", *_faults(methods)]


def _bounds(own: Mapping) -> str:
    """How severity orders found faults, and the best order with these alarms, if measured."""
    if own.get("severity_order_best") is None or own["severity_order_found"] is None:
        return ""
    return (
        f", {own['severity_order_found']:.2f} of those found, "
        f"{own['severity_order_best']:.2f} if it were their strength"
    )


def _faults(methods: Mapping[str, dict]) -> list[str]:
    """A table by fault type: recall, recall by thirds of the strength, VUS-PR of some methods."""
    by_fault = methods["amad"]["by_fault"]
    if not by_fault:
        return []
    rivals = [m for m in ("amad", "amad_with_network", "linear", "mahalanobis") if m in methods]
    scored = any(PRIMARY in figures for figures in by_fault.values())
    head = ["fault", "events", "recall", *STRENGTHS]
    head += [f"VUS-PR {name}" for name in rivals] if scored else []
    rows = []
    for kind, figures in sorted(by_fault.items()):
        thirds = figures["strengths"]
        rows.append([
            kind,
            str(figures["events"]),
            f"{figures['event_recall']:.2f}",
            *(or_dash(thirds.get(t), ".2f") for t in STRENGTHS),
            *(or_dash(methods[m]["by_fault"][kind].get(PRIMARY), ".3f")
              for m in rivals if scored),
        ])  # fmt: skip
    return [*table(head, rows), ""]


if __name__ == "__main__":
    main()
