"""A Ray cluster of several nodes on this machine: each node has its own processes and store."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


class Nodes:
    """A head without CPUs, where the driver is, and two workers of one CPU.

    address: of the head. The cluster is used through it, as any other one.
    """

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # A node that is silent for 2 s counts as lost; in production 15 s.
        known = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": known}
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE | head)
        self.address = self._cluster.address
        for _ in range(2):
            self.join()
        self._cluster._shutdown_at_exit = False  # it sets signal handlers, and a thread may not

    def join(self) -> None:
        """One more worker node."""
        self._cluster.add_node(**NODE)

    def kill_one(self) -> None:
        """SIGKILL to every process of the worker node that joined first."""
        first = min(self._cluster.worker_nodes, key=lambda node: node.node_id)
        self._cluster.remove_node(first, allow_graceful=False)

    def stop(self) -> None:
        self._cluster.shutdown()


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """Yield the cluster; its files are below a folder of its own, short enough for sockets."""
    folder = tempfile.mkdtemp(prefix="amad-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        nodes = Nodes()
        try:
            yield nodes
        finally:
            nodes.stop()
            shutil.rmtree(folder, ignore_errors=True)
