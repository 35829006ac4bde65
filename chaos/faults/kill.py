"""Kill and crash of a process: the supervisor starts it again."""

from __future__ import annotations

import signal

from bench.core.clock import monotonic_ns
from bench.stack.supervisor.process_identity import ProcessIdentity
from chaos.faults.fault import EFFECT_S, Fault
from chaos.processes import are_gone, family, send_all, wait_until
from chaos.timestamps import Proof, Timestamps

DEATH_S = 0.05
"""How long the runner waits for a death; one that takes longer is seen by the proof."""


class Kill(Fault):
    """SIGKILL to the target's main process."""

    whole_family = False

    def check(self) -> None:
        """There must be a process of ours that somebody starts again."""
        if self.around.pid(self.plan.target) is None:
            raise self.around.refuse(
                self.plan.target,
                f"a process of ours to {self.plan.kind}",
                "a service that the harness did not start",
                "use --stack embedded or docker, or label the container bench.chaos=allow",
            )

    def aim(self) -> None:
        """Find the process."""
        pid = self.around.pid(self.plan.target)
        found = family(pid) if pid is not None else []
        if not found:
            raise self.around.refuse(
                self.plan.target, "a living process to hit", "none: it is down already", "lengthen `every`"
            )
        self._main = found[0]
        self._hit: list[ProcessIdentity] = found if self.whole_family else found[:1]

    def inject(self) -> Timestamps:
        """Send the signals, and see the main process end: the kernel knows before the supervisor does."""
        asked = self._asked_ns = monotonic_ns()
        send_all(self._hit, signal.SIGKILL)
        returned = monotonic_ns()
        ended = self._main.wait(DEATH_S)
        return Timestamps(asked, returned, monotonic_ns() if ended else None)

    def took_effect(self) -> Proof:
        """The processes are gone, and the supervisor has seen it."""
        gone = wait_until(lambda: are_gone(self._hit), EFFECT_S)
        left = ", ".join(str(process.pid) for process in self._hit if process.is_alive())
        below = len(self._hit) - 1
        hit = f"process {self._main.pid}" + (f" and {below} below it" if below else "")
        words = f"{hit} {'are' if below else 'is'} gone"
        return Proof(gone, words if gone else f"of {hit} still alive: {left}")

    def healed(self, deadline_s: float) -> Proof:
        """Another process answers the protocol."""
        name = self.plan.target

        def is_back() -> bool:
            pid = self.around.pid(name)
            return pid not in (None, self._main.pid) and self.around.answers(name)

        if wait_until(is_back, deadline_s, 0.005):
            return Proof(True, f"another process, {self.around.pid(name)}, answers")
        return Proof(False, f"nothing answers as {name}")

    @property
    def mended_by(self) -> str:
        """What stays is ours to mend; what dies is its supervisor's to start again."""
        return "us" if self.plan.for_ns is not None else "the target's supervisor"

    @property
    def how(self) -> str:
        """The signal and who mends it."""
        count = f" and {len(self._hit) - 1} below it" if len(self._hit) > 1 else ""
        return f"SIGKILL to process {self._main.pid}{count}; the supervisor starts it again"


class Crash(Kill):
    """SIGKILL to the main process and all its children at once, as when the host kills the lot."""

    whole_family = True
