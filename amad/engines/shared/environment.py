"""What a process is told before it works: environment variables, and how to keep its memory."""

import ctypes
import os

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_gcs_server_port_wait_time_s": "120",  # its 30 s are too few on a machine that is busy
    "DVC_NO_ANALYTICS": "1",
    "DVC_STUDIO_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "passive",  # spinning threads are 20 times slower beside another process
    "GIT_PYTHON_REFRESH": "quiet",
}


def quiet() -> None:
    """Set the variables of ``QUIET`` where they are not set; call before an engine is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)


# glibc's mallopt, by the numbers in malloc.h: how much free memory at the end of the heap is kept,
# from which size on an array gets memory of its own, and by how much the heap grows at least.
KEPT_MEMORY = {-1: 64 << 20, -3: 32 << 20, -2: 16 << 20}  # bytes


def keep_freed_memory() -> None:
    """Let the process use the memory of freed arrays again, where its C library is glibc.

    Otherwise glibc gives the memory of each larger array back at once, and the system clears the
    same pages for the next one: about a sixth of the time that scoring takes.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        for option, size in KEPT_MEMORY.items():
            library.mallopt(option, size)
