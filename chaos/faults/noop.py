"""No fault: for runs in which all that is detected is the harness's own noise, or done by others."""

from __future__ import annotations

from bench.core.clock import monotonic_ns
from chaos.faults.fault import Fault, stamped
from chaos.schedule import Proof, Timestamps


class Noop(Fault):
    """Goes through every step and touches nothing."""

    def inject(self) -> Timestamps:
        """Do nothing."""
        now = monotonic_ns()
        return stamped(now, now)

    def took_effect(self) -> Proof:
        """Nothing happened, as it was meant."""
        return Proof(True, "nothing was done")

    def heal(self) -> Timestamps | None:
        """Nothing to heal."""
        now = monotonic_ns()
        return stamped(now, now)

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """Nothing was broken."""
        return Proof(True, "nothing was broken")

    @property
    def how(self) -> str:
        """Said in the record."""
        return "nothing was done: a run that must find nothing"


class Observe(Noop):
    """Whatever breaks the target, its outage is judged as that of a fault."""

    @property
    def how(self) -> str:
        """Said in the record."""
        return "nothing was done: what happens to the target is not this run's doing"
