"""A Ray cluster of several nodes on this machine: each node has its own processes and store."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}
JOIN_SECONDS = 300.0  # that a node is waited for


class Nodes:
    """A head without CPUs, where the driver is, and two workers of one CPU.

    address: of the head. The cluster is used through it, as any other one. hidden: a folder that
    the workers see empty, as if it were on the disk of another machine (see ``may_hide``).
    """

    def __init__(self, hidden: Path | None = None) -> None:
        from ray.cluster_utils import Cluster

        # A node that is silent for 2 s counts as lost; in production 15 s.
        known = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": known}
        # Nothing scales this cluster, and nobody reads what its workers print.
        head |= {"no_monitor": True, "include_log_monitor": False}
        self._cluster = Cluster(initialize_head=True, head_node_args=NODE | head)
        self.address = self._cluster.address
        self._hidden = hidden
        self._apart: list[subprocess.Popen] = []
        for _ in range(2):
            self.join()
        self._cluster._shutdown_at_exit = False  # it sets signal handlers, and a thread may not

    def join(self) -> None:
        """One more worker node."""
        if self._hidden is None:
            self._cluster.add_node(**NODE)
            return
        start = (
            f"{Path(sys.executable).with_name('ray')} start --block --address={self.address} "
            f"--num-cpus={NODE['num_cpus']} --object-store-memory={NODE['object_store_memory']}"
        )
        hide = f'mount -t tmpfs none "$0" && exec {start}'
        command = ["unshare", "--mount", "sh", "-c", hide, str(self._hidden)]
        own = {"env": os.environ | {"TMPDIR": os.environ["RAY_TMPDIR"]}}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._apart.append(subprocess.Popen(command, **own, **quiet))
        joined = 1 + len(self._apart)  # two that start at once get in each other's way
        nodes = self._cluster.global_state.node_table
        deadline = time.monotonic() + JOIN_SECONDS
        while len(nodes()) != joined:
            assert time.monotonic() < deadline, "the node does not join"
            time.sleep(0.05)

    def kill_one(self) -> None:
        """SIGKILL to every process of the worker node that joined first."""
        first = min(self._cluster.worker_nodes, key=lambda node: node.node_id)
        self._cluster.remove_node(first, allow_graceful=False)

    def stop(self) -> None:
        """End every process of the cluster."""
        for node in self._apart:
            node.terminate()
            node.wait(timeout=300)
        self._cluster.shutdown()


def may_hide(folder: Path) -> bool:
    """Whether this user may hide a folder from a process that it starts."""
    hide = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", str(folder)]
    return (
        bool(shutil.which("unshare")) and not subprocess.run(hide, capture_output=True).returncode
    )


@contextmanager
def ray_nodes(hidden: Path | None = None) -> Iterator[Nodes]:
    """Yield the cluster; its files are below a folder of its own, short enough for sockets."""
    folder, before = tempfile.mkdtemp(prefix="amad-"), os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = folder
    try:
        nodes = Nodes(hidden)
        try:
            yield nodes
        finally:
            nodes.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("RAY_TMPDIR")
        if before is not None:
            os.environ["RAY_TMPDIR"] = before
