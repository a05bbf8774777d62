"""A registry that cannot be written, is of another MLflow, or names what was deleted."""

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from scoring_kit import FLEET, REGISTERED, kit_params, make_artifacts, run_job

from amad.cli.__main__ import run as run_command
from amad.config import AmadError, DataError, ServiceError, Settings, Stage, usable_error
from amad.detect import detector_folder
from amad.engines.register import promotion
from amad.engines.register.review import review
from amad.engines.score.dry_run import dry_run
from amad.engines.score.scoring_plan import EVERYTHING_NEW
from amad.engines.shared import model_registry
from amad.engines.shared.tracking import connect, open_run
from pipelines import register

pytestmark = pytest.mark.slow
PARAMS = kit_params(members=["innovation", "amad"])


def execute(settings: Settings, statement: str) -> None:
    with sqlite3.connect(settings.home / "mlflow.db") as database:
        assert database.execute(statement).rowcount > 0


def test_an_alias_of_a_deleted_version_is_told_and_a_person_names_another(place):
    """As a database is left that somebody has mended by hand."""
    fleet, settings = place
    client = connect(settings)
    first = model_registry.champion_version(client, FLEET)
    again = client.create_model_version(REGISTERED, first.source, tags=first.tags)
    execute(
        settings,
        "UPDATE model_versions SET current_stage = 'Deleted_Internal' WHERE version = 1",
    )
    told = r"alias champion of amad-nights points at version 1, which was deleted.*amad promote"
    for work in (
        lambda: run_job(fleet, settings),
        lambda: register.run(PARAMS, settings),
        lambda: promotion.rollback(settings, FLEET),
    ):
        with pytest.raises(ServiceError, match=told):
            work()
    promotion.promote(settings, FLEET, again.version, force=True, reason="the other was deleted")
    assert run_job(fleet, settings).content()["model_version"] == str(again.version)
    assert register.run(PARAMS, settings).content()["champion"] == model_registry.version_number(
        again
    )


def test_a_champion_of_an_older_format_is_told_by_its_version(place, monkeypatch):
    fleet, settings = place
    monkeypatch.setattr(detector_folder, "FORMAT", detector_folder.FORMAT + 1)
    stage = Stage(fleet=fleet, settings=settings, params=PARAMS)
    told = r"version 1: detector of format \d+, this version reads \d+; run the evaluate"
    with pytest.raises(DataError, match=f"^{REGISTERED} {told}"):
        dry_run(stage, EVERYTHING_NEW)
    for _ in range(2):  # its folder is a copy, then the one that is remembered
        with pytest.raises(DataError, match=r"^champion version 1: detector of format \d+, this"):
            run_job(fleet, settings)


def test_a_champion_that_learnt_from_the_test_part_is_told(place):
    fleet, settings = place
    client, later = connect(settings), "2030-01-01"
    client.set_model_version_tag(REGISTERED, "1", model_registry.TEST_START, later)
    make_artifacts(fleet, settings, members=["innovation", "amad"], alarm_budget=2.0)
    better, by_class, _, _, fair, last = register.run(PARAMS, settings).reasons[-6:]
    assert re.fullmatch(r"equal on each of \d+ cases", better)
    assert re.match(r"difference by class: a .0\.000 \[", by_class)
    assert fair.startswith(f"no fair comparison: the champion's own test part begins on {later}")
    assert last.startswith("refused")


def test_a_champion_that_a_person_deleted_is_told(place):
    fleet, settings = place
    connect(settings).delete_model_version(REGISTERED, "1")
    with pytest.raises(ServiceError, match=r"has no champion in .*run 'amad register'"):
        run_job(fleet, settings)
    assert register.run(PARAMS, settings).content()["champion"] == 2


def test_a_registry_that_is_gone_is_told_as_gone_and_begun_anew_by_register_alone(
    place, capsys, monkeypatch
):
    """Its file was deleted, or an empty one lies in its place."""
    fleet, settings = place
    (settings.home / "params.yaml").write_text(f"fleet: {FLEET}\n")
    monkeypatch.setenv("AMAD_HOME", str(settings.home))
    run_job(fleet, settings)
    deleted = settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/deleted.db"})
    emptied = settings.model_copy(update={"mlflow_uri": f"sqlite:///{settings.home}/emptied.db"})
    connect(emptied)
    gone = r"registry of fleet nights is gone.*version 1 was its champion.*from a backup.*'amad reg"
    for now in (deleted, emptied):
        stage = Stage(fleet=fleet, settings=now, params=PARAMS)
        readers: list[Callable[[], object]] = [
            partial(run_job, fleet, now),
            partial(dry_run, stage, EVERYTHING_NEW),
            partial(promotion.promote, now, FLEET, "1"),
            partial(promotion.rollback, now, FLEET),
            partial(review, now, FLEET),
        ]
        for work in readers:
            with pytest.raises(ServiceError, match=gone):
                work()
        monkeypatch.setenv("AMAD_MLFLOW_URI", str(now.mlflow_uri))
        run_command(["doctor", "--fleet", FLEET])
        assert re.search(gone, " ".join(capsys.readouterr().out.split()))
    assert not (settings.home / "deleted.db").exists(), "who reads makes no empty registry"
    assert register.run(PARAMS, emptied).content()["champion"] == 1
    assert "versions are counted from 1 again" in capsys.readouterr().err
    assert run_job(fleet, emptied).model_version == "1"


@pytest.fixture
def read_only(place) -> Iterator[tuple]:
    """(fleet, settings) of a home whose database may only be read."""
    fleet, settings = place
    file = settings.home / "mlflow.db"
    mounts = [["mount", "--bind", file, file], ["mount", "-o", "remount,ro,bind", file]]
    if os.geteuid() != 0:
        file.chmod(0o444)
    elif any(subprocess.run(command, capture_output=True).returncode for command in mounts):
        pytest.skip("may not mount here")
    yield fleet, settings
    subprocess.run(["umount", "-l", file], capture_output=True)
    file.chmod(0o644)


def test_a_database_that_may_only_be_read_is_told_and_still_scores(read_only):
    fleet, settings = read_only
    with pytest.raises(ServiceError) as caught, open_run(connect(settings), FLEET, "a run"):
        pass
    assert "mlflow.db" in str(caught.value) and "the right to write it" in str(caught.value)
    assert register.run(PARAMS, settings).content()["champion"] == 1, "there is nothing to write"
    assert run_job(fleet, settings).content()["dates"]


def test_a_read_only_file_system_names_the_file(place, tmp_path: Path):
    _, settings = place
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("no file system can be mounted without the rights of root")
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount here")
    try:
        shutil.copy(settings.home / "mlflow.db", disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        elsewhere = settings.model_copy(update={"mlflow_uri": f"sqlite:///{disk}/mlflow.db"})
        with pytest.raises((OSError, AmadError)) as caught:
            register.run(PARAMS, elsewhere)
        told = str(usable_error(caught.value))
        assert str(disk / "mlflow.db") in told and "mount it for writing" in told, told
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_store_of_a_newer_mlflow_is_named_and_left_alone(place):
    _, settings = place
    execute(settings, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    file = settings.home / "mlflow.db"
    os.utime(file, (1, 1))
    before = file.read_bytes()
    with pytest.raises(ServiceError, match=r"written by a newer MLflow .* install that MLflow"):
        register.run(PARAMS, settings)
    assert file.read_bytes() == before
