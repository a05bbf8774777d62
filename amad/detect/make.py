"""Which members a detector has, by the names in its settings."""

from typing import TYPE_CHECKING

from amad.config import ConfigError
from amad.config.params import DetectParams
from amad.detect.members import AmadMember, Member, RidgeMember, hidden_kinds
from amad.detect.relation import RelationMember

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


def linear_members() -> list[Member]:
    """Closed-form members over time: a short and a long horizon; what lies between adds nothing."""
    return [RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))]


def two_sided_member() -> Member:
    """What the middle row of a block of five should be, from the five rows on either side of it.

    A closed form of what the network is asked: AMAD's linear skip, without the network.
    """
    return RidgeMember("two_sided", [*range(3, 8), *range(-7, -2)])


def make_members(params: DetectParams, bundle: "Bundle | None" = None) -> list[Member]:
    """The members named in ``params.members``; a network of weight 0 has no vote and no cost.

    ``amad`` is asked what its training hid: blocks of time, whole channels (the member is then
    called ``amad_channel``), or either. With ``smoothing: trailing``, which is for online use,
    ``two_sided`` is left out, since it sees rows to come, and ``relation`` looks back alone.
    """
    trailing = params.smoothing == "trailing"
    closed = [*linear_members(), two_sided_member(), RelationMember(trailing=trailing)]
    linear = {member.name: member for member in closed}
    members: list[Member] = []
    for name in params.members:
        if name == "two_sided" and trailing:
            continue
        if name in linear:
            members.append(linear[name])
        elif params.amad_weight > 0:
            assert bundle is not None, f"the member {name!r} needs a bundle"
            members += [
                AmadMember(bundle, params.amad_weight, hide=hide)
                for hide in hidden_kinds(bundle.params.mask.family)
            ]
    return members


def with_a_vote(members: list[Member], params: DetectParams) -> list[Member]:
    """The members.

    Raises:
        ConfigError: there are none.
    """
    if not members:
        raise ConfigError(
            f"detect.members: none of {', '.join(params.members) or '(nothing)'} has a vote; name "
            "one in closed form such as ridge, or set detect.amad_weight above 0"
        )
    return members
