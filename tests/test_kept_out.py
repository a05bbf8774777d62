"""Days on which a sensor failed: scored without its channel, and left out if little remains."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scoring_kit import AFTER, FAULTY, fit_detector, make_lake

from amad.scores.daily import score_vehicle_day
from amad.telemetry.kept_out import WHOLE, failed_channels, kept_out
from amad.telemetry.lake import Lake

VEHICLE = "b-1"
EVE = FAULTY - timedelta(days=1)


@pytest.fixture(scope="module", params=["centred", "trailing"])
def nights(request, tmp_path_factory):
    """(lake, detector); no test changes them."""
    fleet, settings = make_lake(tmp_path_factory.mktemp("kept_out"))
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    members = ["innovation", "relation"]
    return lake, fit_detector(fleet, lake, members=members, smoothing=request.param)


def scored(nights, day, failed, states=None):
    lake, detector = nights
    lake = lake.without(failed)
    return score_vehicle_day(detector, lake.fleet, lake, VEHICLE, day, states=states)


@pytest.mark.parametrize(
    ("vehicle", "failed", "without"),
    [
        ("b-1", ["heat"], {"heat"}),
        ("b-1", ["heat", "speed", "heat"], {"heat", "speed"}),  # two of four are left
        ("b-1", ["heat", "speed", "torque"], WHOLE),
        ("a-1", ["heat"], {"heat"}),
        ("a-1", ["heat", "speed"], WHOLE),  # the class has no charge
        ("a-1", ["heat", None], WHOLE),
        ("a-1", [None], WHOLE),
    ],
)
def test_a_day_is_left_out_for_itself_or_if_most_channels_failed(nights, vehicle, failed, without):
    fleet = nights[0].fleet
    assert failed_channels(fleet, vehicle, failed) == without
    rows = [{"vehicle": vehicle, "date": FAULTY, "channel": channel} for channel in failed]
    assert kept_out(fleet, rows) == {(vehicle, FAULTY): without}


def test_a_lake_without_a_channel_has_all_rows_and_another_hash(nights):
    lake = nights[0]
    without = lake.without({(VEHICLE, FAULTY): ["heat"]})
    whole, cut = lake.read(VEHICLE), without.read(VEHICLE)
    on = pc.equal(cut["timestamp"].cast(pa.date32()), FAULTY)
    assert cut["heat"].is_null().equals(on) and cut.drop(["heat"]).equals(whole.drop(["heat"]))
    assert without.read_day(VEHICLE, FAULTY, ["timestamp", "heat"])["heat"].null_count
    assert without.read_day(VEHICLE, FAULTY, ["timestamp", "speed"])["speed"].null_count == 0
    hashes = {item.part_sha256(VEHICLE, FAULTY) for item in (lake, without)}
    hashes.add(lake.without({(VEHICLE, FAULTY): ["speed"]}).part_sha256(VEHICLE, FAULTY))
    assert len(hashes) == 3
    assert lake.part_sha256(VEHICLE, AFTER) == without.part_sha256(VEHICLE, AFTER)
    assert lake.read(VEHICLE).equals(whole), "the lake itself is what it was"


def test_a_fault_is_found_on_a_day_without_another_channel(nights):
    whole = scored(nights, FAULTY, {})
    without = scored(nights, FAULTY, {(VEHICLE, FAULTY): ["heat"]})
    assert without.unmeasured == ("heat",) and whole.unmeasured == ()
    assert without.table["status"].equals(whole.table["status"])
    names = pc.list_flatten(without.table["top_channels"]).to_pylist()
    assert names[0] == "torque" and "heat" not in names
    (incident,) = without.incidents
    assert incident.channels[0] == "torque" and "heat" not in incident.channels
    assert abs(incident.start - whole.incidents[0].start) <= 60_000_000  # a minute of an hour


def test_nothing_is_put_down_to_a_channel_that_is_left_out(nights):
    """Not even just after midnight, when its errors of the day before are near."""
    failed = {(VEHICLE, AFTER): ["torque"]}
    found = scored(nights, AFTER, failed)
    assert found.table["alarm"].to_numpy().any()
    assert "torque" not in pc.list_flatten(found.table["top_channels"]).to_pylist()
    assert all("torque" not in incident.channels for incident in found.incidents)


@pytest.mark.parametrize("failed", [["speed"], ["speed", "torque"]])
def test_a_sensor_that_died_raises_no_alarm_on_the_channels_beside_it(nights, failed):
    """Torque follows speed, which is dead, and may be dead too."""
    day = EVE - timedelta(days=1)
    whole, without = scored(nights, day, {}), scored(nights, day, {(VEHICLE, day): failed})
    assert set(without.table["status"].to_pylist()) <= {"scored", "no_history"}
    alarms = [pc.sum(found.table["alarm"]).as_py() for found in (whole, without)]
    assert alarms[1] <= alarms[0] and len(without.incidents) <= len(whole.incidents)


def test_the_day_after_has_the_bytes_that_it_has_from_scratch(nights):
    failed = {(VEHICLE, FAULTY): ["heat"]}
    states: dict = {}
    for day in (FAULTY, AFTER):
        found = scored(nights, day, failed, states)
        assert found.table.equals(scored(nights, day, failed).table)
    assert not scored(nights, FAULTY, failed).table.equals(scored(nights, FAULTY, {}).table)
