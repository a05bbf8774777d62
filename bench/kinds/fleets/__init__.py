"""Simulated fleets of kinds on which the detector was not settled, with labelled faults.

Twelve kinds, and three of them once more with channels of events.

Each vehicle has a train part without faults and a test part in which faults come in turn, with gaps
between them. Everything is drawn from fixed seeds: the same code makes the same rows.
"""

from bench.kinds.fleets.heating import HEATING
from bench.kinds.fleets.press import PRESS
from bench.kinds.fleets.pump import PUMP
from bench.kinds.fleets.solar import SOLAR
from bench.kinds.fleets.states import HIDDEN
from bench.kinds.fleets.vehicle import Kind
from bench.kinds.fleets.web import WEB
from bench.kinds.fleets.wind import WIND
from bench.kinds.fleets.written import write_fleet

PLAIN = (WIND, SOLAR, PUMP, HEATING, PRESS, WEB, *HIDDEN)
WITH_EVENTS = ("pump", "web", "fast")
KINDS = (*PLAIN, *(kind.with_events() for kind in PLAIN if kind.name in WITH_EVENTS))

__all__ = ["KINDS", "Kind", "write_fleet"]
