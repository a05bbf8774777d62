"""AMAD at its random initialisation, under the evidence chain: the start of a training."""

from amad.baselines.network import seeded
from amad.config import Fleet, Params
from amad.config.params import DetectParams, ModelParams
from amad.detect.members.member import AmadMember, Member
from amad.model.bundle import Bundle
from amad.model.network import Amad
from amad.windows.scaler import Scaler


def untrained_network(channels: int, params: ModelParams, seed: int) -> Amad:
    """A network at its random initialisation, in evaluation mode.

    With a skip its head is zero, so it predicts what the skip predicts, whatever the seed; a linear
    skip that is not fitted interpolates. Only with ``skip="none"`` is its output random too.
    """
    with seeded(seed):
        return Amad(channels, params).eval()


def untrained_member(
    model: ModelParams, params: DetectParams, fleet: Fleet, scaler: Scaler | None, seed: int
) -> Member:
    """The member that a detector makes of a bundle, around ``untrained_network``."""
    bundle = Bundle(
        model=untrained_network(len(fleet.channels), model, seed),
        params=Params(model=model, detect=params, seed=seed),
        fleet=fleet,
        scaler=scaler,
        meta={},
    )
    return AmadMember(bundle)
