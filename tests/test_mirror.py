"""Finished scores and incidents copied to an object store: the same bytes, whole by manifest."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.dataset as ds
import pyarrow.fs as pafs
import pytest
import yaml
from s3_kit import keys, s3_server
from scoring_kit import AFTER, FAULTY, FLEET, digests, kit_params, run_job

from amad.cli.doctor import operation_checks
from amad.config import ServiceError, Settings, Stage
from amad.config.digest import file_sha256
from amad.scores import mirror as module
from amad.scores import partitions
from amad.scores.mirror import mirror
from pipelines import score

BUCKET = "amad-scores"
ADDRESS = f"s3://{BUCKET}/team"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with s3_server(BUCKET) as address:
        yield address


@pytest.fixture
def scored(place, tmp_path_factory: pytest.TempPathFactory):
    """(fleet, settings) with two dates scored and a profile that publishes them to ADDRESS."""
    fleet, settings = place
    file = settings.conf_dir / "cluster" / "local.yaml"
    file.write_text(yaml.safe_dump({"publish_to": f"{ADDRESS}/{settings.home.parent.name}"}))
    run_job(fleet, settings, first=FAULTY, last=AFTER)
    return fleet, settings


def prefix(settings: Settings) -> str:
    return f"team/{settings.home.parent.name}/{FLEET}"


def fetched(settings: Settings) -> dict[str, str]:
    """The hash of every object, named as ``digests`` names the files on disk."""
    storage, root = pafs.FileSystem.from_uri(ADDRESS)[0], prefix(settings)
    found = {}
    for key in keys(BUCKET, f"{root}/"):
        if key.endswith("/"):
            continue  # Arrow leaves such an empty object, a folder to it, where it deleted a file
        with storage.open_input_stream(f"{BUCKET}/{key}") as stream:
            found[key.removeprefix(f"{root}/")] = hashlib.sha256(stream.read()).hexdigest()
    return found


def test_the_object_store_has_the_bytes_of_the_disk(store: str, scored):
    _, settings = scored
    assert fetched(settings) == digests(settings) != {}
    scores = f"{BUCKET}/{prefix(settings)}/scores"
    storage, _ = pafs.FileSystem.from_uri(ADDRESS)
    there = ds.dataset(scores, filesystem=storage, partitioning="hive")
    here = ds.dataset(settings.runs_dir(FLEET) / "scores", partitioning="hive")
    assert there.to_table().equals(here.to_table())


def test_what_is_there_is_not_copied_again_and_what_changed_is(
    store: str, scored, monkeypatch: pytest.MonkeyPatch
):
    fleet, settings = scored
    runs, address = settings.runs_dir(FLEET), f"{ADDRESS}/{settings.home.parent.name}"
    monkeypatch.setattr(module, "_open", lambda *_: pytest.fail("nothing to copy"))
    assert mirror(runs, address, FLEET) == []
    monkeypatch.undo()
    run_job(fleet, settings, first=AFTER, last=AFTER, force=True)
    note = partitions.folder(runs, "scores", "1", AFTER) / "_manifest.json"
    (runs / "mirrored.json").write_text("damaged")
    assert mirror(runs, address, FLEET) == [FAULTY, AFTER]
    assert fetched(settings) == digests(settings)
    assert json.loads(note.read_text())["files"]["part.parquet"] in fetched(settings).values()


def test_a_kill_in_the_middle_leaves_a_date_without_manifest(
    store: str, scored, monkeypatch: pytest.MonkeyPatch
):
    """Killed at each file: a manifest that is there names what is there."""
    _, settings = scored
    runs, address = settings.runs_dir(FLEET), f"{ADDRESS}/{settings.home.parent.name}"
    for killed_at in (1, 2, 3, 4):
        (runs / "mirrored.json").unlink()
        count = 0

        def hashed(file: Path, at: int = killed_at) -> str:
            nonlocal count
            count += 1
            if count == at:
                raise KeyboardInterrupt
            return file_sha256(file)

        monkeypatch.setattr(module, "file_sha256", hashed)
        if killed_at < 4:
            with pytest.raises(KeyboardInterrupt):
                mirror(runs, address, FLEET)
            first = f"scores/model_version=1/date={FAULTY}/_manifest.json"
            assert first not in fetched(settings)
        monkeypatch.undo()
        mirror(runs, address, FLEET)
        assert fetched(settings) == digests(settings)


def test_a_storage_that_is_away_is_told_and_made_up_for(
    store: str, scored, monkeypatch: pytest.MonkeyPatch
):
    _, settings = scored
    runs, address = settings.runs_dir(FLEET), f"{ADDRESS}/{settings.home.parent.name}/later"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    with pytest.raises(ServiceError, match="next 'amad score' copies them"):
        mirror(runs, address, FLEET)
    monkeypatch.undo()
    with pytest.raises(ServiceError, match="cannot be copied to s3://no-such-bucket"):
        mirror(runs, "s3://no-such-bucket/x", FLEET)
    assert mirror(runs, address, FLEET) == [FAULTY, AFTER]


def test_a_night_without_the_object_store_publishes_all_the_same(
    store: str, place, monkeypatch: pytest.MonkeyPatch
):
    _, settings = place
    file = settings.conf_dir / "cluster" / "local.yaml"
    file.write_text(yaml.safe_dump({"publish_to": f"{ADDRESS}/{settings.home.parent.name}"}))
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        away.setattr(module, "ATTEMPTS", 1)
        with pytest.raises(ServiceError, match="published here and cannot be copied"):
            score.run(kit_params(), settings)
    receipt = json.loads((settings.fleet_dir(FLEET) / "scoring.json").read_text())
    assert receipt["dates"] and digests(settings) and not fetched(settings)
    status, found, _ = operation_checks.last_scoring(Stage.of(kit_params(), settings))
    assert status == "warn" and "cannot be copied" in found
    score.run(kit_params(), settings)
    assert fetched(settings) == digests(settings)


def test_a_damaged_file_is_not_spread(store: str, scored, tmp_path: Path):
    _, settings = scored
    runs = settings.runs_dir(FLEET)
    part = partitions.table_file(runs, "scores", "1", FAULTY)
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(ServiceError, match=r"part\.parquet is damaged"):
        mirror(runs, str(tmp_path / "copies"), FLEET)
    shutil.rmtree(part.parent)
    assert mirror(runs, str(tmp_path / "copies"), FLEET) == [AFTER]
    copied = tmp_path / "copies" / FLEET / "scores" / "model_version=1" / f"date={AFTER}"
    assert sorted(p.name for p in copied.iterdir()) == ["_manifest.json", "part.parquet"]
