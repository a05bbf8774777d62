"""Files of state: written whole, read with the way out where they are damaged."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from amad.config import DataError
from amad.ingest.raw_files import RawFile
from amad.scores.partition_manifest import VehiclePart
from amad.telemetry import disk, files
from amad.telemetry.files import listed, read_json, read_table, staged, write_json, write_parquet
from amad.telemetry.manifest import IngestedFile
from tests.closed_folders import close_folders

MANY = [IngestedFile, RawFile, VehiclePart]  # entries of a raw file or of a vehicle
SCHEMA = pa.schema([("vehicle", pa.string()), ("rows", pa.int64())])


def test_what_was_written_is_read_again(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [None]})
    assert read_json(tmp_path / "a.json", "run x", keys=["a", "b"]) == {"a": [None], "b": 1}
    table = pa.table({"vehicle": ["v"], "rows": [3]}, schema=SCHEMA)
    write_parquet(table, tmp_path / "date=1" / "a.parquet", SCHEMA)
    assert read_table(tmp_path / "date=1" / "a.parquet", SCHEMA, "run x").equals(table)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1', b"[1]", b"null", b"\xff\xfe{}", b"{}", b"[" * 100_000, b'{"b": 1}\x00'],
)
def test_a_damaged_json_file_is_told_with_its_name_and_the_way_out(content, tmp_path):
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"state\.json is damaged \(.+\); run `amad train`"):
        read_json(path, "run `amad train`", keys=["a"])


def test_a_damaged_table_is_told_with_its_name_and_the_way_out(tmp_path):
    path = tmp_path / "t.parquet"
    write_parquet(
        pa.table({"vehicle": ["v"] * 999, "rows": range(999)}, schema=SCHEMA), path, SCHEMA
    )
    whole = path.read_bytes()
    for content in (b"", whole[:-9], whole[: len(whole) // 2], b"PAR1" + bytes(99) + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"t\.parquet is damaged \(.+\); run it again"):
            read_table(path, SCHEMA, "run it again")
    pq.write_table(pa.table({"vehicle": ["v"]}), path)
    with pytest.raises(DataError, match=r"t\.parquet.*missing: \['rows'\].*; run it again"):
        read_table(path, SCHEMA, "run it again")


def test_a_missing_file_is_none_or_told(tmp_path):
    assert read_json(tmp_path / "a", "run x") is None
    for read in (
        lambda: read_json(tmp_path / "a", "run x", required=True),
        lambda: read_table(tmp_path / "a", SCHEMA, "run x"),
    ):
        with pytest.raises(DataError, match="a is missing; run x"):
            read()


def test_a_file_of_a_storage_is_brought_however_it_is_read(tmp_path, monkeypatch):
    folder = tmp_path / "lake"
    folder.mkdir()
    monkeypatch.setattr(disk, "_fetch", {folder: lambda path: bool(path.write_bytes(b"x"))})
    assert disk.read_bytes(folder / "a") == b"x"
    (tmp_path / "b").write_bytes(b"0123")
    stretches = [(tmp_path / "b", 1, 2), (folder / "c", 0, -1), (tmp_path / "b", 3, 9)]
    assert disk.read_stretches(stretches) == [b"12", b"x", b"3"]
    with pytest.raises(FileNotFoundError):
        disk.read_bytes(tmp_path / "c")


def test_content_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """The file is flushed before the rename and its folder after it, for a folder's files too."""
    happened = []
    fsync, replace = os.fsync, files.Path.replace

    def noted(handle):
        happened.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", noted)
    monkeypatch.setattr(
        files.Path, "replace", lambda a, b: (happened.append("renamed"), replace(a, b))
    )
    write_json(tmp_path / "a.json", {})
    assert happened[0].endswith("-a.json") and happened[1:] == ["renamed", tmp_path.name]
    happened.clear()
    with staged(tmp_path / "folder") as stage:
        stage.mkdir()
        (stage / "inner").write_text("x")
    assert happened.index("inner") < happened.index("renamed")


def test_a_failure_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"old": 1}


def test_a_sealed_file_knows_a_changed_digit(tmp_path):
    path = tmp_path / "state.json"
    write_json(path, {"rows": 1200, "share": 0.1}, sealed=True)
    assert read_json(path, "run `amad x`") == {"rows": 1200, "share": 0.1}
    path.write_text(path.read_text().replace("1200", "1300"))
    with pytest.raises(DataError, match=r"state\.json is damaged .*not what was written.*amad x"):
        read_json(path, "run `amad x`")


def test_a_changed_bit_of_a_table_never_changes_what_is_read(tmp_path):
    path, table = tmp_path / "state.parquet", pa.table({"value": [n / 7 for n in range(500)]})
    write_parquet(table, path, table.schema)
    whole, told = path.read_bytes(), 0
    for at in range(0, len(whole), 41):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        try:
            assert read_table(path, table.schema, "run `amad x`") == table
        except DataError as error:
            assert "state.parquet is damaged" in str(error) and "amad x" in str(error)
            told += 1
    assert told > len(whole) / 41 / 2


def test_a_folder_that_may_not_be_read_is_not_an_empty_one(tmp_path, monkeypatch):
    for name in ("model_version=2/date=2026-01-02", "model_version=2/other", "model_version=1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "model_version=3").write_text("a file in place of a folder")
    found = listed(tmp_path, "model_version=*", "date=*")
    assert list(found) == [tmp_path / "model_version=2" / "date=2026-01-02"]
    assert list(listed(tmp_path / "gone", "*")) == []
    close_folders(monkeypatch, "model_version=2")
    with pytest.raises(PermissionError, match="model_version=2"):
        list(listed(tmp_path, "model_version=*", "date=*"))


@pytest.mark.parametrize("kind", MANY)
def test_no_default_is_copied_for_each_of_many_entries(kind):
    defaults = {name: field.default for name, field in kind.model_fields.items()}
    assert not [name for name, default in defaults.items() if isinstance(default, dict | list)]
    one, other = (kind.model_construct() for _ in range(2))
    mutable = [name for name, value in one if isinstance(value, dict)]
    assert all(getattr(one, name) is not getattr(other, name) for name in mutable)
