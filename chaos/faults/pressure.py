"""Pressure on what target and harness share: processor, memory, disk. Bounded, and it ends by itself."""

from __future__ import annotations

import os
import tempfile
from abc import abstractmethod
from pathlib import Path

import psutil

from bench.core.child_process import HelperProcess, for_program
from bench.core.clock import monotonic_ns
from bench.core.units import format_bytes
from bench.stack.supervisor.processes import ProcessIdentity
from chaos import stressor
from chaos.faults.fault import Fault, stamped
from chaos.processes import are_gone, wait_until
from chaos.schedule import Proof, Timestamps

MARGIN_S = 1.0
"""How much longer than planned a stressor may go on by itself, should it not be ended."""
END_S = 5.0
MOST_OF_MEMORY = 0.8
"""Of what is free; beyond that the kernel would choose whom to kill."""
MOST_OF_DISK = 0.5


class Pressure(Fault):
    """Stressor processes of ours for the time of the fault. They act on the whole machine,
    the generator too.
    """

    @abstractmethod
    def _commands(self) -> list[list[str]]:
        """The arguments of each stressor, without the time."""

    def aim(self) -> None:
        """Nothing is hit, and nothing needs to be healed by others: a stressor ends with the harness."""
        self._running: list[HelperProcess] = []
        self._identities: list[ProcessIdentity] = []
        self._said: list[bytes] = []
        self._ready = 0
        self._gone = 0

    def inject(self) -> Timestamps:
        """Start the stressors and wait until each holds what it is to hold."""
        asked = monotonic_ns()
        seconds = (self.plan.for_ns or 0) / 1e9 + MARGIN_S
        path = str(Path(stressor.__file__).resolve())
        for kind, *rest in self._commands():
            self._running.append(HelperProcess(["-I", "-S", path, kind, str(seconds), *rest], for_program()))
        found = (ProcessIdentity.of(each.pid) for each in self._running)
        self._identities = [one for one in found if one is not None]
        self._said = [each.first_line() for each in self._running]
        self._ready = sum(line.startswith(b"ready") for line in self._said)
        return stamped(asked, monotonic_ns())

    def took_effect(self) -> Proof:
        """Every stressor said that it is at work."""
        wanted = len(self._running)
        return Proof(self._ready == wanted, f"{self._ready} of {wanted} stressor processes were at work")

    def heal(self) -> Timestamps | None:
        """End them."""
        asked = monotonic_ns()
        self._gone = sum(each.process.poll() is not None for each in self._running)
        for each in self._running:
            each.process.kill()
            each.end(END_S)
        return stamped(asked)

    def lasted(self) -> Proof | None:
        """A stressor ends before its time when it is killed, as the kernel does without memory."""
        if not self._gone:
            return None
        return Proof(
            False, f"{self._gone} of {len(self._running)} stressor processes ended before their time"
        )

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """None is left."""
        gone = wait_until(lambda: are_gone(self._identities), END_S)
        return Proof(gone, "the stressor processes are gone" if gone else "a stressor process is still there")

    @property
    def how(self) -> str:
        """What was run."""
        return f"{len(self._running)} stressor processes of ours: {self.plan.kind}"


class CpuPressure(Pressure):
    """One stressor for each processor that we may use, busy for a share of the time."""

    def _commands(self) -> list[list[str]]:
        share = min(float(self.plan.settings["load"]), 1.0)
        return [["cpu", str(share)] for _ in os.sched_getaffinity(0)]


class MemoryPressure(Pressure):
    """One stressor that holds memory."""

    def check(self) -> None:
        """Never so much that the kernel must kill a process."""
        wanted, free = int(self.plan.settings["bytes"]), psutil.virtual_memory().available
        if wanted > free * MOST_OF_MEMORY:
            raise self.refuse(
                f"at most {format_bytes(free * MOST_OF_MEMORY)} of memory pressure on this machine",
                format_bytes(wanted),
                "ask for less: the kernel would choose whom to kill",
            )

    def _commands(self) -> list[list[str]]:
        return [["memory", str(self.plan.settings["bytes"])]]


class IoPressure(Pressure):
    """One stressor that writes and syncs a bounded file in the folder for temporary files.

    The embedded stack has its data there too. Where that is in memory, no disk is kept busy.
    """

    def check(self) -> None:
        """There must be room for the file, and to spare."""
        wanted, free = int(self.plan.settings["bytes"]), psutil.disk_usage(tempfile.gettempdir()).free
        if wanted > free * MOST_OF_DISK:
            raise self.refuse(
                f"at most {format_bytes(free * MOST_OF_DISK)} of pressure on {tempfile.gettempdir()}",
                format_bytes(wanted),
                "ask for less, or set TMPDIR to a larger disk",
            )

    def _commands(self) -> list[list[str]]:
        return [["io", str(self.plan.settings["bytes"]), tempfile.gettempdir()]]
