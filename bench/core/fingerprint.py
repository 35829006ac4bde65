"""The machine's fingerprint: what two runs must share to be compared, and what else is worth knowing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import psutil

LIBRARIES = ("holdfast", "numpy", "numba", "hdrhistogram", "redis", "hiredis", "uvloop")


def fingerprint() -> dict[str, dict[str, Any]]:
    """`key`: the comparability key; `facts`: informational."""
    release = platform.release().split(".")
    return {
        "key": {
            "cpu": _cpu_model(),
            "cores": len(os.sched_getaffinity(0)),
            "kernel": ".".join(release[:2]),
            "architecture": platform.machine(),
            "governor": _first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            "cpu_limit": _first_line("/sys/fs/cgroup/cpu.max"),
        },
        "facts": {
            "load_average": [round(value, 2) for value in os.getloadavg()],
            "memory_bytes": psutil.virtual_memory().total,
            "clock_source": _first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
            "system": platform.platform(),
        },
    }


def versions() -> dict[str, str]:
    """Python and the libraries that take part in measuring."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str | None:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or None


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()[0].strip()
    except (OSError, IndexError):
        return None
