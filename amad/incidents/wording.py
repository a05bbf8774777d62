"""An incident in words: its type, how seldom it is, whether a sensor is to blame, what to check.

Notices and the report say the same. Every sentence follows from the type, the channels and the
``hint`` of the fleet file.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from amad.config import Channel, Fleet
from amad.config.number_text import number, unit_text
from amad.config.wording import count
from amad.detect.alarms import LONGEST_RETURN

MEANING = {
    "first_move": "a channel that never moved in training has moved, which is told when it begins, "
    "not while it lasts",
    "unseen_code": "a channel has a code that no vehicle had in training",
    "stuck": "one value while others are expected",
    "noise_burst": "rows scatter much more than expected",
    "spike": "a few rows far from what is expected",
    "delay": "the values come later than expected",
    "level_shift": "a step away from what is expected",
    "drift": "a ramp away from what is expected",
    "relation": "what the channels do together is not what is expected",
}

MAIN_SHARE = 0.25  # a channel counts with this share of the blame, and the first one always
# What a broken sensor, its wiring or its logger does, and a vehicle seldom: with the share of the
# blame that the channel needs. A value that stands still, or scatters, is seen in its own channel
# also where channels that are predicted from it are blamed too.
SENSOR_TYPES = {"stuck": MAIN_SHARE, "noise_burst": MAIN_SHARE, "spike": 0.5, "delay": 0.5}
AT_THE_CAP = 0.99  # of the longest return that is told: where a rounded figure would be the cap
PARTNER_SHARE = 0.1  # of the blame: less has no partner of a step
LIKE = 2.0  # spreads; nearer, a channel stands where it usually does, or where its class does
FEW_ROWS = 50  # a spike alone is in alarm no longer: the widest box of detect.widths, and a few
CHECKS = {
    "first_move": "Find out whether {first} is in use since then, or software changed.",
    "unseen_code": "Look up the new code of {first}, and whether software changed.",
    "stuck": "Check the sensor of {first}, its wiring and what logs it.",
    "noise_burst": "Check the sensor of {first}, its connector and its earth.",
    "spike": "Check {first} for a loose contact, and its logger for single wrong values.",
    "delay": "Check the clock and the gateway that send {first}.",
    "level_shift": "Find out what changed when it began: a part, a setting, a calibration.",
    "drift": "Look at {first} in the days before as well, since a slow change begins unseen.",
    "relation": "Compare {first} with the other sensors at the same time.",
}
COMPARE = "Compare {first} with {partner}: one of them is wrong, or what connects them changed."


class Gap(NamedTuple):
    """Where one channel of an incident stands, in its unit; see ``amad.incidents.peers``.

    past: above the vehicle's mean in training; past_size: in spreads of its training. class_: above
    the level of its class's other vehicles that day; class_size: in spreads of these; peers: how
    many they are. None where there is nothing to compare with.
    """

    past: float | None = None
    past_size: float | None = None
    class_: float | None = None
    class_size: float | None = None
    peers: int = 0


# What became of an incident whose alarms ended while its score did not, see ``Window.outlived``.
OUTLIVED = (
    "ended because the threshold moved along with its score, which is still as high: what is wrong "
    "may go on"
)


def ended(kind: str, outlived: bool) -> tuple[str, str]:
    """What of an incident has ended, and how: its alarms alone are over where a fault may last."""
    if outlived:
        return "Its alarms", OUTLIVED
    if kind == "first_move":  # for a fixed number of rows, see ``amad.detect.constant_channels``
        return "Its alarms", "are over; the channel may have stayed where it moved"
    return "It", "is over"


def strayed(kind: str, first: str, deviation: float) -> str:
    """A sentence on how far the first channel strayed; empty where that is not known.

    A channel that never moved in training has no usual error to compare with. deviation: in
    tolerances, which are larger than the usual error where that is tiny.
    """
    if deviation <= 0 or kind == "first_move":
        return ""
    if deviation < 1:
        return (
            f"{first} strayed by less than its usual prediction error or a tenth of its usual "
            "spread, whichever is larger: the change is rare, but small."
        )
    return f"{first} strayed by up to {number(deviation)} times its usual prediction error."


def type_name(kind: str, lasted_us: int, fleet: Fleet) -> str:
    """The type of an incident that lasted so long (microseconds), for people: ``level shift``."""
    name = kind.replace("_", " ")
    return f"{name} in a longer incident" if _outlasts(kind, lasted_us, fleet) else name


def meaning(kind: str, lasted_us: int, fleet: Fleet) -> str:
    """What incidents of a type have in common; empty for an unknown type."""
    words = MEANING.get(kind, "")
    return f"{words}, and more around them" if _outlasts(kind, lasted_us, fleet) else words


def _outlasts(kind: str, lasted_us: int, fleet: Fleet) -> bool:
    """Does it last, although its worst part, which gave it its type, was a few rows?"""
    return kind == "spike" and lasted_us > FEW_ROWS * fleet.period_us


def main_channels(channels: Sequence[str], shares: Sequence[float]) -> list[str]:
    """The channels that an incident is mostly about, in their order.

    channels: the blamed ones, and shares: of the blame, the largest first.
    """
    pairs = zip(channels, shares, strict=True)
    return [name for n, (name, share) in enumerate(pairs) if n == 0 or share >= MAIN_SHARE]


def looks_like_a_sensor(kind: str, shares: Sequence[float]) -> bool:
    """Whether the fault looks like that of a sensor and not of the vehicle.

    It does where one channel has enough of the blame and does what broken sensors do. shares: of
    the blame, the largest first.
    """
    return kind in SENSOR_TYPES and len(shares) > 0 and shares[0] >= SENSOR_TYPES[kind]


def named_partner(kind: str, channels: Sequence[str], shares: Sequence[float], partner: str) -> str:
    """The channel that the first one no longer fits, if that is worth telling; else empty.

    Where a relation broke, both channels are blamed. The error of a step is mostly the step, and a
    partner that is hardly blamed is what the small rest of that error goes with.
    """
    share = dict(zip(channels, shares, strict=True)).get(partner, 0.0)
    return "" if kind == "level_shift" and share < PARTNER_SHARE else partner


def what_to_check(
    kind: str,
    channels: Sequence[str],
    shares: Sequence[float],
    partner: str,
    known: Mapping[str, Channel],
) -> list[str]:
    """Sentences on where to look first.

    channels: the blamed ones, the first most, and shares: of the blame. partner: the channel that
    the first one no longer fits, see ``named_partner``, or empty. known: the channels of the fleet
    file, by name. Hints are those of the main channels alone.
    """
    if not channels:
        return []

    def title(name: str) -> str:
        return known[name].title if name in known else name

    first = title(channels[0])
    found = []
    if looks_like_a_sensor(kind, shares):
        found.append(f"This looks like a fault of the sensor of {first}, not of the vehicle.")
    partner = named_partner(kind, channels, shares, partner)
    if partner and kind not in SENSOR_TYPES:
        found.append(COMPARE.format(first=first, partner=title(partner)))
    elif kind in CHECKS:
        found.append(CHECKS[kind].format(first=first))
    main = main_channels(channels, shares)
    hints = [(title(name), known[name].hint) for name in main if name in known]
    return found + [f"{name}: {hint}" for name, hint in hints if hint]


def context_words(context: Mapping[str, float], known: Mapping[str, Channel]) -> list[str]:
    """A sentence with the values of the channels of ``context`` when it began; none without any."""
    parts = [
        f"{known[name].title} {known[name].value_text(value)}"
        for name, value in context.items()
        if name in known
    ]
    return [f"When it began: {', '.join(parts)}."] if parts else []


def gap_words(
    channels: Sequence[str],
    shares: Sequence[float],
    gaps: Sequence[Gap],
    known: Mapping[str, Channel],
    kind: str = "",
) -> list[str]:
    """A sentence per main channel on where it stands; none for a channel without a level.

    ``Tyre pressure is 31 kPa below its own past (6 times its usual spread), 28 kPa below its class
    that day (11 vehicles).`` A gap that is small beside what is usual is told as none: of a speed,
    40 km/h are nothing, and of a voltage 4 V are much. The level is a median, which may be
    ordinary while other values are not, as of a spike; the sentence says so.

    gaps: of each channel, or empty where nothing was compared. kind: type of the incident. The
    first channel of a first move has no usual spread: it never moved.
    """
    found = []
    for n, (name, gap) in enumerate(zip(main_channels(channels, shares), gaps, strict=False)):
        channel = known.get(name)
        if channel is None or (gap.past is None and gap.class_ is None):
            continue
        parts = []
        if gap.past is not None and gap.past_size is not None:
            moved, like = kind == "first_move" and n == 0, _like(gap.past_size)
            times = f" ({number(abs(gap.past_size), 2)} times its usual spread)"
            away = f"{_away(gap.past, channel)} its own past{'' if moved else times}"
            usual = [] if moved else ["where it usually is (by its median)"]
            parts += usual if like else [away]
        if gap.class_ is not None and gap.class_size is not None:
            like = _like(gap.class_size)
            where = "like" if like else _away(gap.class_, channel)
            joint = "and " if like and parts else ""
            parts.append(f"{joint}{where} its class that day ({count(gap.peers, 'vehicle')})")
        none = "" if gap.past is not None else "; the vehicle has no past of its own"
        found += [f"{channel.title} is {', '.join(parts)}{none}."] if parts else []
    return found


def _like(size: float) -> bool:
    return abs(size) < LIKE


def _away(gap: float, channel: Channel) -> str:
    """``31 kPa below``; 80 percent is 30 percentage points above 50 percent."""
    unit = unit_text(channel.unit)
    unit = "percentage points" if unit == "%" else unit
    return f"{number(abs(gap))} {unit}".strip() + (" below" if gap < 0 else " above")


def rarity(return_days: float | None) -> str:
    """A sentence on how seldom normal rows reach such a score; empty where nobody knows."""
    if return_days is None:
        return ""
    if return_days >= AT_THE_CAP * LONGEST_RETURN:
        return (
            f"Normal rows reach such a score less than once in {LONGEST_RETURN:,.0f} vehicle-days."
        )
    return f"Normal rows reach such a score about once in {number(return_days, 2)} vehicle-days."
