"""python -m bench.drift --fleet asd smd js2 --out bench/results/drift.json

How often `amad drift` recommends to retrain: on each night after the training of a fleet, as it is
and as a copy that has drifted, and on nights within its training.

- **within**: the first half of the train days is the training, and the nights of the second half
  follow. Nothing has drifted there as far as anybody knows. Inputs alone, no scores.
- **after**: the nights of the test part; rows with a label are left out of both inputs and scores.
- **shifted**: the same nights with a quarter of the channels of each class moved by a train spread.
- **healthy**, **summer**: `demo` simulated over 24 winter days without faults, and the same
  vehicles in July after the training in winter.

The detector has no network, as for a fleet where it has no vote.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import yaml

from amad.config import Fleet, Params, Settings, load_params
from amad.config.console import say
from amad.detect.alarms import DAY_US
from amad.detect.detector import Detector
from amad.drift.findings import Drift
from amad.drift.inputs import Periods, vehicle_inputs
from amad.drift.measure import assess
from amad.drift.scores import score_drift
from amad.reading.times import date_of
from amad.scores.daily import day_bounds
from amad.windows.series import TEST, TRAIN, Series
from amad.windows.store import WindowStore
from bench.facts import machine_facts, write_result
from bench.options import parser_of
from bench.quality.fleets import find_fleet, prepare_fleet
from bench.quality.methods import closed_form
from bench.quality.tables import table

DAYS = 7
WINTER, SUMMER = "2026-01-05T00:00:00Z", "2026-07-05T00:00:00Z"
SIMULATED_DAYS = 24
SEED = 11  # not the one of conf/fleet/demo.yaml, which the limits were chosen on
MOVED = 4  # every fourth channel


def nights(
    fleet: Fleet, series: Sequence[Series], start_us: int, scored: dict[str, tuple] | None, point
) -> list[Drift]:
    """The finding of each date from ``start_us`` on, as a job of that night has it."""
    dates = sorted({date_of(int(d)) for s in series for d in np.unique(s.timestamp_T // DAY_US)})
    start = date_of(start_us // DAY_US)
    found = []
    for night in [day for day in dates if day >= start]:
        periods = Periods.of([day for day in dates if day <= night], start, DAYS)
        inputs = [vehicle_inputs(item, fleet, periods) for item in series]
        scores = None
        if scored is not None and periods.recent:
            scores = score_drift(_recent(scored, periods.recent), point)
        found.append(assess(fleet, inputs, periods, version="1", newest=night, scores=scores))
    return found


def _recent(scored: dict[str, tuple], recent: tuple):
    (first, _), (_, end) = map(day_bounds, recent)
    for vehicle, (time_T, score_T, threshold_T) in scored.items():
        own = (time_T >= first) & (time_T < end)
        yield vehicle, score_T[own], threshold_T[own]


def scores_of(detector: Detector, store: WindowStore, series: Sequence[Series]) -> dict[str, tuple]:
    """Time, score and threshold of the scored rows of the test part without a label."""
    found = {}
    for item in series:
        test = item.part(TEST)
        scored = detector.score(store.scaler.apply(test))
        kept = np.isfinite(scored.score_T)
        if test.label_T is not None:
            kept &= test.label_T == 0
        found[item.vehicle] = (
            test.timestamp_T[kept], scored.score_T[kept], scored.threshold_T[kept],
        )  # fmt: skip
    return found


def without_labelled(item: Series) -> Series:
    """Labelled rows count as not measured."""
    if item.label_T is None:
        return item
    return replace(item, valid_TC=np.where(item.label_T[:, None] > 0, 0, item.valid_TC))


def shifted(item: Series, fleet: Fleet) -> Series:
    """The test part with every fourth continuous channel moved by a train spread."""
    value_TC = item.value_TC.copy()
    train, test = item.split_T == TRAIN, item.split_T == TEST
    has_C = fleet.has_channel(item.vehicle_class)
    known = [c for c, channel in enumerate(fleet.channels)
             if has_C[c] and channel.kind == "continuous"]  # fmt: skip
    for c in known[::MOVED]:
        value_TC[test, c] += np.std(value_TC[train, c])
    return replace(item, value_TC=value_TC)


def simulated(root: Path, home: Path, start: str, name: str) -> Path:
    """A fleet file like ``demo``'s, without faults."""
    content = yaml.safe_load((root / "conf" / "fleet" / "demo.yaml").read_text(encoding="utf-8"))
    plan = content["source"]["simulator"]
    plan |= {"days": SIMULATED_DAYS, "faults": False, "start": start, "seed": SEED}
    plan.pop("fault_free_days", None)
    file = home / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content | {"name": name}), encoding="utf-8")
    return file


def later(winter: Sequence[Series], summer: Sequence[Series]) -> list[Series]:
    """The train rows of winter, and the test rows of summer at the time of winter's."""
    away = int((datetime.fromisoformat(SUMMER) - datetime.fromisoformat(WINTER)).total_seconds())
    found = []
    for cold, warm in zip(winter, summer, strict=True):
        test, other = cold.part(TEST), cold.rows - cold.part(TEST).rows
        time_T = warm.timestamp_T - away * 1_000_000
        own = slice(int(np.searchsorted(time_T, test.timestamp_T[0])), warm.rows)
        segment_T = warm.segment_T[own] + cold.segment_T[other - 1] + 1 - warm.segment_T[own.start]
        found.append(
            replace(
                cold,
                timestamp_T=np.concatenate([cold.timestamp_T[:other], time_T[own]]),
                value_TC=np.concatenate([cold.value_TC[:other], warm.value_TC[own]]),
                valid_TC=np.concatenate([cold.valid_TC[:other], warm.valid_TC[own]]),
                segment_T=np.concatenate([cold.segment_T[:other], segment_T]),
                split_T=np.concatenate(
                    [cold.split_T[:other], np.full(warm.rows - own.start, TEST, np.uint8)]
                ),
                label_T=None,
            )
        )
    return found


def row(fleet: str, what: str, found: list[Drift]) -> dict:
    """How many of the nights recommend to retrain, the first of them, and the usual reasons."""
    yes = [n for n, item in enumerate(found) if item.retrain]
    above = [item.above_usual for item in found if item.above_usual is not None]
    figures = {
        "fleet": fleet,
        "nights": what,
        "number": len(found),
        "recommend": len(yes),
        "first": yes[0] + 1 if yes else None,
        "drifted_channels": float(np.median([len(item.drifted) for item in found])),
        "channels": len(found[-1].channels),
        "above_usual": round(float(np.median(above)), 3) if above else None,
        "reasons": sorted({item.reason for item in found if item.retrain}),
        "last_reason": found[-1].reason,
    }
    say(f"{fleet} {what}: {len(yes)} of {len(found)} nights; {found[-1].reason}")
    return figures


def measured(file: Path, params: Params, home: Path, settings: Settings) -> list[dict]:
    """The rows of a fleet on disk."""
    prepared = prepare_fleet(file, params, home, settings.data_dir, [])
    fleet, store = prepared.fleet, prepared.store
    whole = [without_labelled(store.series(vehicle)) for vehicle in store.vehicles]
    start_us = min(int(item.part(TEST).timestamp_T[0]) for item in whole)
    days = sorted({int(d) for s in whole for d in np.unique(s.timestamp_T // DAY_US)})
    train = [day for day in days if day < start_us // DAY_US]
    half = train[len(train) // 2] * DAY_US
    before = [item.rows_between(0, int(np.searchsorted(item.timestamp_T, train[-1] * DAY_US)))
              for item in whole]  # fmt: skip
    rows = [row(fleet.name, "within", nights(fleet, before, half, None, None))]
    detector = closed_form(store, fleet, params)
    cases = {"after": whole, "shifted": [shifted(item, fleet) for item in whole]}
    for what, series in cases.items():
        scored = scores_of(detector, store, series)
        found = nights(fleet, series, start_us, scored, detector.operating_point)
        rows.append(row(fleet.name, what, found))
    return rows


def measured_seasons(params: Params, home: Path, settings: Settings) -> list[dict]:
    """The rows of the simulated fleet: healthy in winter, and in summer after a winter."""
    series, kept = [], []
    for start, name in ((WINTER, "demo-winter"), (SUMMER, "demo-summer")):
        file = simulated(settings.home, home, start, name)
        prepared = prepare_fleet(file, params, home, settings.data_dir, [])
        series.append([prepared.store.series(v) for v in prepared.store.vehicles])
        kept.append(prepared)
    fleet, store = kept[0].fleet, kept[0].store
    start_us = min(int(item.part(TEST).timestamp_T[0]) for item in series[0])
    detector = closed_form(store, fleet, params)
    rows = []
    for what, own in (("healthy", series[0]), ("summer", later(*series))):
        scored = scores_of(detector, store, own)
        found = nights(fleet, own, start_us, scored, detector.operating_point)
        rows.append(row("demo", what, found))
    return rows


def lines(rows: list[dict]) -> list[str]:
    """The table of docs/guide/drift.md."""
    head = ["fleet", "which nights", "nights", "retrain", "drifted channels", "scores above usual"]
    cells = []
    for item in rows:
        above = "" if item["above_usual"] is None else f"{item['above_usual']:.1%}"
        drifted = f"{item['drifted_channels']:g} of {item['channels']}"
        numbers = [str(item["number"]), str(item["recommend"]), drifted, above]
        cells.append([f"`{item['fleet']}`", item["nights"], *numbers])
    return table(head, cells)


def main() -> None:
    """Measure and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", nargs="*", metavar="FILE", default=["asd", "smd", "js2"])
    parser.add_argument("--home", type=Path, default=Path("runs/drift"), help="finished work")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    settings = Settings()
    params = load_params(settings.params_file, "demo")
    home = given.home.absolute()
    rows = measured_seasons(params, home, settings)
    for name in given.fleet:
        rows += measured(find_fleet(name, settings)[1], params, home, settings)
    print("\n".join(lines(rows)))
    write_result({"machine": machine_facts(), "days": DAYS, "rows": rows}, given.out)


if __name__ == "__main__":
    main()
