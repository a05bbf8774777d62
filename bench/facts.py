"""The machine of a measurement, which is written beside the figures of every benchmark."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "pandas", "pyarrow", "torch", "great-expectations", "ray", "scikit-learn")


def machine_facts(packages: tuple[str, ...] = PACKAGES) -> dict:
    """CPU model, usable cores, memory in GB, load (1 minute), operating system, versions.

    packages: those whose versions are told; each must be installed, and a machine with a GPU may
        lack most.
    """
    import psutil

    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "load": round(os.getloadavg()[0], 1),  # above the cores, something else ran beside it
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def facts_line(report: dict, command: str) -> str:
    """The command and the machine of a report, in a sentence."""
    machine = report["machine"]
    packages = ", ".join(f"{n} {machine['packages'][n]}" for n in ("numpy", "pyarrow", "torch"))
    load = f", load {machine['load']:.0f} at the end" if "load" in machine else ""
    return (
        f"`{command}` on {machine['cpu']}, {machine['memory_gb']:.0f} GB{load}; "
        f"Python {machine['python']}, {packages}."
    )


def write_result(result: dict, out: Path | None) -> None:
    """Write a benchmark's result as JSON to ``out``, or print it."""
    text = json.dumps(result, indent=2)
    if out is None:
        print(text)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text + "\n", encoding="utf-8")


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
