"""What went on in a run that may have made arrivals wait; how much of the tail it explains, against chance.

From what services reported (activity.jsonl), from the samples of resources, and from the faults.

An event is a series over the windows of a run: on or off. What it explains is the part of the tail beyond
what the windows without it would have had, too. Chance is judged by shifting the events against the tail: all
of them together, around the end of the run, so that both keep their bursts and how the events go together.
The p-value of an event is the share of shifts in which any of the events fits the tail at least as well (the
largest statistic of the family: Westfall and Young 1993, here with circular shifts), so that of families of
events that have nothing to do with the tail, at most one in twenty names any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S
from bench.resources.starvation import slices
from bench.results import logs
from bench.results.layout import GENERATOR, MACHINE, Cell, ResourceRow

if TYPE_CHECKING:
    from bench.explain.tail import Tail
    from bench.results.logs import ActivityRecord
    from bench.results.reader import Run


class CauseKind(Enum):
    """What can make a tail, deepest first: of two that fit the same windows, the upper causes the other."""

    FAULT = "fault"
    LOCK_WAIT = "lock_wait"
    GARBAGE_COLLECTION = "garbage_collection"
    SNAPSHOT = "snapshot"
    CHECKPOINT = "checkpoint"
    OPERATION = "operation"
    OTHER_PROCESSES = "other_processes"
    SLOW_COMMAND = "slow_command"
    SLOW_STATEMENT = "slow_statement"
    LATENCY_EVENT = "latency_event"
    GENERATOR = "generator"
    TARGET_CPU = "target_cpu"
    WAIT = "wait"
    LANES = "lanes"

    @property
    def depth(self) -> int:
        """0 for the deepest."""
        return list(CauseKind).index(self)


KIND_OF_ACTIVITY = {
    logs.SLOW_COMMAND: CauseKind.SLOW_COMMAND,
    logs.BUSY_COMMAND: CauseKind.SLOW_COMMAND,
    logs.SLOW_STATEMENT: CauseKind.SLOW_STATEMENT,
    logs.BUSY_STATEMENT: CauseKind.SLOW_STATEMENT,
    logs.FORK: CauseKind.SNAPSHOT,
    logs.SNAPSHOT: CauseKind.SNAPSHOT,
    logs.LATENCY_EVENT: CauseKind.LATENCY_EVENT,
    logs.LOCK_WAIT: CauseKind.LOCK_WAIT,
    logs.WAIT: CauseKind.WAIT,
    logs.CHECKPOINT: CauseKind.CHECKPOINT,
    logs.GC_PAUSE: CauseKind.GARBAGE_COLLECTION,
}
TOGETHER = (
    CauseKind.LOCK_WAIT,
    CauseKind.SNAPSHOT,
    CauseKind.CHECKPOINT,
    CauseKind.GARBAGE_COLLECTION,
)
"""One event for each target and kind of report, whatever its text; the others are one for each text."""
BUSY = (logs.BUSY_COMMAND, logs.BUSY_STATEMENT)
LEAST_BUSY_NS = 1_000_000
"""On average. A command that is busy because it is frequent holds nobody up."""
UNDER_WAY = (logs.LOCK_WAIT, logs.WAIT, logs.SLOW_STATEMENT, logs.SNAPSHOT)
"""What was seen while it lasted: it may have gone on until the next look."""
LOOKS, LEAST_LOOK_NS = 2, 200_000_000
"""Samples from one look to the next, and how far apart looks are at least."""
MOST_TEXTS = 8
"""Events of one kind: each further one makes coincidences likelier."""
FULL = 0.9
"""Share of the processors that a target can use."""
ONE_CORE = ("redis", "reference API")
"""Kinds, and servers, that do their work in one thread."""
LEAST_SLICE_S = 0.2


@dataclass(frozen=True)
class Event:
    """Something that was on in some windows of a tail."""

    kind: CauseKind
    subject: str
    """The target, or whom it concerns."""
    text: str
    """What, in the words of who reported it."""
    on: Events
    times: int = 0
    """How often it was reported."""
    longest_ns: int | None = None


def events_of(run: Run, tail: Tail) -> list[Event]:
    """Everything that was on in some of the windows, in no order. Raises ResultError."""
    found = [
        *_faults(run, tail),
        *_activities(
            run.activity(), tail, max(LOOKS * (run.record.resources.interval_ns or 0), LEAST_LOOK_NS)
        ),
        *_others(run.resources(), tail),
        *_full_targets(run, tail),
    ]
    return [event for event in found if event.on.any()]


def left_out(run: Run) -> list[str]:
    """What could not be asked, as sentences. Raises ResultError."""
    records = (one for one in run.activity() if one.kind == logs.LEFT_OUT)
    return list(dict.fromkeys(f"{one.target}: {one.text}" for one in records))


def _faults(run: Run, tail: Tail) -> Iterator[Event]:
    for fault in run.record.faults:
        since = fault.effective_ns if fault.effective_ns is not None else fault.asked_ns
        if since is None or not fault.took_effect:
            continue
        ends = [fault.healed_ns, fault.returned_ns, since]
        ends += [one.full_ns or one.stable_ns for one in run.record.recoveries if one.fault == fault.number]
        until = max(end for end in ends if end is not None)
        on = tail.touched(since, until + 1)
        yield Event(CauseKind.FAULT, fault.where, fault.kind, on, 1, until - since)


def _activities(records: Iterable[ActivityRecord], tail: Tail, look_ns: int) -> Iterator[Event]:
    groups: dict[tuple[CauseKind, str, str], list[ActivityRecord]] = {}
    for record in records:
        kind = KIND_OF_ACTIVITY.get(record.kind)
        if kind is None or (record.kind in BUSY and (record.took_ns or 0) < LEAST_BUSY_NS):
            continue
        text = record.kind if kind in TOGETHER else record.text
        groups.setdefault((kind, record.target, text), []).append(record)
    by_kind: dict[CauseKind, list[Event]] = {}
    for (kind, target, _), group in groups.items():
        by_kind.setdefault(kind, []).append(_event(kind, target, group, tail, look_ns))
    for events in by_kind.values():
        yield from sorted(events, key=lambda one: -(one.longest_ns or 0))[:MOST_TEXTS]


def _event(kind: CauseKind, target: str, group: Sequence[ActivityRecord], tail: Tail, look_ns: int) -> Event:
    on = np.zeros(tail.windows, dtype=bool)
    for record in group:
        lasts_ns = look_ns if record.kind in UNDER_WAY else 0
        on |= tail.touched(record.since_ns, record.at_ns + 1 + lasts_ns)
    longest = max(group, key=lambda record: (record.text != logs.UNKNOWN_HOLDER, record.took_ns or 0))
    times = sum(record.count for record in group) if kind is CauseKind.GARBAGE_COLLECTION else len(group)
    return Event(kind, target, longest.text, on, times, longest.took_ns)


def _others(rows: Sequence[Mapping[str, Cell]], tail: Tail) -> Iterator[Event]:
    on = np.zeros(tail.windows, dtype=bool)
    reasons: dict[str, int] = {}
    for cut in slices(rows):
        if cut.held_up:
            on |= tail.touched(cut.start_ns, cut.end_ns)
            reasons[cut.who] = reasons.get(cut.who, 0) + 1
    if reasons:
        who = max(reasons, key=lambda one: reasons[one])
        yield Event(CauseKind.OTHER_PROCESSES, MACHINE, who, on, sum(reasons.values()))


def _full_targets(run: Run, tail: Tail) -> Iterator[Event]:
    one_core = {
        target.name
        for target in run.record.stack.targets
        if target.kind in ONE_CORE or target.server in ONE_CORE
    }
    by_source: dict[str, list[ResourceRow]] = {}
    for row in map(ResourceRow.read, run.resources()):
        if row.source not in (MACHINE, GENERATOR) and row.cpu_s is not None:
            by_source.setdefault(row.source, []).append(row)
    for source, rows in by_source.items():
        on = np.zeros(tail.windows, dtype=bool)
        times = 0
        for before, after in pairwise(_apart(rows)):
            length_s = (after.at_ns - before.at_ns) / NS_PER_S
            cores = 1.0 if source in one_core else after.cores or 1.0
            if ((after.cpu_s or 0.0) - (before.cpu_s or 0.0)) / length_s / cores >= FULL:
                on |= tail.touched(before.at_ns, after.at_ns)
                times += 1
        yield Event(CauseKind.TARGET_CPU, source, "its processor was full", on, times)


def _apart(rows: Sequence[ResourceRow]) -> Iterator[ResourceRow]:
    """Samples at least LEAST_SLICE_S apart: CPU is counted in ticks of 10 ms."""
    last_ns: int | None = None
    for row in rows:
        if last_ns is None or row.at_ns - last_ns >= LEAST_SLICE_S * NS_PER_S:
            last_ns = row.at_ns
            yield row


Series = NDArray[np.float64]
Events = NDArray[np.bool_]

ALPHA = 0.05


def excess(tail: Series, arrivals: Series, on: Events) -> float:
    """How many arrivals of the tail came in windows with an event, beyond what is usual without; at least 0.

    An event in all windows, or in none, explains nothing: there is nothing to compare with.
    """
    off = ~on
    without = float(arrivals[off].sum())
    if not on.any() or without <= 0:
        return 0.0
    usual = float(tail[off].sum()) / without
    return max(float(tail[on].sum()) - usual * float(arrivals[on].sum()), 0.0)


def explained(tail: Series, arrivals: Series, on: Events) -> Series:
    """The same by window: no more than its tail, and nothing where the event is off."""
    total = excess(tail, arrivals, on)
    inside = np.where(on, tail, 0.0)
    mass = float(inside.sum())
    return inside * (min(total / mass, 1.0) if mass else 0.0)


def p_values(tail: Series, arrivals: Series, events: Sequence[Events]) -> list[float]:
    """Of each event of a family: the probability that one of them fits this well by chance."""
    windows = len(tail)
    if not events or not tail.sum() or not arrivals.sum():
        return [1.0] * len(events)
    # The share of the tail in windows with the event, less the share of the arrivals there, at each shift.
    tail_share, arrival_share = tail / tail.sum(), arrivals / arrivals.sum()
    difference = tail_share - arrival_share
    shifted = np.stack([np.roll(difference, shift) for shift in range(windows)])  # shift, window
    fits = shifted @ np.stack([np.asarray(on, dtype=np.float64) for on in events]).T  # shift, event
    best = fits.max(axis=1)
    return [
        float(np.count_nonzero(best >= fits[0, number] - 1e-12)) / windows for number in range(len(events))
    ]


def sign_flip_p(differences: Series, draws: int = 2000, seed: int = 1) -> float:
    """Whether a sum of differences exceeds 0 by more than chance: the share of random signs that get there.

    Exchangeable under the hypothesis that each is as likely to be positive as negative (Fisher 1935).
    """
    kept = differences[differences != 0]
    if not len(kept):
        return 1.0
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(draws, len(kept)))
    reached = np.count_nonzero(signs @ kept >= kept.sum() - 1e-12)
    return float(reached + 1) / (draws + 1)
