"""Ray as the tests start it: without two of its processes, which do nothing for them."""


def start_fewer_processes() -> None:
    """Let this process start Ray without its autoscaler and what sends logs to the driver.

    They take four seconds of a processor at each start. What a command starts has them all.
    """
    from ray._private.node import Node

    for name in ("start_monitor", "start_log_monitor"):
        assert hasattr(Node, name), f"Ray does not promise this name: {name}"
        setattr(Node, name, lambda _: None)
