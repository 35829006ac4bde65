"""The harness's eye on a fault proxy: it stands in the path, so it is watched like the generator.

Nothing is asked of it. Its lateness it counts itself in shared memory; its time on a processor, and the
time in which it waited for one, are the kernel's word on its threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core import histogram
from bench.core.errors import TargetError
from bench.core.machine_limits import CODE as OWN_LIMIT
from bench.results.run_record import Anomaly, ProxyRecord
from chaos.proxy.loop import LOOP, MOST_READY, READS, RELAY, THREAD

if TYPE_CHECKING:
    from bench.core.histogram import Counts
    from bench.plan.plan import Plan
    from bench.results.generator_records import CalibrationRecord
    from chaos.proxy.client import FaultProxy

BUSY_RATIO = 0.98
"""A thread that runs, or waits to run, for this share of a phase has no time to spare."""
BEYOND_NS = tuple(10_000 << power for power in range(21))
"""Delays from 10 µs to 10 s for which the record has how many reads were later."""
STALL_NS = 10_000_000
FIRST_STALLED = histogram.bucket_of(STALL_NS)
"""What was passed on later than STALL_NS shows a time in which nothing was."""
PERCENTS = (50.0, 95.0, 99.0, 99.9)


@dataclass(frozen=True)
class Sample:
    """What the kernel says of its threads at one time, in ns: on a processor, and waiting for one."""

    at_ns: int
    ran_ns: dict[int, int]
    waited_ns: dict[int, int]
    reads: int
    lateness: Counts


@dataclass
class ProxyWatch:
    """Looks at one proxy as often as the session looks around, and sums up the measured phases."""

    proxy: FaultProxy
    plan: Plan
    ended: str | None = None
    """How it ended before its time."""
    _since: Sample | None = None
    _phase: int = -1
    _reads: int = 0
    _span_ns: int = 0
    _ran_ns: int = 0
    _waited_ns: int = 0
    _busiest: float = 0.0
    _lateness: Counts = field(default_factory=histogram.empty)
    _seen: Counts | None = None
    _stalls_ns: list[int] = field(default_factory=list)

    def look(self, now_ns: int) -> None:
        """now_ns: since run zero."""
        if self.ended is None:
            self.ended = self.proxy.ending()
        phase = next(
            (number for number, one in enumerate(self.plan.phases) if now_ns < one.end_ns),
            len(self.plan.phases),
        )
        if self._since is not None:
            self._note_stall()
        if phase != self._phase:
            self._close(now_ns)
            self._phase = phase
            is_measured = phase < len(self.plan.phases) and self.plan.phases[phase].measured
            self._since = self._sample(now_ns) if is_measured else None
            self._seen = None if self._since is None else self._since.lateness

    def entry(self, end_ns: int, floor: CalibrationRecord | None) -> ProxyRecord:
        """For the run's record, when the load has ended. floor: of the measurement through it."""
        if self.ended is None:
            self.ended = self.proxy.ending()
        if self._since is not None:
            self._note_stall()
        self._close(end_ns)
        counts = self._lateness
        total = int(counts.sum())
        late = {f"p{percent:g}": histogram.percentile_ns(counts, percent) for percent in PERCENTS if total}
        if total:
            late |= {"mean": round(histogram.mean_ns(counts)), "max": histogram.max_ns(counts)}
        record = ProxyRecord(
            target=self.proxy.name,
            client=self.proxy.client,
            ended=self.ended,
            compiled=bool(self.proxy.row(RELAY)[READS]),
            dials_failed=self._dials_failed(),
            reads=self._reads,
            most_ready=int(max(self.proxy.row(number)[MOST_READY] for number in (RELAY, LOOP))),
            busy_ratio=round(self._busiest, 4),
            cpu_ratio=round(self._ran_ns / max(self._span_ns, 1), 4),
            run_queue_ratio=round(self._waited_ns / max(self._span_ns, 1), 4),
            stalls=len(self._stalls_ns),
            stalled_ns=min(sum(self._stalls_ns), self._span_ns),
            lateness_ns=late,
            later_than=[[ns, int(counts[histogram.bucket_of(ns) + 1 :].sum())] for ns in BEYOND_NS if total],
        )
        return record if floor is None else record.model_copy(update=floor.to_json())

    def anomalies(self, record: ProxyRecord, open_workloads: Iterable[str]) -> list[Anomaly]:
        """What of the record makes the run no measurement of the target."""
        name, anomalies = record.name, []
        if record.ended is not None:
            anomalies.append(
                _anomaly(
                    "proxy_ended",
                    f"{name} ended during the run ({record.ended}): what came after"
                    " is not the target's doing",
                    "see who ended it (the kernel's log reports a lack of memory), then run again",
                )
            )
        if record.dials_failed:
            anomalies.append(
                _anomaly(
                    OWN_LIMIT,
                    f"{name} could not make {record.dials_failed} connections: this "
                    "machine had no local port, no descriptor or no memory for them",
                    "raise the limits of this machine (bench doctor shows them), or use fewer lanes",
                )
            )
        busy_ratio = record.busy_ratio or 0.0
        if record.ended is None and busy_ratio >= BUSY_RATIO and list(open_workloads):
            anomalies.append(
                _anomaly(
                    "proxy_saturated",
                    f"{name} ran or waited for a processor for "
                    f"{busy_ratio * 100:.1f} % of a phase: it was the bottleneck, not the target",
                    "lower the rate, or free the machine of other work",
                )
            )
        return anomalies

    def _dials_failed(self) -> int:
        """Asked once, when the load has ended; a proxy that is gone does not answer."""
        if self.ended is not None:
            return 0
        with suppress(TargetError):
            return self.proxy.stats().dials_failed
        return 0

    def _note_stall(self) -> None:
        """The longest that anything waited since the last look, when that is as long as a stall."""
        assert self._seen is not None
        seen, self._seen = self._seen, self.proxy.lateness()
        since = self._seen - seen
        if since[FIRST_STALLED:].any():
            self._stalls_ns.append(histogram.max_ns(since))

    def _close(self, now_ns: int) -> None:
        """The phase is over, or the run: add what happened in it."""
        since, self._since = self._since, None
        if since is None:
            return
        now = self._sample(now_ns)
        span_ns = max(now.at_ns - since.at_ns, 1)
        self._span_ns += span_ns
        self._reads += now.reads - since.reads
        self._lateness += now.lateness - since.lateness
        for thread, ran_ns in now.ran_ns.items():
            ran = ran_ns - since.ran_ns.get(thread, 0)
            waited = now.waited_ns[thread] - since.waited_ns.get(thread, 0)
            self._ran_ns += ran
            self._waited_ns += waited
            self._busiest = max(self._busiest, (ran + waited) / span_ns)

    def _sample(self, now_ns: int) -> Sample:
        ran, waited = {}, {}
        rows = [self.proxy.row(number) for number in (RELAY, LOOP)]
        for row in rows:
            thread = int(row[THREAD])
            times = _schedule_of(self.proxy.pid, thread) if thread else None
            if times is not None:
                ran[thread], waited[thread] = times
        return Sample(now_ns, ran, waited, int(sum(row[READS] for row in rows)), self.proxy.lateness())


def _schedule_of(pid: int | None, thread: int) -> tuple[int, int] | None:
    """Time on a processor and time in its queue, ns; None where the kernel does not say."""
    try:
        words = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text(encoding="ascii").split()
        return int(words[0]), int(words[1])
    except (OSError, ValueError, IndexError):
        return None


def _anomaly(code: str, message: str, advice: str) -> Anomaly:
    return Anomaly(code=code, severity="invalid", message=message, advice=advice)
