"""The table of the fleet: one row per vehicle, with a strip that shows what happened when."""

from collections.abc import Collection
from dataclasses import dataclass

from amad.config import number_text as text
from amad.config.wording import count
from amad.report.scoring_run import Cell, Coverage, Incident
from amad.report.svg_plots import Tick

SHOWN = 200  # vehicles with a row of their own, the worst first
CELLS = 72  # the most cells of a strip; a shorter run is shown in finer steps
STEPS = (1, 3, 6, 12, 24)  # hours
NAMES = {text.HOUR: "hour by hour", text.DAY: "day by day"}
GAP = 0.6  # width in cells of the gap where a strip leaves out time
AXIS_ROOM = 22  # percent of a strip that the label of a tick needs


@dataclass(frozen=True, kw_only=True)
class Box:
    """A cell of a strip: ``state`` is a CSS class, ``title`` its tooltip (empty: none)."""

    x: float
    state: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class VehicleRow:
    """The row of one vehicle. total: of all its rows."""

    vehicle: str
    boxes: list[Box]
    incidents: int
    worst: Incident | None
    open: bool
    total: Cell


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The table and its time axis. width: of a strip, in cells. left_out: number of vehicles."""

    rows: list[VehicleRow]
    width: float
    axis: list[Tick]
    by: str
    left_out: int


def stretch_us(days: int) -> int:
    """How much time one cell of a strip covers, for a run of ``days`` days."""
    for hours in STEPS:
        if days * 24 / hours <= CELLS:
            return hours * text.HOUR
    return text.DAY * -(-days // CELLS)


def overview(
    incidents: list[Incident],
    coverage: dict[str, Coverage],
    stretch: int,
    none: Collection[str] = (),
) -> Overview:
    """The rows of all vehicles, those with the worst incidents first.

    none: ids of incidents that people judged false or planned, which are no vehicle's worst.
    """
    of: dict[str, list[Incident]] = {vehicle: [] for vehicle in coverage}
    for incident in incidents:
        of.setdefault(incident.vehicle, []).append(incident)
    place = _places(coverage, stretch)
    worst = {
        vehicle: max(
            (i for i in own if i.incident_id not in none), key=lambda i: i.severity, default=None
        )
        for vehicle, own in of.items()
    }
    order = sorted(worst, key=lambda v: (-(i.severity if (i := worst[v]) else 0.0), v))
    rows = [
        _row(
            vehicle, of[vehicle], worst[vehicle], coverage.get(vehicle, Coverage()), place, stretch
        )
        for vehicle in order[:SHOWN]
    ]
    return Overview(
        rows=rows,
        width=round(max(place.values(), default=0.0) + 1, 2),
        axis=_axis(place),
        by=NAMES.get(stretch, f"in steps of {text.span(stretch)}"),
        left_out=max(0, len(order) - SHOWN),
    )


def _places(coverage: dict[str, Coverage], stretch: int) -> dict[int, float]:
    """The position of each stretch of time on a strip; times without any data are left out."""
    place: dict[int, float] = {}
    at, before = 0.0, None
    for start in sorted({start for c in coverage.values() for start in c.cells}):
        at += 0.0 if before is None else 1.0 if start - before == stretch else 1.0 + GAP
        place[start], before = round(at, 2), start
    return place


def _axis(place: dict[int, float]) -> list[Tick]:
    """The names of a few days, each where the day begins, without overlap."""
    width = max(place.values(), default=0.0) + 1
    ticks: list[Tick] = []
    for start, at in place.items():
        label = text.short_day(text.utc(start))
        percent = round(100 * at / width, 1)
        new = not ticks or (label != ticks[-1].text and percent - ticks[-1].at >= AXIS_ROOM)
        if new and percent <= 100 - AXIS_ROOM / 2:
            ticks.append(Tick(at=percent, text=label))
    return ticks


def _row(
    vehicle: str,
    incidents: list[Incident],
    worst: Incident | None,
    coverage: Coverage,
    place: dict[int, float],
    stretch: int,
) -> VehicleRow:
    boxes = [
        _box(place[start], start, cell, incidents, stretch)
        for start, cell in sorted(coverage.cells.items())
    ]
    return VehicleRow(
        vehicle=vehicle,
        boxes=boxes,
        incidents=len(incidents),
        worst=worst,
        open=any(i.open for i in incidents),
        total=coverage.total,
    )


def _box(x: float, start: int, cell: Cell, incidents: list[Incident], stretch: int) -> Box:
    here = [i for i in incidents if i.start < start + stretch and max(i.start, i.end - 1) >= start]
    when = _when(start, stretch)
    if here:
        level = max(here, key=lambda incident: incident.severity).level
        many = f"{count(len(here), 'incident')}, {count(cell.alarms, 'alarm')}"
        return Box(x=x, state=level, title=f"{when}: {level}, {many}")
    if cell.quarantined:
        return Box(x=x, state="quarantined", title=f"{when}: quarantined")
    if not cell.scored:
        return Box(x=x, state="unscored", title=f"{when}: {cell.rows:,} rows, none scored")
    return Box(x=x, state="clean")


def _when(us: int, stretch: int) -> str:
    at = text.utc(us)
    return text.short_day(at) + (f" {at:%H:%M}" if stretch < text.DAY else "")
