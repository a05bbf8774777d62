"""A local Ray that starts too slowly is started once more; ``auto`` can do without it."""

import subprocess
import sys
import time

import pytest
import ray
from engine_kit import PROFILE, engine_params, toy_stage

from amad.config import ClusterProfile, ServiceError
from amad.engines.shared.ray_cluster import ray_session
from amad.engines.shared.unit_engines import LIGHT, unit_engine

SLOW = "The current node timed out during startup. This could happen because"


class Starts:
    """Stands for ``ray.init`` and ends as it is told, with a process that it leaves behind."""

    def __init__(self, *errors: str) -> None:
        self.errors, self.left = list(errors), list[subprocess.Popen]()

    def __call__(self, **_: object) -> None:
        self.left.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        if self.errors:
            raise Exception(self.errors.pop(0))

    @property
    def running(self) -> list[bool]:
        end = time.monotonic() + 5
        while self.left[0].poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return [process.poll() is None for process in self.left]


@pytest.fixture
def starts(monkeypatch):
    found = Starts()
    monkeypatch.setattr(ray, "init", found)
    yield found
    for process in found.left:
        process.kill()
        process.wait()


def test_a_ray_that_starts_too_slowly_is_started_once_more(starts, capsys):
    starts.errors = [SLOW]
    with ray_session(PROFILE):
        assert starts.running == [False, True], "what the first one started is ended"
    assert "it is started once more" in capsys.readouterr().err
    starts.errors, before = [SLOW, SLOW], len(starts.left)
    with pytest.raises(ServiceError, match=r"timed out.*engine: process in conf/cluster"):
        ray_session(PROFILE).__enter__()
    assert len(starts.left) - before == 2


def test_another_error_and_a_cluster_are_not_tried_again(starts):
    starts.errors = ["no space left"]
    with pytest.raises(ServiceError, match="no space left"):
        ray_session(PROFILE).__enter__()
    starts.errors = [SLOW]
    with pytest.raises(ServiceError, match="does not answer"):
        ray_session(PROFILE.model_copy(update={"address": "auto"})).__enter__()
    assert len(starts.left) == 2


def test_auto_does_the_work_in_this_process_where_ray_cannot_start(starts, tmp_path, capsys):
    starts.errors = ["no space left"] * 3
    local = PROFILE.model_copy(update={"ray_min_vehicle_days": 1})
    stage = toy_stage(tmp_path, engine_params(), local)
    with unit_engine(stage) as run:
        for _ in range(2):
            assert list(run(str, [1, 2], vehicle_days=LIGHT)) == ["1", "2"]
    assert len(starts.left) == 1, "one attempt for all of a stage's work"
    told = capsys.readouterr().err
    assert told.count("no space left); this process does the work, with the same result") == 1
    assert "run the command again" not in told

    cluster = ClusterProfile(address="auto", ray_min_vehicle_days=1)
    for profile, why in [
        (PROFILE.model_copy(update={"engine": "ray"}), "cannot start"),
        (cluster, "does not answer"),
    ]:
        stage = toy_stage(tmp_path, engine_params(), profile)
        with unit_engine(stage) as run, pytest.raises(ServiceError, match=why):
            list(run(str, [1], vehicle_days=LIGHT))
