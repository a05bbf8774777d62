"""python -m bench.short_histories --fleet asd js2 smap --out bench/results/short_histories.json

How well is a vehicle with a short history served, by which figures?

The train part of every third vehicle (with ``--every 1``: of all) is cut to its last rows, and its
calibration part in proportion. The closed-form detector is then fitted on the whole fleet, and
judged on the test parts of the vehicles that were cut. Three rules are compared:

- shrunk: as shipped, own figures moved towards those of the class;
- own: the vehicle's own figures, whatever they come from;
- pooled: those of the class, as for an unknown vehicle.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import Params, Settings, load_params
from amad.config.console import say, track
from amad.detect.alarms import DAY_US, merge_alarms
from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.engines.shared.environment import quiet
from amad.evaluation.method_result import lowest_for_unscored
from amad.evaluation.summary import rounded
from amad.evaluation.units import units_of, unlabelled
from amad.metrics import vus
from amad.telemetry.files import write_json
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, PURGED, TRAIN, Series
from amad.windows.short_history import Known
from bench.options import parser_of, positive
from bench.present import origin
from bench.quality.fleets import Prepared, find_fleet, prepare_fleet

LENGTHS = (60, 240, 1000, 4000)


def cut_history(series: Series, rows: int, least: int) -> Series:
    """The series with its last ``rows`` train rows alone, and calibration rows in proportion.

    least: calibration rows that are kept in any case, because a shorter segment has no score.
    """
    train, calibration = (np.flatnonzero(series.split_T == p) for p in (TRAIN, CALIBRATION))
    if rows >= len(train):
        return series
    split_T = series.split_T.copy()
    split_T[train[:-rows]] = PURGED
    kept = max(round(len(calibration) * rows / len(train)), least)
    split_T[calibration[kept:]] = PURGED
    return replace(series, split_T=split_T)


@contextmanager
def own_alone() -> Iterator[None]:
    """No history counts as short, so that every vehicle keeps figures of its own."""
    before = Known.long_rows
    try:
        Known.long_rows = 0  # type: ignore[assignment,method-assign]
        yield
    finally:
        Known.long_rows = before  # type: ignore[method-assign]


def fitted(prepared: Prepared, params: Params, wholes: Mapping[str, Series]) -> Detector:
    """The closed-form detector of these series in engineering units."""
    scaler = Scaler.fit(wholes.values(), prepared.fleet, params.prepare.normalise)
    parts: dict[int, list[Series]] = {TRAIN: [], CALIBRATION: []}
    for whole in wholes.values():
        scaled = unlabelled(scaler.apply(whole))
        for part, found in parts.items():
            if (cut := scaled.part(part)).rows:
                found.append(cut)
    settings = params.detect.model_copy(update={"amad_weight": 0.0})
    detector = Detector(build_members(settings), settings, prepared.fleet, scaler)
    return detector.fit(parts[TRAIN], parts[CALIBRATION])


def judged(prepared: Prepared, detector: Detector, whole: Series, events: pa.Table) -> dict | None:
    """VUS-PR of a vehicle, and what its normal rows raise; None if it cannot be judged."""
    fleet = prepared.fleet
    has_C = prepared.store.has_channel(whole.vehicle)
    units, _ = units_of(detector.scaler.apply(whole), fleet, events, has_C)
    found: dict[str, list[float]] = {"vus_pr": [], "rows": [], "alarm_rows": [], "incidents": []}
    for unit in units:
        scored = detector.score(unit.series)
        score_T = lowest_for_unscored(scored.score_T)
        found["vus_pr"].append(vus(unit.label_T, score_T, fleet.evaluation.buffer_rows)[0])
        if len(units) > 1:
            continue  # injected cases are copies of the same rows
        normal_T = np.isfinite(scored.score_T) & ~unit.label_T
        incidents = merge_alarms(
            scored.alarm_T, unit.series.timestamp_T, scored.open_T,
            period_us=fleet.period_us, gap_us=detector.gap_us,
        )  # fmt: skip
        found["rows"].append(normal_T.sum())
        found["alarm_rows"].append((scored.alarm_T & normal_T).sum())
        found["incidents"].append(
            sum(not unit.label_T[run.first : run.last].any() for run in incidents)
        )
    if not units:
        return None
    sums = {name: float(np.sum(found[name])) for name in ("rows", "alarm_rows", "incidents")}
    return {"vus_pr": float(np.mean(found["vus_pr"])), **sums}


def compare(prepared: Prepared, params: Params, lengths: Sequence[int], every: int) -> dict:
    """By number of train rows and rule: what the vehicles that were cut have in the mean."""
    store, fleet = prepared.store, prepared.fleet
    events = Lake(prepared.folder / "lake", fleet).events()
    vehicles = store.vehicles
    chosen, least = vehicles[::every], fleet.missing.min_segment_rows
    figures: dict[str, dict] = {}
    for rows in track(lengths, f"{fleet.name}: lengths"):
        wholes = {v: store.series(v) for v in vehicles}
        wholes |= {v: cut_history(wholes[v], rows, least) for v in chosen}
        shrunk = fitted(prepared, params, wholes)
        with own_alone():
            own = fitted(prepared, params, wholes)
        by_rule = {"shrunk": shrunk, "own": own}
        found = {rule: _judged(prepared, by_rule[rule], wholes, chosen, events) for rule in by_rule}
        for vehicle in chosen:
            shrunk.figures.pop(f"vehicle/{vehicle}", None)
        found["pooled"] = _judged(prepared, shrunk, wholes, chosen, events)
        figures[str(rows)] = found
    return {"vehicles": len(vehicles), "cut": len(chosen), "rows": figures}


def _judged(
    prepared: Prepared,
    detector: Detector,
    wholes: Mapping[str, Series],
    chosen: Sequence[str],
    events: pa.Table,
) -> dict:
    """The figures of the vehicles that were cut; None where no unit or no normal row is judged."""
    found = [judged(prepared, detector, wholes[vehicle], events) for vehicle in chosen]
    known = [one for one in found if one is not None]
    rows = sum(one["rows"] for one in known)
    days = rows * prepared.fleet.period_us / DAY_US
    return {
        "vus_pr": float(np.mean([one["vus_pr"] for one in known])) if known else None,
        "alarm_share": sum(one["alarm_rows"] for one in known) / rows if rows else None,
        "incidents_per_day": sum(one["incidents"] for one in known) / days if days else None,
    }


def main(arguments: Sequence[str] | None = None) -> dict:
    """Measure, write ``--out``, and return the content."""
    parser = parser_of(__doc__)
    parser.add_argument("--fleet", nargs="+", required=True, metavar="FILE")
    parser.add_argument("--rows", nargs="+", type=positive, default=list(LENGTHS))
    parser.add_argument(
        "--every", type=positive, default=3, help="cut every n-th vehicle (default 3)"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--home", type=Path, default=Path("runs/quality"), help="finished work")
    parser.add_argument("--params", type=Path, help="default: params.yaml")
    options = parser.parse_args(arguments)
    quiet()
    settings = Settings()
    fleets = {}
    for name in options.fleet:
        _, file = find_fleet(name, settings)
        params = load_params(options.params or settings.params_file, str(file))
        home = options.home.absolute() / "fleets"
        prepared = prepare_fleet(file, params, home, settings.data_dir, [])
        fleets[prepared.fleet.name] = compare(prepared, params, options.rows, options.every)
        say(f"{prepared.fleet.name}: {fleets[prepared.fleet.name]['rows']}")
    content = rounded({**origin(), "every": options.every, "fleets": fleets})
    write_json(options.out, content)
    return content


if __name__ == "__main__":
    main()
