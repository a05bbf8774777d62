"""A simulator of vehicle telemetry, deterministic by seed: demonstration fleet and load generator.

``catalogue`` names what can be measured; ``cycle`` draws a day of driving; ``dynamics``,
``thermal`` and ``electric`` make the channels of it; ``sensing`` measures and loses rows;
``breakdowns`` puts faults in; ``daily`` joins them to a vehicle-day; ``fleet`` writes the files.
"""

from amad.telemetry.simulator.breakdowns import SIMULATED_TYPES
from amad.telemetry.simulator.fleet import FAULTS, SUMMARY, simulate, vehicle_ids

__all__ = ["FAULTS", "SIMULATED_TYPES", "SUMMARY", "simulate", "vehicle_ids"]
