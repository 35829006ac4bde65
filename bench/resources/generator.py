"""What the generator itself uses: this process, and those that are part of it."""

from __future__ import annotations

import os
import time
from typing import Any

from bench.resources import generator_processes
from bench.resources.process_stat import stat_of


class GeneratorUse:
    """CPU and memory of the generator from window to window."""

    def __init__(self) -> None:
        self._before = self._look()

    def window(self) -> dict[str, Any]:
        """Columns for the series: CPU in cores since the last call, resident memory in bytes."""
        wall_s, cpu_s = self._look()
        before_wall_s, before_cpu_s = self._before
        self._before = (wall_s, cpu_s)
        elapsed_s = wall_s - before_wall_s
        stats = [
            stat for pid in (os.getpid(), *generator_processes.others()) if (stat := stat_of(pid)) is not None
        ]
        used_s = cpu_s - before_cpu_s
        return {
            "generator_cpu_ratio": round(used_s / elapsed_s, 3) if elapsed_s > 0 else None,
            "generator_rss_bytes": sum(stat.rss_bytes for stat in stats) if stats else None,
        }

    def _look(self) -> tuple[float, float]:
        return time.monotonic(), time.process_time() + generator_processes.cpu_s()
