"""A small fleet with known faults, for the tests of the evaluation."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import Fleet, Params
from amad.evaluation.evaluation_metrics import PRIMARY, EvaluationMetrics
from amad.telemetry.schemas import EVENTS
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN, Series
from amad.windows.store import WindowStore, write_store

START = 1_767_571_200_000_000  # 2026-01-05, a midnight
SECOND = 1_000_000
PARTS = ((TRAIN, 1600), (PURGED, 50), (CALIBRATION, 700), (PURGED, 50), (TEST, 1600))
ROWS = sum(rows for _, rows in PARTS)


def kit_fleet(kind: str = "column", unit: str = "vehicle", cases: int = 4) -> Fleet:
    """Four coupled channels at 1 Hz."""
    return Fleet.model_validate(
        {
            "name": "kit",
            "channels": [{"name": name} for name in ("speed", "torque", "heat", "volt")],
            "source": {"format": "simulator"},
            "labels": {"kind": kind, "injection": {"cases_per_vehicle": cases, "seed": 3}},
            "evaluation": {"buffer_rows": 20, "unit": unit},
        }
    )


def kit_params(**detect: object) -> Params:
    """Linear members, few resamples."""
    return Params.model_validate(
        {
            "fleet": "kit",
            "detect": {"members": ["innovation", "two_sided"], "alarm_budget": 24.0} | detect,
            "evaluate": {"bootstrap": 50},
        }
    )


def kit_series(vehicle: str, seed: int, faults: list[tuple[int, int, int, float]]) -> Series:
    """faults: (first, last, channel, size), rows of the test part; they are the label."""
    rng = np.random.default_rng(seed)
    row = np.arange(ROWS)
    speed = np.sin(row / 40) + 0.5 * np.sin(row / 13 + seed)
    slow = np.convolve(speed, np.ones(60) / 60, mode="same")
    value_TC = np.stack([speed, 0.8 * speed, slow, 12 - 0.2 * speed], axis=1)
    value_TC = value_TC + 0.05 * rng.normal(size=value_TC.shape)
    label_T = np.zeros(ROWS, np.int8)
    test = ROWS - PARTS[-1][1]
    for first, last, channel, size in faults:
        value_TC[test + first : test + last, channel] += size
        label_T[test + first : test + last] = 1
    return Series(
        vehicle=vehicle,
        vehicle_class="all",
        timestamp_T=START + row.astype(np.int64) * SECOND,
        value_TC=value_TC.astype(np.float32),
        valid_TC=np.ones(value_TC.shape, np.uint8),
        segment_T=np.zeros(ROWS, np.int32),
        split_T=np.repeat([p for p, _ in PARTS], [n for _, n in PARTS]).astype(np.uint8),
        label_T=label_T,
    )


FAULTS = {
    "car-1": [(300, 360, 0, 2.0), (900, 1000, 2, 0.8)],
    "car-2": [(500, 540, 3, 1.5)],
    "car-3": [],
}


def kit_store(path: Path, fleet: Fleet) -> WindowStore:
    """Three vehicles, the last without an event in its test part."""
    series = [kit_series(name, seed, FAULTS[name]) for seed, name in enumerate(FAULTS)]
    write_store(path, series, fleet, Scaler.fit(series, fleet, "vehicle"), {})
    return WindowStore.open(path)


def kit_events() -> pa.Table:
    """The faults as the lake knows them."""
    names = ("speed", "torque", "heat", "volt")
    test = START + (ROWS - PARTS[-1][1]) * SECOND
    rows = [
        {
            "vehicle": vehicle,
            "start": test + first * SECOND,
            "end": test + last * SECOND,
            "channels": [names[channel]],
            "type": "level_shift",
            "strength": size,
        }
        for vehicle, faults in FAULTS.items()
        for first, last, channel, size in faults
    ]
    return pa.Table.from_pylist(rows, schema=EVENTS)


def method_figures(values) -> dict:
    """One method: these values of VUS-PR, one per unit; an interval from worst to best."""
    known = [value for value in values if value is not None]
    return {
        "mean": {PRIMARY: sum(known) / len(values)},
        "interval": {PRIMARY: (min(known), max(known))},
        "per_unit": {f"v{n}": {PRIMARY: value} for n, value in enumerate(values)},
    }


def evaluation_metrics(
    methods: dict, best_baseline: str | None = None, point: dict | None = None, **more
) -> EvaluationMetrics:
    """An evaluation of ``amad`` beside ``random``. point: changes the operating point."""
    units = len(methods["amad"]["per_unit"])
    rate = {
        "incidents": 4, "vehicle_days": 10.0, "incidents_per_vehicle_day": 0.4,
        "interval": (0.1, 1.0), "alarm_share": 0.01,
    }  # fmt: skip
    operating_point = {
        "alarm_budget": 0.5, "calibration": rate, "normal_test": rate, "events": 12,
        "events_found": 10, "event_recall": 10 / 12, "chance_recall": 0.05,
        "median_delay_seconds": 9.0, "median_delay_rows": 9.0, "lookahead_seconds": 3.0,
    }  # fmt: skip
    content = {
        "fleet": "kit", "unit": "vehicle", "units": units, "unscorable": {}, "labels": "column",
        "buffer_rows": 20, "confidence": 0.95, "detector": "amad", "floor": "random",
        "best_baseline": best_baseline, "with_network": None, "without_network": None,
        "methods": methods, "share_of_amad": None,
        "operating_point": operating_point | (point or {}),
    }  # fmt: skip
    return EvaluationMetrics.model_validate(content | more)
