"""The report as a Markdown page, made from the JSON alone."""

from amad.evaluation.evaluation_metrics import PRIMARY
from bench.quality.figures import RELATION
from bench.quality.methods import DETECTOR, FLOOR

COLUMNS = {
    "auc_pr": "AUC-PR", "vus_roc": "VUS-ROC", "auc_roc": "AUC-ROC", "best_f1": "best F1",
    "range_f1": "range F1", "event_f1": "event F1", "affiliation_f1": "affil. F1",
}  # fmt: skip


def markdown(report: dict) -> str:
    """The page of a report."""
    machine = report["machine"]
    lines = [
        "# Detection quality",
        "",
        f"Made by `python -m bench.quality`; settings {report['params_digest']}, "
        f"seeds of what is random: {report['seeds']}; {machine['cpu']}, {machine['cores']} cores. "
        "Brackets: bootstrap intervals over units. `random` is the floor. Keys and definitions: "
        "docs/reference/benchmark.md, docs/explanation/evaluation.md.",
        "",
    ]
    for name, fleet in report["fleets"].items():
        lines += _fleet(name, fleet)
    return "\n".join(lines).rstrip() + "\n"


def _fleet(name: str, fleet: dict) -> list[str]:
    lines = [f"## {name}", ""]
    if "error" in fleet:
        return [*lines, f"Not judged: {fleet['error']}", ""]
    rows = ", ".join(f"{count:,} {part}" for part, count in fleet["rows"].items())
    lines += [
        f"{fleet['description']}. Vehicles: {len(fleet['vehicles'])}, channels: "
        f"{len(fleet['channels'])}, a sample every {fleet['period_seconds']:g} s; rows: {rows}. "
        f"Labels: {fleet['labels']}; VUS with a buffer of {fleet['buffer_rows']} rows.",
        "",
    ]
    for protocol, reason in fleet["skipped"].items():
        lines += [f"Protocol {protocol} left out: {reason}.", ""]
    for protocol, forms in fleet["protocols"].items():
        for form, content in forms.items():
            lines += [f"### {name}, {protocol}, {form}", "", *_form(content), ""]
    return lines


def _form(content: dict) -> list[str]:
    lines = []
    if content["units"]:
        noun = {"case": "Injected cases", "vehicle": "Vehicles"}[content["unit"]]
        lines += [
            f"{noun} judged: {content['units']}.",
            "",
            *_methods(content["methods"]),
            "",
            *_paired(content["methods"]),
        ]
    for unit, reason in content["unscorable"].items():
        lines.append(f"- unscorable: {unit}: {reason}")
    for method, reason in content["failed"].items():
        lines.append(f"- {method} FAILED: {reason}")
    for method, reason in content["left_out"].items():
        lines.append(f"- {method} left out: {reason}")
    return lines


def _methods(methods: dict) -> list[str]:
    """A table of all methods, best first."""
    relation = any(RELATION in own for own in methods.values())
    head = [
        "method", "VUS-PR", *COLUMNS.values(), *([RELATION] if relation else []), "recall",
        "false per day", "fit s", "rows per s", "train s", "numbers",
    ]  # fmt: skip
    rows = []
    for name, own in sorted(methods.items(), key=lambda item: -item[1]["mean"][PRIMARY]):
        point = own["operating_point"]
        rows.append([
            named(name),
            interval([own["mean"][PRIMARY], *own["interval"][PRIMARY]]),
            *(f"{own['mean'][metric]:.3f}" for metric in COLUMNS),
            *([interval(own.get(RELATION))] if relation else []),
            or_dash(point["event_recall"], ".2f"),
            or_dash(point["normal_test"]["incidents_per_vehicle_day"], ".2f"),
            f"{own['fit_seconds'] + own['train_seconds']:.0f}",
            f"{own['rows_per_second']:,.0f}",
            f"{own['train_seconds']:.0f}",
            f"{own['parameters']:,.0f}",
        ])  # fmt: skip
    return table(head, rows)


def _paired(methods: dict) -> list[str]:
    """A table of the paired differences of amad to other methods."""
    found = methods.get("amad", {}).get("difference")
    if not found:
        return []
    titles = {PRIMARY: "VUS-PR", RELATION: RELATION}
    metrics = [m for m in titles if any(m in figures for figures in found.values())]
    rows = [[other, *(signed(f.get(m)) for m in metrics)] for other, f in found.items()]
    lines = ["Paired differences, amad minus:", ""]
    return [*lines, *table(["other", *(titles[m] for m in metrics)], rows), ""]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def named(method: str) -> str:
    """The name of a method in a table, where the detector and the floor stand out."""
    return {DETECTOR: f"**{DETECTOR}**", FLOOR: f"*{FLOOR}*"}.get(method, method)


def interval(figures: list[float] | None) -> str:
    """A figure with its interval, a dash where there is none."""
    return "-" if not figures else "{:.3f} [{:.3f}, {:.3f}]".format(*figures)


def signed(figures: list[float] | None) -> str:
    """A difference with its interval, a dash where there is none."""
    return "-" if not figures else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*figures)


def or_dash(value: float | None, form: str) -> str:
    """The value in this format, a dash where there is none."""
    return "-" if value is None else format(value, form)
