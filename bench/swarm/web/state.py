"""The state of the panel as JSON: what the page places. None of these texts is HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core import units

if TYPE_CHECKING:
    from bench.judge.verdict import Verdict


@dataclass(frozen=True)
class PhaseState:
    """A phase on the bar."""

    name: str
    measured: bool
    lasts: str
    share: float
    is_now: bool


@dataclass(frozen=True)
class LatencyState:
    """Times of one kind: percentiles of the last seconds, and of all that was measured."""

    kind: str
    now: list[str]
    measured: list[str]
    max: str
    samples: str


@dataclass(frozen=True)
class OutcomeState:
    """How many arrivals ended in one way."""

    name: str
    count: int


@dataclass(frozen=True)
class WorkloadState:
    """One workload."""

    name: str
    plan: str
    rate: str
    p95: str
    failed: str
    connected: int | None
    in_flight: int | None
    latency: list[LatencyState]
    outcomes: list[OutcomeState]


@dataclass(frozen=True)
class EventState:
    """A line of the list of events."""

    at: str
    what: str
    about: str


@dataclass(frozen=True)
class CheckState:
    """A check with its figures as people write them."""

    status: str
    rule: str
    is_rule: bool
    observed: str
    because: str
    advice: str


@dataclass(frozen=True)
class VerdictState:
    """The verdict; findings about the run come first."""

    status: str
    checks: list[CheckState]

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictState:
        """The texts of a verdict."""
        return cls(
            verdict.status.name,
            [
                CheckState(
                    status=check.status.name,
                    rule=check.rule,
                    is_rule=check.is_rule,
                    observed="-"
                    if check.observed is None
                    else units.format_quantity(check.observed, check.unit or "count"),
                    because=check.because,
                    advice=check.advice or "",
                )
                for check in verdict.checks
            ],
        )


@dataclass(frozen=True)
class RunState:
    """One run, from the request to the verdict."""

    status: str
    headline: str
    message: str
    step: str
    scenario: str
    purpose: str
    quick: bool
    run: str
    phase: str
    left: str
    done: float
    under_way: str
    phases: list[PhaseState]
    workloads: list[WorkloadState]
    rules: list[str]
    events: list[EventState]
    verdict: VerdictState | None
