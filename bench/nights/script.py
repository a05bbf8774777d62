"""What happens in the nights of bench.nights, and in which of them."""

from dataclasses import dataclass

from bench.nights.fleet import NEW, OLD, Fault

NIGHTS = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What happens in which night; None or empty: never.

    late, whole: a vehicle, the night of which the second half, or all, is late, and the night in
    which that comes. twice: rows come a second time. corrected: a file of this night is replaced in
    the next one. future: rows of 2044. silent: from here on nothing comes of van-4. new, stranger:
    a vehicle comes that nobody knew, one of no class. down: the receiver does not answer. retrain,
    rollback: nights after whose job, and before whose job, the champion changes.
    """

    nights: int = NIGHTS
    faults: tuple[Fault, ...] = ()
    late: tuple[tuple[str, int, int], ...] = ()
    whole: tuple[tuple[str, int, int], ...] = ()
    twice: int | None = None
    corrected: int | None = None
    future: int | None = None
    silent: int | None = None
    new: int | None = None
    stranger: int | None = None
    down: int | None = None
    retrain: int | None = None
    rollback: int | None = None


FULL = Script(
    faults=(
        Fault(what="noise", vehicles=("bus-1",), night=3, first=23.5, last=24.5),
        Fault(what="noise", vehicles=("bus-1",), night=7, first=23.5, last=24.5),
        Fault(what="swap", vehicles=("bus-2",), night=8, first=22.0, last=27.0),
        Fault(what="unit", vehicles=(*OLD[:-1], NEW), night=9, first=22.0, last=27.0),
        Fault(what="noise", vehicles=("bus-1",), night=13, first=26.0, last=27.0),
    ),
    late=(("van-2", 1, 2),),
    whole=(("van-3", 6, 11),),
    twice=2,
    silent=4,
    new=5,
    stranger=5,
    corrected=5,
    future=6,
    down=3,
    retrain=7,
    rollback=11,
)
SMALL = Script(
    nights=3,
    faults=(
        Fault(what="noise", vehicles=("bus-1",), night=0, first=23.5, last=24.5),
        Fault(what="unit", vehicles=(*OLD, NEW), night=1, first=22.0, last=27.0),
    ),
    late=(("van-2", 1, 2),),
    twice=0,
    new=1,
    stranger=1,
    future=2,
    corrected=0,
)
