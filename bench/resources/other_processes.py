"""Who else is at work on this machine, looked at for a moment: before a run, and by `bench doctor`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.resources.cgroup import throttled_s
from bench.resources.machine import read_machine
from bench.resources.pressure import read_pressure
from bench.resources.starvation import LEAST_STEAL, LEAST_WAIT, WORTH_CORES


@dataclass(frozen=True)
class Company:
    """What was at work between two looks. Shares are of the time; None where the kernel does not tell."""

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
