"""The two engines that run units of work: this process, and Ray Data. Both keep the order.

Each unit runs with one thread. Sums are then added up in the same order everywhere, so that the
bytes depend neither on the engine nor on the machine and its cores.
"""

import logging
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path

from threadpoolctl import ThreadpoolController

from amad.config import AmadError, ClusterProfile, Stage, usable_error
from amad.config.units import Result, RunUnits, Unit
from amad.engines.shared.drivers_disk import Reach, reachable

LIGHT = 10  # vehicle-days that ingest, validate or prepare do while one is scored, in about


def chosen_engine(wanted: str, vehicle_days: int, least: int) -> str:
    """``wanted``; where that is ``auto``, Ray from ``least`` vehicle-days on."""
    if wanted != "auto":
        return wanted
    return "ray" if vehicle_days >= least else "process"


@contextmanager
def unit_engine(stage: Stage) -> Iterator[RunUnits]:
    """What runs the units of a stage before training, as its profile says; closes Ray at the end.

    Ray starts with the first work that is given to it, so a small fleet never waits for it.
    """
    profile = stage.profile
    with ExitStack() as opened:

        def run(
            work: Callable[[Unit], Result], units: Sequence[Unit], *, vehicle_days: int
        ) -> Iterator[Result]:
            least = LIGHT * profile.ray_min_vehicle_days
            engine = chosen_engine(profile.engine, vehicle_days, least)
            if engine == "process" or not units:
                yield from in_this_process(work, units)
                return
            from amad.engines.shared.ray_cluster import ray_session

            opened.enter_context(ray_session(profile))
            yield from over_ray(work, units, profile, stage.folder)

        yield run


def in_this_process(work: Callable[[Unit], Result], units: Sequence[Unit]) -> Iterator[Result]:
    """One unit after the other, here."""
    for unit in units:
        with one_thread():
            result = work(unit)
        yield result


def over_ray(
    work: Callable[[Unit], Result], units: Sequence[Unit], profile: ClusterProfile, *folders: Path
) -> Iterator[Result]:
    """The units over Ray Data, in the session that is open: an actor per CPU, each sent ``work``.

    A unit whose node is lost runs again.

    folders: of the driver, in which ``work`` reads and writes (by ``amad.telemetry.disk``).

    Raises:
        AmadError: the first that ``work`` raised, in the order of the units.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = max(1, min(len(units), int(ray.cluster_resources().get("CPU", 1))))
    rows = [{"unit": pickle.dumps(unit)} for unit in units]
    with reachable(profile, folders) as reach:
        done = ray.data.from_items(rows, override_num_blocks=min(len(units), 8 * workers)).map(
            _Actor,  # type: ignore[arg-type]  # with a constructor, a class is a mapper too
            fn_constructor_args=(ray.put(work), reach),
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        for row in done.iter_rows():
            result = pickle.loads(row["result"])
            if isinstance(result, _Raised):
                raise result.error
            yield result


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries with threads of their own; looked for again when a module was imported."""
    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the body with one thread in numpy's and torch's libraries."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    with _libraries(len(sys.modules)).limit(limits=1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(threads)


class _Raised:
    """An error for the user, on its way to the driver."""

    def __init__(self, error: AmadError) -> None:
        self.error = error


class _Actor:
    """``work`` as Ray Data calls it; units and results are sent as bytes."""

    def __init__(self, work, reach: Reach) -> None:
        import ray

        reach.settle()
        self._work = ray.get(work)

    def __call__(self, row: dict) -> dict:
        """Do the unit of one row."""
        try:
            with one_thread():
                result = self._work(pickle.loads(row["unit"]))
        except Exception as error:
            if (known := usable_error(error)) is None:
                raise
            result = _Raised(known)
        return {"result": pickle.dumps(result)}
