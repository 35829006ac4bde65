"""Faults on a process of ours: kill, crash, pause, stop and restart; disconnect needs a container."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.faults.fault import EFFECT_S, Fault, stamped
from chaos.processes import HEALED_POLL_S, are_gone, are_stopped, family, send_all, state_of, wait_until
from chaos.schedule import Proof, Timestamps
from chaos.undo import ContinueProcesses, Undo

if TYPE_CHECKING:
    from bench.stack.services.base import ManagedService


DEATH_S = 0.05
"""How long the runner waits for a death; one that takes longer is seen by the proof."""


class Kill(Fault):
    """SIGKILL to the target's main process."""

    whole_family = False

    def check(self) -> None:
        """There must be a process of ours that its supervisor starts again, or leaves down for a time."""
        self.process = self.context.process(self.plan)
        if self.plan.for_ns is not None and self.plan.kind == "kill":
            self._require_supervisor()
        if self.context.pid(self.process) is None:
            raise self.refuse(
                f"a process of ours to {self.plan.kind}",
                "a service that the harness did not start",
                "use --stack embedded or docker, or label the container bench.chaos=allow",
            )

    def aim(self) -> None:
        """Find the process."""
        self.process = self.context.process(self.plan)
        pid = self.context.pid(self.process)
        found = family(pid) if pid is not None else []
        if not found:
            raise self.refuse("a living process to hit", "none: it is down already", "lengthen `every`")
        self._main = found[0]
        self._hit: list[ProcessIdentity] = found if self.whole_family else found[:1]

    def inject(self) -> Timestamps:
        """Send the signals, and see the main process end: the kernel knows before the supervisor does."""
        if self.plan.for_ns is not None:
            self._service().keep_down()  # before the kill: it would be started again at once
        asked = monotonic_ns()
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

    def heal(self) -> Timestamps | None:
        """Have one that was to stay down started again; of others the supervisor does it by itself."""
        if self.plan.for_ns is None:
            return None
        asked = monotonic_ns()
        self._service().release()
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:
        """Another process answers the protocol."""
        name = self.process

        def is_back() -> bool:
            pid = self.context.pid(name)
            return pid not in (None, self._main.pid) and self.context.answers(name)

        if wait_until(is_back, deadline_s, HEALED_POLL_S):
            return Proof(True, f"another process, {self.context.pid(name)}, answers")
        return Proof(False, f"nothing answers as {name}")

    @property
    def healed_by(self) -> str:
        """What stays is ours to heal; what dies is its supervisor's to start again."""
        return "us" if self.plan.for_ns is not None else "the target's supervisor"

    @property
    def how(self) -> str:
        """The signal and who heals it."""
        count = f" and {len(self._hit) - 1} below it" if len(self._hit) > 1 else ""
        when = " when we say so" if self.plan.for_ns is not None else ""
        return (
            f"SIGKILL to process {self._main.pid}{self._whose}{count}; the supervisor starts it again{when}"
        )

    @property
    def _whose(self) -> str:
        """Of a process that was chosen by its role: which it was."""
        return f" ({self.process}, {self.plan.role})" if self.plan.role else ""

    def _service(self) -> ManagedService:
        service = self.context.stack.service(self.process)
        assert service is not None
        return service

    def _require_supervisor(self) -> None:
        """Only who started the service can end it in order, or leave it down."""
        if self.context.stack.service(self.process) is None:
            raise self.refuse(
                f"a service whose supervisor is ours to {self.plan.kind}",
                f"the {self.context.stack.kind} stack, which another process keeps",
                "use --stack embedded or docker, or kill without `for`",
            )


class Crash(Kill):
    """SIGKILL to the main process and all its children, as an OOM killer or a failing host would."""

    whole_family = True


STOP_S = 0.05
"""How long the runner waits for the kernel to have them all stopped."""


class Pause(Kill):
    """SIGSTOP to the whole family, SIGCONT later."""

    whole_family = True

    def undo(self) -> Undo:
        """Let them go on."""
        return ContinueProcesses(tuple(self._hit))

    def inject(self) -> Timestamps:
        """The main process first: it forks no more while the others are stopped."""
        asked = monotonic_ns()
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
        """Something else may have let it continue, or killed it."""
        if self._was_stopped_to_the_end:
            return None
        return Proof(False, f"process {self._main.pid} was not stopped any more when the time was over")

    def healed(self, deadline_s: float) -> Proof:
        """None is stopped, and the target answers."""
        name = self.process

        def goes_on() -> bool:
            return not any(state_of(process) in ("T", "t") for process in self._hit) and self.context.answers(
                name
            )

        if wait_until(goes_on, deadline_s, HEALED_POLL_S):
            return Proof(True, f"process {self._main.pid} goes on and answers")
        return Proof(False, f"{name} does not answer after SIGCONT")

    @property
    def how(self) -> str:
        """The signals."""
        return f"SIGSTOP to process {self._main.pid} and {len(self._hit) - 1} below it; SIGCONT by us"


class Stop(Kill):
    """The signal that the service ends by; it stays down for the fault's time."""

    def check(self) -> None:
        """Only who started the service can ask for an ordered end."""
        super().check()
        self._require_supervisor()

    def inject(self) -> Timestamps:
        """Ask the supervisor to hold it down."""
        asked = monotonic_ns()
        self._service().hold()
        return stamped(asked)

    def took_effect(self) -> Proof:
        """The process is gone; a server may take its grace time for that."""
        gone = wait_until(lambda: are_gone(self._hit), EFFECT_S)
        return Proof(gone, f"process {self._main.pid} {'is gone' if gone else 'still lives'}")

    def heal(self) -> Timestamps | None:
        """Have it started again."""
        asked = monotonic_ns()
        self._service().release()
        return stamped(asked)

    @property
    def how(self) -> str:
        """Who did what."""
        return f"the supervisor ended process {self._main.pid} in order; it starts it again when we say so"


class Restart(Stop):
    """Stop and start in one go."""

    def inject(self) -> Timestamps:
        """Both words at once: the supervisor starts it when the old one is gone."""
        asked = monotonic_ns()
        self._service().hold()
        self._service().release()
        return stamped(asked)

    def heal(self) -> Timestamps | None:
        """It heals itself."""
        return None

    @property
    def how(self) -> str:
        """Who did what."""
        return f"the supervisor ended process {self._main.pid} in order and started it again immediately"


class Disconnect(Kill):
    """Only containers have a separate network to be taken from."""

    def check(self) -> None:
        """Always refused."""
        raise self.refuse(
            "a container, whose network can be taken away",
            "a process on loopback",
            "use --stack docker, or {black_hole: " + self.plan.target + "} to the same effect for the load",
        )
