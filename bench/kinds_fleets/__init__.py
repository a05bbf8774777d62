"""Twelve simulated fleets of kinds on which the detector was not settled, with labelled faults.

Each vehicle has a train part without faults and a test part in which faults come in turn, with gaps
between them. Everything is drawn from fixed seeds: the same code makes the same rows.
"""

from bench.kinds_fleets.heating import HEATING
from bench.kinds_fleets.press import PRESS
from bench.kinds_fleets.pump import PUMP
from bench.kinds_fleets.solar import SOLAR
from bench.kinds_fleets.states import HIDDEN
from bench.kinds_fleets.vehicle import Kind
from bench.kinds_fleets.web import WEB
from bench.kinds_fleets.wind import WIND
from bench.kinds_fleets.written import write_fleet

KINDS = (WIND, SOLAR, PUMP, HEATING, PRESS, WEB, *HIDDEN)

__all__ = ["KINDS", "Kind", "write_fleet"]
