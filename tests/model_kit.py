"""A small fleet with structure to learn, in a window store, for the tests of the model."""

from pathlib import Path

import numpy as np
from windows_kit import series_of

from amad.config import Fleet, Params
from amad.windows import CALIBRATION, TEST, TRAIN, Scaler, WindowStore, write_store
from amad.windows.series import Series

CHANNELS = 4


def toy_fleet() -> Fleet:
    """Three channels that all vehicles have, and one that class b alone has; 1 Hz."""
    return Fleet.model_validate(
        {
            "name": "toy",
            "channels": [{"name": "one"}, {"name": "two"}, {"name": "three"},
                         {"name": "four", "classes": ["b"]}],
            "vehicle_classes": [{"name": "b", "vehicles": ["b-*"]}, {"name": "a"}],
            "source": {"format": "simulator"},
        }
    )  # fmt: skip


def toy_params(**changes: dict) -> Params:
    """Settings of a network that trains in a moment, with every loss switched on; ``changes`` are
    keys of the sections."""
    content = {
        "model": {"window": 20, "width": 16, "layers": 1, "heads": 2},
        "mask": {"block": 4},
        "loss": {"maxmin": 0.01, "contrast": 0.1},
        "train": {"epochs": 3, "batch": 8, "stride": 5, "max_windows": 32},
    }
    for section, values in changes.items():
        content[section] = content.get(section, {}) | values
    return Params.model_validate(content)


def toy_series(vehicle: str, rows: int = 400, seed: int = 0) -> Series:
    """Coupled waves; train, calibration and test; some imputed cells; class from the id."""
    rng = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) / 3 + rng.uniform(0, 6))
    value_TC = np.stack([wave, -2 * wave, np.roll(wave, 2), wave**2], axis=1)
    value_TC += 0.05 * rng.normal(size=value_TC.shape)
    valid_TC = (rng.random(value_TC.shape) > 0.02).astype(np.uint8)
    vehicle_class = vehicle[0]
    if vehicle_class == "a":
        value_TC[:, 3], valid_TC[:, 3] = 0, 0
    split_T = np.full(rows, TRAIN, np.uint8)
    split_T[rows // 2 :] = CALIBRATION
    split_T[3 * rows // 4 :] = TEST
    return series_of(value_TC, vehicle, vehicle_class, valid_TC=valid_TC, split_T=split_T)


def toy_store(folder: Path) -> WindowStore:
    """A store of three vehicles of two classes."""
    fleet = toy_fleet()
    series = [toy_series(name, seed=i) for i, name in enumerate(["a-1", "a-2", "b-1"])]
    scaler = Scaler.fit(series, fleet, "vehicle")
    write_store(folder / "store", series, fleet, scaler, {})
    return WindowStore.open(folder / "store")
