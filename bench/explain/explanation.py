"""The explanation of a run's tail: causes one after the other, each with what the others left of the tail.

Events that services, machine and faults left behind are tested against coincidence. What the generator knows
of every arrival needs no test: that it was late, or that no lane was free. A part of the tail is counted
once: for the cause that explains most of what is left, or for the deepest of those that nearly do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.explain.events import (
    ALPHA,
    CauseKind,
    Event,
    events_of,
    explained,
    left_out,
    p_values,
    sign_flip_p,
)
from bench.explain.tail import Limit, Tail, tail_of

if TYPE_CHECKING:
    from bench.explain.events import Events, Series
    from bench.explain.tail import OperationTail, WorkloadTail
    from bench.results.reader import Run

LEAST_SHARE = 0.1
"""Of the tail: what explains less is not worth a word."""
LEAST_OF_OPERATION = 0.25
TIMES_OTHERS = 3.0
"""An operation is slow where so many times as many of its arrivals are in the tail as of the others."""
NEARLY = 0.2
"""Of the tail: causes whose shares differ by no more fit the same windows."""
MOST_CAUSES = 5
LEAST_ARRIVALS = 20
LEAST_OF_ALLOWED = 0.1
"""Of the arrivals that a rule lets be slow: a shorter tail needs no explanation."""
Key = tuple[CauseKind, str, str]
THROUGHOUT = 0.9
"""Share of the tail in windows with an event from which on it was there all the time."""


@dataclass(frozen=True)
class Cause:
    """One cause of a tail."""

    kind: CauseKind
    subject: str
    text: str
    share: float
    """Of the tail's arrivals."""
    p: float | None
    """That this is a coincidence; None for what was measured arrival by arrival."""
    windows: int
    """In how many windows it was on."""
    times: int = 0
    longest_ns: int | None = None

    @property
    def key(self) -> Key:
        """What it is, whatever its share."""
        return (self.kind, self.subject, self.text)


@dataclass(frozen=True)
class Explanation:
    """What made the tail of a run, as far as the run kept it."""

    run: str
    scenario: str
    limits: tuple[Limit, ...]
    arrivals: int
    beyond: int
    windows: int
    window_ns: int
    """The median of their lengths."""
    causes: tuple[Cause, ...]
    """The first explains most."""
    possible: tuple[Cause, ...]
    """What fits the tail, but may be a coincidence."""
    left_out: tuple[str, ...]
    """What could not be asked."""

    @property
    def has_tail(self) -> bool:
        """Whether there is something to explain."""
        allowed = min((limit.allowed for limit in self.limits), default=0.0)
        return self.beyond >= max(LEAST_ARRIVALS, LEAST_OF_ALLOWED * allowed * self.arrivals)

    @property
    def unexplained(self) -> float:
        """The share of the tail that no cause accounts for."""
        return max(1.0 - sum(cause.share for cause in self.causes), 0.0)


@dataclass(frozen=True)
class _Option:
    """A cause that may be named next, with the part of the tail that it would take, by window."""

    cause: Cause
    mass: Series
    event: Event | None = None


def explain(run: Run) -> Explanation:
    """What made the tail of a run. Raises ResultError for a damaged run."""
    tail = tail_of(run)
    return explanation_of(run.name, run.scenario, tail, events_of(run, tail), left_out(run))


def explanation_of(
    run: str, scenario: str, tail: Tail, events: Sequence[Event], unasked: Sequence[str] = ()
) -> Explanation:
    """The same of a tail and the events beside it."""
    beyond = tail.beyond
    found = Explanation(
        run=run,
        scenario=scenario,
        limits=tuple(one.limit for one in tail.workloads),
        arrivals=int(tail.arrivals.sum()),
        beyond=int(beyond.sum()),
        windows=tail.windows,
        window_ns=int(np.median(tail.ends_ns - tail.starts_ns)) if tail.windows else 0,
        causes=(),
        possible=(),
        left_out=tuple(unasked),
    )
    if not found.has_tail:
        return found
    causes, left = _causes(tail, list(events))
    named = {cause.key for cause in causes}
    doubtful = [
        option.cause
        for option in _events(tail, left, events)
        if option.cause.share >= LEAST_SHARE and option.cause.key not in named
    ]
    possible = sorted(doubtful, key=lambda cause: -cause.share)[:MOST_CAUSES]
    return Explanation(**{**vars(found), "causes": tuple(causes), "possible": tuple(possible)})


def _causes(tail: Tail, events: list[Event]) -> tuple[list[Cause], Series]:
    """The causes in the order in which they are found, and what is left of the tail."""
    left = tail.beyond.copy()
    causes: list[Cause] = []
    taken: set[Key] = set()
    while len(causes) < MOST_CAUSES:
        options = [
            option
            for option in (*_events(tail, left, events), *_direct(tail, left, events))
            if (option.cause.p is None or option.cause.p <= ALPHA)
            and option.cause.share >= LEAST_SHARE
            and option.cause.key not in taken
        ]
        if not options:
            break
        most = max(option.cause.share for option in options)
        chosen = min(
            (option for option in options if option.cause.share >= most - NEARLY),
            key=lambda option: (option.cause.kind.depth, -option.cause.share),
        )
        causes.append(chosen.cause)
        taken.add(chosen.cause.key)
        left = np.maximum(left - chosen.mass, 0.0)
    return sorted(causes, key=lambda cause: -cause.share), left


def _events(tail: Tail, left: Series, events: Sequence[Event]) -> Iterator[_Option]:
    """Events against what is left of the tail, tested as one family."""
    total = tail.beyond.sum()
    chances = p_values(left, tail.arrivals, [event.on for event in events])
    for event, p in zip(events, chances, strict=True):
        mass = explained(left, tail.arrivals, event.on)
        cause = Cause(
            event.kind,
            event.subject,
            event.text,
            float(mass.sum() / total),
            p,
            int(event.on.sum()),
            event.times,
            event.longest_ns,
        )
        yield _Option(cause, mass, event)


def _direct(tail: Tail, left: Series, events: Sequence[Event]) -> Iterator[_Option]:
    """What is known of the arrivals themselves, or of the whole time."""
    kept = np.divide(left, tail.beyond, out=np.zeros_like(left), where=tail.beyond > 0)
    yield from _lateness(tail, kept, events)
    yield from _operations(tail, kept)
    for event in events:
        if event.kind is CauseKind.TARGET_CPU and _is_throughout(tail, event):
            yield _option(tail, event.kind, event.subject, event.text, _served_late(tail) * kept, event)
    full = _on_in(tail, events, CauseKind.TARGET_CPU)
    for one in tail.workloads:
        mass = np.where(full, 0.0, one.waited_for_ordinary_answers) * kept
        yield _option(tail, CauseKind.LANES, one.limit.workload, "no lane was free", mass)


def _lateness(tail: Tail, kept: Series, events: Sequence[Event]) -> Iterator[_Option]:
    """Lateness of the generator: others' doing in the windows in which others held it up, else its own."""
    by_others = _on_in(tail, events, CauseKind.OTHER_PROCESSES)
    held_up, own = np.zeros(tail.windows), np.zeros(tail.windows)
    for one in tail.workloads:
        was = by_others if tail.held_ns is None else by_others & one.was_held_up(tail.held_ns)
        held_up += np.where(was, one.late, 0.0) * kept
        own += np.where(was, 0.0, one.late) * kept
    for event in events:
        if event.kind is CauseKind.OTHER_PROCESSES:
            yield _option(tail, event.kind, event.subject, event.text, held_up, event)
    yield _option(tail, CauseKind.GENERATOR, "generator", "it sent late or read late", own)


def _operations(tail: Tail, kept: Series) -> Iterator[_Option]:
    for workload in tail.workloads:
        if len(workload.operations) < 2:
            continue
        for operation in workload.operations:
            option = _operation(tail, workload, operation, kept)
            if option is not None and option.cause.share >= LEAST_OF_OPERATION:
                yield option


def _operation(tail: Tail, workload: WorkloadTail, operation: OperationTail, kept: Series) -> _Option | None:
    """An operation that is slow where the others are not, and what the others waited for because of it."""
    own, mine = operation.beyond * kept, operation.arrivals
    others = (workload.beyond["response"] - operation.beyond) * kept
    theirs = workload.arrivals - mine
    if not mine.sum() or not theirs.sum():
        return None
    usual = others.sum() / theirs.sum()
    is_often = own.sum() / mine.sum() >= TIMES_OTHERS * usual
    if not own.sum() or not (is_often or _takes_long(workload, operation)):
        return None
    p = min(sign_flip_p(own - usual * mine) * len(workload.operations), 1.0)
    if p > ALPHA:
        return None
    excess = max(float(own.sum() - usual * mine.sum()), 0.0)
    mass = own * (excess / own.sum())
    (behind,) = p_values(others, theirs, [own > 0])
    if behind <= ALPHA:
        mass = mass + explained(others, theirs, own > 0)
    return _option(
        tail, CauseKind.OPERATION, f"{workload.limit.workload}.{operation.operation}", "", mass, p=p
    )


def _takes_long(workload: WorkloadTail, operation: OperationTail) -> bool:
    """Whether it takes long by itself, and the others do not: whoever waits behind it is in the tail, too."""
    others = [one.service_ns for one in workload.operations if one is not operation]
    least_ns = max(TIMES_OTHERS * max(others), workload.limit.ns / 2)
    return operation.service_ns >= least_ns


def _served_late(tail: Tail) -> Series:
    """Arrivals whose service alone was beyond the limit."""
    kinds = ["service_net" if one.has_net else "service" for one in tail.workloads]
    parts = (one.beyond[kind] for one, kind in zip(tail.workloads, kinds, strict=True))
    return sum((np.minimum(part, tail.beyond) for part in parts), np.zeros(tail.windows))


def _on_in(tail: Tail, events: Sequence[Event], kind: CauseKind) -> Events:
    """The windows in which any event of a kind was on."""
    found = np.zeros(tail.windows, dtype=bool)
    for event in events:
        if event.kind is kind:
            found |= event.on
    return found


def _is_throughout(tail: Tail, event: Event) -> bool:
    in_tail = float(tail.beyond[event.on].sum() / tail.beyond.sum())
    return min(in_tail, float(event.on.mean())) >= THROUGHOUT


def _option(
    tail: Tail,
    kind: CauseKind,
    subject: str,
    text: str,
    mass: Series,
    event: Event | None = None,
    p: float | None = None,
) -> _Option:
    share = float(mass.sum() / tail.beyond.sum())
    on = event.on if event is not None else mass > 0
    times = event.times if event is not None else 0
    return _Option(Cause(kind, subject, text, min(share, 1.0), p, int(on.sum()), times), mass, event)
