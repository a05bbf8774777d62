"""Runs jobs in processes of one thread each. A job that fails is reported and stops no other."""

import contextlib
import io
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from multiprocessing import get_context, parent_process
from typing import NamedTuple

from amad.config import AmadError, ServiceError
from amad.config.console import say
from amad.engines.shared.unit_engines import all_on_one_thread
from bench.quality.jobs import Job, LooksAheadError

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_NUM_THREADS")


class Failure(NamedTuple):
    """Why a job has no result. left_out: the method does not have this form, so nothing failed."""

    reason: str
    left_out: bool = False


def run_all(jobs: Sequence[Job], processes: int, what: str) -> dict[int, Failure]:
    """Run the jobs that are not done; the failures, by the position of the job.

    Raises:
        ServiceError: a process was killed from outside, as when memory runs out.
    """
    todo = [(i, job) for i, job in enumerate(jobs) if not job.done()]
    if done := len(jobs) - len(todo):
        say(f"{what}: {done} of {len(jobs)} are done already")
    failed: dict[int, Failure] = {}
    started = time.perf_counter()
    for count, (i, failure, seconds) in enumerate(_outcomes(todo, processes), 1):
        left = (time.perf_counter() - started) / count * (len(todo) - count)
        outcome = f"{seconds:.1f} s"
        if failure is not None:
            failed[i] = failure
            outcome = f"{'left out' if failure.left_out else 'FAILED'}: {failure.reason}"
        say(f"[{count} of {len(todo)}] {jobs[i].title}: {outcome}; about {_span(left)} left")
    return failed


def _outcomes(
    todo: list[tuple[int, Job]], processes: int
) -> Iterator[tuple[int, Failure | None, float]]:
    if processes == 1 or len(todo) < 2:
        import_module("torch")  # a library must be loaded to be limited
        with all_on_one_thread():
            for i, job in todo:
                yield i, *attempt(job)
        return
    for name in THREADS:
        os.environ[name] = "1"  # inherited; read by the libraries as they are loaded
    with ProcessPoolExecutor(processes, get_context("spawn"), _worker) as pool:
        futures = {pool.submit(attempt, job): i for i, job in todo}
        try:
            for future in as_completed(futures):
                yield futures[future], *future.result()
        except BrokenProcessPool:
            raise ServiceError(
                "a worker process was killed, most likely for want of memory; run again with a "
                "smaller --jobs: what is finished is kept"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def attempt(job: Job) -> tuple[Failure | None, float]:
    """Run one job without its output; its failure or None, and its seconds."""
    started = time.perf_counter()
    failure = None
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            job.run()
        except Exception as problem:  # one broken method must not stop the others
            failure = Failure(sentence(problem), isinstance(problem, LooksAheadError))
    return failure, time.perf_counter() - started


def sentence(problem: Exception) -> str:
    """What went wrong, on one line."""
    text = (
        str(problem) if isinstance(problem, AmadError) else f"{type(problem).__name__}: {problem}"
    )
    return " ".join(text.split())[:400]


def _worker() -> None:
    import torch

    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed perhaps."""
    parent = parent_process()
    assert parent is not None, "the workers of a pool have a parent"
    parent.join()
    os._exit(1)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
