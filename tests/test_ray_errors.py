"""What goes wrong in a worker of Ray Train is one sentence, and after a full disk it goes on."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from engine_kit import DATA, PROFILE, engine_params, engine_store, toy_stage
from test_full_disk import disk, fails_for_want_of_space  # noqa: F401

from amad.config import ClusterProfile, ConfigError, Settings
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.tracking import connect, experiment_id
from amad.engines.train import training
from amad.engines.train.training import train_fleet
from amad.engines.tune.sweep import sweep_fleet
from amad.model import Trained
from amad.windows import WindowStore

pytestmark = pytest.mark.engine

TRAIN = {"epochs": 3, "batch": 8, "stride": 2, "max_windows": 400}
ALONE = PROFILE.model_copy(update={"cpus": 1, "workers": 1, "max_failures": 0})


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One Ray for the tests of this file."""
    with ray_session(ALONE):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WindowStore:
    return engine_store(tmp_path_factory.mktemp("fleet"))


def test_a_full_disk_in_a_worker_is_a_sentence_and_the_next_run_goes_on(
    store: WindowStore,
    tmp_path: Path,
    disk: Path,  # noqa: F811
) -> None:
    profile = ALONE.model_copy(update={"checkpoints": str(disk / "storage")})
    stage = toy_stage(tmp_path, engine_params(train=TRAIN), profile, store)
    told = fails_for_want_of_space(disk, 64 << 10, lambda: train_fleet(stage))
    assert "free some space there" in told and len(told) < 500
    assert not (tmp_path / DATA / "bundle").exists()
    assert len(train_fleet(stage).epochs) == TRAIN["epochs"]
    assert (tmp_path / DATA / "bundle" / "bundle.json").is_file()
    assert shutil.disk_usage(disk).used > 0


def test_a_worker_tells_the_user_what_is_wrong_and_is_not_started_again(
    store: WindowStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, sound = tmp_path / "attempts", training.run_worker

    def run_worker(config: dict) -> Trained:
        with attempts.open("a") as stream:
            stream.write("x")
        return sound(config)

    monkeypatch.setattr(training, "run_worker", run_worker)
    profile = ALONE.model_copy(update={"max_failures": 2})
    stage = toy_stage(tmp_path, engine_params(train={"learning_rate": 1e30}), profile, store)
    with pytest.raises(ConfigError, match=r"^the training diverged .*in params\.yaml$"):
        train_fleet(stage)
    assert attempts.read_text() == "x", "another attempt would end the same"
    assert "going on" not in capsys.readouterr().err
    client = connect(Settings(home=tmp_path))
    (run,) = client.search_runs([experiment_id(client, "toy")])
    assert run.info.status == "FAILED"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize(
    ("work", "profile", "told"),
    [
        (train_fleet, {"device": "cuda", "workers": 0}, "1 GPU (device: cuda, workers: 0)"),
        (train_fleet, {"device": "cuda", "workers": 2}, "2 GPUs (device: cuda, workers: 2)"),
        (sweep_fleet, {"gpus_per_trial": 0.5}, "1 GPU (gpus_per_trial: 0.5)"),
    ],
)
def test_gpus_that_the_machine_lacks_are_told_and_not_waited_for(
    store: WindowStore, tmp_path: Path, work: Callable, profile: dict, told: str
) -> None:
    stage = toy_stage(tmp_path, engine_params(), ClusterProfile(**profile), store)
    with pytest.raises(ConfigError, match=re.escape(told)):
        work(stage)
