"""Faults on the network path: the fault proxy in front of the target does them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.clock import monotonic_ns
from bench.core.units import format_bytes, format_duration_ns, format_ratio
from chaos.faults.fault import Fault
from chaos.proxy.client import FaultProxy
from chaos.proxy.messages import Applied
from chaos.proxy.toxics import toxic_of
from chaos.schedule import Proof, Timestamps


class OnPath(Fault):
    """One toxic of the proxy that the load goes through, or another service."""

    def check(self) -> None:
        """The proxy must understand the settings. Raises ToxicError."""
        toxic_of(self.plan.kind, self._settings)

    @property
    def _settings(self) -> Mapping[str, Any]:
        # A reset without a time is over at once: live connections, and none after.
        if self.plan.for_ns is not None:
            return self.plan.settings
        return {**self.plan.settings, "new_connections": False}

    def _proxy(self) -> FaultProxy:
        return self.context.proxies[self.plan.where]

    def aim(self) -> None:
        """Nothing is in force yet."""
        self._toxic: Applied | None = None

    def inject(self) -> Timestamps:
        """Have the proxy apply it to every connection, live and new."""
        asked = monotonic_ns()
        self._before = self._proxy().stats()
        self._toxic = self._proxy().add(self.plan.kind, self._settings)
        if self.plan.for_ns is None:
            self._proxy().remove(self._toxic)
        return Timestamps(asked, monotonic_ns(), self._toxic.effective_ns)

    def took_effect(self) -> Proof:
        """The proxy counts what it did."""
        assert self._toxic is not None
        return self._proxy().proof_of(self._toxic, self._before)

    def heal(self) -> Timestamps | None:
        """Have the proxy take it away."""
        asked = monotonic_ns()
        if self._toxic is None:
            return None
        effective = self._proxy().remove(self._toxic)
        return Timestamps(asked, monotonic_ns(), effective)

    def healed(self, deadline_s: float) -> Proof:  # noqa: ARG002 - the form of every fault
        """The proxy holds nothing any more."""
        left = self._proxy().active()
        return Proof(self._toxic not in left, "the proxy passes everything on again")

    @property
    def how(self) -> str:
        """What was done."""
        settings = ", ".join(f"{name} {_words(name, value)}" for name, value in self.plan.settings.items())
        return f"{self.plan.kind} in {self._proxy().place}" + (f" ({settings})" if settings else "")


def _words(name: str, value: Any) -> str:
    if name == "toxicity":
        return f"{format_ratio(value)} of the connections"
    if name.startswith("delay"):
        return format_duration_ns(value)
    if name in ("bytes", "rate"):
        return format_bytes(value) + ("/s" if name == "rate" else "")
    return str(value)
