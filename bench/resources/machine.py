"""The machine as a whole: CPU, memory, pressure, and who else is at work on it before a run.

Pressure stall information (Linux 4.20, PSI) is how long work stood still for want of CPU, memory or
disk. `some`: at least one task waited; `full`: all that had something to do did. Of CPU there is no
`full`.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.resources.cgroup import throttled_s
from bench.resources.processes import PROC
from bench.resources.starvation import LEAST_STEAL, LEAST_WAIT, WORTH_CORES

_US_PER_S = 1_000_000


@dataclass(frozen=True)
class Pressure:
    """Seconds since the boot; None where the kernel was built without, or keeps it from us."""

    cpu_s: float | None
    """Some task waited for a processor."""
    memory_s: float | None
    """All tasks waited for memory."""
    io_s: float | None
    """All tasks waited for a disk."""


def read_pressure(proc: Path = PROC) -> Pressure:
    """The machine's, now."""
    folder = proc / "pressure"
    return Pressure(
        _total_s(folder / "cpu", "some"), _total_s(folder / "memory", "full"), _total_s(folder / "io", "full")
    )


def _total_s(path: Path, kind: str) -> float | None:
    found = _fields(path, kind).get("total")
    return None if found is None else int(found) / _US_PER_S


def _fields(path: Path, kind: str) -> dict[str, str]:
    """Of a line such as "some avg10=0.00 avg60=0.00 avg300=0.00 total=123"."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return {}
    for line in lines:
        words = line.split()
        if words[:1] == [kind]:
            return dict(word.split("=", 1) for word in words[1:] if "=" in word)
    return {}


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
    """What the machine uses now; None where /proc does not say."""
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


@dataclass(frozen=True)
class Company:
    """What was at work between two looks. Shares are of the time; None where the kernel does not say."""

    cores: int
    others_cores: float
    """What others than this process used."""
    steal: float
    """Of each core's time."""
    throttled: float
    """Of the time: a CPU quota stopped this process's group."""
    cpu_pressure: float | None
    """Of the time: some task waited for a processor."""

    @property
    def disturbs(self) -> bool:
        """Whether a run beside it would measure it too."""
        return (
            self.others_cores >= WORTH_CORES * self.cores
            or self.steal >= LEAST_STEAL
            or self.throttled >= LEAST_WAIT
        )

    def sentence(self) -> str:
        """The figures that are worth a word."""
        parts = [f"others use {self.others_cores:.2f} of this machine's {self.cores} cores"]
        if self.cpu_pressure is not None:
            parts.append(f"something waits for a processor {self.cpu_pressure * 100:.0f} % of the time")
        if self.steal >= LEAST_STEAL / 10:
            parts.append(f"the hypervisor takes {self.steal * 100:.0f} % of it")
        if self.throttled >= LEAST_WAIT / 10:
            parts.append(f"a CPU quota stops us {self.throttled * 100:.0f} % of it")
        return ", ".join(parts)


class Look:
    """A look that begins when it is made."""

    def __init__(self) -> None:
        self._begin_s = time.monotonic()
        self._own_s = time.process_time()
        self._machine = read_machine()
        self._pressure = read_pressure()
        self._throttled_s = throttled_s()

    def end(self) -> Company:
        """What was at work since; at least a few ticks of the kernel later."""
        length_s = max(time.monotonic() - self._begin_s, 1e-3)
        machine, pressure, stopped_s = read_machine(), read_pressure(), throttled_s()

        def share(now: float | None, before: float | None) -> float:
            return max(now - before, 0.0) / length_s if now is not None and before is not None else 0.0

        own = (time.process_time() - self._own_s) / length_s
        return Company(
            cores=machine.cores,
            others_cores=max(share(machine.cpu_s, self._machine.cpu_s) - own, 0.0),
            steal=share(machine.steal_s, self._machine.steal_s) / machine.cores,
            throttled=share(stopped_s, self._throttled_s),
            cpu_pressure=min(share(pressure.cpu_s, self._pressure.cpu_s), 1.0)
            if pressure.cpu_s is not None
            else None,
        )
