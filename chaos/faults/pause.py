"""Pause of a process: it keeps its port and its connections, and does nothing."""

from __future__ import annotations

import signal

from bench.core.clock import monotonic_ns
from chaos.faults.fault import EFFECT_S, stamped
from chaos.faults.kill import Kill
from chaos.processes import are_stopped, family, send_all, state_of, wait_until
from chaos.timestamps import Proof, Timestamps
from chaos.undo import Undo, continue_processes

STOP_S = 0.05
"""How long the runner waits for the kernel to have them all stopped."""


class Pause(Kill):
    """SIGSTOP to the whole family, SIGCONT later."""

    whole_family = True

    def undo(self) -> Undo:
        """Let them go on."""
        return continue_processes(self._hit)

    def inject(self) -> Timestamps:
        """The main process first: it forks no more while the others are stopped."""
        asked = self._asked_ns = monotonic_ns()
        send_all(self._hit, signal.SIGSTOP)
        # A child that was forked in between would go on.
        late = [one for one in family(self._main.pid) if one not in self._hit]
        send_all(late, signal.SIGSTOP)
        self._hit += late
        returned = monotonic_ns()
        self._was_stopped = (
            wait_until(lambda: are_stopped(self._hit), STOP_S) and state_of(self._main) is not None
        )
        return Timestamps(asked, returned, monotonic_ns() if self._was_stopped else None)

    def took_effect(self) -> Proof:
        """The kernel has all of them stopped."""
        count = f"{len(self._hit)} {'process' if len(self._hit) == 1 else 'processes'}"
        # A short one may be over by now: what the kernel said then counts.
        if self._was_stopped or (
            wait_until(lambda: are_stopped(self._hit), EFFECT_S) and state_of(self._main)
        ):
            return Proof(True, f"the kernel had {count} stopped")
        states = " ".join(state_of(process) or "gone" for process in self._hit)
        return Proof(False, f"of {count} not all were stopped: {states}")

    def heal(self) -> Timestamps:
        """Children first, so that the main process finds them at work."""
        asked = monotonic_ns()
        self._was_stopped_to_the_end = state_of(self._main) in ("T", "t")
        send_all(reversed(self._hit), signal.SIGCONT)
        return stamped(asked)

    def lasted(self) -> Proof | None:
        """Somebody else may have let it go on, or killed it."""
        if self._was_stopped_to_the_end:
            return None
        return Proof(False, f"process {self._main.pid} was not stopped any more when the time was over")

    def healed(self, deadline_s: float) -> Proof:
        """None is stopped, and the target answers."""
        name = self.plan.target

        def goes_on() -> bool:
            return not any(state_of(process) in ("T", "t") for process in self._hit) and self.around.answers(
                name
            )

        if wait_until(goes_on, deadline_s, 0.005):
            return Proof(True, f"process {self._main.pid} goes on and answers")
        return Proof(False, f"{name} does not answer after SIGCONT")

    @property
    def how(self) -> str:
        """The signals."""
        return f"SIGSTOP to process {self._main.pid} and {len(self._hit) - 1} below it; SIGCONT by us"
