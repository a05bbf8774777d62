"""The disk of the driver for the other nodes of a Ray cluster, which may or may not mount it.

An actor on the driver's node reads and writes for them. A node on which a file that the driver has
just made is visible has the disk itself, and asks nobody.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from amad.config import ClusterProfile
from amad.telemetry import disk
from amad.telemetry.files import staged
from amad.telemetry.temporary import STAGE, written_into

AT_ONCE = 8  # requests that the driver's node answers at the same time
# Ray sends an object of at most 100 KiB with the message, and puts a larger one into the stores of
# both nodes, which takes some milliseconds. So bytes travel as several small objects.
PIECES, PIECE_BYTES = 32, 96_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a worker needs to know to find the driver's files.

    marks: files that the driver has made, one in each folder that the work reads or writes; none
    where every worker is on its machine. actor: on the driver's node, for workers without them.
    fetchers: what the driver gets from a storage when it is read, see ``amad.telemetry.disk``.
    """

    marks: Sequence[Path]
    actor: Any
    fetchers: dict[Path, disk.Fetch]

    def settle(self) -> None:
        """Let this process, of whatever node, read and write the files of the driver."""
        disk.fetch_from(self.fetchers)
        here = all(mark.exists() for mark in self.marks)
        disk.read_through(None if here else _Asked(self.actor))


@contextmanager
def reachable(profile: ClusterProfile, folders: Sequence[Path]) -> Iterator[Reach]:
    """Let workers reach what is in these folders, in the Ray session that is open."""
    if profile.address is None:
        yield Reach(marks=(), actor=None, fetchers=disk.fetchers())
        return
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    this_node = ray.get_runtime_context().get_node_id()
    actor: Any = (
        ray.remote(Answering)
        .options(
            num_cpus=0,
            max_concurrency=AT_ONCE,
            scheduling_strategy=NodeAffinitySchedulingStrategy(this_node, soft=False),
        )
        .remote(disk.fetchers())
    )
    # The name is that of a file that is being written, which no reader of the folders looks at.
    marks = [folder / f"{STAGE}{secrets.token_hex(8)}-nodes" for folder in folders]
    try:
        with ExitStack() as stack:
            for mark in marks:
                mark.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(written_into(mark.parent))
                mark.touch()
            yield Reach(marks=marks, actor=actor, fetchers=disk.fetchers())
    finally:
        for mark in marks:
            mark.unlink(missing_ok=True)
        with suppress(Exception):  # the cluster may be gone
            ray.kill(actor)


class Answering:
    """The actor: reads and writes files on the node that has them."""

    def __init__(self, fetchers: dict[Path, disk.Fetch]) -> None:
        disk.fetch_from(fetchers)

    def read(self, stretches: Sequence[disk.Stretch]) -> list:
        """What ``received`` makes the bytes of each stretch of: always as many objects."""
        found = disk.read_stretches(stretches)
        return [[len(content) for content in found], *_pieces(b"".join(found))]

    def write(self, path: Path, *pieces: bytes) -> None:
        """Put a file in its place."""
        with staged(path, durable=False) as stage, stage.open("wb") as file:
            file.writelines(pieces)


def _pieces(content: bytes) -> list[bytes]:
    """The content in ``PIECES`` pieces, of which only the last may be a large one."""
    end = (PIECES - 1) * PIECE_BYTES
    small = [content[first : first + PIECE_BYTES] for first in range(0, end, PIECE_BYTES)]
    return [*small, content[end:]]


def received(answer: list) -> list[bytes]:
    """The bytes of each stretch, from an answer of ``Answering.read``."""
    lengths, *pieces = answer
    content = b"".join(pieces)
    return [content[first:last] for first, last in pairwise(accumulate(lengths, initial=0))]


class _Asked:
    """The actor as a ``DriversDisk``, on another node."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def read(self, stretches: Sequence[disk.Stretch]) -> list[bytes]:
        read = self._actor.read.options(num_returns=1 + PIECES)
        return received(self._get(read.remote(stretches)))

    def write(self, path: Path, content: bytes) -> None:
        self._get(self._actor.write.remote(path, *filter(None, _pieces(content))))

    @staticmethod
    def _get(answer: Any) -> Any:
        import ray

        try:
            return ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
