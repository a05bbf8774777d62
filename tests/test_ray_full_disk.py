"""The disk of the checkpoints is full in a worker of Ray Train: one sentence, and it goes on."""

import shutil
from pathlib import Path

import pytest
from engine_kit import PROFILE, engine_params, engine_store
from model_kit import toy_fleet
from test_full_disk import disk, fails_for_want_of_space  # noqa: F401

from amad.config import Settings
from amad.engines.shared.cluster import ray_session
from amad.engines.shared.train_result import TrainResult
from amad.engines.train.training import train_fleet

TRAIN = {"epochs": 3, "batch": 8, "stride": 2, "max_windows": 400}


@pytest.mark.engine
def test_a_full_disk_in_a_worker_is_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path,
    disk: Path,  # noqa: F811
) -> None:
    store = engine_store(tmp_path)
    settings = Settings(home=tmp_path)
    profile = PROFILE.model_copy(
        update={"workers": 1, "max_failures": 0, "storage": str(disk / "storage")}
    )

    def train() -> TrainResult:
        params = engine_params(train=TRAIN)
        return train_fleet(store.path, params, toy_fleet(), settings, profile, tmp_path / "bundle")

    with ray_session(profile):
        told = fails_for_want_of_space(disk, 64 << 10, train)
        assert "free some space there" in told and len(told) < 500
        assert not (tmp_path / "bundle").exists()
        assert len(train().epochs) == TRAIN["epochs"]
    assert (tmp_path / "bundle" / "bundle.json").is_file()
    assert shutil.disk_usage(disk).used > 0
