"""The tables of docs/results/carry_over.md, from the JSON of ``python -m bench.carry_over``."""

from collections.abc import Mapping

from amad.evaluation.harness import WITH, WITHOUT
from bench.quality.methods import DETECTOR, FLOOR
from bench.quality.tables import interval, named, or_dash, signed, table

OTHERS = 5  # methods beside the detector and the floor in the headline

OWN_FORMS = (DETECTOR, WITH, WITHOUT)  # of the detector

PROTOCOLS = {
    "test": "By the labels",
    "injected": "Without labels, by faults injected into clean test rows",
}


def headline(report: Mapping) -> list[str]:
    """VUS-PR of the detector, the best others and the floor, with the means of both forms."""
    forms = report["protocols"]["test"]
    found = forms.get("offline") or next(iter(forms.values()))
    ranked = sorted(found["mean"], key=lambda name: -found["mean"][name][0])
    names = [name for name in ranked if name not in (*OWN_FORMS, FLOOR)][:OTHERS]
    rows = [
        [
            named(name),
            *_cells(found["vus_pr"][name], found, ".3f"),
            *(interval(forms[form]["mean"].get(name)) for form in sorted(forms)),
        ]
        for name in (DETECTOR, *names, FLOOR)
        if name in found["mean"]
    ]
    means = [f"mean, {form}" for form in sorted(forms)]
    return table(["VUS-PR, offline", *found["fleets"], *means], rows)


def carry_over_tables(report: Mapping) -> list[str]:
    """The lines of the page below its heading."""
    fleets = report["fleets"]
    injected = [name for name, fleet in fleets.items() if fleet["labels"] == "injected"]
    lines = [
        f"`python -m bench.carry_over --seeds {report['seeds']} "
        f"--methods {' '.join(report['methods'])}`, {len(fleets)} fleets that weigh the same, "
        f"seeds of what is random: {report['seeds']}, VUS-PR. False alarms are incidents per "
        "vehicle-day on normal test rows, as the mean over the fleets and as the highest of a "
        f"fleet; {report['alarm_budget'][DETECTOR]} were promised. Least and largest are "
        "differences of the means with a fleet left out: where the least is below zero, a lead "
        "depends on that fleet.",
        "",
    ]
    if injected:
        lines += [
            f"No labels: {', '.join(sorted(injected))}. There, faults are injected in any case.", ""
        ]  # fmt: skip
    if any(WITH in found["mean"] for of in report["protocols"].values() for found in of.values()):
        lines += [
            f"*{WITH}* is the detector in which the network votes, whatever "
            "[the rule](../explanation/detector.md#the-networks-vote) says.", "",
        ]  # fmt: skip
    for name, changes in report["candidates"].items():
        lines += [f"- {named(name)}: the detector with {', '.join(f'`{c}`' for c in changes)}"]
    if report["candidates"]:
        lines.append("")
    lines += [f"Not judged: {name}: {error}." for name, error in report["errors"].items()]
    for protocol, title in PROTOCOLS.items():
        for form, found in sorted(report["protocols"].get(protocol, {}).items()):
            lines += [f"## {title}, {form}", "", *_form(found)]
    return lines


def _form(found: Mapping) -> list[str]:
    names = sorted(found["mean"], key=lambda name: -found["mean"][name][0])
    partly = [name for name in found["vus_pr"] if name not in found["mean"]]
    lines = [*means_table(found, [*names, *partly]), ""]
    if len(found["fleets"]) > 1:
        lines += ["### The mean with a fleet left out", "", *_left_out(found, names), ""]
    for ours in found["difference"]:
        lines += [f"### {ours} minus another method", "", *differences_table(found, ours), ""]
    rows = [[named(name), *_cells(found["false_alarms"][name], found, ".2f")] for name in names]
    lines += ["### False alarms per vehicle-day", "", *table(["", *found["fleets"]], rows), ""]
    return lines


def means_table(found: Mapping, names: list[str]) -> list[str]:
    """VUS-PR of each method on each fleet with the best in bold, its mean, and false alarms."""
    best = {
        fleet: max(of.get(fleet, 0.0) for of in found["vus_pr"].values())
        for fleet in found["fleets"]
    }
    rows = []
    for name in names:
        own, alarms = found["vus_pr"][name], found["false_alarms"][name]
        known = {fleet: rate for fleet, rate in alarms.items() if rate is not None}
        highest = max(known, key=lambda fleet: known[fleet], default=None)
        rows.append([
            named(name),
            *(
                f"**{cell}**" if own.get(fleet) == best[fleet] else cell
                for fleet, cell in zip(found["fleets"], _cells(own, found, ".3f"), strict=True)
            ),
            or_dash(found["mean"].get(name, [None])[0], ".3f"),
            or_dash(sum(known.values()) / len(known) if known else None, ".2f"),
            "-" if highest is None else f"{known[highest]:.2f} ({highest})",
        ])  # fmt: skip
    return table(["VUS-PR", *found["fleets"], "mean", "false alarms", "highest"], rows)


def _left_out(found: Mapping, names: list[str]) -> list[str]:
    rows = [[named(name), *_cells(found["mean_without"][name], found, ".3f")] for name in names]
    return table(["VUS-PR", *(f"without {fleet}" for fleet in found["fleets"])], rows)


def differences_table(found: Mapping, ours: str) -> list[str]:
    """The paired difference to each other method, and the ends of it with a fleet left out."""
    own, rows = found["mean_without"][ours], []
    others = found["difference"][ours]
    for other in sorted(others, key=lambda name: others[name][0]):
        theirs = found["mean_without"][other]
        without = sorted((own[fleet] - theirs[fleet], fleet) for fleet in own)
        ends = [f"{value:+.3f} (without {fleet})" for value, fleet in without]
        rows.append([
            named(other), signed(others[other]), *((ends[0], ends[-1]) if ends else ("-", "-"))
        ])  # fmt: skip
    head = ["other", "difference of VUS-PR", "least", "largest"]
    return table(head, rows)


def _cells(values: Mapping, found: Mapping, form: str) -> list[str]:
    return [or_dash(values.get(fleet), form) for fleet in found["fleets"]]


def short_histories_table(report: Mapping) -> list[str]:
    """The lines about vehicles with few train rows, from ``python -m bench.short_histories``."""
    lines = [
        "## Short histories",
        "",
        f"`python -m bench.short_histories`: the train part of every vehicle of {report['every']} "
        "is cut to its last rows, the others stay whole. Of the vehicles that were cut: VUS-PR, "
        "share of normal test rows in alarm, incidents on them per 24 hours of rows. *Shrunk* is "
        "as shipped, "
        "*own* the vehicle's own figures alone, *pooled* those of the class.",
        "",
    ]
    rules = ("shrunk", "own", "pooled")
    rows = [
        [
            name, f"{int(length):,}",
            *(or_dash(found[rule]["vus_pr"], ".3f") for rule in rules),
            *(or_dash(found[rule]["alarm_share"], ".3f") for rule in rules),
            *(or_dash(found[rule]["incidents_per_day"], ".2f") for rule in rules),
        ]
        for name, fleet in report["fleets"].items()
        for length, found in sorted(fleet["rows"].items(), key=lambda item: int(item[0]))
    ]  # fmt: skip
    head = [
        "fleet",
        "rows",
        *rules,
        *(f"alarm, {r}" for r in rules),
        *(f"per day, {r}" for r in rules),
    ]
    return [*lines, *table(head, rows), ""]
