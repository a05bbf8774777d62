"""Values that cannot be are no values: which they are, and that no way to a model lets them in."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ingest_kit import Yard, at, raw_fleet
from scoring_kit import (
    START,
    VEHICLES,
    fit_detector,
    make_lake,
    night,
    read_json,
    refresh,
    run_job,
)
from windows_kit import lake_table, small_fleet

from amad.config import Channel, Fleet
from amad.detect.detector import Detector
from amad.engines.register.challenge import Defender
from amad.engines.register.pyfunc_model import DetectorModel
from amad.scores.daily import score_table
from amad.scores.partitions import folder
from amad.telemetry.lake import Lake
from amad.telemetry.profile import profile
from amad.telemetry.valid_values import (
    is_impossible,
    is_null_word,
    is_outside,
    measured_values,
)
from amad.windows.build import build_store
from amad.windows.resample import to_series
from amad.windows.scaler import Scaler
from amad.windows.store import WindowStore

NAN, INF = float("nan"), float("inf")


def channel(**fields: object) -> Channel:
    return Channel.model_validate({"name": "x"} | fields)


@pytest.mark.parametrize(
    ("fields", "values", "impossible"),
    [
        ({}, [0, NAN, INF, -INF, 1e308, 1e29], [0, 0, 1, 1, 1, 0]),
        ({"range": [-40, 215]}, [-40, 215, -40.1, 215.5, NAN, 255], [0, 0, 1, 1, 0, 1]),
        ({"nulls": [65535, "-", "254"]}, [65535, 65534, 254, 0], [1, 0, 1, 0]),
        ({"range": [0, 10], "nulls": [7]}, [7, 8, 11], [1, 0, 1]),
        # What a float32 file makes of a limit or of a word is that limit and that word.
        ({"range": [0, 0.1]}, [np.float32(0.1), 0.1000001], [0, 1]),
        ({"nulls": [-0.1]}, [np.float32(-0.1), -0.1, -0.1001], [1, 1, 0]),
        # All ones of 32 bits is one above the last count, which float32 cannot tell apart.
        ({"range": [0, 4294967294]}, [4294967294, 4294967295], [0, 1]),
        ({"nulls": [16777216]}, [16777216, 16777217], [1, 0]),
    ],
)
def test_what_cannot_be(fields: dict, values: list, impossible: list) -> None:
    found_R = is_impossible(np.array(values, float), channel(**fields))
    assert found_R.tolist() == [bool(flag) for flag in impossible]


def test_the_two_reasons_are_told_apart() -> None:
    both = channel(range=[0, 100], nulls=[50, 255])
    value_R = np.array([50.0, 255.0, 101.0, INF])
    assert is_null_word(value_R, both).tolist() == [True, True, False, False]
    assert is_outside(value_R, both).tolist() == [False, True, True, True]


@pytest.mark.parametrize("word", [{"range": [0, 8000]}, {"nulls": [65535]}])
def test_a_series_with_words_for_not_available_is_that_with_nulls(word: dict) -> None:
    names = ("speed", "level", "gear", "charge")
    kinds = ("continuous", "continuous", "categorical", "continuous")
    fleet = small_fleet(
        channels=[
            {"name": n, "kind": k} | (word if n in ("level", "gear") else {})
            for n, k in zip(names, kinds, strict=True)
        ]
    )
    seconds = [0, 0.4, 1, 2, 2.5, 3, 4]
    sent = [1000, 65535, 65535, 3000, 2000, 65535, 900]
    nulls = [None if value == 65535 else value for value in sent]
    one, two = (
        to_series(lake_table(seconds, level=v, gear=v, speed=sent), fleet, "a-1")
        for v in (sent, nulls)
    )
    for name in ("value_TC", "valid_TC", "timestamp_T"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert one.valid_TC[:, 1].tolist() == [1, 0, 1, 0, 1]
    assert one.value_TC[0, 1] == 1000, "no part of the mean of its bin"
    assert one.value_TC[1, 0] == 65535, "a channel without such words keeps the number"
    table = lake_table(seconds, level=sent, gear=sent, charge=[-5] * 7)
    value_CR, null_C = measured_values(table, fleet.channels)
    counted = dict(zip(fleet.channel_names, null_C.tolist(), strict=True))
    assert {name: count for name, count in counted.items() if count} == {"level": 3, "gear": 3}
    assert np.isnan(value_CR[fleet.channel_names.index("gear")]).sum() == 3


def drive(level: list) -> list[str]:
    return [
        f"a-1,{at(86_400 * day + n)},{50 + 40 * np.sin(n / 7 + day):.4f},{level[n % len(level)]}"
        for day in range(4)
        for n in range(80)
    ]


def test_prepare_makes_them_null_counts_them_and_the_lake_keeps_them(tmp_path: Path) -> None:
    stores = {}
    level = ["1", "2", "3", "2"] * 10
    fleets = {
        "range": raw_fleet(channels=[{"name": "speed"}, {"name": "level", "range": [0, 9]}]),
        "nulls": raw_fleet(channels=[{"name": "speed"}, {"name": "level", "nulls": [255]}]),
    }
    for name, word in (("range", "255"), ("nulls", "255"), ("null", "")):
        (tmp_path / name).mkdir()
        yard = Yard(tmp_path / name)
        yard.csv("a.csv", drive(["2", word, *level]))
        fleet = fleets.get(name, fleets["range"])
        _, lake = yard.ingest(fleet)
        build_store(lake, fleet, "vehicle", tmp_path / name / "store")
        stores[name] = WindowStore.open(tmp_path / name / "store")
        if name == "range":
            assert max(lake.read("a-1")["level"].to_pylist()) == 255
            counted = profile(lake, fleet).filter(pa.compute.field("channel") == "level")
            assert counted["out_of_range"].to_pylist() == [2] * 4
            assert counted["max"].to_pylist() == [255] * 4
        if name == "nulls":
            counted = profile(lake, fleet).filter(pa.compute.field("channel") == "level")
            assert counted["nulls"].to_pylist() == [2] * 4 and max(counted["max"].to_pylist()) == 3
    assert stores["range"].meta["made_null"] == stores["nulls"].meta["made_null"] == {"level": 8}
    assert stores["null"].meta["made_null"] == {}
    for store in stores.values():
        assert store.content["vehicles"] == stores["null"].content["vehicles"]
        assert store.scaler.to_json() == stores["null"].scaler.to_json()


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, Lake, Detector]:
    fleet, settings = make_lake(tmp_path_factory.mktemp("possible"))
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    return fleet, lake, fit_detector(fleet, lake)


def with_cells(table: pa.Table, name: str, rows: slice, value: float | None) -> pa.Table:
    values = table[name].to_pylist()
    values[rows] = [value] * len(values[rows])
    at = table.schema.get_field_index(name)
    return table.set_column(at, name, pa.array(values, pa.float64()))


@pytest.mark.parametrize("value", [65535.0, INF, -INF])
def test_scores_are_those_with_nulls_and_the_cells_are_counted(nights, value: float) -> None:
    _, lake, detector = nights
    rows = lake.read_day("a-1", START + timedelta(days=1))
    sent, null = (with_cells(rows, "speed", slice(300, 340), v) for v in (value, None))
    one, two = (score_table(detector, "a-1", table) for table in (sent, null))
    assert one.table.equals(two.table) and one.incidents == two.incidents
    assert one.made_null == {"speed": 40} and two.made_null == {}
    assert one.table["imputed"].to_pylist()[300:340] == [True] * 40
    frame = sent.to_pandas().assign(vehicle="a-1")
    answer = DetectorModel(detector).predict(frame.assign(timestamp=frame["timestamp"]))
    np.testing.assert_array_equal(
        answer["score"].to_numpy(np.float32), one.table["score"].to_numpy().astype(np.float32)
    )


def test_only_the_scored_rows_are_counted(nights) -> None:
    _, lake, detector = nights
    rows = lake.read_day("a-1", START + timedelta(days=1))
    sent = with_cells(rows, "speed", slice(100, 300), 65535.0)
    start = sent["timestamp"].cast(pa.int64())[250].as_py()
    assert score_table(detector, "a-1", sent, start_us=start).made_null == {"speed": 50}


@pytest.mark.parametrize("value", [None, INF, 65535.0])
def test_a_channel_that_is_never_measured_is_told(nights, value: float | None) -> None:
    _, lake, detector = nights
    rows = lake.read_day("a-1", START + timedelta(days=1))
    assert score_table(detector, "a-1", rows).unmeasured == ()
    silent = with_cells(rows, "torque", slice(None), value)
    scored = score_table(detector, "a-1", silent)
    assert scored.unmeasured == ("torque",)
    assert scored.made_null == ({} if value is None else {"torque": rows.num_rows})
    assert "scored" in scored.table["status"].to_pylist()


@pytest.mark.parametrize("history", [False, True])
def test_a_vehicle_that_measured_nothing_has_no_score(nights, history: bool) -> None:
    _, lake, detector = nights
    rows = lake.read_day(VEHICLES[0], START + timedelta(days=1))
    start = 900 if history else 0
    silent = rows
    for name in ("speed", "torque", "heat"):
        silent = with_cells(silent, name, slice(start, None), INF)
    start_us = rows["timestamp"].cast(pa.int64())[start].as_py()
    scored = score_table(detector, VEHICLES[0], silent, start_us=start_us)
    assert scored.table.num_rows == rows.num_rows - start
    assert set(scored.table["status"].to_pylist()) == {"no_values"}
    assert scored.table["score"].null_count == scored.table.num_rows
    assert scored.incidents == [] and scored.unmeasured == ("speed", "torque", "heat")


def test_a_large_counter_keeps_its_units_to_the_store_and_back(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    count = 1_700_000_000 + np.arange(400)
    yard.csv("a.csv", [f"a-1,{at(n)},50,{c}" for n, c in enumerate(count)])
    fleet = raw_fleet()
    _, lake = yard.ingest(fleet)
    build_store(lake, fleet, "vehicle", tmp_path / "store")
    store = WindowStore.open(tmp_path / "store")
    np.testing.assert_array_equal(store.series("a-1").value_TC[:, 1], count)
    scaled = store.scaled("a-1")
    step_T = np.diff(scaled.value_TC[:, 1])
    np.testing.assert_allclose(step_T, step_T.mean(), rtol=1e-3)

    class Kept:
        fleet, scaler = store, Scaler.from_json(store.scaler.to_json())

        @staticmethod
        def score(series):
            return series

    back = Defender(Kept, store.scaler).score(scaled)
    np.testing.assert_allclose(back.value_TC, scaled.value_TC, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.slow
def test_a_scoring_job_counts_them_in_its_log_and_manifest(place, capsys) -> None:
    fleet, settings = place
    day = START + timedelta(days=30)
    rows = night(day, "a-1")
    rows = with_cells(rows, "torque", slice(100, 112), 65535.0)
    pq.write_table(rows, settings.data_dir / "nights" / f"{day}-a-1.parquet")
    refresh(fleet, settings)
    log = run_job(fleet, settings, first=day, last=day).content()
    assert log["made_null"] == {"torque": 12} and log["unmeasured"] == {}
    manifest = read_json(folder(settings.runs_dir("nights"), "scores", "1", day) / "_manifest.json")
    assert manifest["made_null"] == {"torque": 12}
    assert "torque: 12 impossible values taken as null" in capsys.readouterr().err
