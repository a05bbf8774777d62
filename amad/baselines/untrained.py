"""AMAD at its random initialisation under the chain: what training must add to."""

from amad.baselines.network import seeded
from amad.config import Fleet, Params
from amad.config.params import DetectParams, ModelParams
from amad.detect.build_members import build_members
from amad.detect.members import Member
from amad.model.bundle import Bundle
from amad.model.network import Amad
from amad.windows.scaler import Scaler


def untrained_network(channels: int, params: ModelParams, seed: int) -> Amad:
    """A network at its random initialisation, in evaluation mode.

    With a skip its head is zero: it says what the skip says, whatever the seed, and a linear skip
    that is not fitted is an interpolation. Only with ``skip="none"`` is its output random too.
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
    alone = params.model_copy(update={"members": ["amad"], "amad_weight": 1.0})
    (member,) = build_members(alone, bundle)
    return member
