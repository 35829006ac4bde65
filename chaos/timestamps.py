"""What is known of one act of a fault: when it was asked for, took effect and returned, and its proof."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timestamps:
    """Times of one act, ns on CLOCK_MONOTONIC."""

    asked_ns: int
    returned_ns: int
    effective_ns: int | None = None
    """By the kernel's, the supervisor's or the engine's own event; None where there is none, and then
    it lies between the other two."""

    @property
    def effect_ns(self) -> int:
        """When it took effect, as well as it is known."""
        return self.returned_ns if self.effective_ns is None else self.effective_ns


@dataclass(frozen=True)
class Proof:
    """Whether something is so, by evidence, in one sentence."""

    holds: bool
    text: str
