"""The form of every check of the data, its entry in the run's record, and how patiently it reads."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.clock import NS_PER_S, monotonic_ns
from bench.core.errors import TargetError
from bench.core.threads import StillRunning, within
from bench.registry import PRIMARY
from bench.results.fault_records import IntegrityRecord
from bench.scenario.fault_kinds import BACKUP, PASSIVE_KINDS, REMEDIES
from chaos.integrity.ledger import Blow

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.plan.plan import Plan
    from bench.results.fault_records import ExampleRecord
    from bench.results.run_record import RunRecord
    from bench.scenario.faults import IntegrityCheck
    from bench.scenario.workloads import Workload
    from bench.stack.target import Target


Read = TypeVar("Read")

ANSWER_S = 10.0
"""How long a target that was to be healed may go on refusing us, and how long one answer may take."""
WHOLE_S = 120.0
"""How long all of it may take."""
PAUSE_S = 0.05
LEAST_S = 1.0
"""What a check is given at least, where others before it have waited for the same target."""


class Unreadable(Exception):  # noqa: N818 - states a fact about the target
    """It could not be read back; the text says why, and completes "not checked: ..."."""


class NotYet(Exception):  # noqa: N818 - never leaves a reading
    """The target does not serve yet, or broke off; another try may help."""


class Patience:
    """How long a target may still refuse: one time for all who wait, so that a dead one ends the run soon."""

    def __init__(self) -> None:
        self._begun_ns = monotonic_ns()

    def left_s(self) -> float:
        """Seconds, for who begins to wait now."""
        gone_s = (monotonic_ns() - self._begun_ns) / NS_PER_S
        return max(ANSWER_S - gone_s, min(LEAST_S, ANSWER_S))


def patiently(read: Callable[[], Read], patience: Patience | None = None) -> Read:
    """Read, again after NotYet for as long as there is patience (None: ANSWER_S). Raises Unreadable.

    It runs in a separate thread that is left behind when a client library does not come back.
    """
    wait_s = (patience or Patience()).left_s()

    def read_patiently() -> Read:
        give_up_ns = monotonic_ns() + int(wait_s * NS_PER_S)
        while True:
            try:
                return read()
            except NotYet as reason:
                if monotonic_ns() > give_up_ns:
                    raise Unreadable(f"{reason}, for {wait_s:.3g} s") from None
            time.sleep(PAUSE_S)

    try:
        return within(WHOLE_S, "read-back", read_patiently)
    except StillRunning:
        raise Unreadable(f"it was not read to its end within {WHOLE_S:g} s") from None


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

    record: RunRecord
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

    def rehearse(self) -> None:  # noqa: B027 - most ask nothing
        """What data sets and `setup` bring is there. Raises ScenarioError, TargetError."""

    def begin(self, start_ns: int) -> None:  # noqa: B027 - most look only afterwards
        """Run zero is set."""

    @abstractmethod
    def finish(self, evidence: Evidence) -> IntegrityRecord:
        """All is healed: what was found. Raises Unreadable."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what it holds, in any case. Idempotent."""

    def blows(self, evidence: Evidence) -> list[Blow]:
        """The faults that may have cost data: those that took effect on its target or what that stands on."""
        hit = {self.store, self.workload.target, *evidence.record.behind(self.workload.target)}
        return [
            Blow(fault.number, fault.effective_ns, fault.healed_ns)
            for fault in evidence.record.faults
            if fault.target in hit
            # What holds a standby back costs nothing by itself: only with the primary its writes are gone.
            and fault.role in (None, PRIMARY)
            and fault.kind not in (*PASSIVE_KINDS, *REMEDIES, BACKUP)
            and fault.effective_ns is not None
        ]

    def record(
        self,
        *,
        acknowledged: int | None = None,
        attempted: int | None = None,
        found: int | None = None,
        lost: int | None = None,
        unexpected: int | None = None,
        unknown_survived: int | None = None,
        duplicates: int | None = None,
        bound: str | None = None,
        examples: Sequence[ExampleRecord] = (),
        inconclusive: str | None = None,
    ) -> IntegrityRecord:
        """The entry of the run's record, None for what was not counted.

        inconclusive: why the check could not be made; then it counts nothing.
        """
        return IntegrityRecord(
            check=self.wanted.check,
            workload=self.wanted.workload,
            target=self.store,
            acknowledged=acknowledged,
            attempted=attempted,
            found=found,
            lost=lost,
            unexpected=unexpected,
            unknown_survived=unknown_survived,
            duplicates=duplicates,
            oldest_lost_age_ns=None,
            bound=bound,
            examples=list(examples),
            inconclusive=inconclusive,
        )
