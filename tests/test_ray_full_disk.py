"""The disk of the checkpoints is full in a worker of Ray Train: one sentence, and it goes on."""

import shutil
from pathlib import Path

import pytest
from engine_kit import DATA, PROFILE, engine_params, engine_store, toy_stage
from test_full_disk import disk, fails_for_want_of_space  # noqa: F401

from amad.engines.shared.ray_cluster import ray_session
from amad.engines.train.training import train_fleet

TRAIN = {"epochs": 3, "batch": 8, "stride": 2, "max_windows": 400}


@pytest.mark.engine
def test_a_full_disk_in_a_worker_is_a_sentence_and_the_next_run_goes_on(
    tmp_path: Path,
    disk: Path,  # noqa: F811
) -> None:
    engine_store(tmp_path / DATA)
    profile = PROFILE.model_copy(
        update={"workers": 1, "max_failures": 0, "checkpoints": str(disk / "storage")}
    )

    stage = toy_stage(tmp_path, engine_params(train=TRAIN), profile)

    with ray_session(profile):
        told = fails_for_want_of_space(disk, 64 << 10, lambda: train_fleet(stage))
        assert "free some space there" in told and len(told) < 500
        assert not (tmp_path / DATA / "bundle").exists()
        assert len(train_fleet(stage).epochs) == TRAIN["epochs"]
    assert (tmp_path / DATA / "bundle" / "bundle.json").is_file()
    assert shutil.disk_usage(disk).used > 0
