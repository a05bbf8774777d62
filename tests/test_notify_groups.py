"""What is told together has one cause, and no more groups of a state are told than causes."""

from datetime import timedelta

import pytest
from evaluation_kit import kit_fleet
from notify_kit import COOLANT, DAY, SPEED, VOLTAGE, an_incident

from amad.notify.changes import find_changes
from amad.notify.grouping import causes, grouped
from amad.notify.ledger import after
from amad.notify.published import Published, Window
from amad.notify.wording import notice_of

FLEET = frozenset({"van-1", "van-2", "van-3", "van-4"})
BRIDGE = an_incident(hour=9, channels={COOLANT: 0.5, VOLTAGE: 0.4})
NEW = [an_incident(hour=7), an_incident(hour=11, channels={VOLTAGE: 0.9})]


def window(*incidents) -> Window:
    dates = {DAY + timedelta(days=n): FLEET for n in range(2)}
    found = [
        Published(incident=item, last=DAY, ongoing=False, model_version="1") for item in incidents
    ]
    return Window(
        dates=dates,
        versions=dict.fromkeys(dates, "1"),
        incidents={item.incident.incident_id: item for item in found},
    )


@pytest.mark.parametrize("withheld", ["told before", "suppressed"])
def test_new_incidents_that_one_of_which_nothing_is_told_joins_are_one(withheld):
    """Alone, the first and the third share no sensor: two notices would stand beside one cause."""
    now, told = window(*NEW, BRIDGE), {}
    if withheld == "told before":
        told = after({}, find_changes({}, window(BRIDGE), "low"))
    changes = find_changes(told, now, "low", {BRIDGE.incident_id})
    (group,) = grouped(changes, now)
    assert len(causes(now)) == 1 and len(group.changes) == 2
    assert notice_of(group, kit_fleet(), "r").headline.startswith("van-1: 2 new incidents")


@pytest.mark.parametrize(("late", "headline"), [
    (["van-3", "van-4"], "Whole fleet: new incident on 2 of 4 vehicles at the same time"),
    (["van-4"], "van-4: new incident"),
])  # fmt: skip
def test_vehicles_that_join_a_known_cause_of_the_fleet_are_told_once(late, headline):
    everywhere = [an_incident(vehicle, hour=7) for vehicle in sorted(FLEET)]
    first = window(*(item for item in everywhere if item.vehicle not in late))
    now = window(*everywhere, an_incident("van-1", hour=23, channels={SPEED: 0.9}))
    told = after({}, find_changes({}, first, "low"))
    found = grouped(find_changes(told, now, "low"), now)
    assert len(causes(now)) == 2 and len(found) == 2
    assert notice_of(found[0], kit_fleet(), "r").headline.startswith(headline)


def test_incidents_that_are_not_found_any_more_are_told_together():
    told = after({}, find_changes({}, window(*NEW[:1], an_incident(hour=9)), "low"))
    (group,) = grouped(find_changes(told, window(), "low"), window())
    assert [change.state for change in group.changes] == ["withdrawn", "withdrawn"]
