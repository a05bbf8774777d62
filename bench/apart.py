"""Runs a function in a process of its own, so that what it imports and holds is its own."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar, TypeVarTuple

Given = TypeVarTuple("Given")
T = TypeVar("T")


def run_apart(work: Callable[[*Given], T], *arguments: *Given) -> T:
    """What ``work`` returns in a new process, which ends with it; its errors are raised here.

    The process is forked from a small server. One that this process starts itself would begin with
    the largest memory that this process ever held (``ru_maxrss`` outlasts an exec).
    """
    with ProcessPoolExecutor(1, get_context("forkserver")) as pool:
        return pool.submit(work, *arguments).result()
