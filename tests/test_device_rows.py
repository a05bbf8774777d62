"""Windows that are cut on the accelerator are those that are gathered on the host."""

from pathlib import Path

import numpy as np
import pytest
import torch
from model_kit import toy_params, toy_store

from amad.model import LocalReporter, TrainJob, train
from amad.model.batches import measured
from amad.model.device_rows import DeviceRows
from amad.windows import CALIBRATION, TRAIN, WindowIndex, WindowStore

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return toy_store(tmp_path_factory.mktemp("fleet"))


@pytest.mark.parametrize("part", [TRAIN, CALIBRATION])
def test_windows_are_those_that_are_gathered(store: WindowStore, part: int) -> None:
    index = WindowIndex(store, 32, 7, part)
    ids_B = np.arange(len(index))
    x_BLC, valid_BLC = DeviceRows(store, CPU).windows(index, ids_B)
    valid = [store.series(vehicle).valid_TC for vehicle in store.vehicles]
    np.testing.assert_array_equal(x_BLC.numpy(), index.gather(ids_B))
    np.testing.assert_array_equal(valid_BLC.numpy(), measured(index, valid, ids_B))


def test_a_training_is_the_same(
    store: WindowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = TrainJob(store=store.path, params=toy_params(), digest="d1")
    gathered = train(job, LocalReporter(tmp_path / "gathered"))
    held = []

    def hold(store: WindowStore, device: torch.device) -> DeviceRows:
        held.append(DeviceRows(store, device))
        return held[-1]

    monkeypatch.setattr(DeviceRows, "where_they_fit", hold)
    cut = train(job, LocalReporter(tmp_path / "cut"))
    assert held and cut.epochs[-1]["loss"] == gathered.epochs[-1]["loss"]


def test_rows_that_do_not_fit_stay_on_the_host(
    store: WindowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = sum(entry["rows"] for entry in store.content["vehicles"].values())
    needed = rows * len(store.channels) * 5
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * needed - 1, 4 * needed))
    assert DeviceRows.where_they_fit(store, torch.device("cuda")) is None
    assert DeviceRows.where_they_fit(store, CPU) is None
