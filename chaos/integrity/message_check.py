"""The check of messages: what the engine counted of published and delivered ones, faults included."""

from __future__ import annotations

from typing import Any

from chaos.integrity.check import Check, Evidence
from chaos.integrity.ledger import bound
from chaos.integrity.read_back import Unreadable


class Messages(Check):
    """Pub/sub keeps nothing to read back: each subscriber has counted what it missed."""

    def finish(self, evidence: Evidence) -> dict[str, Any]:
        """From the counters of the run."""
        workload = evidence.record["workloads"][self.number]
        counters = workload["counters"]
        lost = counters.get("lost_messages")
        if lost is None:
            raise Unreadable("the run counted no messages")
        delivered = sum(
            count["outcomes"]["ok"] for count in workload["counts"] if count["operation"] == "deliver"
        )
        return {
            "acknowledged": delivered + lost,
            "found": delivered,
            "lost": lost,
            "duplicates": counters.get("duplicate_messages"),
            "reordered": counters.get("reordered_messages"),
            "bound": bound(lost, delivered + lost),
            "examples": [],
        }
