"""What the panel shows of a run: made from the agent's messages, as texts that a page only has to place.

None of these texts is HTML.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from bench.core import histogram, units
from bench.core.errors import ExitCode
from bench.core.histogram import Counts
from bench.core.messages import Event
from bench.core.outcome import OUTCOMES
from bench.core.units import spaced
from bench.judge.verdict import Verdict
from bench.registry import received_by
from bench.results.load_records import PhaseRecord, WorkloadRecord
from bench.swarm.messages import (
    Ended,
    EventMessage,
    Failed,
    FromAgent,
    HistogramDelta,
    Judged,
    RollingWindow,
    SeriesRow,
    Started,
    Step,
    WindowMessage,
)

PERCENTS = (50, 95, 99)
KINDS = ("response", "service", "lag")
IDLE, PREPARING, RUNNING, ENDING, OVER = "idle", "preparing", "running", "ending", "over"
MOST_EVENTS = 200
ABOUT = ("name", "what", "target", "service", "detector", "workload", "text", "detail")
"""Fields of an event that say what it was about, in the order of a sentence."""


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
    def of(cls, verdict: Verdict) -> Self:
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


@dataclass(frozen=True)
class _EventRow:
    at_ns: int
    until_ns: int
    what: str
    about: str
    times: int = 1


class EventLog:
    """The latest events; many of one kind in a row become one line."""

    def __init__(self) -> None:
        self._rows: list[_EventRow] = []

    def add(self, event: Event) -> None:
        """One entry of events.jsonl."""
        what = event.kind.replace("_", " ")
        given = (event.details.get(field) for field in ABOUT)
        about = ", ".join(dict.fromkeys(str(value) for value in given if value not in (None, "")))
        last = self._rows[-1] if self._rows else None
        if last is not None and (last.what, last.about) == (what, about):
            self._rows[-1] = replace(last, until_ns=event.at_ns, times=last.times + 1)
            return
        self._rows.append(_EventRow(event.at_ns, event.at_ns, what, about))
        del self._rows[:-MOST_EVENTS]

    def rows(self) -> list[EventState]:
        """Texts, the latest first: what happened is often noticed later than what came after it."""
        return [_event_state(row) for row in sorted(self._rows, key=lambda row: -row.at_ns)]


def _event_state(row: _EventRow) -> EventState:
    first, last = (units.format_duration_ns(at_ns) for at_ns in (row.at_ns, row.until_ns))
    if row.times == 1:
        return EventState(first, row.what, row.about)
    return EventState(f"{first} to {last}", f"{row.what}, {units.often(row.times)}", row.about)


class Figures:
    """Times of one kind of one workload (or of its deliveries)."""

    def __init__(self) -> None:
        self.recent = RollingWindow()
        self.measured = histogram.empty()

    def take(self, window: WindowMessage, gains: list[HistogramDelta]) -> None:
        """Add a window."""
        self.recent.add(window.start_ns, window.end_ns, gains)
        for gain in gains:
            if gain.tag.measured:
                self.measured[gain.buckets] += gain.counts

    def state(self, kind: str) -> LatencyState:
        """Percentiles of the last seconds, and of all that was measured."""
        samples = int(self.measured.sum())
        return LatencyState(
            kind,
            now=_percentiles(self.recent.counts()),
            measured=_percentiles(self.measured),
            max=units.format_duration_ns(histogram.max_ns(self.measured)) if samples else "-",
            samples=spaced(samples),
        )


def _percentiles(counts: Counts) -> list[str]:
    if not counts.any():
        return ["-"] * len(PERCENTS)
    return [units.format_duration_ns(histogram.percentile_ns(counts, percent)) for percent in PERCENTS]


class WorkloadFigures:
    """One workload: what was planned, what is, and how it ended so far."""

    def __init__(self, facts: WorkloadRecord) -> None:
        self.name = facts.name
        self._facts = facts
        self._kinds = {kind: Figures() for kind in KINDS}
        self._deliveries = Figures()
        self._received = received_by(facts.driver)
        self._outcomes = {outcome.label: 0 for outcome in OUTCOMES}
        self._row: SeriesRow | None = None

    def take(self, window: WindowMessage) -> None:
        """Add a window."""
        by_kind: dict[str, list[HistogramDelta]] = defaultdict(list)
        delivered: list[HistogramDelta] = []
        for gain in window.gains:
            if gain.tag.workload != self.name:
                continue
            if gain.tag.operation == self._received:
                delivered.append(gain)
                continue
            by_kind[gain.tag.kind].append(gain)
            if gain.tag.kind == "response":
                self._outcomes[gain.tag.outcome] += gain.total
        for kind, figures in self._kinds.items():
            figures.take(window, by_kind[kind])
        self._deliveries.take(window, [gain for gain in delivered if gain.tag.kind == "response"])
        self._row = next((row for row in window.series if row.workload == self.name), self._row)

    def state(self) -> WorkloadState:
        """As texts."""
        responses = self._kinds["response"].recent
        failed, ended = responses.total(failed=True), responses.total()
        facts = self._facts
        arrivals = (
            f"{facts.arrivals} arrivals at {units.format_rate(facts.rate_per_s)}"
            if facts.rate_per_s
            else "closed loop"
        )
        latency = [figures.state(kind) for kind, figures in self._kinds.items()]
        if self._received is not None:
            latency.append(self._deliveries.state("delivery"))
        return WorkloadState(
            name=self.name,
            plan=f"{facts.driver}, {arrivals}, {facts.lanes} lanes, "
            f"deadline {units.format_duration_ns(facts.deadline_ns or 0)}",
            rate=units.format_rate(ended / (responses.seconds or 1.0)) if ended else "0/s",
            p95=_percentiles(responses.counts())[1],
            failed=units.format_ratio(failed / ended) if ended else "-",
            connected=self._row.connected if self._row else None,
            in_flight=self._row.in_flight if self._row else None,
            latency=latency,
            outcomes=[OutcomeState(name, count) for name, count in self._outcomes.items()],
        )


@dataclass
class Dashboard:
    """One run, from the request to the verdict."""

    status: str = IDLE
    scenario: str = ""
    quick: bool = False
    purpose: str = ""
    step: str = ""
    message: str = ""
    run: str = ""
    interrupted: bool = False
    verdict: Verdict | None = None
    _rules: Sequence[str] = ()
    _phases: Sequence[PhaseRecord] = ()
    _workloads: list[WorkloadFigures] = field(default_factory=list)
    _events: EventLog = field(default_factory=EventLog)
    _now_ns: int = 0
    _phase: str = ""
    _under_way: str = ""

    def take(self, message: FromAgent) -> None:
        """A message of the agent."""
        match message:
            case Step(text):
                self.step = text
            case Started():
                self._started(message)
            case WindowMessage():
                self._window(message)
            case EventMessage():
                self._events.add(message.event)
            case Ended():
                self.interrupted = message.interrupted
                self.step = "judging"
            case Judged():
                self.verdict = message.verdict
            case Failed():
                self.message = message.message.removeprefix("bench: ")
                self.interrupted |= message.exit_code == ExitCode.INTERRUPTED

    def over(self) -> None:
        """The agent has gone."""
        self.status = OVER
        self.step = ""

    def ending(self) -> None:
        """It was asked to end."""
        if self.status in (PREPARING, RUNNING):
            self.status = ENDING

    def _started(self, message: Started) -> None:
        if self.status == PREPARING:
            self.status = RUNNING
        self.step = ""
        record = message.record
        self.scenario, self.purpose, self.run = record.scenario.name, record.scenario.purpose, record.run
        self._rules, self._phases = record.sla, record.phases
        self._workloads = [WorkloadFigures(facts) for facts in record.workloads]
        self._phase = self._phases[0].name if self._phases else ""

    def _window(self, window: WindowMessage) -> None:
        self._now_ns = window.end_ns
        self._phase = next((phase.name for phase in self._phases if window.end_ns < phase.end_ns), "drain")
        self._under_way = window.under_way
        for workload in self._workloads:
            workload.take(window)

    @property
    def headline(self) -> str:
        """The state in a few words."""
        if self.verdict is not None:
            return self.verdict.status.name
        if self.status != OVER:
            return self.status
        return "interrupted" if self.interrupted else "failed" if self.message else "ended"

    def state(self) -> RunState:
        """As texts."""
        total_ns = self._phases[-1].end_ns if self._phases else 0
        is_over = self.status == OVER
        left_ns = 0 if is_over else max(total_ns - self._now_ns, 0)
        return RunState(
            status=self.status,
            headline=self.headline,
            message=self.message,
            step=self.step,
            scenario=self.scenario,
            purpose=self.purpose,
            quick=self.quick,
            run=self.run,
            phase=self._phase,
            left=f"{left_ns / 1e9:.0f} s",
            done=min(self._now_ns / total_ns, 1.0) if total_ns else 0.0,
            under_way="" if is_over else self._under_way,
            phases=[self._phase_state(phase, total_ns) for phase in self._phases],
            workloads=[workload.state() for workload in self._workloads],
            rules=list(self._rules),
            events=self._events.rows(),
            verdict=VerdictState.of(self.verdict) if self.verdict else None,
        )

    def _phase_state(self, phase: PhaseRecord, total_ns: int) -> PhaseState:
        length_ns = phase.end_ns - phase.start_ns
        return PhaseState(
            name=phase.name,
            measured=phase.measured,
            lasts=units.format_duration_ns(length_ns),
            share=length_ns / total_ns if total_ns else 0.0,
            is_now=self.status != OVER and phase.start_ns <= self._now_ns < phase.end_ns,
        )
