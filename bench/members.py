"""python -m bench.members --fleet asd smd kit_obd demo --out bench/results/members.json

Which closed-form members should a detector have, how should they be joined, and with which boxes?

This answers by a rule without labels, and shows beside it what the labels say. ``bench.quality``
measures the share of the network, which is not part of this.

The rule: members are fitted on the first 45 % of a vehicle's train rows, excess thresholds are
measured on the next 10 %, and faults of all types and strengths are injected into the rest. So the
faults are as far from the fitted rows as test rows are. A candidate's figure is its VUS-PR, as the
mean over the cases and then over the fleets.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amad.baselines.pca import PcaMember
from amad.config import Fleet, Params, Settings, load_params
from amad.config.console import say, track
from amad.config.params import DetectParams
from amad.detect.build_members import linear_members, two_sided_member
from amad.detect.detector import Detector
from amad.detect.members import Member
from amad.detect.relation import RelationMember
from amad.detect.scorer import RawScore, by_vehicle
from amad.engines.shared.environment import quiet
from amad.evaluation.method_result import lowest_for_unscored
from amad.evaluation.summary import rounded
from amad.evaluation.units import Unit, fitting_parts, is_injected, units_of, unlabelled
from amad.metrics import vus_pr
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import EVENTS
from amad.windows.series import TEST, TRAIN, Series
from amad.windows.store import WindowStore
from bench.facts import machine_facts
from bench.quality.fleets import CASES, find_fleet, judged_fleet, prepare_fleet
from bench.quality.methods import FORMS, settings_of

# Shares of the train rows: fitted up to FIT, excess thresholds measured from there to HELD.
FIT, HELD = 0.45, 0.55
RELATION_FAULTS = ("decoupling", "delay", "stuck")


class ShareOfRows(RelationMember):
    """The relation member with a penalty that grows with the rows, as in the autoregressions."""

    SHARE = 0.03

    def solve(self, summaries):
        """Set the penalty, then solve as the relation member does."""
        self.PENALTY = self.SHARE * sum(s["gram"][-1, -1] for s in summaries)
        return super().solve(summaries)


Members = Callable[[bool], list[Member]]  # of whether they may only look back


def time(trailing: bool) -> list[Member]:
    """The shipped members over time."""
    return [*linear_members()[:1], *([] if trailing else [two_sided_member()])]


def relation(
    *, penalty: float | None = None, same_row: bool = False, in_mean: bool = False
) -> Members:
    """The relation member with another penalty, of the same row alone, or as a member over time."""

    def members(trailing: bool) -> list[Member]:
        member = RelationMember(trailing=trailing)
        member.PENALTY = penalty or member.PENALTY
        member.between_channels = not in_mean
        if same_row:
            member.near = (0,)
        return [member]

    return members


def share_of_rows(trailing: bool) -> list[Member]:
    """The relation member with a penalty that grows with the rows."""
    return [ShareOfRows(trailing=trailing)]


def pca(trailing: bool) -> list[Member]:
    """The residual of the components that explain 99 % of the variance."""
    member = PcaMember("pca")
    member.EXPLAINED, member.between_channels = 0.99, True
    return [member]


def both(*kinds: Members) -> Members:
    """The members of all of these."""
    return lambda trailing: [member for kind in kinds for member in kind(trailing)]


SHIPPED = both(time, relation())
CANDIDATES: dict[str, Members] = {
    "ridge": lambda _: linear_members()[:1],
    "two_sided": lambda trailing: time(trailing)[1:],
    "ridge + two_sided": time,
    "relation": relation(),
    "relation, same row": relation(same_row=True),
    "relation, penalty 200 rows": relation(penalty=200),
    "relation, penalty 1800 rows": relation(penalty=1800),
    "relation, penalty 3 % of the rows": share_of_rows,
    "pca 99 %": pca,
    "ridge + two_sided, pca 99 %": both(time, pca),
    "ridge + two_sided + relation, one mean": both(time, relation(in_mean=True)),
    "shipped: ridge + two_sided, relation": SHIPPED,
    "shipped, same row": both(time, relation(same_row=True)),
    "shipped, penalty 200 rows": both(time, relation(penalty=200)),
    "shipped, penalty 600 rows": both(time, relation(penalty=600)),
    "shipped, penalty 1800 rows": both(time, relation(penalty=1800)),
    "shipped, penalty 3 % of the rows": both(time, share_of_rows),
    "shipped + ridge_long": both(time, lambda _: linear_members()[1:], relation()),
}
WITHOUT_CHAIN = ["ridge", "ridge + two_sided", "relation"]
WIDTHS = [(5, 21, 81), (9, 41, 161), (11, 21, 41), (11, 21, 81), (21, 61), (31,), (5, 21)]


class WithoutChain(Detector):
    """A detector without the evidence chain: a score is the mean square of a row's residuals."""

    def raw_score(self, series: Series) -> RawScore:
        """The mean square of each row's residuals."""
        owner = self.owner_of(series)
        square_TC = np.sum([np.square(m.residual(series, owner)) for m in self.members], axis=0)
        known_TC = np.isfinite(square_TC)
        count_T = known_TC.sum(axis=1)
        contribution_TC = np.where(known_TC, square_TC, 0.0)
        mean_T = contribution_TC.sum(axis=1) / np.maximum(count_T, 1)
        return RawScore(np.where(count_T, mean_T, np.nan), contribution_TC)


def candidates(params: DetectParams) -> dict[str, tuple[type[Detector], Members, DetectParams]]:
    """The kind of detector, the members and the settings of each candidate."""
    trailing = params.smoothing == "trailing"
    named = {name: members for name, members in CANDIDATES.items() if members(trailing)}
    found = {name: (Detector, members, params) for name, members in named.items()}
    for name in WITHOUT_CHAIN:
        found[f"{name}, without the chain"] = (WithoutChain, CANDIDATES[name], params)
    for widths in WIDTHS:
        name = f"shipped, boxes of {', '.join(map(str, widths))} rows"
        found[name] = (Detector, SHIPPED, params.model_copy(update={"widths": list(widths)}))
    return found


def by_rule(store: WindowStore, fleet: Fleet, params: Params) -> dict[str, dict[str, float]]:
    """VUS-PR of each candidate on faults injected into held-out train rows.

    It is given for all faults, and for the faults that break a relation.
    """
    fit, held, units = [], [], []
    fleet = judged_fleet(fleet, "injected", len(store.vehicles))
    for vehicle in store.vehicles:
        series = unlabelled(store.scaled(vehicle).part(TRAIN))
        first, last = int(FIT * series.rows), int(HELD * series.rows)
        purge = params.model.window
        fit.append(series.rows_between(0, first))
        held.append(series.rows_between(min(first + purge, last), last))
        rest = series.rows_between(min(last + purge, series.rows), series.rows)
        units += _cases(rest, fleet, store)
    return _judge(fit, held, units, fleet, params)


def by_labels(
    store: WindowStore, fleet: Fleet, params: Params, lake: Path
) -> dict[str, dict[str, float]]:
    """VUS-PR of each candidate on the test part, by the fleet's labels or by injected faults."""
    fit, held = fitting_parts(store)
    events = Lake(lake, fleet).events()
    units = [
        unit
        for vehicle in store.vehicles
        for unit in units_of(store.scaled(vehicle), fleet, events, store.has_channel(vehicle))[0]
    ]
    return _judge(fit, held, units, fleet, params)


def _cases(series: Series, fleet: Fleet, store: WindowStore) -> list[Unit]:
    test = replace(
        series, split_T=np.full(series.rows, TEST, np.uint8)
    )  # faults are put into the test part
    return units_of(test, fleet, EVENTS.empty_table(), store.has_channel(series.vehicle))[0]


def _judge(
    fit: Sequence[Series], held: Sequence[Series], units: Sequence[Unit], fleet: Fleet,
    params: Params,
) -> dict[str, dict[str, float]]:  # fmt: skip
    figures = {}
    found = candidates(params.detect)
    trailing = params.detect.smoothing == "trailing"
    for name, (kind_of, members, detect) in track(list(found.items()), f"on {fleet.name}"):
        detector = kind_of(members(trailing), detect, fleet, None, name=name)
        detector.fit_figures(by_vehicle(fit))
        detector.measure_excess_thresholds([s for s in held if s.rows])
        values, kinds = [], []
        for unit in units:
            score_T = lowest_for_unscored(detector.raw_score(unit.series).score_T)
            values.append(vus_pr(unit.label_T, score_T, fleet.evaluation.buffer_rows))
            kinds.append(unit.events[0].type if is_injected(fleet) else None)
        broken = [v for v, kind in zip(values, kinds, strict=True) if kind in RELATION_FAULTS]
        figures[name] = {"all": float(np.mean(values))}
        if broken:
            figures[name]["relation"] = float(np.mean(broken))
    return figures


def table(fleets: dict) -> str:
    """The figures as Markdown, best by the rule first."""
    found = list(fleets.values())
    rule = {c: float(np.mean([f["rule"][c]["all"] for f in found])) for c in found[0]["rule"]}
    head = ["candidate", "rule: mean", *(f"{name}" for name in fleets)]
    head += ["relation faults", "labels: mean", *fleets]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in sorted(rule, key=lambda c: -rule[c]):
        cells = [rule[name], *(f["rule"][name]["all"] for f in found)]
        cells.append(np.mean([f["rule"][name]["relation"] for f in found]))
        cells.append(np.mean([f["labels"][name]["all"] for f in found]))
        cells += [f["labels"][name]["all"] for f in found]
        rows.append(f"| {name} | " + " | ".join(f"{cell:.3f}" for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out`` and a Markdown table beside it, and return the content."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[2])
    parser.add_argument("--fleet", nargs="+", required=True, metavar="FILE")
    parser.add_argument(
        "--form", choices=list(FORMS), default="offline", help="online looks back alone"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    options = parser.parse_args(arguments)
    quiet()
    settings, params = (
        Settings(),
        settings_of("amad", options.form, 0, load_params(fleet=options.fleet[0])),
    )
    fleets = {}
    for name in options.fleet:
        _, file = find_fleet(name, settings)
        home = options.home.absolute() / "fleets"
        prepared = prepare_fleet(file, params, home, settings.data_dir, [])
        fleets[prepared.fleet.name] = {
            "rule": by_rule(prepared.store, prepared.fleet, params),
            "labels": by_labels(prepared.store, prepared.fleet, params, prepared.folder / "lake"),
        }
    content = rounded({
        "machine": machine_facts(), "cases": CASES, "form": options.form, "fleets": fleets
    })  # fmt: skip
    write_json(options.out, content)
    options.out.with_suffix(".md").write_text(table(fleets), encoding="utf-8")
    say(table(fleets))
    return content


if __name__ == "__main__":
    main()
