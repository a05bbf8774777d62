"""The two engines that run units of work: this process, and Ray. Both keep the order.

Each unit runs with one thread. Sums are then added up in the same order everywhere, so that the
bytes depend neither on the engine nor on the machine and its cores.
"""

import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from amad.config import (
    AmadError,
    ClusterProfile,
    ServiceError,
    Stage,
    threads,
    usable_error,
)
from amad.config.console import say
from amad.config.units import Result, RunUnits, Unit
from amad.engines.shared.drivers_disk import Reach, reachable

AHEAD = 4  # units per CPU that are handed to Ray before the first of them is done
RETRIES = 3  # of a unit whose worker or node was lost
LIGHT = 10  # vehicle-days that ingest, validate or prepare do while one is scored, in about


def chosen_engine(wanted: str, vehicle_days: int, least: int) -> str:
    """``wanted``; where that is ``auto``, Ray from ``least`` vehicle-days on."""
    if wanted != "auto":
        return wanted
    return "ray" if vehicle_days >= least else "process"


@contextmanager
def engine_choice(profile: ClusterProfile, wanted: str) -> Iterator[Callable[[int, int], str]]:
    """Yield ``chosen_engine`` for ``wanted``; of ``auto``, Ray is chosen only where it can run.

    Where ``auto`` comes to a local Ray, that is started here and closed at the end. If it cannot
    start, this process does the work, which takes longer and gives the same bytes.
    """
    cannot = False
    with ExitStack() as opened:

        def choose(vehicle_days: int, least: int) -> str:
            nonlocal cannot
            engine = chosen_engine(wanted, vehicle_days, least)
            if engine == "process" or wanted != "auto" or profile.address is not None:
                return engine
            from amad.engines.shared.ray_cluster import NoLocalRayError, ray_session

            try:
                if not cannot:
                    opened.enter_context(ray_session(profile))
            except NoLocalRayError as error:
                cannot = True
                say(f"{error.what}; this process does the work, with the same result")
            return "process" if cannot else engine

        yield choose


@contextmanager
def unit_engine(stage: Stage, *, scored_days: int | None = None) -> Iterator[RunUnits]:
    """What runs the units of a stage, as its profile says; closes Ray at the end.

    Ray starts with the first work that is given to it, so a small fleet never waits for it.

    scored_days: the vehicle-days of a stage whose work takes about as long as scoring them; default
    is light work, which says itself how many there are.
    """
    profile = stage.profile
    reached: list[Reach] = []  # one, once Ray was started
    with engine_choice(profile, profile.engine) as choose, ExitStack() as opened:

        def run(
            work: Callable[[Unit], Result], units: Sequence[Unit], *, vehicle_days: int = 0
        ) -> Iterator[Result]:
            least = profile.ray_min_vehicle_days * (LIGHT if scored_days is None else 1)
            days = vehicle_days if scored_days is None else scored_days
            if not units or choose(days, least) == "process":
                yield from in_this_process(work, units)
                return
            from amad.engines.shared.ray_cluster import ray_session

            if not reached:
                opened.enter_context(ray_session(profile))
                reached.append(opened.enter_context(reachable(profile, [stage.folder])))
            yield from over_ray(work, units, reached[0])

        yield run


def in_this_process(work: Callable[[Unit], Result], units: Sequence[Unit]) -> Iterator[Result]:
    """One unit after the other, here."""
    for unit in units:
        with all_on_one_thread():
            result = work(unit)
        yield result


def over_ray(
    work: Callable[[Unit], Result],
    units: Sequence[Unit],
    reach: Reach,
    *,
    vehicle_of: Callable[[Unit], str] | None = None,
) -> Iterator[Result]:
    """The units as tasks of Ray, in the session that is open; each process is sent ``work`` once.

    A unit whose worker or node is lost runs again. After an error the later units of its vehicle
    are not begun; others that Ray was given may still run. None is cancelled, because Ray 2.60 ends
    the driver ("Tried to complete task that was not pending") where that meets the end of a task.

    reach: to the folders of the driver in which ``work`` reads and writes.
    vehicle_of: the vehicle of a unit; those of one vehicle run one after the other, in their order.

    Raises:
        AmadError: the first that ``work`` raised, in the order of the units.
        ServiceError: Ray gave a unit up, as its workers died again and again.
    """
    import ray

    ahead = AHEAD * int(ray.cluster_resources().get("CPU", 1))
    last: dict[str, Any] = {}  # by vehicle, what its next unit waits for
    waiting: deque[tuple[str, Any]] = deque()
    task: Any = ray.remote(_do).options(num_returns=2, max_retries=RETRIES)
    sent = ray.put((work, reach))
    for unit in units:
        vehicle = vehicle_of(unit) if vehicle_of else ""
        result, failed = task.remote([sent], unit, last.get(vehicle))
        if vehicle_of:
            last[vehicle] = failed
        waiting.append((vehicle, result))
        if len(waiting) >= ahead:
            yield _result(*waiting.popleft())
    while waiting:
        yield _result(*waiting.popleft())


def _result(vehicle: str, result: Any) -> Any:
    """The result of a unit, once there is one."""
    import ray

    try:
        found = pickle.loads(ray.get(result))
    except ray.exceptions.RayTaskError:  # a bug in the work
        raise
    except ray.exceptions.RayError as error:
        reason = " ".join(str(error).split())[:300]
        whose = f" of vehicle {vehicle}" if vehicle else ""
        raise ServiceError(
            f"Ray gave up the rows{whose} ({reason}); run the job again, and if its workers die "
            "each time, give them more memory or do without them (engine: process in conf/cluster/)"
        ) from error
    if isinstance(found, AmadError):
        raise found
    return found


def _do(sent: list[Any], unit: Any, before_failed: bool | None) -> tuple[bytes, bool]:
    """The result of a unit, and whether it failed, for which the next unit of its vehicle waits.

    before_failed: of the unit that this one waited for; then it is not begun. The result, or an
    error for the user in its place, is sent as bytes, since arrays that Ray unpacks cannot be
    written to.
    """
    if before_failed:
        return pickle.dumps(None), True
    try:
        work = _received(*sent)
        with all_on_one_thread():
            result = work(unit)
    except Exception as error:
        if (known := usable_error(error)) is None:
            raise
        result = known
    return pickle.dumps(result), isinstance(result, AmadError)


@lru_cache(maxsize=1)
def _received(sent: Any) -> Callable[[Any], Any]:
    """The work that was sent; a process keeps it for its next units."""
    import ray

    work, reach = ray.get(sent)
    reach.settle()
    return work


@contextmanager
def all_on_one_thread() -> Iterator[None]:
    """Run the body with one thread in numpy's and torch's libraries."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with threads.one_thread():
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)
