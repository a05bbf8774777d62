"""The vehicles that had the most to tell in the newest 14 days, each with a bar per day."""

from dataclasses import dataclass
from datetime import date, timedelta

from amad.config import number_text as text
from amad.config.wording import count
from amad.incidents.incident import Incident
from amad.incidents.severity import level_of
from amad.notify.published import DAYS, Window

SHOWN = 10  # vehicles
LEAST = 6.0  # height of the bar of an incident of severity 0, of 100


@dataclass(frozen=True, kw_only=True)
class TrendBar:
    """A day of a vehicle. height: of 100; 0 without an incident. state: a CSS class."""

    x: int
    height: float
    state: str
    title: str


@dataclass(frozen=True, kw_only=True)
class TrendRow:
    """A vehicle. worst: level of its worst incident on the newest date, or empty.

    there: was it scored on that date? days, reported: dates with an incident, and dates with rows.
    spoken: the bars in words.
    """

    vehicle: str
    bars: list[TrendBar]
    worst: str
    there: bool
    incidents: int
    days: int
    reported: int
    spoken: str


@dataclass(frozen=True, kw_only=True)
class Trend:
    """The rows, and the days that the bars stand for, the oldest first. quiet: other vehicles."""

    rows: list[TrendRow]
    days: list[date]
    quiet: int


def trend(window: Window, day: date) -> Trend:
    """The worst vehicles of the ``DAYS`` days up to ``day``.

    A vehicle counts by the sum over the days of the severity of its worst incident of each day.
    Incidents that people judged false or planned are passed over.
    """
    days = [day - timedelta(days=n) for n in reversed(range(DAYS))]
    worst: dict[str, dict[date, Incident]] = {}
    many: dict[str, int] = {}
    for incident in (item.incident for n, item in window.incidents.items() if n not in window.none):
        of = worst.setdefault(incident.vehicle, {})
        many[incident.vehicle] = many.get(incident.vehicle, 0) + 1
        for at in _dates(incident):
            if at not in of or incident.severity > of[at].severity:
                of[at] = incident
    weight = {
        vehicle: sum(of[at].severity for at in days if at in of) for vehicle, of in worst.items()
    }
    order = sorted((v for v in weight if weight[v] > 0), key=lambda v: (-weight[v], v))
    everyone = {vehicle for vehicles in window.dates.values() for vehicle in vehicles}
    rows = [_row(vehicle, worst[vehicle], many[vehicle], days, window) for vehicle in order[:SHOWN]]
    return Trend(rows=rows, days=days, quiet=len(everyone.union(order)) - len(rows))


def _row(
    vehicle: str, worst: dict[date, Incident], many: int, days: list[date], window: Window
) -> TrendRow:
    reported = [at for at in days if vehicle in window.dates.get(at, frozenset())]
    bars = []
    for x, at in enumerate(days):
        if incident := worst.get(at):
            level = level_of(incident.severity)
            height = round(LEAST + (100 - LEAST) * incident.severity / 100, 1)
            title = f"{text.short_day(at)}: {level}, severity {text.number(incident.severity)}"
            bars.append(TrendBar(x=x, height=height, state=level, title=title))
        elif at in reported:
            bars.append(TrendBar(x=x, height=0.0, state="clean", title=""))
    struck = [at for at in days if at in worst]
    top = max(struck, key=lambda at: worst[at].severity)
    newest = worst.get(days[-1])
    return TrendRow(
        vehicle=vehicle,
        bars=bars,
        worst=newest.level if newest else "",
        there=days[-1] in reported,
        incidents=many,
        days=len(struck),
        reported=len(reported),
        spoken=f"{count(len(struck), 'day')} with incidents, of {len(reported)} scored; worst "
        f"{worst[top].level} on {text.short_day(top)}",
    )


def _dates(incident: Incident) -> list[date]:
    """The dates in UTC that an incident touches."""
    return text.dates(incident.start, max(incident.start, incident.end - 1))
