"""One complete training curve per run, even if an epoch is reported several times."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Ray's processes, which write events, have no use for it
    from mlflow import MlflowClient

POLL_SECONDS = 0.5


class TrainingCurve:
    """Logs the metrics of each epoch once, at ``step`` = epoch.

    After a crash and a resume, some epochs are reported again and some were never logged. Logging
    the whole list at the end corrects both.
    """

    def __init__(self, client: "MlflowClient", run_id: str, key: str) -> None:
        """``key``: a metric that every epoch has; it shows which epochs are logged already."""
        self._client, self._run_id = client, run_id
        self._known = {metric.step for metric in client.get_metric_history(run_id, key)}

    def log(self, metrics: dict) -> None:
        """Log the numbers of an epoch; ``metrics["epoch"]`` counts from 1."""
        from mlflow.entities import Metric

        epoch = int(metrics["epoch"])
        if epoch in self._known:
            return
        now = int(time.time() * 1000)
        numbers = {
            name: float(value)
            for name, value in metrics.items()
            if name != "epoch" and isinstance(value, int | float)
        }
        points = [Metric(name, value, now, epoch) for name, value in numbers.items()]
        self._client.log_batch(self._run_id, metrics=points)
        self._known.add(epoch)


def append_event(path: Path, event: dict) -> None:
    """Add a line to the file that ``followed`` reads."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(event) + "\n")


@contextmanager
def followed(path: Path, handle: Callable[[dict], None]) -> Iterator[None]:
    """While the body runs, call ``handle`` in a thread with each line that is added to ``path``.

    Ray's controller, another process on this machine, writes the file, so that only this process
    talks to the tracking store. An error of ``handle`` ends the thread and not the body.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    stop = threading.Event()

    def follow() -> None:
        with path.open(encoding="utf-8") as stream:
            rest = ""
            while True:
                last = stop.is_set()
                *lines, rest = (rest + stream.read()).split("\n")
                for line in lines:
                    handle(json.loads(line))
                if last:
                    return
                stop.wait(POLL_SECONDS)

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
