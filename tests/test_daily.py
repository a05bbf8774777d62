"""One vehicle-day from the lake to score rows."""

from copy import copy
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scoring_kit import (
    CONTENT,
    FAULTY,
    FLEET,
    NIGHTS,
    START,
    VEHICLES,
    fit_detector,
    make_lake,
    refresh,
)

from amad.config import Channel, DataError, Fleet
from amad.incidents.incident import CONTEXT_ROWS
from amad.scores.daily import TOP, day_bounds, new_channels, score_table, score_vehicle_day
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import SCORES, UNSCORED
from amad.windows.short_history import Known

DAYS = [START + timedelta(days=n) for n in range(NIGHTS + 1)]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory):
    """(fleet, settings, lake, detector); no test changes them."""
    fleet, settings = make_lake(tmp_path_factory.mktemp("daily"))
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    return fleet, settings, lake, fit_detector(fleet, lake)


def score(nights, vehicle, day, quarantined=()):
    fleet, _, lake, detector = nights
    return score_vehicle_day(detector, fleet, lake, vehicle, day, quarantined)


@pytest.mark.parametrize("vehicle", VEHICLES)
def test_every_lake_row_of_the_day_has_one_score_row(nights, vehicle):
    lake = nights[2]
    for day in DAYS:
        table = score(nights, vehicle, day).table
        assert table.schema == SCORES
        assert table["timestamp"].equals(lake.read_day(vehicle, day)["timestamp"])
        assert set(table["status"].to_pylist()) <= {"scored", *UNSCORED}
        scored = pc.equal(table["status"], "scored")
        assert scored.equals(table["score"].is_valid())
        assert not pc.any(pc.is_nan(table["score"])).as_py()


def test_rows_after_the_day_change_nothing(nights, tmp_path):
    fleet, _, lake, detector = nights
    short, settings = make_lake(tmp_path / "home", nights=3)
    last = START + timedelta(days=2)
    before = Lake(settings.fleet_dir(short.name) / "lake", short)
    assert before.dates()[-1] == last + timedelta(days=1) < lake.dates()[-1]
    for vehicle in VEHICLES:
        then = score_vehicle_day(detector, fleet, before, vehicle, last)
        assert then.table.equals(score(nights, vehicle, last).table)


def test_the_history_before_the_day_is_all_that_the_score_needs(nights):
    """The whole record gives the same scores and alarms, and nearly the same thresholds.

    The rows just before a midnight count as they were scored, without the rows after it.
    """
    _, _, lake, detector = nights
    day = START + timedelta(days=3)
    start, end = day_bounds(day)
    whole = score_table(detector, "a-1", lake.read("a-1", None, end), start_us=start)
    daily = score(nights, "a-1", day)
    for column, tolerance in (("score", 1e-4), ("threshold", 1e-2)):
        ours, theirs = (found.table[column].to_numpy() for found in (daily, whole))
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=1e-5)
        assert len(np.unique(ours)) > 5
    assert daily.table["alarm"].equals(whole.table["alarm"])
    assert [i.incident_id for i in daily.incidents] == [i.incident_id for i in whole.incidents]


def test_the_fault_is_found_and_its_channel_named(nights):
    result = score(nights, "b-1", FAULTY)
    worst = max(result.incidents, key=lambda incident: incident.severity)
    assert worst.channels[0] == "torque"
    alarms = result.table.filter(result.table["alarm"])
    assert alarms.num_rows > 100
    for row in alarms.to_pylist():
        assert 1 <= len(row["top_channels"]) == len(row["top_shares"]) <= TOP
        assert row["top_shares"] == sorted(row["top_shares"], reverse=True)
        assert sum(row["top_shares"]) <= 1 + 1e-5
    quiet = result.table.filter(pc.invert(result.table["alarm"]))
    assert pc.sum(pc.list_value_length(quiet["top_channels"])).as_py() == 0


def test_a_class_without_a_channel_is_never_blamed_for_it(nights):
    for day in DAYS:
        names = score(nights, "a-2", day).table["top_channels"]
        assert "charge" not in pc.list_flatten(names).to_pylist()


def test_a_quarantined_day_has_rows_and_no_scores(nights):
    result = score(nights, "b-1", FAULTY, {FAULTY})
    assert result.table.num_rows == nights[2].read_day("b-1", FAULTY).num_rows
    assert set(result.table["status"].to_pylist()) == {"quarantined"}
    assert result.table["score"].null_count == result.table.num_rows
    assert not pc.any(result.table["alarm"]).as_py()
    assert result.incidents == []


def test_a_quarantined_day_is_no_history(nights):
    """The fault before midnight weighs on the morning after, unless its day is kept out."""
    after = FAULTY + timedelta(days=1)
    with_it, without = score(nights, "b-1", after), score(nights, "b-1", after, {FAULTY})
    assert not with_it.table["score"].equals(without.table["score"])
    _, _, lake, detector = nights
    alone = score_table(detector, "b-1", lake.read_day("b-1", after))
    assert without.table.equals(alone.table)


def test_a_short_stretch_is_not_scored(nights):
    fleet, _, lake, detector = nights
    few = lake.read_day("a-1", START).slice(0, fleet.missing.min_segment_rows - 1)
    table = score_table(detector, "a-1", few).table
    assert set(table["status"].to_pylist()) == {"too_short"}
    assert table["score"].null_count == table.num_rows == few.num_rows


def test_a_vehicle_never_seen_is_scored_by_its_class(nights):
    _, _, lake, detector = nights
    rows = lake.read_day("b-1", START)
    table = score_table(detector, "b-9", rows).table
    assert set(table["status"].to_pylist()) == {"scored"}
    assert set(table["vehicle"].to_pylist()) == {"b-9"}


def test_a_vehicle_of_a_class_younger_than_the_detector_is_scored(nights, monkeypatch):
    fleet, _, lake, detector = nights
    vehicle = VEHICLES[0]
    content = fleet.model_dump()
    young = {"name": "young", "vehicles": [vehicle]}
    newer = Fleet.model_validate(content | {"vehicle_classes": [young, *fleet.vehicle_classes]})
    nobody = [{"name": c.name, "vehicles": ["nobody"]} for c in fleet.vehicle_classes]
    older = Fleet.model_validate(content | {"vehicle_classes": nobody})
    monkeypatch.setattr(detector, "fleet", older)  # in whose classes the vehicle is not
    table = score_vehicle_day(detector, newer, lake, vehicle, DAYS[1]).table
    assert table.num_rows == lake.read_day(vehicle, DAYS[1]).num_rows
    assert "scored" in table["status"].to_pylist()


def test_filled_values_are_flagged(nights):
    _, _, lake, detector = nights
    rows = lake.read_day("a-1", START)
    heat = rows["heat"].to_pylist()
    heat[100:103] = [None] * 3
    at = rows.schema.get_field_index("heat")
    holed = rows.set_column(at, rows.schema.field("heat"), pa.array(heat, pa.float64()))
    imputed = score_table(detector, "a-1", holed).table["imputed"].to_numpy()
    assert np.flatnonzero(imputed).tolist() == [100, 101, 102]


def test_several_rows_of_one_bin_share_its_score(nights):
    _, _, lake, detector = nights
    rows = lake.read_day("a-1", START)
    later = pc.add(rows["timestamp"], pa.scalar(timedelta(seconds=4)))
    double = rows.set_column(0, "timestamp", later.cast(rows.schema.field(0).type))
    both = pa.concat_tables([rows, double]).sort_by("timestamp")
    table = score_table(detector, "a-1", both).table
    assert table.num_rows == 2 * rows.num_rows
    score_R = table["score"].to_numpy()
    np.testing.assert_array_equal(score_R[::2], score_R[1::2])


def test_no_rows_are_no_error(nights):
    result = score(nights, "a-1", START - timedelta(days=30))
    assert result.table.num_rows == 0 and result.incidents == []


def test_a_detector_of_other_channels_is_refused(nights):
    _, _, lake, detector = nights
    other = Fleet.model_validate(CONTENT | {"channels": CONTENT["channels"][:-1]})
    with pytest.raises(DataError, match=r"other channels.*charge"):
        score_vehicle_day(detector, other, lake, "a-1", START)
    *rest, last = CONTENT["channels"]
    renamed = Fleet.model_validate(CONTENT | {"channels": [*rest, last | {"name": "load"}]})
    told = r"of the model alone: charge; of the fleet file alone: load\); keep the name .* 'column'"
    with pytest.raises(DataError, match=told):
        score_vehicle_day(detector, renamed, lake, "a-1", START)


def test_an_incident_has_the_values_of_the_context_channels_when_it_began(nights):
    """The present fleet file says which channels; no training is needed for it."""
    fleet, _, lake, detector = nights
    vehicle, day = "b-1", FAULTY
    (incident, *_) = score(nights, vehicle, day).incidents
    assert incident.context_channels == ()
    name = fleet.channel_names[0]
    marked = [c.model_copy(update={"context": c.name == name}) for c in fleet.channels]
    fleet = fleet.model_copy(update={"channels": marked})
    (found, *_) = score_vehicle_day(detector, fleet, lake, vehicle, day).incidents
    table = lake.read_day(vehicle, day)
    rows = pc.and_(
        pc.greater_equal(table["timestamp"].cast(pa.int64()), found.start),
        pc.less(table["timestamp"].cast(pa.int64()), found.end),
    )
    measured = table.filter(rows)[name].drop_null().to_numpy()[:CONTEXT_ROWS]
    assert found.context_channels == (name,)
    assert found.context_values == pytest.approx([np.median(measured)])


def test_a_channel_that_is_newer_than_the_detector_changes_no_score(nights, tmp_path):
    """Wherever it stands in the fleet file; the new one, here first, is not judged."""
    _, _, _, detector = nights
    newer, settings = make_lake(tmp_path)
    soc = Channel(name="soc", column="heat", context=True)
    newer = newer.model_copy(update={"channels": [soc, *reversed(newer.channels)]})
    lake = refresh(newer, settings)
    assert new_channels(detector, newer) == ["soc"]
    too_early = copy(detector)  # a training whose train part had no value of heat
    too_early.scaler = replace(detector.scaler, unlearnt=["heat"])
    assert new_channels(too_early, newer) == ["soc", "heat"]
    for vehicle in VEHICLES:
        before = score(nights, vehicle, FAULTY)
        now = score_vehicle_day(detector, newer, lake, vehicle, FAULTY)
        assert now.table.equals(before.table) and now.incidents == before.incidents
        assert "soc" not in now.unmeasured


def test_a_vehicle_whose_sensor_came_after_its_training_is_scored_without_it(tmp_path):
    """A gradual roll-out: others have it from the start, and it was learnt from them alone."""
    fleet, settings = make_lake(tmp_path / "home")
    for path in (settings.data_dir / FLEET).glob("*-a-2-*"):
        table = pq.read_table(path)
        if not path.name.startswith(str(FAULTY)):
            at, none = table.schema.get_field_index("heat"), pa.nulls(len(table), pa.float64())
            pq.write_table(table.set_column(at, "heat", none), path)
    lake = refresh(fleet, settings)
    detector = fit_detector(fleet, lake)
    found = {v: score_vehicle_day(detector, fleet, lake, v, FAULTY) for v in VEHICLES}
    assert {v: item.unlearnt for v, item in found.items()} == {
        "a-1": (),
        "a-2": ("heat",),
        "b-1": (),
    }
    assert not found["a-2"].incidents and not found["a-2"].unmeasured
    assert "scored" in found["a-2"].table["status"].to_pylist()
    before = score_vehicle_day(detector, fleet, lake, "a-2", FAULTY - timedelta(days=1))
    assert (before.unmeasured, before.unlearnt) == (("heat",), ())


def test_a_vehicle_that_stood_still_throughout_its_training_is_scored(tmp_path, monkeypatch):
    """Of a long history in which nothing ever moved, no member has a calibration."""
    monkeypatch.setattr(Known, "long_rows", 0)
    fleet, settings = make_lake(tmp_path / "home")
    for path in (settings.data_dir / FLEET).glob("*-a-2-*"):
        table = pq.read_table(path)
        for at, name in enumerate(table.column_names):
            if name in fleet.channel_by_name and not path.name.startswith(str(FAULTY)):
                table = table.set_column(at, name, pa.array([1.0] * len(table)))
        pq.write_table(table, path)
    lake = refresh(fleet, settings)
    detector = fit_detector(fleet, lake)
    assert not detector.figures["vehicle/a-2"].calibration
    found = score_vehicle_day(detector, fleet, lake, "a-2", FAULTY)
    assert "scored" in found.table["status"].to_pylist() and found.unlearnt == ()
