"""Where an incident's channels stand, against the vehicle's own past and its class that day."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from report_kit import FIRST_DAY, SECOND, an_incident, day_start, write_data, write_fleet

from amad.config import Channel
from amad.incidents import peers
from amad.incidents.incident import Incident, continue_incident, gaps_of, joined
from amad.incidents.peers import with_peers
from amad.incidents.wording import Gap, gap_words
from amad.telemetry.lake import Lake
from amad.windows.scaler import Scaler
from amad.windows.store import WindowStore

VANS = [f"van-{n}" for n in range(5)]
COOLANT, SPEED, GEAR = "Vehicle.Coolant", "Vehicle.Speed", "Vehicle.Gear"
DAY = FIRST_DAY + timedelta(days=1)


@pytest.fixture(scope="module")
def yard(tmp_path_factory) -> tuple[Lake, Scaler]:
    home = tmp_path_factory.mktemp("peers")
    fleet = write_fleet(home)
    settings = write_data(fleet, home, VANS)
    folder = settings.fleet_dir(fleet.name)
    return Lake(folder / "lake", fleet), WindowStore.open(folder / "store").scaler


def of(lake: Lake, **changes) -> Incident:
    channels = {"channels": (COOLANT, GEAR), "shares": (0.6, 0.3)}
    return an_incident(lake.fleet, "van-0", 1, 100, 50, **channels | changes)


def values(lake: Lake, vehicle: str, first: int = 0, last: int = 600) -> np.ndarray:
    return lake.read_day(vehicle, DAY)[COOLANT].to_numpy()[first:last]


def test_the_gaps_are_those_of_the_medians(yard):
    """Against numpy: the level of the incident's rows, the train mean, the peers' day medians."""
    lake, scaler = yard
    [found] = with_peers([of(lake)], scaler, lake, DAY, VANS)
    (gap, gear) = gaps_of(found)
    level = np.median(values(lake, "van-0", 100, 150))
    levels = np.array([np.median(values(lake, name)) for name in VANS[1:]])
    at = scaler.channels.index(COOLANT)
    mean_C, scale_C = scaler.tables["vehicle"]["van-0"]
    spread = max(1.4826 * np.median(np.abs(levels - np.median(levels))), 0.5 * scale_C[at])
    away = level - np.median(levels)
    past = level - mean_C[at]
    assert gap == pytest.approx(Gap(past, past / scale_C[at], away, away / spread, 4), rel=1e-5)
    assert gear == Gap(), "codes have no distances"


def test_they_follow_from_the_incident_and_the_date_alone(yard):
    """So a date is the same whether a vehicle was scored anew or kept, and in any order."""
    lake, scaler = yard
    one, other = of(lake), replace(of(lake), vehicle="van-1", incident_id="i")
    once = with_peers([one, other], scaler, lake, DAY, VANS)
    assert with_peers(once[::-1], scaler, lake, DAY, VANS[::-1]) == once[::-1]
    assert with_peers([one], scaler, lake, DAY, VANS) == once[:1]


def test_of_an_incident_over_midnight_the_rows_of_the_date_count(yard):
    lake, scaler = yard
    long = replace(of(lake), start=day_start(0), end=day_start(1) + 150 * SECOND)
    [found] = with_peers([long], scaler, lake, DAY, VANS)
    short = replace(long, start=day_start(1))
    [wanted] = with_peers([short], scaler, lake, DAY, VANS)
    assert gaps_of(found) == gaps_of(wanted) != [Gap(), Gap()]


def test_an_incident_whose_worst_part_was_the_day_before_keeps_the_gaps_of_that_day(yard):
    lake, scaler = yard
    eve = of(lake, deviation=90.0, past_gaps=(30.0, None),
             past_sizes=(3.0, None), class_gaps=(20.0, None), class_sizes=(4.0, None),
             peers=(4, 0))  # fmt: skip
    eve = replace(eve, start=day_start(0), end=day_start(1), open_until=day_start(1))
    calm = of(lake, deviation=5.0, channels=(SPEED,), shares=(0.9,))
    calm = replace(calm, open_from=day_start(1))
    for head, keeps in ((calm, True), (replace(calm, deviation=990.0), False)):
        goes_on = continue_incident(eve, [head], gap_us=SECOND)
        [found] = with_peers(goes_on, scaler, lake, DAY, VANS, before={"van-0": eve})
        [alone] = with_peers(goes_on, scaler, lake, DAY, VANS)
        assert gaps_of(found) == gaps_of(eve if keeps else alone) != [Gap()]
        # Scored anew or kept as it is published, the date is the same.
        assert with_peers([found], scaler, lake, DAY, VANS, before={"van-0": eve}) == [found]


@pytest.mark.parametrize("others", [0, 2])
def test_too_few_peers_are_told_as_none(yard, others):
    lake, scaler = yard
    [found] = with_peers([of(lake)], scaler, lake, DAY, VANS[: 1 + others])
    gap = gaps_of(found)[0]
    assert (gap.class_, gap.class_size, gap.peers) == (None, None, others)
    assert gap.past is not None and gap.past_size is not None


def test_a_vehicle_without_history_has_no_past_of_its_own(yard, monkeypatch):
    lake, scaler = yard
    monkeypatch.delitem(scaler.tables["vehicle"], "van-0")
    [found] = with_peers([of(lake)], scaler, lake, DAY, VANS)
    gap = gaps_of(found)[0]
    assert gap.past is gap.past_size is None and gap.class_ is not None


def test_what_was_not_measured_or_not_possible_is_compared_with_nothing(yard, monkeypatch):
    """Nothing in the incident's rows; values outside the channel's range are none."""
    lake, scaler = yard
    [found] = with_peers([of(lake, channels=(), shares=())], scaler, lake, DAY, VANS)
    assert gaps_of(found) == []
    read = Lake.read_day

    def odd(self, vehicle, date, columns=None) -> pa.Table:
        table = read(self, vehicle, date, columns)
        wrong = pa.array([None if vehicle == "van-0" else 1e6] * len(table), pa.float64())
        at = table.schema.get_field_index(SPEED)
        return table.set_column(at, SPEED, wrong) if vehicle in VANS[:2] else table

    monkeypatch.setattr(Lake, "read_day", odd)
    item = of(lake, channels=(SPEED,), shares=(0.6,))
    other = replace(item, vehicle="van-2")
    nothing, found = with_peers([item, other], scaler, lake, DAY, VANS)
    assert gaps_of(nothing) == [Gap()] and gaps_of(found)[0].peers == 2


def test_of_a_large_class_a_spread_sample_is_read(yard, monkeypatch):
    lake, scaler = yard
    monkeypatch.setattr(peers, "MOST_PEERS", 3)
    for vehicle in ("van-0", "van-1", "van-4"):
        item = replace(of(lake), vehicle=vehicle)
        [found] = with_peers([item], scaler, lake, DAY, VANS)
        assert gaps_of(found)[0].peers in (3, 4), "the vehicle itself may be in the sample"


KNOWN = {
    "tyre": Channel(name="tyre", label="Tyre pressure", unit="kPa"),
    "code": Channel(name="code", kind="categorical"),
}


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Gap(-31.2, -6.04, -28.0, -9.0, 11), "Tyre pressure is 31.2 kPa below its own past (6 "
         "times its usual spread), 28 kPa below its class that day (11 vehicles)."),
        (Gap(9.0, 2.0, -1.0, -0.2, 1200), "Tyre pressure is 9 kPa above its own past (2 times its "
         "usual spread), and like its class that day (1,200 vehicles)."),
        (Gap(-0.000631, -0.02, None, None, 0), "Tyre pressure is where it usually is (by its "
         "median)."),
        (Gap(8.9, 1.99, -28.0, -9.0, 11), "Tyre pressure is where it usually is (by its median), "
         "28 kPa below its class that day (11 vehicles)."),
        (Gap(0.0, 0.0, 1.0, 0.2, 3), "Tyre pressure is where it usually is (by its median), and "
         "like its class that day (3 vehicles)."),
        (Gap(-31.2, -6.04, None, None, 2), "Tyre pressure is 31.2 kPa below its own past (6 "
         "times its usual spread)."),
        (Gap(None, None, 5.0, 2.0, 3), "Tyre pressure is 5 kPa above its class that day (3 "
         "vehicles); the vehicle has no past of its own."),
        (Gap(None, None, None, None, 1), None),
        (Gap(), None),
    ],
)  # fmt: skip
def test_the_words(gap: Gap, words: str | None) -> None:
    found = gap_words(["tyre", "code"], [0.5, 0.4], [gap, Gap()], KNOWN)
    assert found == ([] if words is None else [words])
    assert gap_words(["code", "tyre"], [0.9, 0.1], [Gap(), gap], KNOWN) == []
    assert gap_words(["tyre"], [0.9], [], KNOWN) == []


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Gap(2.0, 2.1), ["Tyre pressure is 2 kPa above its own past."]),
        (Gap(0.1, 0.1), []),
        (Gap(0.1, 0.1, 5.0, 3.0, 4), ["Tyre pressure is 5 kPa above its class that day (4 "
                                      "vehicles)."]),
    ],
)  # fmt: skip
def test_of_a_first_move_no_usual_spread_is_told(gap: Gap, words: list[str]) -> None:
    assert gap_words(["tyre"], [0.9], [gap], KNOWN, "first_move") == words


def test_a_gap_in_percent_is_told_in_points() -> None:
    pedal = {"pedal": Channel(name="pedal", unit="percent")}
    (told,) = gap_words(["pedal"], [0.9], [Gap(-7.5, -3.0)], pedal)
    assert told.startswith("pedal is 7.5 percentage points below its own past")


def test_the_gaps_of_several_dates_are_those_of_the_channels_that_are_told(yard):
    lake, scaler = yard
    bad = of(lake, deviation=90.0)
    calm = of(lake, deviation=5.0, channels=(SPEED,), shares=(0.9,))
    [bad], [calm] = (with_peers([item], scaler, lake, DAY, VANS) for item in (bad, calm))
    assert gaps_of(joined([bad, calm])) == gaps_of(bad)
