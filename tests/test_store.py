"""The memory-mapped store: what is written is what is read, without a copy."""

import json
from pathlib import Path

import numpy as np
import pytest
from windows_kit import series_of, small_fleet

from amad.config import DataError
from amad.telemetry.files import read_json, write_json
from amad.windows.scaler import Scaler
from amad.windows.series import TEST, TRAIN
from amad.windows.store import WindowStore, write_store
from amad.windows.vehicle_file import VehicleFile

FLEET = small_fleet()
ODD = "b/odd name, too long for a file: " + "ü" * 90


def write(path: Path, rows: int = 50) -> list:
    rng = np.random.default_rng(0)
    split_T = np.array([TRAIN] * (rows - 10) + [TEST] * 10, np.uint8)
    segment_T = np.repeat([0, 1], [20, rows - 20]).astype(np.int32)
    series = [
        series_of(rng.normal(size=(rows, 4)), "a-1", split_T=split_T, segment_T=segment_T),
        series_of(rng.normal(size=(rows, 4)), ODD, "b", split_T=split_T,
                  label_T=(split_T == TEST).astype(np.int8)),
    ]  # fmt: skip
    series = [s.with_values(s.value_TC.astype(float)) for s in series]
    series[0].value_TC[:, 1] = 200_000_000 + np.arange(rows)  # a counter keeps its units
    scaler = Scaler.fit(series, FLEET, "vehicle")
    write_store(path, iter(series), FLEET, scaler, {"cold": []})
    return series


def test_series_come_back_as_written(tmp_path: Path) -> None:
    written = write(tmp_path / "store")
    store = WindowStore.open(tmp_path / "store")
    assert store.vehicles == ["a-1", ODD] and store.meta == {"cold": []}
    assert store.channels == FLEET.channel_names
    for series in written:
        read = store.series(series.vehicle)
        for name in ("timestamp_T", "value_TC", "valid_TC", "segment_T", "split_T", "label_T"):
            one, two = getattr(series, name), getattr(read, name)
            assert (one is None) == (two is None)
            if one is not None:
                np.testing.assert_array_equal(one, two)
                assert one.dtype == two.dtype
    assert store.content["vehicles"]["a-1"]["parts"]["train"] == 40
    assert store.content["vehicles"]["a-1"]["segments"] == 2
    assert store.has_channel("a-1").tolist() == [True, True, True, False]


def test_values_are_views_into_the_mapped_file(tmp_path: Path) -> None:
    write(tmp_path / "store")
    series = WindowStore.open(tmp_path / "store").series("a-1")
    window = series.value_TC[5:15]
    for array in (series.value_TC, window, series.part(TRAIN).value_TC, series.timestamp_T):
        assert not array.flags.owndata and not array.flags.writeable
    assert np.shares_memory(window, series.value_TC)
    address, length = series.value_TC.ctypes.data, series.value_TC.nbytes
    maps = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    mapped = [m for m in maps if m[-1].endswith("a-1.arrow")]
    ranges = [tuple(int(edge, 16) for edge in m[0].split("-")) for m in mapped]
    assert any(low <= address and address + length <= high for low, high in ranges)


def test_two_writes_of_the_same_series_give_the_same_bytes(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two")
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 3
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_digest_follows_the_values(tmp_path: Path) -> None:
    write(tmp_path / "one")
    write(tmp_path / "two", rows=51)
    one, two = (WindowStore.open(tmp_path / name).digest for name in ("one", "two"))
    assert one != two


def test_a_failed_write_leaves_the_old_store(tmp_path: Path) -> None:
    series = write(tmp_path / "store")
    before = WindowStore.open(tmp_path / "store").digest

    def broken():
        yield series[0]
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        write_store(tmp_path / "store", broken(), FLEET, Scaler.fit(series, FLEET, "class"), {})
    assert WindowStore.open(tmp_path / "store").digest == before
    assert [p.name for p in tmp_path.iterdir()] == ["store"]


def test_a_file_that_cannot_be_written_is_not_left_open(tmp_path: Path, monkeypatch) -> None:
    opened, real = [], Path.open

    def noted(self: Path, *arguments: str):
        opened.append(real(self, *arguments))
        return opened[-1]

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "open", noted)
    monkeypatch.setattr("amad.windows.vehicle_file.pa.ipc.new_file", full)
    with pytest.raises(OSError, match="no space"):
        VehicleFile.create(tmp_path / "a.arrow", rows=3, channels=2, labels=False)
    assert [file.closed for file in opened] == [True]


def test_store_json_is_plain_and_names_the_parts(tmp_path: Path) -> None:
    write(tmp_path / "store")
    content = json.loads((tmp_path / "store" / "store.json").read_text())
    assert content["fleet"] == "tiny" and content["period_us"] == 1_000_000


def test_missing_store_and_vehicle_say_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run 'amad prepare'"):
        WindowStore.open(tmp_path / "nowhere")
    write(tmp_path / "store")
    with pytest.raises(DataError, match="a-1"):
        WindowStore.open(tmp_path / "store").series("z-9")


def test_a_changed_bit_of_a_vehicle_is_told_before_a_stage_begins(tmp_path: Path) -> None:
    write(tmp_path / "store")
    assert WindowStore.checked(tmp_path / "store").vehicles == ["a-1", ODD]
    file = tmp_path / "store" / "vehicles" / "a-1.arrow"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"a-1\.arrow is damaged .*run 'amad prepare'"):
        WindowStore.checked(tmp_path / "store")
    opened = WindowStore.open(tmp_path / "store")
    for damage in (lambda: file.write_bytes(content[:-9]), file.unlink):
        damage()
        with pytest.raises(DataError, match=r"a-1\.arrow is damaged .*run 'amad prepare'"):
            WindowStore.checked(tmp_path / "store")
        with pytest.raises(DataError, match=r"a-1\.arrow is damaged .*run 'amad prepare'"):
            opened.series("a-1")


def test_a_store_of_another_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path / "store")
    content = read_json(tmp_path / "store" / "store.json", "")
    del content["format"]  # as stores were before counters were increments
    write_json(tmp_path / "store" / "store.json", content, sealed=True)
    with pytest.raises(DataError, match="of format 1, this version reads 2; run 'amad prepare'"):
        WindowStore.open(tmp_path / "store")
