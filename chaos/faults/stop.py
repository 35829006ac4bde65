"""An ordered end of a service under our supervisor, and its start again: later, or at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bench.core.clock import monotonic_ns
from chaos.faults.fault import EFFECT_S, stamped
from chaos.faults.kill import Kill
from chaos.processes import are_gone, wait_until
from chaos.timestamps import Proof, Timestamps

if TYPE_CHECKING:
    from bench.stack.embedded import EmbeddedStack
    from bench.stack.services.base import ManagedService


class Stop(Kill):
    """The signal that the service ends by; it stays down for the fault's time."""

    def check(self) -> None:
        """Only who started the service can ask for an ordered end."""
        super().check()
        if not hasattr(self.around.stack, "service"):
            raise self.around.refuse(
                self.plan.target,
                f"a service whose supervisor is ours to {self.plan.kind}",
                f"the {self.around.stack.kind} stack, which another process keeps",
                "use --stack embedded or docker, or kill instead",
            )

    def _service(self) -> ManagedService:
        found = cast("EmbeddedStack", self.around.stack).service(self.plan.target)
        assert found is not None
        return found

    def inject(self) -> Timestamps:
        """Ask the supervisor to hold it down."""
        asked = self._asked_ns = monotonic_ns()
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
        asked = self._asked_ns = monotonic_ns()
        self._service().hold()
        self._service().release()
        return stamped(asked)

    def heal(self) -> Timestamps | None:
        """It mends itself."""
        return None

    @property
    def how(self) -> str:
        """Who did what."""
        return f"the supervisor ended process {self._main.pid} in order and started it again at once"
