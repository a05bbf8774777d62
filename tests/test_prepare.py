"""From the lake to the store: two passes, quarantine, cold vehicles, and no leak on the way."""

import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import yaml
from ingest_kit import HEADER, START_US, Yard, at, raw_fleet

from amad.config import DataError, Fleet, Params, Settings, load_fleet
from amad.ingest.ingestion import ingest
from amad.telemetry.files import read_json, write_parquet
from amad.telemetry.schemas import QUARANTINE
from amad.windows import TEST, TRAIN, WindowStore
from amad.windows.build import build_store, quarantined_days
from pipelines import prepare

DAY = 86_400
SPLIT = {"calibration_share": 0.2, "test_share": 0.3, "purge_rows": 5}


def drive(vehicle: str, days: range, rows: int = 60, level: str = "") -> list[str]:
    """A drive a day, a row a second; speed is a wave, level as given (default: missing)."""
    return [
        f"{vehicle},{at(day * DAY + n)},{50 + 40 * np.sin(n / 7 + day):.4f},{level}"
        for day in days
        for n in range(rows)
    ]


def quarantine(*days: tuple[str, int]) -> pa.Table:
    rows = [
        {
            "vehicle": vehicle, "date": datetime.date(2026, 1, 5 + day), "channel": None,
            "check": "rows", "value": 1.0, "limit": 2.0, "reason": "test",
        }
        for vehicle, day in days
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=QUARANTINE)


def build(yard: Yard, fleet: Fleet, *out: tuple[str, int]) -> WindowStore:
    _, lake = yard.ingest(fleet)
    path = yard.settings.fleet_dir(fleet.name) / "store"
    build_store(lake, fleet, "vehicle", path, quarantined_days(quarantine(*out)))
    return WindowStore.open(path)


def test_every_vehicle_is_split_in_time_order_and_segmented_by_drive(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(5), level="3"))
    store = build(yard, raw_fleet(split=SPLIT))
    series = store.series("a-1")
    assert len(series.segments()) == 5
    parts = store.content["vehicles"]["a-1"]["parts"]
    assert parts == {"train": 145, "calibration": 55, "test": 90, "purged": 10}
    kept = series.split_T[series.split_T != 3].astype(int)
    assert (np.diff(kept) >= 0).all()
    assert store.meta["cold"] == [] and store.meta["data_hash"]


def test_a_fleet_without_rows_for_the_threshold_is_told_so_before_it_is_trained(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(5), level="3"))
    split = SPLIT | {"calibration_share": 0.02, "test_share": 0.0}
    with pytest.raises(DataError) as caught:
        build(yard, raw_fleet(split=split))
    assert "no vehicle has" in str(caught.value)
    assert "(the most that one has are 4); raise split.calibration_share" in str(caught.value)


def test_a_quarantined_day_is_absent_and_ends_the_segment(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(5), level="3"))
    yard.csv("b.csv", drive("a-2", range(1), level="3"))
    store = build(yard, raw_fleet(split=SPLIT), ("a-1", 2), ("a-1", 2), ("a-2", 0))
    day_T = (store.series("a-1").timestamp_T - START_US) // (DAY * 1_000_000)
    assert sorted(set(day_T.tolist())) == [0, 1, 3, 4]
    assert store.vehicles == ["a-1"] and store.meta["empty"] == ["a-2"]
    assert store.meta["quarantined_days"] == 2


def test_a_channel_without_values_is_the_train_mean_of_its_class_and_flagged(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(3), level="3") + drive("a-2", range(3)))
    store = build(yard, raw_fleet(split=SPLIT))
    series = store.series("a-2")
    level = store.channels.index("level")
    assert (series.value_TC[:, level] == 3).all() and not series.valid_TC[:, level].any()
    assert (store.scaled("a-2").value_TC[:, level] == 0).all()


def test_of_a_channel_that_came_later_nothing_is_learnt_before_it_is_in_the_train_part(
    yard: Yard,
) -> None:
    """The older days stay in training; the model is told to say nothing about the channel."""
    channels = [{"name": "speed"}, {"name": "level", "since": "2026-01-09"}]
    fleet = raw_fleet(split=SPLIT, channels=channels)
    rows = drive("a-1", range(5), level="3")
    older = [text.rpartition(",")[0] for text in rows if "2026-01-09" not in text]
    yard.csv("a.csv", older, HEADER.removesuffix(",level"))
    yard.csv("b.csv", [text for text in rows if "2026-01-09" in text])
    store = build(yard, fleet)
    assert store.meta["unlearnt"] == store.scaler.unlearnt == ["level"]
    assert store.content["vehicles"]["a-1"]["parts"]["train"] == 145
    yard.csv("a.csv", drive("a-1", range(4), level="3"))
    assert build(yard, fleet).meta["unlearnt"] == []


def test_a_vehicle_with_too_few_train_rows_is_kept_and_named_cold(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(3), level="3") + drive("a-2", range(1), 12, level="4"))
    store = build(yard, raw_fleet(split=SPLIT))
    assert store.meta["cold"] == ["a-2"] and store.series("a-2").rows == 12
    own = store.scaler.figures("a-2", "a")
    np.testing.assert_array_equal(own, store.scaler.tables["class"]["a"])


def test_nothing_to_train_on_says_what_to_do(yard: Yard) -> None:
    yard.csv("a.csv", drive("a-1", range(1), 8, level="3"))
    with pytest.raises(DataError, match="min_segment_rows"):
        build(yard, raw_fleet(split=SPLIT))


def test_what_the_test_part_holds_changes_nothing_before_it(tmp_path: Path) -> None:
    """The scaler and every earlier row stay bit for bit when the test part's values change."""
    stores = []
    for name, change in (("one", 0.0), ("two", 900.0)):
        (tmp_path / name).mkdir()
        yard = Yard(tmp_path / name)
        lines = drive("a-1", range(5), level="3")
        changed = [
            ",".join([*line.split(",")[:2], str(change + float(line.split(",")[2])), "7"])
            for line in lines[210:]
        ]
        yard.csv("a.csv", lines[:210] + (changed if change else lines[210:]))
        stores.append(build(yard, raw_fleet(split=SPLIT)))
    one, two = (store.series("a-1") for store in stores)
    before = one.split_T != TEST
    np.testing.assert_array_equal(one.split_T, two.split_T)
    np.testing.assert_array_equal(one.value_TC[before], two.value_TC[before])
    assert not np.array_equal(one.value_TC[~before], two.value_TC[~before])
    assert stores[0].scaler.to_json() == stores[1].scaler.to_json()


def test_the_stage_needs_validate_and_says_what_it_left_out(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = raw_fleet(split=SPLIT)
    conf = yard.settings.conf_dir / "fleet"
    conf.mkdir(parents=True)
    (conf / "tiny.yaml").write_text(
        yaml.safe_dump(fleet.model_dump(mode="json", exclude_unset=True))
    )
    yard.csv("a.csv", drive("a-1", range(3), level="3") + drive("a-2", range(1), 12, level="4"))
    yard.ingest(fleet)
    with pytest.raises(DataError, match="is missing; run 'amad validate'"):
        prepare.run(Params(fleet="tiny"), yard.settings)
    folder = yard.settings.fleet_dir("tiny")
    write_parquet(quarantine(("a-1", 1)), folder / "quarantine.parquet", QUARANTINE)
    content = prepare.run(Params(fleet="tiny"), yard.settings)
    assert content == read_json(folder / "store" / "store.json", "prepare")
    told = capsys.readouterr().err
    assert "2 vehicles" in told and "scaled like their class: a-2" in told


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["smd", "asd", "kit_obd"])
def test_real_fleets_become_regular_finite_series(name: str, data_dir: Path, home: Path) -> None:
    settings = Settings(home=home, data_dir=data_dir)
    fleet = load_fleet(name, settings)
    folder = settings.fleet_dir(name)
    ingest(fleet, settings)
    write_parquet(quarantine(), folder / "quarantine.parquet", QUARANTINE)
    prepare.run(Params(fleet=name), settings)
    store = WindowStore.open(folder / "store")
    for vehicle in store.vehicles:
        series, scaled = store.series(vehicle), store.scaled(vehicle)
        for first, last in series.segments():
            assert (np.diff(series.timestamp_T[first:last]) == fleet.period_us).all()
        train = scaled.value_TC[scaled.split_T == TRAIN]
        assert np.isfinite(scaled.value_TC).all()
        assert np.abs(train.mean(0)).max() < 0.5 and train.std(0).max() < 1.5
        parts = store.content["vehicles"][vehicle]["parts"]
        assert min(parts["train"], parts["calibration"], parts["test"]) > 1000
