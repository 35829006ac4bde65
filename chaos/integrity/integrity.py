"""All checks of the data that a scenario asks for, as the plugin carries them along."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.integrity.acknowledged_writes import AcknowledgedWrites
from chaos.integrity.check import Check, Evidence, Site
from chaos.integrity.message_check import Messages
from chaos.integrity.read_back import NotYet, Unreadable
from chaos.integrity.register_check import Registers
from chaos.integrity.transfer_check import Transfers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.plan.plan import Plan
    from bench.scenario.model import Scenario
    from bench.stack.target import Target

CHECKS: dict[str, type[Check]] = {
    "acknowledged_writes": AcknowledgedWrites,
    "registers": Registers,
    "transfers": Transfers,
    "messages": Messages,
}


class Integrity:
    """The checks of one run. `prepare`, `begin`, `finish`, and `close` in any case."""

    def __init__(
        self, scenario: Scenario, plan: Plan, own: Mapping[str, Target], seen: Mapping[str, Target]
    ) -> None:
        """`own`: the targets as they are; `seen`: as the load sees them."""
        site = Site(plan, own, seen)
        self._checks = [CHECKS[wanted.check](wanted, site) for wanted in scenario.integrity]

    def prepare(self) -> None:
        """Before anything connects. Raises ScenarioError, TargetError."""
        for check in self._checks:
            check.prepare()

    def begin(self, start_ns: int) -> None:
        """Run zero is set, on CLOCK_MONOTONIC."""
        for check in self._checks:
            check.begin(start_ns)

    def finish(self, record: dict[str, Any], folder: Path) -> None:
        """All is healed and the record has its faults: add what was found as record["integrity"].

        A check that could not be made says why, and counts nothing: never a silent 0.
        """
        if not self._checks:
            return
        import numpy as np

        operations = np.load(folder / "operations.npy", mmap_mode="r")
        evidence = Evidence(record, operations)
        record["integrity"] = [_finished(check, evidence) for check in self._checks]
        for entry in record["integrity"]:
            if entry.get("text"):
                message = f"{entry['workload']}: {entry['text']}"
                record["anomalies"].append({"code": "integrity_hole", "severity": "fail", "message": message})

    def close(self) -> None:
        """Give back what the checks hold. Again is harmless."""
        with contextlib.ExitStack() as cleanup:
            for check in self._checks:
                cleanup.callback(check.close)


def _finished(check: Check, evidence: Evidence) -> dict[str, Any]:
    try:
        return check.entry(check.finish(evidence))
    except (Unreadable, NotYet) as reason:
        return check.unknown(f"not checked: {reason}")
    except Exception as failure:  # noqa: BLE001 - a check that crashes knows nothing; the run must be kept
        return check.unknown(f"the check itself failed: {type(failure).__name__}: {failure}")
