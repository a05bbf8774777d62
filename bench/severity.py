"""python -m bench.severity --out bench/results/severity.json

Does the severity of incidents order faults by how strong they are, and false alarms below them?

Faults of graded strength are injected into clean test rows of eight fleets, as ``bench.quality``
does it, several times with other random numbers. The detector in closed form scores them. Of a
fleet, the JSON has

- faults, touched: how many there are, and the share that an incident touches
- tau_b, tau_b_found, best_possible: as ``severity_order`` in docs/explanation/evaluation.md
- size_known: tau_b if the severity of the touched were the true change of the channels, in spreads
  of their train rows (root mean square over the fault)
- worse_than_false: the chance that the incident of a fault is worse than a false alarm of the whole
  test part; labelled_worse_than_false: that one of a labelled event is. Null where there are fewer
  than five of either
- by_type: faults, touched, tau_b and tau_b_found of each type
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.stats import mannwhitneyu

from amad.config import Fleet, Params, Settings, load_params
from amad.config.console import say, track
from amad.detect.scorer import Scored, Scorer, score_after
from amad.engines.shared.environment import quiet
from amad.evaluation.method_result import Finding, MethodResult
from amad.evaluation.summary import rounded
from amad.evaluation.typed_events import by_type, severity_order
from amad.evaluation.units import StoredPart, Unit, units_of
from amad.incidents.incident import incidents_of
from amad.telemetry.files import write_json
from amad.telemetry.schemas import EVENTS
from amad.windows.series import TEST, Series, lead_of, read
from amad.windows.store import WindowStore
from bench.carry_over import FLEETS
from bench.options import parser_of, positive, run
from bench.present import origin
from bench.quality.fleets import CleanStretches, Prepared, judged_fleet, prepare_fleets
from bench.quality.methods import closed_form
from bench.quality.tables import or_dash, table

PROTOCOL, LEAST = "injected", 5  # fewer incidents tell no chance
EDGES = ("start", "end", "first alarm", "last alarm")
APART = 1000  # between the seeds of two draws


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", nargs="+", default=list(FLEETS), help="default: eight fleets")
    parser.add_argument("--draws", type=positive, default=3, help="of about 96 faults (default 3)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="prepared fleets")
    return parser.parse_args(arguments)


def graded(prepared: Prepared, params: Params, draws: int) -> dict:
    """The figures of one fleet; the keys are those of the JSON.

    Raises:
        DataError: the detector cannot be fitted.
    """
    store = prepared.store
    scorer = closed_form(store, prepared.fleet, params)
    result, true = MethodResult(), []  # the true changes, of each finding
    off: dict[str, list[float]] = {name: [] for name in EDGES}
    for draw in range(draws):
        fleet, view = _drawn(prepared.fleet, draw, len(store.vehicles)), CleanStretches.of(store)
        for vehicle in track(store.vehicles, f"{fleet.name}, draw {draw + 1}"):
            part = StoredPart.of(view, vehicle, TEST)
            lead, test = lead_of(part), read(part)
            has_channel_C = view.has_channel(vehicle)
            for unit in units_of(test, fleet, EVENTS.empty_table(), has_channel_C)[0]:
                scored = score_after(scorer.score, lead, unit.series)
                result.judge_events(unit, scored, scorer, test.timestamp_T)
                true.append(_true_change(unit, test))
                for name, rows in _edges_off(unit, scored, scorer).items():
                    off[name].append(rows)
    found = result.known
    known = [
        replace(f, severity=size if f.severity > 0 else 0.0)
        for f, size in zip(found, true, strict=True)
    ]
    order, touched = severity_order(by_type(found)), [f for f in found if f.severity > 0]
    labelled, false = _labelled_and_false(store, scorer)
    return {
        "faults": len(found),
        "touched": len(touched) / len(found),
        **order.model_dump(include={"tau_b", "tau_b_found", "best_possible"}),
        "size_known": severity_order(by_type(known)).tau_b,
        "worse_than_false": _chance([f.severity for f in touched], false),
        "labelled_worse_than_false": _chance(labelled, false),
        "rows_off": {name: float(np.median(np.abs(rows))) for name, rows in off.items() if rows},
        "by_type": {
            kind: _of_type(own, order.by_type.get(kind)) for kind, own in by_type(found).items()
        },
    }


def _drawn(fleet: Fleet, draw: int, vehicles: int) -> Fleet:
    """The fleet file with the faults of a draw."""
    fleet = judged_fleet(fleet, PROTOCOL, vehicles)
    seed = fleet.labels.injection.seed + APART * draw
    injection = fleet.labels.injection.model_copy(update={"seed": seed})
    labels = fleet.labels.model_copy(update={"injection": injection})
    return fleet.model_copy(update={"labels": labels})


def _true_change(unit: Unit, test: Series) -> float:
    """How much a fault changed its channels, in spreads of the train rows; the largest."""
    [fault] = unit.events
    rows, channels = slice(fault.first, fault.last), list(fault.channels)
    before = np.searchsorted(test.timestamp_T, unit.series.timestamp_T[rows])
    change_NC = unit.series.value_TC[rows][:, channels] - test.value_TC[before][:, channels]
    return float(np.sqrt(np.square(change_NC).mean(axis=0).max()))


def _edges_off(unit: Unit, scored: Scored, scorer: Scorer) -> dict[str, int]:
    """By how many rows the edges of the first incident that touches a fault miss it; see ``EDGES``.

    Empty where no incident touches it.
    """
    [fault], stamp_T = unit.events, unit.series.timestamp_T
    runs = scorer.runs(scored.alarm_T, stamp_T, scored.open_T)
    touching = [n for n, r in enumerate(runs) if r.first < fault.last and r.last > fault.first]
    if not touching:
        return {}
    at = touching[0]
    incident = incidents_of(scored, unit.series, scorer)[at]
    start, end = np.searchsorted(stamp_T, [incident.start, incident.end])
    found = (start, end, runs[at].first, runs[at].last)
    true = (fault.first, fault.last, fault.first, fault.last)
    return {name: int(f - t) for name, f, t in zip(EDGES, found, true, strict=True)}


def _labelled_and_false(store: WindowStore, scorer: Scorer) -> tuple[list[float], list[float]]:
    """The severities of incidents on the test rows: of labelled events, and of none."""
    severities: tuple[list[float], list[float]] = [], []
    for vehicle in store.vehicles:
        part = StoredPart.of(store, vehicle, TEST)
        if not part.rows:
            continue
        test, series = part.labelled(0, part.rows), read(part)
        scored = score_after(scorer.score, lead_of(part), series)
        for incident in incidents_of(scored, series, scorer):
            edges = [incident.open_from, incident.open_until]
            rows = slice(*np.searchsorted(test.timestamp_T, edges))
            about = test.label_T is not None and (test.label_T[rows] > 0).any()
            severities[0 if about else 1].append(incident.severity)
    return severities


def _chance(ours: Sequence[float], false: Sequence[float]) -> float | None:
    """That one of ours is larger than a false one; a tie counts half."""
    if min(len(ours), len(false)) < LEAST:
        return None
    return float(mannwhitneyu(ours, false).statistic) / len(ours) / len(false)


def _of_type(found: Sequence[Finding], tau_b: float | None) -> dict:
    touched = [f for f in found if f.severity > 0]
    own = severity_order({"": touched})
    return {
        "faults": len(found), "touched": len(touched) / len(found), "tau_b": tau_b,
        "tau_b_found": own.tau_b,
    }  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out``, and return what was written.

    Raises:
        ConfigError: no such fleet.
    """
    quiet()
    options, settings = options_of(arguments), Settings()
    params = load_params(settings.params_file, options.fleet[0])
    home = options.home.absolute() / "fleets"
    prepared, errors = prepare_fleets(options.fleet, params, home, settings, [PROTOCOL])
    fleets = {name: graded(fleet, params, options.draws) for name, fleet in prepared.items()}
    content = rounded({
        **origin(), "draws": options.draws, "params_digest": params.digest, "fleets": fleets,
        "errors": errors,
    })  # fmt: skip
    write_json(options.out, content)
    say(f"wrote {options.out}")
    return content


COLUMNS = {
    "touched": "touched", "tau_b": "tau-b", "size_known": "size known",
    "best_possible": "at best", "tau_b_found": "of those touched",
    "worse_than_false": "worse than a false alarm",
    "labelled_worse_than_false": "labelled, worse than a false alarm",
}  # fmt: skip


def page(report: Mapping) -> list[str]:
    """The lines of the page."""
    fleets = report["fleets"]
    rows = [
        [name, str(own["faults"]), *(or_dash(own[key], ".2f") for key in COLUMNS)]
        for name, own in fleets.items()
    ]
    means = {key: _mean([own[key] for own in fleets.values()]) for key in COLUMNS}
    rows.append(["mean", "", *(or_dash(mean, ".2f") for mean in means.values())])
    types = sorted({kind for own in fleets.values() for kind in own["by_type"]})
    found = {
        kind: [o["by_type"][kind] for o in fleets.values() if kind in o["by_type"]]
        for kind in types
    }
    return [
        "# Does severity order faults by their strength?",
        "",
        "Made by `python -m bench.tables`.",
        "",
        "`python -m bench.severity` injects faults of graded strength into clean test rows, "
        f"{report['draws']} times about 96 per fleet, and compares their severities with their "
        "strengths by Kendall's tau-b, within each type of fault. The detector is the one in "
        "closed form, offline.",
        "",
        *table(["fleet", "faults", *COLUMNS.values()], rows),
        "",
        "- *touched*: the share of faults that an incident touches. The others have no severity, "
        "which counts as 0.",
        "- *at best*: tau-b if the severity of the touched were their very strength. No severity "
        "can be better with these alarms, so what is missing from it to 1 is due to detection. "
        "Where it is below .6, a tau-b of .6 cannot be reached by any severity.",
        "- *size known*: tau-b if the severity of the touched were the true change of their "
        "channels in spreads of the train rows. It is below *at best*, because a strength is in "
        "spreads of the test part, which no incident can know, and because of how the types "
        "define it.",
        "- *of those touched*: tau-b without the missed ones. On js2, smap and msl many faults "
        "fall into incidents that are about something else, and get their severity.",
        "- *worse than a false alarm*: the chance that the incident of a fault is worse than one "
        "that touches no labelled event; then the same of the labelled events themselves.",
        "",
        "## When it began and ended",
        "",
        "By how many rows the start and the end that an incident tells miss those of the fault, as "
        "the median; and by how many the alarms do, whose scores are means over up to 41 rows. "
        "The start and the end are [change points](../explanation/detector.md#when-it-began) of "
        "residuals that nothing smooths. On js2 and smd most incidents that touch a fault are "
        "about something else, which began long before.",
        "",
        *table(
            ["fleet", *EDGES],
            [
                [name, *(or_dash(own["rows_off"].get(edge), ".1f") for edge in EDGES)]
                for name, own in fleets.items()
            ],
        ),
        "",
        "## By type, as means over the fleets",
        "",
        "Strengths of different types are not comparable: that of a spike is its height, of noise "
        "its standard deviation, of a drift its end, of a stuck channel the mean change.",
        "",
        *table(
            ["fault", "faults", "touched", "tau-b", "of those touched"],
            [
                [
                    kind, str(sum(o["faults"] for o in own)),
                    *(
                        or_dash(_mean([o[key] for o in own]), ".2f")
                        for key in ("touched", "tau_b", "tau_b_found")
                    ),
                ]
                for kind, own in found.items()
            ],
        ),
    ]  # fmt: skip


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


if __name__ == "__main__":
    run(main, lambda done: done["errors"])
