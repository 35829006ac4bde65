"""The form of every check of the data, and its entry in the run's record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.scenario.fault_kinds import LOOKING_ON
from bench.scenario.validators.faults import BEHIND
from chaos.integrity.ledger import Blow
from chaos.integrity.read_back import Patience

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import Plan
    from bench.scenario.integrity import IntegrityCheck
    from bench.scenario.model import Workload
    from bench.stack.target import Target

COUNTS = (
    *("acknowledged", "attempted", "found", "lost", "unexpected", "unknown_survived"),
    *("duplicates", "oldest_lost_age_ns", "bound"),
)
"""What every entry names, None where it was not counted."""


@dataclass(frozen=True)
class Site:
    """Where a check is made."""

    plan: Plan
    own: Mapping[str, Target]
    """The targets as they are."""
    seen: Mapping[str, Target]
    """The targets as the load sees them, perhaps behind a proxy."""


@dataclass(frozen=True)
class Evidence:
    """What a run has left, for a check to look at."""

    record: Mapping[str, Any]
    """With the run's faults."""
    operations: NDArray[Any]
    """operations.npy."""
    patience: Patience = field(default_factory=Patience)


class Check(ABC):
    """One check of one run, called in the order of the methods."""

    def __init__(self, wanted: IntegrityCheck, site: Site) -> None:
        self.wanted = wanted
        self.site = site
        names = [workload.name for workload in site.plan.workloads]
        self.number = names.index(wanted.workload)
        """Of the workload, in the plan and in operations.npy."""

    @property
    def workload(self) -> Workload:
        """The workload that it is about."""
        return self.site.plan.workloads[self.number].workload

    @property
    def store(self) -> str:
        """The name of the target that holds the data."""
        return self.wanted.store or self.workload.target

    @property
    def target(self) -> Target:
        """The target that holds the data. Raises TargetError where the stack has none of that name."""
        try:
            return self.site.own[self.store]
        except KeyError:
            known = ", ".join(self.site.own) or "none"
            raise TargetError(
                self.store, "the stack", "a target of that name", known, "correct `in` under integrity"
            ) from None

    def prepare(self) -> None:
        """Before anything connects. Raises ScenarioError, TargetError."""
        assert self.target

    def begin(self, start_ns: int) -> None:  # noqa: B027 - most look only afterwards
        """Run zero is set."""

    @abstractmethod
    def finish(self, evidence: Evidence) -> dict[str, Any]:
        """All is healed: what was found, by the names of `entry`. Raises Unreadable."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds, in any case. Again is harmless."""

    def blows(self, evidence: Evidence) -> list[Blow]:
        """The faults that may have cost data: those that took effect on its target or what that stands on."""
        hit = {self.store, self.workload.target, *BEHIND.get(self.workload.target, ())}
        return [
            Blow(fault["number"], fault["effective_ns"], fault["healed_ns"])
            for fault in evidence.record.get("faults", [])
            if fault["target"] in hit
            and fault["kind"] not in LOOKING_ON
            and fault["effective_ns"] is not None
        ]

    def entry(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The record's entry. What the check has no word for is None."""
        return {
            "check": self.wanted.check,
            "workload": self.wanted.workload,
            "target": self.store,
            **dict.fromkeys(COUNTS),
            **found,
            "inconclusive": None,
        }

    def unknown(self, reason: str) -> dict[str, Any]:
        """The entry of a check that could not be made: it counts nothing, and `inconclusive` says why."""
        return self.entry({"examples": []}) | {"inconclusive": reason}
