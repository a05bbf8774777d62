"""Which changes of incidents are told, as what they are grouped, and in which words."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from notify_kit import COOLANT, DAY, SPEED, VOLTAGE, Yard, an_incident

from amad.incidents.severity import level_of
from amad.notify.changes import brought_up_to_date, find_changes
from amad.notify.grouping import grouped
from amad.notify.ledger import after
from amad.notify.published import DAYS, Published, Window, read_window
from amad.notify.wording import notice_of, plain_text, subject

FLEET = frozenset({"van-1", "van-2", "van-3", "van-4"})


@pytest.fixture
def yard(tmp_path) -> Yard:
    return Yard(tmp_path / "home")


def window(*published: Published, nights: int = 1, vehicles: frozenset = FLEET) -> Window:
    dates = {DAY + timedelta(days=n): vehicles for n in range(nights)}
    return Window(
        dates=dates,
        versions=dict.fromkeys(dates, "1"),
        incidents={item.incident.incident_id: item for item in published},
    )


def published(incident=None, ongoing: bool = False, night: int = 0) -> Published:
    last = DAY + timedelta(days=night)
    return Published(
        incident=incident or an_incident(), last=last, ongoing=ongoing, model_version="1"
    )


def told_after(told: dict, now: Window, least: str = "low") -> tuple[list, dict]:
    told = brought_up_to_date(told, now)
    changes = find_changes(told, now, least)
    return changes, after(told, changes)


def history(*windows: Window) -> list[list[str]]:
    """The states that are told in each of the windows, one after the other."""
    told, states = {}, []
    for now in windows:
        changes, told = told_after(told, now)
        states.append([change.state for change in changes])
        assert told_after(told, now)[0] == [], "nothing is told twice"
    return states


def test_an_incident_is_told_when_it_is_new_worse_and_over():
    low, high = an_incident(severity=10), an_incident(severity=80)
    assert history(
        window(published(low, ongoing=True)),
        window(published(low, ongoing=True)),
        window(published(high, ongoing=True)),
        window(published(low, ongoing=True)),
        window(published(high, ongoing=True)),
        window(published(high)),
        window(published(high)),
    ) == [["new"], [], ["ongoing"], [], [], ["over"], []]


def test_one_that_was_over_when_it_was_found_is_told_once():
    assert history(window(published()), window(published())) == [["new"], []]
    worse = window(published(an_incident(severity=90)))
    assert history(window(published()), worse) == [["new"], ["over"]]


def test_one_that_goes_on_after_all_is_told():
    assert history(window(published()), window(published(ongoing=True)), window(published())) == [
        ["new"],
        ["ongoing"],
        ["over"],
    ]


def test_one_that_a_later_run_does_not_find_is_withdrawn_and_may_come_back():
    there, gone = window(published()), window()
    assert history(there, gone, gone, there, gone) == [
        ["new"], ["withdrawn"], [], ["new"], ["withdrawn"],
    ]  # fmt: skip
    told, keys = {}, []
    for now in (there, gone, there, gone):
        changes, told = told_after(told, now)
        keys += [change.key for change in changes]
    assert len(set(keys)) == 4, "the other side does not take the second one for a repetition"


def test_a_date_that_is_not_published_withdraws_nothing():
    """Its files are damaged, or another run is writing them."""
    without = Window(
        dates={DAY + timedelta(days=1): FLEET},
        versions={DAY + timedelta(days=1): "1"},
        incidents={},
    )
    assert history(window(published()), without) == [["new"], []]


def test_what_is_old_is_neither_told_nor_withdrawn():
    long_ago = window(published())
    later = Window(dates={DAY + timedelta(days=DAYS): FLEET}, versions={}, incidents={})
    assert history(long_ago, later) == [["new"], []]


def test_a_date_far_ahead_makes_nothing_be_told_twice():
    """A vehicle and the machine had a wrong clock for a night; then the date was set aside."""
    ahead = Window(dates={DAY + timedelta(days=365): FLEET}, versions={}, incidents={})
    assert history(window(published()), ahead, window(published())) == [["new"], [], []]


def test_what_was_told_long_ago_is_forgotten():
    nights = range(0, 2 * DAYS)
    made = [an_incident(night=n, hour=7) for n in nights]
    told = {}
    for n, item in zip(nights, made, strict=True):
        _, told = told_after(told, window(published(item, night=n), nights=n + 1))
    assert list(told) == [item.incident_id for item in made[-DAYS - 1 :]]


def test_one_that_goes_on_for_weeks_stays_known():
    nights = [window(published(ongoing=True, night=n), nights=n + 1) for n in range(0, 3 * DAYS, 4)]
    assert history(*nights) == [["new"], *[[]] * (len(nights) - 1)]


def test_below_the_least_level_nobody_is_told_until_it_is_reached():
    low, high = published(an_incident(severity=10)), published(an_incident(severity=60))
    told = {}
    states = []
    for now in (window(low), window(high), window(low), window()):
        changes, told = told_after(told, now, "high")
        states.append([change.state for change in changes])
    assert states == [[], ["new"], [], ["withdrawn"]]


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 99)), max_size=12))
def test_after_any_history_the_ledger_says_what_is_published(nights):
    told = {}
    for there, ongoing, severity in nights:
        item = an_incident(severity=severity, level=level_of(severity))
        now = window(*[published(item, ongoing)] * there)
        changes, told = told_after(told, now)
        assert len(changes) <= 1
        state = told[item.incident_id].state if told else None
        assert state == ("open" if ongoing else "over") if there else state in (None, "withdrawn")


def groups(*changes_of: Published, vehicles: frozenset = FLEET) -> list:
    now = window(*changes_of, vehicles=vehicles)
    return grouped(find_changes({}, now, "low"), now)


def test_incidents_of_one_vehicle_on_shared_channels_within_hours_are_one():
    near = [an_incident(hour=h) for h in (7, 9, 14)]  # each within 6 hours of the next
    other = an_incident(hour=8, channels={VOLTAGE: 0.9})
    far, elsewhere = an_incident(hour=23), an_incident(vehicle="van-2", hour=12)
    found = groups(*(published(i) for i in [*near, other, far, elsewhere]))
    sizes = sorted(len(group.changes) for group in found)
    assert sizes == [1, 1, 1, 3]
    (three,) = (group for group in found if len(group.changes) == 3)
    assert three.channels[0] == COOLANT and three.vehicles == ["van-1"] and not three.reporting
    notice = notice_of(three, kit_fleet(), "report.html")
    assert notice.headline == "van-1: 3 new incidents on the same sensors; worst high"


@pytest.mark.parametrize(("affected", "whole"), [(4, True), (3, True), (2, False)])
def test_the_same_channel_on_many_vehicles_at_one_time_is_one_of_the_fleet(affected, whole):
    found = groups(
        *(published(an_incident(f"van-{n + 1}", hour=7 + n / 4)) for n in range(affected))
    )
    assert len(found) == (1 if whole else affected)
    if whole:
        notice = notice_of(found[0], kit_fleet(), "report.html")
        what, where = f"new incident on {affected} of 4 vehicles", "on Coolant temperature"
        assert notice.headline == f"Whole fleet: {what} at the same time, {where}; worst high"
        assert "Coolant temperature (Vehicle.Coolant)" in " ".join(notice.sentences)
        assert notice.vehicles_reporting == 4 and len(notice.incidents) == affected


@pytest.mark.parametrize(("parked", "whole"), [(True, True), (False, False)])
def test_a_roll_out_that_meets_parked_vehicles_is_one_of_the_fleet(yard, parked, whole):
    """Each vehicle shows it when it drives next, and blames three channels in another order."""
    hours = dict(zip(yard.vehicles, (12, 14, 16, 18), strict=True))

    def drives(vehicle, hour_T):
        own = (hour_T >= 7) & (hour_T < 8) | (hour_T >= hours[vehicle]) & (hour_T < 20)
        return own if parked else hour_T >= 0

    names = [COOLANT, SPEED, VOLTAGE]
    found = [
        an_incident(vehicle, hour=hour + 0.5, channels=dict(zip(
            [*names[n % 3 :], *names[: n % 3]], (0.3, 0.24, 0.2), strict=True)))
        for n, (vehicle, hour) in enumerate(hours.items())
    ]  # fmt: skip
    again = an_incident("van-1", hour=16, channels={VOLTAGE: 0.3, COOLANT: 0.25})
    yard.publish(0, *found, again, drives=drives)
    now = read_window(yard.runs, "1")
    told = grouped(find_changes({}, now, "low"), now)
    assert [len(group.changes) for group in told] == ([5] if whole else [2, 1, 1, 1])
    if whole:
        notice = notice_of(told[0], kit_fleet(), "report.html")
        assert notice.headline == (
            "Whole fleet: new incident on 4 of 4 vehicles at the same time, on Coolant "
            "temperature, Voltage, Speed; worst high"
        )
        text = plain_text([notice], [], "r")
        assert "look for a leak" not in text, "what one vehicle suggests is no cause of all"
        assert "units, software or the export" in text
        assert subject([notice], "kit").startswith("amad kit: 1 new (1 of the whole fleet); ")


def test_one_whose_sensor_failed_its_checks_since_says_so(yard):
    told = {}
    words = []
    for withheld, found in (({}, [an_incident()]), ({"van-1": [COOLANT]}, []),
                            ({}, [an_incident()]), ({"van-2": [COOLANT]}, [])):  # fmt: skip
        yard.publish(0, *found, withheld=withheld)
        now = read_window(yard.runs, "1")
        changes, told = told_after(told, now)
        words.append(plain_text([notice_of(g, yard.fleet, "r") for g in grouped(changes, now)],
                                [], "r"))  # fmt: skip
    assert "Coolant temperature failed the checks of the data" in words[1]
    assert "failed" not in words[3] and "rows have changed" in words[3]


def test_three_of_twelve_vehicles_are_not_the_fleet():
    many = frozenset(f"van-{n}" for n in range(12))
    found = groups(*(published(an_incident(f"van-{n}")) for n in range(3)), vehicles=many)
    assert [group.reporting for group in found] == [0, 0, 0]


def test_a_fleet_that_alarms_all_day_is_not_one_incident():
    """Each begins within an hour of the next, and no hour has half of the vehicles."""
    many = frozenset(f"van-{n}" for n in range(12))
    day = [published(an_incident(f"van-{n}", hour=1 + 0.8 * n)) for n in range(12)]
    assert {group.reporting for group in groups(*day, vehicles=many)} == {0}
    burst = [published(an_incident(f"van-{n}", hour=7 + n / 20)) for n in range(12)]
    stray = published(an_incident("van-0", hour=6.5))
    found = groups(stray, *burst, vehicles=many)
    assert sorted(len(group.vehicles) for group in found) in ([12], [1, 12])


def test_other_channels_or_another_time_are_not_the_same():
    found = groups(
        published(an_incident("van-1")),
        published(an_incident("van-2", hour=12)),
        published(an_incident("van-3", channels={SPEED: 0.8, COOLANT: 0.2})),
    )
    assert len(found) == 3


def test_one_that_goes_on_and_moved_is_told_again_only_when_it_is_over():
    first, second, third = (an_incident(hour=hour) for hour in (7.2, 7.1, 7))
    _, told = told_after({}, window(published(first, ongoing=True)))
    for moved in (second, third):
        changes, told = told_after(told, window(published(moved, ongoing=True)))
        assert changes == [] and list(told) == [moved.incident_id]
    now = window(published(third))
    (group,) = grouped(told_after(told, now)[0], now)
    notice = notice_of(group, kit_fleet(), "report.html")
    assert notice.headline == "van-1: incident over; high"
    assert [item.replaces for item in notice.incidents] == [first.incident_id]
    assert any(f"told before as incident {first.incident_id}" in line for line in notice.sentences)


def test_one_that_is_over_and_moved_is_told_once_under_its_new_id():
    old, new, later = an_incident(), an_incident(hour=7.1), an_incident(hour=7.2)
    _, told = told_after({}, window(published(old)))
    (change,), told = told_after(told, window(published(new)))
    assert (change.state, change.replaces) == ("over", old.incident_id)
    assert told_after(told, window(published(new)))[0] == []
    (change,), told = told_after(told, window(published(later)))
    assert change.replaces == new.incident_id, "the id under which it was told last"


def test_of_two_that_became_one_the_second_is_withdrawn():
    one, two, both = an_incident(hour=7), an_incident(hour=7.6), an_incident(hour=6.9, hours=2)
    _, told = told_after({}, window(published(one), published(two)))
    now = window(published(both))
    changes, told = told_after(told, now)
    assert {c.state: c.incident_id for c in changes} == {
        "over": both.incident_id, "withdrawn": two.incident_id,
    }  # fmt: skip
    assert told[both.incident_id].earlier == [one.incident_id, two.incident_id], "feedback finds it"
    (notice,) = (notice_of(g, kit_fleet(), "") for g in grouped(changes, now)
                 if g.changes[0].state == "withdrawn")  # fmt: skip
    assert notice.incidents[0].part_of == both.incident_id
    assert notice.sentences[0] == (
        f"Later rows joined incident {two.incident_id} with incident {both.incident_id}, under "
        "whose id the whole is told."
    )
    assert told_after(told, now)[0] == []


def kit_fleet():
    """The fleet file of the kit, without a home."""
    from amad.config import Channel, Fleet

    channels = [
        Channel(name=COOLANT, label="Coolant temperature", hint="look for a leak."),
        Channel(name=SPEED, label="Speed", hint="look for a worn pulse ring."),
        Channel(name=VOLTAGE),
    ]
    source = {"format": "parquet", "files": [{"glob": "*"}]}
    return Fleet(name="kit", channels=channels, source=source)


def test_a_notice_says_what_a_person_acts_on():
    stands = {"past_gaps": (-3.5, 9.0), "class_gaps": (-2.0, 9.0), "class_sizes": (-4.0, 9.0)}
    stands["past_sizes"] = (-5.0, 9.0)
    broken = an_incident(severity=62.0, partner=SPEED, return_days=41.2, peers=(3, 3), **stands)
    (group,) = groups(published(broken, ongoing=True))
    notice = notice_of(group, kit_fleet(), "data/kit/report.html")
    assert notice.headline == "van-1: new incident; high; still going on"
    text = plain_text([notice], [], notice.report)
    for words in (
        "It began on 2026-01-10 07:00 UTC; its newest alarm ends at 2026-01-10 07:30 UTC, and no",
        "Severity 62 of 100; level high is from 50 to below 75.",
        "Normal rows reach such a score about once in 41 vehicle-days.",
        "Sensors: Coolant temperature (Vehicle.Coolant) 70 %, Speed 20 % of the blame.",
        "Coolant temperature (Vehicle.Coolant) strayed by up to 60 times its usual prediction",
        "Coolant temperature (Vehicle.Coolant) no longer fits Speed.",
        "Coolant temperature is 3.5 below its own past (5 times its usual spread), 2 below its",
        "Type: level shift, a step away from what is expected.",
        "Compare Coolant temperature with Speed: one of them is wrong, or what connects them",
        "Coolant temperature: look for a leak.",
        f"Incident {an_incident().incident_id}, model version 1.",
        "Report: data/kit/report.html",
    ):
        assert words in text, words
    assert "pulse ring" not in text and "Speed is" not in text, "it has too little of the blame"
    (told,) = notice.incidents
    assert told.past_sizes == [-5.0, 9.0]
    assert (told.past_gaps, told.class_sizes, told.peers) == ([-3.5, 9.0], [-4.0, 9.0], [3, 3])
    over = notice.model_copy(update={"state": "over", "level": "critical"})
    assert subject([notice, over], "kit").endswith("1 new, 1 over; worst high")


def test_a_rise_and_an_end_say_what_was_told_before():
    _, told = told_after({}, window(published(an_incident(severity=30), ongoing=True)))
    now = window(published(an_incident(severity=90)))
    told = brought_up_to_date(told, now)
    (group,) = grouped(find_changes(told, now, "low"), now)
    notice = notice_of(group, kit_fleet(), "r")
    assert notice.headline == "van-1: incident over; critical"
    assert any("level critical is from 75 on; it was told as medium" in s for s in notice.sentences)
    assert any("It lasted 30 min, from 2026-01-10 07:00 to" in s for s in notice.sentences)


@pytest.mark.parametrize(
    ("was", "severity", "words"),
    [
        (True, 90, "van-1: known incident, now worse; critical; still going on"),
        (False, 60, "van-1: known incident going on again; high; still going on"),
    ],
)
def test_a_headline_says_why_a_known_incident_is_told_again(was, severity, words):
    _, told = told_after({}, window(published(ongoing=was)))
    now = window(published(an_incident(severity=severity), ongoing=True))
    changes, _ = told_after(told, now)
    (group,) = grouped(changes, now)
    assert notice_of(group, kit_fleet(), "r").headline == words


def test_a_fault_of_a_sensor_is_told_as_one():
    (group,) = groups(published(an_incident(type="stuck")))
    notice = notice_of(group, kit_fleet(), "r")
    assert notice.headline == (
        "van-1: new incident, like a fault of the sensor of Coolant temperature; high"
    )
    assert subject([notice], "kit") == "amad kit: 1 new (1 sensor fault); worst high"


def test_of_a_first_move_neither_usual_errors_nor_a_length_are_told():
    (group,) = groups(published(an_incident(type="first_move", deviation=25.0)))
    text = plain_text([notice_of(group, kit_fleet(), "r")], [], "r")
    assert "strayed" not in text and "It lasted" not in text
    assert "Its alarms lasted 30 min" in text and "may have stayed where it moved" in text


def test_an_incident_within_a_minute_has_seconds():
    (group,) = groups(published(an_incident(hours=13 / 3600)))
    text = plain_text([notice_of(group, kit_fleet(), "r")], [], "r")
    assert "It lasted 13 s, from 2026-01-10 07:00:00 to 2026-01-10 07:00:13 UTC" in text


def test_incidents_that_are_told_as_one_name_each_type():
    made = [an_incident(hour=7, type="drift"), an_incident(hour=9, severity=80, type="spike")]
    (group,) = groups(*(published(item) for item in made))
    text = plain_text([notice_of(group, kit_fleet(), "r")], [], "r")
    types = "Type: spike in a longer incident, a few rows far from what is expected, and more "
    types += "around them; drift, a ramp away from what is"
    assert types in " ".join(text.split())
    assert f"Incidents {made[0].incident_id}, {made[1].incident_id}, model version 1." in text
