"""python -m tools.peak_memory COMMAND ...

Run a command and print the largest memory that it and all the processes it started held together.

Memory is the proportional set size of Linux: memory that processes share is counted once. It is
looked at twice per second, so a shorter peak may be missed.
"""

import subprocess
import sys
import time

import psutil

INTERVAL_SECONDS = 0.5


def main(command: list[str]) -> int:
    """Run ``command``, print the peak to standard error, and return the exit code."""
    if not command:
        sys.exit("name a command to run: python -m tools.peak_memory COMMAND ...")
    running = subprocess.Popen(command)
    peak_bytes = 0
    while running.poll() is None:
        peak_bytes = max(peak_bytes, memory_bytes(running.pid))
        time.sleep(INTERVAL_SECONDS)
    print(f"peak memory: {peak_bytes / 1e9:.2f} GB", file=sys.stderr)
    return running.returncode


def memory_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it, in bytes; 0 for one that has ended."""
    try:
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
