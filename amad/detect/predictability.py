"""How much of what a vehicle does its members can predict, from residuals of train rows.

The error of a prediction is evidence as far as there is something to predict. Two kinds of rows are
not predicted. Noise about a level has errors in all rows alike, and the level itself is predicted:
errors are evidence. Commands that nothing announces have large errors in few rows, and each of them
is an ordinary event. No label is needed to tell them apart.

It also decides how much the members between channels count beside those over time, with the share

    B = Q / (1 + Q),  Q = q^6 + p^6,  q = R2 / (1 - R2) / 8,  p = firm / (1 - firm)

Where a vehicle is sampled fast beside what it does, the last rows predict the next one whatever
has happened: a prediction from a channel's own past follows a fault along, and nearly every row
agrees with it. There a relation between channels that no longer holds is the better evidence, and
q is large. It is so, too, where the channels predict each other firmly, which p tells: relations
explain much, and what they leave is even, so that no large error is ordinary. Where rows are
minutes apart and relations are loose, the own past errs when something happens. The two kinds weigh
the same where the past explains 8/9 of the variance, and where relations explain half, evenly.
Relations of other vehicles may hold with other constants, so firm is learnt from a vehicle's own
rows alone and counts the less, the fewer there are.

Shape legend: T rows, R of them, C channels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from amad.detect.event_channels import LEAST_ROWS, LEAST_VARIANCE, share_of_others
from amad.detect.members.member import Member
from amad.windows.series import Series

EVEN_ODDS = 8.0  # R2 / (1 - R2) of the past at which both kinds of members weigh the same
STEEPNESS = 6.0  # of B in the logarithm of the odds
EVEN_FROM, EVEN_TO = 0.6, 0.9  # share of the squared error in the other rows; 0.92 in normal noise


class Predictability(NamedTuple):
    """How much of the train rows can be predicted, 0 to 1.

    explained: R2 of the past, see ``explained_shares``. even: see ``evenness``. firm: how firmly
    the channels predict each other, their R2 times the evenness of what it leaves.
    """

    explained: float
    even: float = 0.0
    firm: float = 0.0

    @property
    def weight(self) -> float:
        """F, the weight of the predicting members."""
        return self.explained + (1.0 - self.explained) * self.even

    @property
    def between_share(self) -> float:
        """B, the share of the members between channels beside those over time."""
        past, firm = odds(self.explained) / EVEN_ODDS, odds(self.firm)
        return 1.0 - 1.0 / (1.0 + past**STEEPNESS + firm**STEEPNESS)

    def of_others(self) -> "Predictability":
        """These figures of some vehicles, for another one: relations are only firm in their own."""
        return self._replace(firm=0.0)

    def towards(self, prior: "Predictability", share: float) -> "Predictability":
        """The mean of both, in which these figures have the share."""
        pairs = zip(self, prior, strict=True)
        return Predictability(*(share * own + (1 - share) * other for own, other in pairs))


FULL = Predictability(1.0)


def best_predictability(
    members: Iterable[Member], predictability: Mapping[str, Predictability]
) -> Predictability:
    """R2 and evenness of the best members over time, firm of those between channels.

    Where no member over time serves, R2 and evenness are those of the others.

    predictability: of each predicting member by name, see ``Ensemble.calibrate``.
    """
    found = [(m, predictability[m.name]) for m in members if m.name in predictability]
    over_time = [own for member, own in found if not member.between_channels]
    known = over_time or [own for _, own in found]
    return Predictability(
        max((own.explained for own in known), default=0.0),
        max((own.even for own in known), default=0.0),
        max((own.firm for member, own in found if member.between_channels), default=0.0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """How predictable each member finds the train rows of an owner of figures.

    by_member: of each predicting member that has residuals there, by name. pooled: the figures are
    of several vehicles. prior, share: what the best is moved towards, and its own share.
    """

    by_member: Mapping[str, Predictability]
    pooled: bool = False
    prior: "Explained | None" = None
    share: float = 1.0

    def best(self, members: Iterable[Member]) -> Predictability:
        """``best_predictability`` of these members, moved towards that of the prior."""
        found = best_predictability(members, self.by_member)
        if self.pooled:
            found = found.of_others()
        if self.prior is None:
            return found
        known = any(member.name in self.by_member for member in members)
        return found.towards(self.prior.best(members), self.share if known else 0.0)


def predictability_of(
    residual_TC: np.ndarray, group: Sequence[Series], events_C: np.ndarray | None = None
) -> Predictability:
    """How well the member with these residuals predicts the group's rows.

    events_C: the channels of events, bool; default: none. They do not count in how firmly the
    channels predict each other: nothing predicts them, however firm the other relations are.
    """
    explained_C, others_C = explained_shares(residual_TC, group), others_shares(residual_TC)
    kept_C = np.ones(len(explained_C), bool) if events_C is None else ~events_C
    firm = mean_share(explained_C[kept_C]) * evenness(others_C[kept_C])
    return Predictability(mean_share(explained_C), evenness(others_C), firm)


def explained_shares(residual_TC: np.ndarray, group: Sequence[Series]) -> np.ndarray:
    """R2 of a member's residuals by channel (C,), no lower than 0; NaN where a channel is constant.

    residual_TC: of the series of the group, one after the other; NaN where there is none.
    """
    share_C = np.full(residual_TC.shape[1], np.nan)
    for c, residual_T in enumerate(residual_TC.T):
        known_T = np.isfinite(residual_T)
        if known_T.sum() < LEAST_ROWS:
            continue
        value_T = np.concatenate([series.value_TC[:, c] for series in group])
        variance = float(np.var(value_T[known_T], dtype=np.float64))
        if variance > LEAST_VARIANCE:
            error = float(np.mean(np.square(residual_T[known_T], dtype=np.float64)))
            share_C[c] = max(1.0 - error / variance, 0.0)
    return share_C


def others_shares(residual_TC: np.ndarray) -> np.ndarray:
    """Which share of a member's squared error lies outside the 1 % of rows with most of it, (C,).

    NaN where a channel does not err, or in too few rows.
    """
    return np.array(
        [
            share_of_others(np.square(residual_T[np.isfinite(residual_T)], dtype=np.float64))
            for residual_T in residual_TC.T
        ]
    )


def mean_share(share_C: np.ndarray) -> float:
    """The mean of those that are known, 0 without any."""
    known = share_C[np.isfinite(share_C)]
    return float(known.mean()) if len(known) else 0.0


def evenness(others_C: np.ndarray) -> float:
    """How evenly a member's squared error is spread over the rows, 0 to 1.

    others_C: see ``others_shares``; a mean of them up to ``EVEN_FROM`` is 0, from ``EVEN_TO`` on 1.
    """
    return float(np.clip((mean_share(others_C) - EVEN_FROM) / (EVEN_TO - EVEN_FROM), 0.0, 1.0))


def odds(share: float) -> float:
    """share / (1 - share), infinite for 1."""
    return share / (1.0 - share) if share < 1.0 else np.inf
