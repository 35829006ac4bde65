"""What the harness and the stack's processes cost: CPU and memory, once per window."""

from __future__ import annotations

import os
from typing import Any

import psutil


class Monitor:
    """Samples this process and, where they are ours, the targets' processes."""

    def __init__(self, targets: list[dict[str, Any]]) -> None:
        self._own = psutil.Process(os.getpid())
        self._own.cpu_percent()  # the first call only sets the starting point
        self._targets = {str(t["name"]): t.get("pid") for t in targets}
        self._processes: dict[str, psutil.Process] = {}

    def update(self, targets: list[dict[str, Any]]) -> None:
        """Take over new process ids, after a target was restarted."""
        self._targets = {str(t["name"]): t.get("pid") for t in targets}

    def sample(self) -> dict[str, Any]:
        """Columns for the series: CPU in cores, resident memory in bytes; None where unknown."""
        row: dict[str, Any] = {
            "generator_cpu_ratio": round(self._own.cpu_percent() / 100, 3),
            "generator_rss_bytes": self._own.memory_info().rss,
        }
        for name, pid in self._targets.items():
            cpu, rss = self._of(name, pid)
            row[f"{name}_cpu_ratio"] = cpu
            row[f"{name}_rss_bytes"] = rss
        return row

    def _of(self, name: str, pid: int | None) -> tuple[float | None, int | None]:
        if not pid:
            return None, None
        try:
            process = self._processes.get(name)
            if process is None or process.pid != pid:
                process = self._processes[name] = psutil.Process(pid)
                process.cpu_percent()
                return None, process.memory_info().rss
            return round(process.cpu_percent() / 100, 3), process.memory_info().rss
        except psutil.Error:
            self._processes.pop(name, None)
            return None, None
