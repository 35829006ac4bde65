"""The machine as a whole: CPU in use, memory that is not available any more."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.resources.process_stat import PROC

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KILO = 1024
# /proc/stat: cpu user nice system idle iowait irq softirq steal; guests are in user already.
_COUNTED = 8
_IDLE, _WAITING, _STEAL = 3, 4, 7


@dataclass(frozen=True)
class MachineUse:
    """One reading. CPU in seconds since the boot, over all cores."""

    cpu_s: float | None
    """With what the hypervisor took: to this machine it is as busy as any other work."""
    steal_s: float | None
    cores: int
    working_set_bytes: int | None


def read_machine(proc: Path = PROC) -> MachineUse:
    """What the machine uses now; None where /proc does not tell."""
    busy_s, steal_s = _busy_s(proc)
    return MachineUse(busy_s, steal_s, os.cpu_count() or 1, _used_bytes(proc))


def _busy_s(proc: Path) -> tuple[float | None, float | None]:
    """CPU in use, and the part of it that the hypervisor took."""
    try:
        with (proc / "stat").open(encoding="ascii") as file:
            ticks = [int(word) for word in file.readline().split()[1 : 1 + _COUNTED]]
    except (OSError, ValueError):
        return None, None
    if len(ticks) <= _WAITING:
        return None, None
    steal_s = ticks[_STEAL] / _TICKS_PER_S if len(ticks) > _STEAL else None
    return (sum(ticks) - ticks[_IDLE] - ticks[_WAITING]) / _TICKS_PER_S, steal_s


def _used_bytes(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
        return (sizes["MemTotal"] - sizes["MemAvailable"]) * _KILO
    except (OSError, ValueError, KeyError, IndexError):
        return None
