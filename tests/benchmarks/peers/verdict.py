"""The criteria of a comparison, and how they came out. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.core.clock import NS_PER_S
from bench.judge.verdict import Status, worst
from tests.benchmarks.peers.rounds import OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.benchmarks.peers.rounds import Summary


@dataclass(frozen=True)
class AtLeastTimes:
    """Ours has at least `times` the throughput of another contestant."""

    contestant: str
    times: float

    def judge(self, summaries: Mapping[str, Summary]) -> Finding:
        """By the median of the rounds' ratios."""
        rule = f"throughput of ours >= {self.times:g} x {self.contestant}"
        summary = summaries.get(self.contestant)
        if summary is None or summary.ratio is None:
            return Finding(rule, None, Status.INCONCLUSIVE, f"no round has both ours and {self.contestant}")
        met = summary.ratio >= self.times
        return Finding(rule, summary.ratio, Status.PASS if met else Status.FAIL, f"{summary.ratio:.2f} x")


@dataclass(frozen=True)
class NoHiddenTime:
    """Little's law holds for ours in every round: throughput x mean latency / connections is near 1."""

    tolerance: float

    def judge(self, summaries: Mapping[str, Summary]) -> Finding:
        """By the round that is farthest from 1: an identity has no bad days."""
        rule = f"throughput x mean latency / connections of ours within {self.tolerance:.0%} of 1"
        summary = summaries.get(OURS)
        if summary is None:
            return Finding(rule, None, Status.INCONCLUSIVE, "ours has no round")
        observed = summary.little_farthest
        if observed is None:
            return Finding(rule, None, Status.INCONCLUSIVE, "ours did not measure its latency")
        # A request that was under way at an edge of a round may count in one of the two only.
        seconds = summary.requests / summary.rounds / summary.throughput_per_s
        if 2 * summary.mean_ns / NS_PER_S > self.tolerance * seconds:
            because = f"rounds of {seconds:.1f} s are too short for a mean of {summary.mean_ns / 1e6:.1f} ms"
            return Finding(rule, observed, Status.INCONCLUSIVE, because)
        met = abs(observed - 1) <= self.tolerance
        return Finding(rule, observed, Status.PASS if met else Status.FAIL, f"{observed:.4f} at worst")


@dataclass(frozen=True)
class CountedEqually:
    """A contestant and the server counted the same number of requests in every round, to the unit."""

    contestant: str

    def judge(self, summaries: Mapping[str, Summary]) -> Finding:
        """By the sum of the rounds' differences, whatever their signs."""
        rule = f"the server counted what {self.contestant} counted, to the unit"
        summary = summaries.get(self.contestant)
        if summary is None or summary.counted is None or summary.miscounted is None:
            return Finding(rule, None, Status.INCONCLUSIVE, "the server's count is not known")
        status = Status.PASS if summary.miscounted == 0 else Status.FAIL
        because = f"{summary.requests:,} and {summary.counted:,}"
        if summary.miscounted:
            because += f", apart by {summary.miscounted:,} over the rounds"
        return Finding(rule, float(summary.miscounted), status, because)


Criterion = AtLeastTimes | NoHiddenTime | CountedEqually


@dataclass(frozen=True)
class Finding:
    """A criterion that was judged."""

    rule: str
    observed: float | None
    status: Status
    because: str


def findings_of(
    criteria: Sequence[Criterion], summaries: Mapping[str, Summary], absent: Mapping[str, str]
) -> list[Finding]:
    """Every criterion, and every contestant that should have run and did not."""
    judged = [criterion.judge(summaries) for criterion in criteria]
    missing = [Finding(f"{name} takes part", None, Status.INCONCLUSIVE, why) for name, why in absent.items()]
    return judged + missing


def status_of(findings: Sequence[Finding]) -> Status:
    """The worst of all: a criterion that is broken stays broken, whoever else is missing."""
    return worst(finding.status for finding in findings)
