"""Raw files in an object store: read as from a folder, and downloaded only where they changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from s3_kit import s3_server
from storage_kit import CONTENT, FLEET, machine, place_of, small, stage_of

from amad.config import DataError, Fleet, ServiceError, Settings
from amad.ingest.ingestion import ingest_fleet
from amad.ingest.raw_files import fingerprint, raw_names
from amad.storage import step
from amad.storage.objects import Objects
from amad.telemetry.lake import Lake

BUCKET = "amad-raw"
NAMES = ("van-1/a.csv", "van-1/b c%.csv", "van-2/sub/ü.csv")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with s3_server(BUCKET) as address:
        yield address


@pytest.fixture
def raw(server: str, tmp_path: Path) -> Objects:
    objects = Objects(f"s3://{BUCKET}/{tmp_path.name}/raw")
    for number, name in enumerate(NAMES):
        objects.put(name, rows(name.partition("/")[0], number))
    objects.put("van-1/_hidden.csv", b"no")
    objects.put("van-1/notes.txt", b"no")
    return objects


def rows(vehicle: str, hour: int, speed: int = 1) -> bytes:
    lines = [f"{vehicle},2026-01-05T{hour:02d}:00:{s:02d}Z,{speed + s}" for s in range(0, 60, 10)]
    return "\n".join(["vehicle,timestamp,speed", *lines, ""]).encode()


def based(settings: Settings, folder: str) -> Settings:
    """The machine with a fleet file whose raw files lie in ``folder``."""
    content = CONTENT | {"source": CONTENT["source"] | {"folder": folder}}
    file = settings.conf_dir / "fleet" / f"{FLEET}.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return settings


def night(settings: Settings) -> dict:
    with step(stage_of(settings), "ingest"):
        return ingest_fleet(stage_of(settings)).content()


def lake(settings: Settings):
    return Lake(settings.fleet_dir(FLEET) / "lake", stage_of(settings).fleet)


def test_the_lake_is_that_of_a_folder(raw: Objects, tmp_path: Path):
    folder = tmp_path / "files"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw.read(name) or b"")
    here = based(small(tmp_path, "here", ""), str(folder))
    there = based(machine(tmp_path / "home", "there", None), raw.address)
    assert night(here) == night(there)
    assert lake(here).files == lake(there).files and len(lake(there).files) == 3
    assert lake(here).day_table() == lake(there).day_table()
    globs = ("**/*.csv", "*/*.csv", "van-?/*.csv", "van-1/**/*", "van-2/sub/*", "*.csv")
    names = [raw_names(stage_of(one).fleet, one, globs) for one in (here, there)]
    for glob in globs:
        assert [name for name in names[0][glob] if name.endswith(".csv")] == [
            name for name in names[1][glob] if name.endswith(".csv")
        ], glob


def test_only_what_is_new_or_changed_is_downloaded(
    raw: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    address = raw.address.replace("/raw", "/store")
    one, two = (based(small(tmp_path, n, address), raw.address) for n in ("one", "two"))
    got: list[str] = []
    download = Objects.download

    def noted(self: Objects, key: str, *rest: object) -> str:
        if self.address == raw.address:
            got.append(key)
        return download(self, key, *rest)

    monkeypatch.setattr(Objects, "download", noted)
    assert night(one)["files_read"] == 3 and sorted(got) == sorted(NAMES)
    got.clear()
    assert night(two)["files_read"] == 0 and got == []  # an empty disk
    raw.put("van-2/new.csv", rows("van-2", 7))
    assert night(two)["files_read"] == 1 and got == ["van-2/new.csv"]
    got.clear()
    raw.put(NAMES[0], rows("van-1", 0, speed=5))
    night(one)  # a file of the lake has changed: all are read anew, those that are here from here
    assert sorted(got) == sorted([NAMES[0], "van-2/new.csv"])
    assert night(two)["rows_lake"] == 24
    raw.delete([NAMES[1]])
    assert [file["path"] for file in night(two)["files_gone"]] == [NAMES[1]]
    assert not place_of(one, "runs/raw_objects.json").read_text().count("hidden")


def test_what_is_wrong_is_told(raw: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one = based(small(tmp_path, "one", ""), f"{raw.address}/nothing")
    with pytest.raises(DataError, match=r"raw/nothing, but no file in it matches"):
        night(one)
    based(one, "s3://no-such-bucket/raw")
    with pytest.raises(ServiceError, match="no-such-bucket"):
        fingerprint(stage_of(one).fleet, one)
    for folder, why in (
        ("hdfs://a/b", "no known kind"),
        ("s3://key:secret@bucket/raw", "environment"),
        ("s3://bucket/raw?x=1", "AWS_ENDPOINT_URL"),
    ):
        with pytest.raises(ValueError, match=why) as caught:
            Fleet.model_validate(CONTENT | {"source": CONTENT["source"] | {"folder": folder}})
        assert "secret" not in str(caught.value).partition("[type")[0]


def test_what_a_storage_says_is_told_in_its_own_words(server, web, monkeypatch):
    """A bucket that is not there, and a clock that is wrong, as S3 answers."""
    with pytest.raises(ServiceError, match=r"\(404 Not Found, NoSuchBucket, .*valid and may read"):
        Objects("s3://amad-no-such-bucket/x").read("a")
    error = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is large</Message>"
    web.answers = f'<?xml version="1.0"?>\n{error}</Error>'.encode()
    monkeypatch.setenv("AWS_ENDPOINT_URL", web.url)
    web.fail = ["403"] * 9
    with pytest.raises(ServiceError) as told:
        Objects("s3://bucket/x").list("a").__next__()
    said = str(told.value)
    assert "(403 Forbidden, RequestTimeTooSkewed, The difference is large)" in said
    assert "this machine's clock is right" in said and "<" not in said
