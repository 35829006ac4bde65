"""The form of every fault."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from chaos.timestamps import Proof, Timestamps
from chaos.undo import Undo, nothing

if TYPE_CHECKING:
    from chaos.context import FaultContext
    from chaos.schedule import FaultPlan

EFFECT_S = 3.0
"""How long to look for the proof of an effect."""


class Fault(ABC):
    """One fault at one time. Called in the order of the methods, `heal` and `healed` perhaps never."""

    def __init__(self, plan: FaultPlan, context: FaultContext) -> None:
        self.plan = plan
        self.around = context

    def check(self) -> None:  # noqa: B027 - most faults need no more than their target
        """Before anything starts: whether this can be done here at all. Raises TargetError."""

    def aim(self) -> None:  # noqa: B027 - some hit nothing that could be gone
        """Right before the fault: find what it is about to hit. Raises TargetError when that is not there."""

    def undo(self) -> Undo:
        """How anybody can undo it; asked after `aim` and noted before `inject`."""
        return nothing()

    @abstractmethod
    def inject(self) -> Timestamps:
        """Break it."""

    @abstractmethod
    def took_effect(self) -> Proof:
        """Whether it broke, by evidence of its own; may wait up to EFFECT_S."""

    def bring_back(self) -> None:  # noqa: B027 - most targets are brought back by whoever watches over them
        """After the effect of a fault that is over at once: start again what nobody else starts."""

    def lasted(self) -> Proof | None:
        """After `heal`: that it was gone before its time, where that can be seen; else None."""
        return None

    def heal(self) -> Timestamps | None:
        """Mend it; None for what mends itself (a supervisor's restart)."""
        return None

    @abstractmethod
    def healed(self, deadline_s: float) -> Proof:
        """Whether it is mended; waits until it is, or for so long."""

    @property
    def mended_by(self) -> str:
        """Who mends it."""
        return "us" if self.plan.for_ns is not None else "nobody: it was over at once"

    @property
    @abstractmethod
    def how(self) -> str:
        """What was done by what means, and who mends it; one sentence, true after `inject`."""

    def healed_ns(self) -> int | None:
        """When it was mended by evidence, ns on CLOCK_MONOTONIC; None: when `healed` said so."""
        return None


def stamped(asked_ns: int, effective_ns: int | None = None) -> Timestamps:
    """Stamps of an act that has just returned."""
    return Timestamps(asked_ns, monotonic_ns(), effective_ns)
