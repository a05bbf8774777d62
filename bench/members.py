"""python -m bench.members --fleet asd smd kit_obd demo --out bench/results/members.json

Which closed-form members a detector should have, and how they should be joined: by a rule that uses
no labels, and what the labels say of it afterwards. The network is not asked here; its share is
measured by ``bench.quality``.

The rule: everything is fitted on the first 45 % of a vehicle's train rows, bars are taken from the
next 10 %, typed and graded faults are injected into the rest. So the faults lie as far from the
fit as test rows do. A candidate's figure is the mean VUS-PR over the cases, then over the fleets.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amad.baselines.pca import PcaMember
from amad.config import Fleet, Params, Settings, load_params
from amad.config.console import say, track
from amad.detect.detector import Detector, linear_members, two_sided_member
from amad.detect.members import Member
from amad.detect.relation import RelationMember
from amad.engines.environment import quiet
from amad.evaluation.summary import rounded
from amad.evaluation.tally import lowest_for_unscored
from amad.evaluation.units import Unit, fitting_parts, is_injected, units_of, unlabelled
from amad.metrics import vus_pr
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import EVENTS
from amad.windows.series import TEST, TRAIN, Series
from amad.windows.store import WindowStore
from bench.facts import machine_facts
from bench.quality.fleets import CASES, find_fleet, judged_fleet, prepare_fleet

FIT, HELD = 0.45, 0.55  # shares of the train rows: fitted up to FIT, bars from there to HELD
RELATION_FAULTS = ("decoupling", "delay", "stuck")


def time() -> list[Member]:
    """The shipped members over time."""
    return [*linear_members()[:1], two_sided_member()]


class ShareOfRows(RelationMember):
    """Relation with a penalty that grows with the rows, as that of the autoregressions does."""

    SHARE = 0.03

    def solve(self, summaries):
        """As any relation's, after the penalty."""
        self.PENALTY = self.SHARE * sum(s["gram"][-1, -1] for s in summaries)
        return super().solve(summaries)


def relation(*, penalty: float | None = None, same_row: bool = False, in_mean: bool = False):
    """The relation member with another penalty, of the same row alone, or one more of the mean."""
    member = RelationMember()
    member.PENALTY = penalty or member.PENALTY
    member.between_channels = not in_mean
    if same_row:
        member.near = (0,)
    return member


def pca(explained: float) -> Member:
    """What the components that explain this share of the variance leave over."""
    member = PcaMember("pca")
    member.EXPLAINED, member.between_channels = explained, True
    return member


CANDIDATES: dict[str, Callable[[], list[Member]]] = {
    "ridge": lambda: linear_members()[:1],
    "two_sided": lambda: [two_sided_member()],
    "ridge + two_sided": time,
    "relation": lambda: [relation()],
    "relation, same row": lambda: [relation(same_row=True)],
    "relation, penalty 200 rows": lambda: [relation(penalty=200)],
    "relation, penalty 1800 rows": lambda: [relation(penalty=1800)],
    "relation, penalty 3 % of the rows": lambda: [ShareOfRows()],
    "pca 99 %": lambda: [pca(0.99)],
    "ridge + two_sided, pca 99 %": lambda: [*time(), pca(0.99)],
    "ridge + two_sided + relation, one mean": lambda: [*time(), relation(in_mean=True)],
    "shipped: ridge + two_sided, relation": lambda: [*time(), relation()],
    "shipped, same row": lambda: [*time(), relation(same_row=True)],
    "shipped, penalty 200 rows": lambda: [*time(), relation(penalty=200)],
    "shipped, penalty 1800 rows": lambda: [*time(), relation(penalty=1800)],
    "shipped, penalty 3 % of the rows": lambda: [*time(), ShareOfRows()],
    "shipped + ridge_long": lambda: [*time(), *linear_members()[1:], relation()],
}


def by_rule(store: WindowStore, fleet: Fleet, params: Params) -> dict[str, dict[str, float]]:
    """For each candidate: VUS-PR of injected faults in held-out train rows, in all and of the
    types that break a relation."""
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
    """The same on the test part, by the fleet's labels (or its injected faults), for afterwards."""
    fit, held = fitting_parts(store)
    events = Lake(lake, fleet).events()
    units = [
        unit
        for vehicle in store.vehicles
        for unit in units_of(store.scaled(vehicle), fleet, events, store.has_channel(vehicle))
        if isinstance(unit, Unit)
    ]
    return _judge(fit, held, units, fleet, params)


def _cases(series: Series, fleet: Fleet, store: WindowStore) -> list[Unit]:
    test = replace(series, split_T=np.full(series.rows, TEST, np.uint8))  # where faults are put
    found = units_of(test, fleet, EVENTS.empty_table(), store.has_channel(series.vehicle))
    return [unit for unit in found if isinstance(unit, Unit)]


def _judge(
    fit: Sequence[Series], held: Sequence[Series], units: Sequence[Unit], fleet: Fleet,
    params: Params,
) -> dict[str, dict[str, float]]:  # fmt: skip
    figures = {}
    for name, members in track(list(CANDIDATES.items()), f"candidates on {fleet.name}"):
        detector = Detector(members(), params.detect, fleet, None, name=name)
        detector.fit_levels(sorted((s for s in fit if s.rows), key=lambda s: s.vehicle))
        detector.set_bars([s for s in held if s.rows])
        values, kinds = [], []
        for unit in units:
            score_T = lowest_for_unscored(detector.raw_score(unit.series)[0])
            values.append(vus_pr(unit.label_T, score_T, fleet.evaluation.buffer_rows))
            kinds.append(unit.events[0].type if is_injected(fleet) else None)
        broken = [v for v, kind in zip(values, kinds, strict=True) if kind in RELATION_FAULTS]
        figures[name] = {"all": float(np.mean(values))}
        if broken:
            figures[name]["relation"] = float(np.mean(broken))
    return figures


def table(fleets: dict) -> str:
    """The figures as Markdown, best by the rule first."""
    rule = {c: float(np.mean([f["rule"][c]["all"] for f in fleets.values()])) for c in CANDIDATES}
    head = ["candidate", "rule: mean", *(f"{name}" for name in fleets)]
    head += ["relation faults", "labels: mean", *fleets]
    rows = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in sorted(rule, key=lambda c: -rule[c]):
        found = list(fleets.values())
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
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    options = parser.parse_args(arguments)
    quiet()
    settings, params = Settings(), load_params()
    fleets = {}
    for name in options.fleet:
        _, file = find_fleet(name, settings)
        home = options.home.absolute() / "fleets"
        prepared = prepare_fleet(file, params, home, settings.data_dir, [])
        fleets[prepared.fleet.name] = {
            "rule": by_rule(prepared.store, prepared.fleet, params),
            "labels": by_labels(prepared.store, prepared.fleet, params, prepared.folder / "lake"),
        }
    content = rounded({"machine": machine_facts(), "cases": CASES, "fleets": fleets})
    write_json(options.out, content)
    options.out.with_suffix(".md").write_text(table(fleets), encoding="utf-8")
    say(table(fleets))
    return content


if __name__ == "__main__":
    main()
