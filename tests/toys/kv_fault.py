"""The fault `stall`: the server answers no client for a while, and then goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.scenario.fault_kinds import FaultFacts
from bench.stack.probes.redis import RespClient
from chaos.faults.fault import EFFECT_S, Fault, stamped
from chaos.schedule import Proof

if TYPE_CHECKING:
    from chaos.schedule import Timestamps

FACTS = FaultFacts("its server answers no client", "must", implementation=f"{__name__}:Stall")


class Stall(Fault):
    """Asked for by a command. The server keeps the time itself, so nothing is left to undo."""

    def inject(self) -> Timestamps:
        """Ask it to stall for as long as the scenario says."""
        assert self.plan.for_ns is not None
        asked_ns = monotonic_ns()
        self._ask("STALL", str(self.plan.for_ns // 1_000_000))
        return stamped(asked_ns)

    def took_effect(self) -> Proof:
        """It counts its stalls, and says so even then."""
        count = self._ask("STALLS")
        return Proof(count == 1, f"it counts {count} stall")

    def healed(self, deadline_s: float) -> Proof:
        """It answers again."""
        return Proof(self._ask("PING", deadline_s=deadline_s) == "PONG", "it answers PING")

    @property
    def how(self) -> str:
        """Said in the record."""
        return "STALL was sent to the server, which goes on by itself"

    def _ask(self, *words: str, deadline_s: float = EFFECT_S) -> object:
        target = self.context.targets[self.plan.target]
        with RespClient(target.host, target.port, deadline_s) as server:
            return server.ask(*words)
