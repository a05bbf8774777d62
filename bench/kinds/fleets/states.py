"""Six fleets whose sixteen channels are mixtures of four hidden states.

They differ in how long the states remember, in the noise of the channels, in heavy tails and in a
drift of the channels' gains: in how much the past of a channel explains, and how much the others.
"""

from dataclasses import dataclass

import numpy as np

from bench.kinds.fleets.vehicle import Channels, Kind, Vehicle

CHANNELS, STATES = 16, 4
SENSOR_FAULTS = ("offset", "scale", "stuck", "noise", "delay")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How the channels of a fleet come about, and what simulates a vehicle of it.

    seed: of the mixing, which two vehicles in a row share. memory: rows within which the first
    state forgets; the others take two, three and four times as many. noise: of a channel, in its
    standard deviations. heavy: do states and noise have heavy tails? drifts: do gains drift?

    Faults: shock, one state is pushed; calm, all states are small; and of one sensor offset,
    scale, stuck, noise and delay.
    """

    seed: int
    memory: float
    noise: float
    heavy: bool = False
    drifts: bool = False

    def __call__(self, vehicle: Vehicle) -> Channels:
        """The channels of a vehicle."""
        sound = self._channels(vehicle)
        error = self._error(vehicle)
        deviation = sound[: vehicle.train_rows].std(axis=0)
        value = sound + self.noise * deviation * error
        _break_sensors(vehicle, value, value[: vehicle.train_rows].std(axis=0))
        return {f"sensor_{channel + 1}": value[:, channel] for channel in range(CHANNELS)}

    def _channels(self, vehicle: Vehicle) -> np.ndarray:
        """Channels without noise (T, C): mixed states, every third one through an exponential."""
        value = self._states(vehicle) @ self._mixing(vehicle.number)
        value[:, ::3] = np.exp(0.3 * value[:, ::3])
        if self.drifts:
            gains = np.stack([vehicle.wander(1500) for _ in range(CHANNELS)], axis=1)
            value = value * (1 + 0.5 * gains)
        return value

    def _states(self, vehicle: Vehicle) -> np.ndarray:
        """The hidden states (T, S) with the faults that move them."""
        steps = [self.memory * (1 + state) for state in range(STATES)]
        value = np.stack([vehicle.wander(count) for count in steps], axis=1)
        if self.heavy:
            value = np.sign(value) * np.abs(value) ** 1.8
        for fault in vehicle.named("shock"):
            value[fault.rows, fault.first % STATES] += 2.5 * fault.strength
        for fault in vehicle.named("calm"):
            value[fault.rows] *= 0.2
        return value

    def _mixing(self, number: int) -> np.ndarray:
        """The weights (S, C): half of them 0, and each channel has one state above all."""
        rng = np.random.default_rng([self.seed, number // 2])
        weights = rng.normal(size=(STATES, CHANNELS)) * (rng.random((STATES, CHANNELS)) < 0.5)
        weights[rng.integers(0, STATES, CHANNELS), np.arange(CHANNELS)] += 1.5
        return weights

    def _error(self, vehicle: Vehicle) -> np.ndarray:
        """What each sensor adds by itself (T, C)."""
        shape = (vehicle.rows, CHANNELS)
        return vehicle.rng.standard_t(3, shape) if self.heavy else vehicle.rng.normal(size=shape)


def _break_sensors(vehicle: Vehicle, value: np.ndarray, deviation: np.ndarray) -> None:
    """Put the faults of single sensors into the values (T, C). deviation: (C,), without faults."""
    for fault in vehicle.faults:
        if fault.name not in SENSOR_FAULTS:
            continue
        channel = fault.first % CHANNELS
        own = value[fault.rows, channel]
        if fault.name == "offset":
            own = own + 1.2 * fault.strength * deviation[channel]
        elif fault.name == "scale":
            own = own * (1 + 0.5 * fault.strength)
        elif fault.name == "stuck":
            own = np.full_like(own, own[0])
        elif fault.name == "noise":
            own = own + fault.strength * deviation[channel] * fault.noise()
        else:
            late = 5 + int(5 * fault.strength)
            own = value[fault.first - late : fault.end - late, channel].copy()
        value[fault.rows, channel] = own


def _fleet(name: str, what: str, mixture: Mixture) -> Kind:
    return Kind(
        name=name,
        what=f"sixteen channels of four hidden states: {what}",
        seed=mixture.seed,
        simulate=mixture,
        faults=(
            "offset", "shock", "stuck", "shock", "scale", "calm", "noise", "shock", "delay",
        ),
        lengths=(8, 300),
        period_seconds=60,
        gaps=(100, 400),
        calm=200,
        rows=9_000,
        train_rows=5_000,
        vehicles=4,
        turn=2,
        varied=False,
    )  # fmt: skip


HIDDEN = (
    _fleet("states", "little noise", Mixture(seed=11, memory=4, noise=0.2)),
    _fleet("noisy", "more noise", Mixture(seed=12, memory=4, noise=0.6)),
    _fleet("heavy", "heavy tails", Mixture(seed=13, memory=4, noise=0.2, heavy=True)),
    _fleet("drifting", "gains that drift", Mixture(seed=14, memory=4, noise=0.2, drifts=True)),
    _fleet("fast", "states that forget at once", Mixture(seed=15, memory=0.3, noise=0.3)),
    _fleet(
        "slow", "states that remember long, heavy tails, gains that drift",
        Mixture(seed=16, memory=15, noise=0.3, heavy=True, drifts=True),
    ),
)  # fmt: skip
