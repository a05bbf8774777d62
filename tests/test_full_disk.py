"""A real full disk under ``data/`` and ``runs/``: a sentence that names the file and says why, the
old state as it was, and a second run that works once there is room.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_kit import DATA, PROFILE, engine_params, engine_store, toy_stage
from notify_kit import Yard
from scoring_kit import FAULTY, FLEET, kit_params

from amad.config import DataError, Settings, usable_error
from amad.engines.train.training import train_fleet
from amad.export.database import address_of
from amad.export.export import export
from amad.model.checkpoint import Checkpoint
from amad.model.owners import Owners
from amad.telemetry.files import staged, write_json
from pipelines import prepare, score

pytestmark = pytest.mark.slow

DISK_BYTES = 64 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; the test is skipped where none may be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no file system can be mounted without the rights of root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def content_of(folder: Path) -> dict[str, str]:
    """The hash of each file but the job logs."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.parent.name not in ("jobs", "steps") and file.suffix != ".lock"
    }


def fails_for_want_of_space(disk: Path, room: int, work: Callable[[], object]) -> str:
    """Run ``work`` with ``room`` bytes left; what a person is told."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    with pytest.raises((OSError, DataError)) as failure:
        work()
    os.truncate(ballast, 0)  # a new file may find no room just after one was deleted
    told = usable_error(failure.value)
    assert told is not None and told.exit_code == DataError.exit_code, failure.value
    assert "no space left on device" in str(told) and str(disk) in str(told), told
    return str(told)


def lasting(content: dict[str, str]) -> dict[str, str]:
    """What is there for good: checksums and states save time, and may be lost."""
    return {k: v for k, v in content.items() if not k.startswith(("state/", "checksums"))}


@pytest.mark.parametrize("room", [0, 16 << 10, 60 << 10])
def test_scoring_on_a_full_disk_leaves_the_dates_as_they_were(
    champion_home: Path, tmp_path: Path, disk: Path, room: int
) -> None:
    home = disk / "home"
    shutil.copytree(champion_home, home)
    uri = f"sqlite:///{shutil.copy(home / 'mlflow.db', tmp_path)}"
    settings = Settings(home=home, data_dir=home / "raw", mlflow_uri=uri)
    score.run(kit_params(), settings)
    runs = settings.runs_dir(FLEET)
    whole = content_of(runs)
    victim = next(runs.glob(f"scores/*/date={FAULTY}/part.parquet"))
    victim.write_bytes(b"")
    before = content_of(runs)
    fails_for_want_of_space(disk, room, lambda: score.run(kit_params(), settings))
    after = content_of(runs)
    assert lasting(after).items() >= lasting(before).items()
    score.run(kit_params(), settings)
    assert lasting(content_of(runs)) == lasting(whole)


def test_prepare_on_a_full_disk_keeps_the_old_store(champion_home: Path, disk: Path) -> None:
    home = disk / "home"
    shutil.copytree(champion_home, home)
    settings = Settings(home=home, data_dir=home / "raw")
    prepare.run(kit_params(), settings)
    store = settings.fleet_dir(FLEET) / "store"
    before = content_of(store)
    told = fails_for_want_of_space(disk, 100 << 10, lambda: prepare.run(kit_params(), settings))
    assert str(store) in told and content_of(store) == before
    prepare.run(kit_params(), settings)
    assert content_of(store) == before


def test_training_on_a_full_disk_goes_on_once_there_is_room(tmp_path: Path, disk: Path) -> None:
    engine_store(disk / DATA)
    stage = toy_stage(disk, engine_params(), PROFILE.model_copy(update={"workers": 0}))
    settings = Settings(home=disk, mlflow_uri=f"sqlite:///{tmp_path}/mlflow.db")
    stage = replace(stage, settings=settings)

    fails_for_want_of_space(disk, 16 << 10, lambda: train_fleet(stage))
    assert not (disk / DATA / "bundle").exists()
    train_fleet(stage)
    assert (disk / DATA / "bundle" / "bundle.json").is_file()


@pytest.mark.parametrize("room", [0, 16 << 10])
def test_an_export_to_a_file_on_a_full_disk_goes_on_once_there_is_room(
    tmp_path: Path, disk: Path, room: int
) -> None:
    yard = Yard(tmp_path / "home")
    yard.publish(0)
    url = address_of(f"sqlite:///{disk}/fleet.db")
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - room))
    with pytest.raises(DataError, match=rf"{disk}/fleet.db cannot be written.*free some space"):
        export(yard.stage, url)
    ballast.unlink()
    assert export(yard.stage, url).dates


@pytest.mark.parametrize("room", [0, 4 << 10])
def test_each_way_to_write_names_the_file(disk: Path, room: int) -> None:
    """Arrow, NumPy, safetensors and torch each tell a full disk in another way, or not at all."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    number_N = np.random.default_rng(0).random(1 << 17)
    ways = {
        "json": lambda file: file.write_text("x" * (1 << 20)),
        "parquet": lambda file: pq.write_table(pa.table({"x": number_N}), file),
        "numpy": lambda file: np.save(file.open("wb"), number_N),
        "safetensors": lambda file: save_file({"x": number_N}, file),
    }
    for name, write in ways.items():

        def work(name: str = name, write: Callable = write) -> None:
            with staged(disk / name) as stage:
                write(stage)

        assert str(disk / name) in fails_for_want_of_space(disk, room, work)
    checkpoint = Checkpoint(
        digest="d1", channels=1, owners=Owners(), block=1, epochs=[],
        objective={"x": torch.zeros(1 << 17)}, optimiser={},
    )  # fmt: skip
    assert "state.pt" in fails_for_want_of_space(disk, room, lambda: checkpoint.write(disk))
    long = {"x": "y" * (1 << 20)}
    fails_for_want_of_space(disk, room, lambda: write_json(disk / "state.json", long))
    assert [p.name for p in disk.iterdir() if p.name != "state.pt"] == ["ballast"]


def test_a_read_only_file_system_is_named(disk: Path) -> None:
    (disk / "a.json").write_text("{}")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError) as failure:
        write_json(disk / "a.json", {"x": 1})
    told = str(usable_error(failure.value))
    assert told.startswith(f"{disk}/a.json: read-only file system; mount it for writing")
