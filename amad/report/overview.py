"""The fleet at a glance: a row a vehicle, with a strip of what happened when."""

from dataclasses import dataclass
from datetime import UTC, datetime

from amad.config import Fleet
from amad.report import text
from amad.report.sources import Cell, Coverage, Incident

LEVELS = ["low", "medium", "high", "critical"]
SHOWN = 200  # vehicles with a row of their own, the worst first
HOURLY_DAYS, CELLS = 3, 62  # runs up to 3 days are shown by the hour; cells of a strip at most


@dataclass(frozen=True, kw_only=True)
class Box:
    """A cell of a strip: ``state`` is a CSS class, ``title`` its tooltip (empty: none)."""

    x: int
    state: str
    title: str = ""


@dataclass(frozen=True, kw_only=True)
class VehicleRow:
    """What the overview says of one vehicle."""

    vehicle: str
    vehicle_class: str
    boxes: list[Box]
    incidents: int
    worst: Incident | None
    open: bool
    alarms: str
    scored: str
    imputed: str
    quarantined: str


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The table, its time axis, and how many vehicles it leaves out."""

    rows: list[VehicleRow]
    cells: int
    axis: list[str]
    by: str
    left_out: int


def stretch_us(days: int) -> int:
    """How much time a cell of the strips covers."""
    return text.HOUR if days <= HOURLY_DAYS else text.DAY * -(-days // CELLS)


def overview(
    incidents: list[Incident], coverage: dict[str, Coverage], fleet: Fleet, stretch: int
) -> Overview:
    """The rows of all vehicles, those with the worst incidents first."""
    of: dict[str, list[Incident]] = {vehicle: [] for vehicle in coverage}
    for incident in incidents:
        of.setdefault(incident.vehicle, []).append(incident)
    starts = sorted({start for c in coverage.values() for start in c.cells})
    first, last = (starts[0], starts[-1]) if starts else (0, 0)
    order = sorted(of, key=lambda v: (-max((i.severity for i in of[v]), default=0.0), v))
    rows = [
        _row(vehicle, of[vehicle], coverage.get(vehicle, Coverage()), fleet, first, stretch)
        for vehicle in order[:SHOWN]
    ]
    middle = first + (last - first) // 2 // stretch * stretch
    return Overview(
        rows=rows,
        cells=(last - first) // stretch + 1,
        axis=[_when(us, stretch) for us in dict.fromkeys((first, middle, last))],
        by="hour" if stretch == text.HOUR else "day" if stretch == text.DAY else text.span(stretch),
        left_out=max(0, len(order) - SHOWN),
    )


def _row(
    vehicle: str,
    incidents: list[Incident],
    coverage: Coverage,
    fleet: Fleet,
    first: int,
    stretch: int,
) -> VehicleRow:
    total = coverage.total
    rows = total.rows or 1
    boxes = [
        _box(start, cell, incidents, first, stretch)
        for start, cell in sorted(coverage.cells.items())
    ]
    return VehicleRow(
        vehicle=vehicle,
        vehicle_class=fleet.class_of(vehicle),
        boxes=boxes,
        incidents=len(incidents),
        worst=max(incidents, key=lambda i: i.severity, default=None),
        open=any(i.open for i in incidents),
        alarms=text.share(total.alarms / (total.scored or 1)),
        scored=text.share(total.scored / rows),
        imputed=text.share(total.imputed / rows),
        quarantined=text.share(total.quarantined / rows),
    )


def _box(start: int, cell: Cell, incidents: list[Incident], first: int, stretch: int) -> Box:
    here = [i for i in incidents if i.start < start + stretch and i.end >= start]
    x = (start - first) // stretch
    when = _when(start, stretch)
    if here:
        level = max((i.level for i in here), key=LEVELS.index)
        many = text.count(len(here), "incident")
        return Box(x=x, state=level, title=f"{when}: {level}, {many}, {cell.alarms:,} alarms")
    if cell.quarantined:
        return Box(x=x, state="quarantined", title=f"{when}: quarantined")
    if not cell.scored:
        return Box(x=x, state="unscored", title=f"{when}: {cell.rows:,} rows, none scored")
    return Box(x=x, state="clean")


def _when(us: int, stretch: int) -> str:
    at = datetime.fromtimestamp(us / text.SECOND, tz=UTC)
    return at.strftime("%d %b %H:%M" if stretch < text.DAY else "%d %b")
