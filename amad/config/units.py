"""Work in units that do not depend on each other, such as vehicle-days, wherever they run."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class RunUnits(Protocol):
    """Runs ``work`` on each of ``units`` and yields the results in their order.

    ``work`` and the results are small and can be pickled, because the units may run in another
    process: what is large, ``work`` reads from the fleet's files and writes there.

    vehicle_days: how many the units hold together, on which it may depend where they run; left out
    where whoever made this function knew it.
    """

    def __call__(
        self, work: Callable[[Unit], Result], units: Sequence[Unit], *, vehicle_days: int = 0
    ) -> Iterator[Result]:
        """Run ``work`` on each unit."""


def in_process(
    work: Callable[[Unit], Result], units: Sequence[Unit], *, vehicle_days: int = 0
) -> Iterator[Result]:
    """One unit after the other, in this process."""
    return map(work, units)
