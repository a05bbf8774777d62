"""Linear algebra on one thread: sums are then added up in the same order on every machine."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager:
    """Run the body with one thread in the libraries that numpy calls."""
    return _libraries(len(sys.modules)).limit(limits=1)


@lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The libraries with threads of their own; looked for again when a module was imported.

    Looking takes as long as the solution of a small system.
    """
    return ThreadpoolController()
