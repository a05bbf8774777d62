"""A web server, a row per minute."""

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle

DAY = 1440  # rows
BURSTS = 0.004  # share of the rows


def simulate(vehicle: Vehicle) -> Channels:
    """Requests come by the hour of the day and in bursts; nearly all else follows from them.

    Faults: latency, answers are slow; errors, more of them; leak, memory grows; cpu, another
    process takes it; drop, requests are lost on the way; stuck, the figure of the memory.
    """
    day, slow = 0.6 * vehicle.day(DAY, -2), 0.25 * vehicle.wander(90)
    bursts = 0.8 * (vehicle.rng.random(vehicle.rows) < BURSTS)
    load = np.exp(day + slow + vehicle.noise(0.1) + bursts)
    late = 0.5 * vehicle.strength("latency")
    kept = np.maximum(0, 1 - 0.5 * vehicle.strength("drop"))
    requests = np.floor(vehicle.counts(200 * load) * kept)
    latency = 20 + 8 * np.log1p(load) + 30 * late
    latency += 2 * np.abs(vehicle.rng.standard_t(4, vehicle.rows))
    cpu = 10 + requests * 0.1 + 12 * vehicle.strength("cpu") + vehicle.noise(1.5)
    memory = 40 + 5 * vehicle.wander(400) + requests * 0.01 + vehicle.growing("leak", 0, 15)
    return {
        "requests": requests,
        "latency": latency,
        "errors": vehicle.counts(requests * (0.002 + 0.02 * vehicle.strength("errors"))),
        "cpu": np.clip(cpu, 0, 100),
        "memory": vehicle.held("stuck", memory),
        "bytes_in": requests * 1.5 + vehicle.noise(10),
        "bytes_out": requests * 6 + vehicle.noise(40),
        "connections": vehicle.counts(3 + requests * 0.01),
        "disk": 50 + 10 * vehicle.wander(600),
        "restarts": vehicle.counts(np.ones(vehicle.rows)),
        "threads": 20 + requests * 0.05 + 10 * late + vehicle.noise(1),
        "queue": np.clip(requests * 0.02 + vehicle.noise(0.5), 0, None),
    }


WEB = Kind(
    name="web",
    what="web servers, a row per minute, with a day and bursts: slow answers, errors, memory that "
    "leaks, a busy processor, lost requests, a figure that is stuck",
    seed=6,
    simulate=simulate,
    faults=("latency", "errors", "leak", "cpu", "drop", "stuck"),
    lengths=(10, 400),
    period_seconds=60,
)
