"""Builds the members of a detector from the names in its settings."""

from typing import TYPE_CHECKING

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.members.innovation import InnovationMember
from amad.detect.members.member import AmadMember, Member, RidgeMember, hidden_kinds
from amad.detect.members.relation import RelationMember
from amad.detect.members.window_range import WINDOWS, WindowRangeMember

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


def two_sided_member(*, trailing: bool = False) -> Member:
    """The closed-form member that predicts a row from seven rows before it and seven after it.

    The rows on either side are 3 to 20 rows away, so that those beside it do not give away a jump.
    With ``trailing`` the member sees the rows before alone, and is called ``one_sided``.
    """
    lags = (3, 4, 5, 7, 10, 14, 20)
    if trailing:
        return RidgeMember("one_sided", lags)
    return RidgeMember("two_sided", [*lags, *(-lag for lag in lags)])


def build_members(params: DetectParams, bundle: "Bundle | None" = None) -> list[Member]:
    """The members that ``params.members`` names.

    The name ``window_range`` stands for one member for each width of its windows. The name ``amad``
    stands for one member for each thing that the training of the network hid: blocks of time, whole
    channels, or both. It is left out if ``params.vote`` is 0, so a network without a vote, or whose
    vote is undecided, costs nothing. With ``smoothing: trailing``, the online form, all members
    only look back, and the name ``two_sided`` stands for ``one_sided``.
    """
    trailing = params.smoothing == "trailing"
    by_name: dict[str, Member] = {
        "innovation": InnovationMember(),
        "two_sided": two_sided_member(trailing=trailing),
        "relation": RelationMember(trailing=trailing),
    }
    members: list[Member] = []
    for name in params.members:
        if name in by_name:
            members.append(by_name[name])
        elif name == "window_range":
            members += [WindowRangeMember(window, trailing=trailing) for window in WINDOWS]
        elif params.vote > 0:
            assert bundle is not None, f"the member {name!r} needs a bundle"
            members += [
                AmadMember(bundle, params.vote, hide=hide)
                for hide in hidden_kinds(bundle.params.mask.family)
            ]
    return members


def relation_left_out(params: DetectParams, fleet: Fleet) -> str:
    """What ``relation`` does not use because the fleet has many channels; empty if nothing."""
    voting = "relation" in params.members
    return RelationMember.left_out(len(fleet.channels)) if voting else ""
