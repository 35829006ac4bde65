"""The ledger of acknowledged writes and the totals of transfers: what the target must still have. Pure.

The set workload of Jepsen's checkers: every write is unique, and after healing all are looked for;
lost = acknowledged - found, unexpected = found - attempted. A write of unknown outcome (timeout,
reset, an error) may be there or not; one that was never sent must not be. Each write is known by the
number of its arrival, in the form in which that arrival writes it into a word of a Redis command.

Transfers keep a total: every reading of it must find the same, or money came or went.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bench.core.outcome import Outcome
from bench.results.fault_records import ExampleRecord, RecoveryPointRecord
from bench.scenario.templates import RUN, RUN_WIDTH, SEQUENCE, SEQUENCE_WIDTH, pieces_of, value_content

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.scenario.workloads import Workload

    Whole = NDArray[np.int64]


@dataclass(frozen=True)
class WrittenForm:
    """Literal bytes, and widths of zero-padded numbers where an arrival's number stands."""

    pieces: tuple[bytes | int, ...]

    def of(self, arrival: int) -> bytes:
        """What this arrival wrote. A number wider than its field keeps its last digits."""
        return b"".join(
            piece if isinstance(piece, bytes) else b"%0*d" % (piece, arrival % 10**piece)
            for piece in self.pieces
        )

    def arrival_of(self, written: bytes) -> int | None:
        """Which arrival wrote this; None where none can have."""
        match = self._pattern.fullmatch(written)
        if match is None:
            return None
        arrival = int(match[1])
        return arrival if self.of(arrival) == written else None

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        parts = (
            re.escape(piece) if isinstance(piece, bytes) else b"([0-9]{%d})" % piece for piece in self.pieces
        )
        return re.compile(b"".join(parts), re.DOTALL)


def written_form(word: str, workload: Workload, seed: int, run_label: int) -> WrittenForm:
    """The form of a word of a command, as the engines render it; {key} is not among its placeholders."""
    pieces: list[bytes | int] = []
    for piece in pieces_of(word):
        if not piece.is_placeholder:
            pieces.append(piece.text.encode())
        elif piece.text == SEQUENCE:
            pieces.append(SEQUENCE_WIDTH)
        elif piece.text == RUN:
            pieces.append(b"%0*d" % (RUN_WIDTH, run_label))
        else:
            assert workload.value is not None
            content, digits = value_content(workload.value.bytes, seed)
            pieces += [digits, content[digits:]]
    return WrittenForm(tuple(pieces))


MOST_EXAMPLES = 5
_HOLE = "lost, though a later one survived"
_SPLIT = "lost, taken while there were two primaries"
_NEVER_SENT = (Outcome.REFUSED, Outcome.DROPPED)
_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Attempts:
    """The writes of one operation, one item for each arrival; times in ns from run zero."""

    arrival: Whole
    sent_ns: Whole
    done_ns: Whole
    outcome: Whole
    """As in bench.core.outcome."""


@dataclass(frozen=True)
class Blow:
    """A fault that may have cost data; ns from run zero."""

    number: int
    effective_ns: int
    healed_ns: int | None


@dataclass(frozen=True)
class Found:
    """What was read back."""

    arrivals: Whole
    """Arrivals whose write is there as it was written, one item for each time it is there."""
    changed: Whole = field(default_factory=lambda: np.empty(0, np.int64))
    """Arrivals in whose place something else stands."""
    foreign: tuple[str, ...] = ()
    """What stands where only writes of this run should, and is not one."""


@dataclass(frozen=True)
class Judgement:
    """What became of the writes; counts of arrivals. Its fields are fields of an IntegrityRecord."""

    acknowledged: int
    attempted: int
    found: int
    """Whatever is there, each once."""
    lost: int
    """Acknowledged and not there as written."""
    unexpected: int
    """There, but never sent, or not as written."""
    unknown_survived: int
    """Sent, never acknowledged, and there: that is fine."""
    duplicates: int
    """There more than once."""
    changed: int
    holes: int
    """Lost although a write sent after its acknowledgement survived the same fault: no suffix of the order
    of commits, so worse than a buffer that was not written in time."""
    split: int | None
    """Lost, and acknowledged while two servers said to be the primary: only one of them went on. None where
    that cannot be."""
    oldest_lost_age_ns: int | None
    """How long before the fault the oldest lost write had been acknowledged."""
    bound: str
    examples: list[ExampleRecord]


def judge(
    attempts: Attempts,
    found: Found,
    blows: Sequence[Blow] = (),
    splits: Sequence[tuple[int, int]] | None = None,
) -> Judgement:
    """Compare what was acknowledged with what was found. `blows` date what was lost.

    splits: from when to when there were two primaries; None of a target that has one server.
    """
    is_acknowledged = attempts.outcome == Outcome.OK
    is_sent = ~np.isin(attempts.outcome, _NEVER_SENT)
    there, times = np.unique(found.arrivals, return_counts=True)
    changed = np.setdiff1d(found.changed, there)
    is_there = np.isin(attempts.arrival, there)
    is_lost = is_acknowledged & ~is_there
    unexpected = np.union1d(np.setdiff1d(there, attempts.arrival[is_sent]), changed)
    order = sorted(blows, key=lambda blow: blow.effective_ns)
    blow_of, age_ns = _dated(attempts.done_ns, order)
    dated = age_ns[is_lost & (blow_of >= 0)]
    is_split = np.zeros(len(attempts.arrival), np.bool_)
    for from_ns, until_ns in splits or ():
        is_split |= is_lost & (attempts.done_ns >= from_ns) & (attempts.done_ns <= until_ns)
    is_hole = is_lost & ~is_split & _has_later_survivor(attempts, is_sent & is_there, blow_of, order)
    lost, acknowledged = int(is_lost.sum()), int(is_acknowledged.sum())
    return Judgement(
        acknowledged=acknowledged,
        attempted=int(is_sent.sum()),
        found=len(there) + len(changed) + len(found.foreign),
        lost=lost,
        unexpected=len(unexpected) + len(found.foreign),
        unknown_survived=int((is_there & is_sent & ~is_acknowledged).sum()),
        duplicates=int((times > 1).sum()),
        changed=len(changed),
        holes=int(is_hole.sum()),
        split=None if splits is None else int(is_split.sum()),
        oldest_lost_age_ns=int(dated.max()) if len(dated) else None,
        bound=bound(lost, acknowledged),
        examples=_examples(attempts, is_lost, is_hole, is_split, blow_of, age_ns, order)
        + [ExampleRecord(what="unexpected", arrival=int(arrival)) for arrival in unexpected[:MOST_EXAMPLES]]
        + [ExampleRecord(what="unexpected", found=text) for text in found.foreign[:MOST_EXAMPLES]],
    )


def recovery_point(attempts: Attempts, found: Found, fault: int, destroyed_ns: int) -> RecoveryPointRecord:
    """How far back a restore went: to the newest acknowledged write with nothing missing before it.

    One that is not there as it was written is missing. Writes that were acknowledged in the same instant may
    have been committed the other way round, which moves the point by the time between the two.
    """
    is_known = (attempts.outcome == Outcome.OK) & (attempts.done_ns <= destroyed_ns)
    order = np.argsort(attempts.done_ns[is_known], kind="stable")
    done_ns = attempts.done_ns[is_known][order]
    missing = np.flatnonzero(~np.isin(attempts.arrival[is_known][order], found.arrivals))
    kept = int(missing[0]) if len(missing) else len(done_ns)
    age_ns = int(destroyed_ns - done_ns[kept - 1]) if kept else None
    return RecoveryPointRecord(fault=fault, age_ns=age_ns, written=len(done_ns), kept=kept)


def bound(lost: int, of: int) -> str:
    """What a count of losses says about their rate: none of n leaves up to 3/n with 95 % confidence.

    (1 - p)^n = 0.05 at p = 3/n, nearly (Hanley and Lippman-Hand, JAMA 249(13), 1983).
    """
    if of == 0:
        return "nothing was acknowledged, so nothing is known"
    if lost:
        return f"{lost} of {of} lost: {100 * lost / of:.3g} %"
    return f"0 of {of} lost: at most {min(300 / of, 100):.2g} % with 95 % confidence"


def _dated(done_ns: Whole, blows: Sequence[Blow]) -> tuple[Whole, Whole]:
    """For each write the fault that may have cost it (position, -1: none), and its age then.

    That is the first fault that was not over when the write was acknowledged. One that was acknowledged
    while the target was already dying has the age 0.
    """
    if not blows:
        return np.full(len(done_ns), -1), np.zeros(len(done_ns), np.int64)
    effective = np.array([blow.effective_ns for blow in blows])
    following = np.append(effective[1:], _END)
    over = np.array([blow.effective_ns if blow.healed_ns is None else blow.healed_ns for blow in blows])
    over = np.maximum.accumulate(np.minimum(over, following))
    blow = np.searchsorted(over, done_ns, side="left").astype(np.int64)
    is_none = blow == len(blows)
    age = np.maximum(effective[np.where(is_none, 0, blow)] - done_ns, 0)
    return np.where(is_none, -1, blow), np.where(is_none, 0, age)


def _has_later_survivor(
    attempts: Attempts, is_survivor: NDArray[np.bool_], blow_of: Whole, blows: Sequence[Blow]
) -> NDArray[np.bool_]:
    """Whether a write that was sent after this one's acknowledgement, before the same fault, is there.

    Only those sent before the fault took effect count: what was sent while it held may have reached the
    target after it.
    """
    effective = np.array([blow.effective_ns for blow in blows], np.int64)
    sent_before = np.searchsorted(effective, attempts.sent_ns, side="right")  # len(blows): after the last
    latest = np.full(len(blows) + 1, -1, np.int64)
    after = np.array([-1, *(blow.healed_ns or blow.effective_ns for blow in blows)], np.int64)
    counts = is_survivor & (attempts.sent_ns >= after[sent_before])
    np.maximum.at(latest, sent_before[counts], attempts.sent_ns[counts])
    blow = np.where(blow_of < 0, len(blows), blow_of)
    return np.asarray(latest[blow] > attempts.done_ns)


def _examples(
    attempts: Attempts,
    is_lost: NDArray[np.bool_],
    is_hole: NDArray[np.bool_],
    is_split: NDArray[np.bool_],
    blow_of: Whole,
    age_ns: Whole,
    blows: Sequence[Blow],
) -> list[ExampleRecord]:
    """The worst of the lost: holes first, then the oldest."""
    lost = np.flatnonzero(is_lost)
    worst = lost[np.lexsort((-age_ns[lost], ~is_hole[lost]))][:MOST_EXAMPLES]
    return [
        ExampleRecord(
            what=_HOLE if is_hole[at] else _SPLIT if is_split[at] else "lost",
            arrival=int(attempts.arrival[at]),
            acknowledged_ns=int(attempts.done_ns[at]),
            fault=blows[int(blow_of[at])].number if blow_of[at] >= 0 else None,
            age_ns=int(age_ns[at]) if blow_of[at] >= 0 else None,
        )
        for at in worst
    ]


@dataclass(frozen=True)
class Reading:
    """A total at one moment, ns from run zero; None where the query had no answer."""

    at_ns: int
    total: Decimal | int | None


@dataclass(frozen=True)
class TotalsJudgement:
    """Readings that differ from the first one."""

    readings: int
    wrong: int
    examples: list[ExampleRecord]
    """The first, the worst and the last of them."""


def judge_totals(readings: Sequence[Reading]) -> TotalsJudgement:
    """Compare every reading with the first, which stands for what was there before the load.

    Only reads are looked at, so transfers of unknown outcome need no care: they happened or not, and
    the total is the same.
    """
    if not readings:
        return TotalsJudgement(0, 0, [])
    expected = readings[0].total
    wrong = [reading for reading in readings if reading.total != expected]
    if not wrong:
        return TotalsJudgement(len(readings), 0, [])
    worst = max(wrong, key=lambda reading: _distance(reading, expected))
    shown = dict.fromkeys((wrong[0], worst, wrong[-1]))
    return TotalsJudgement(
        len(readings),
        len(wrong),
        [
            ExampleRecord(
                what="another total",
                at_ns=reading.at_ns,
                expected=_text(expected),
                found=_text(reading.total),
            )
            for reading in shown
        ],
    )


def _distance(reading: Reading, expected: Decimal | int | None) -> Decimal:
    if reading.total is None or expected is None:
        return Decimal("Infinity")
    return abs(Decimal(reading.total) - Decimal(expected))


def _text(total: Decimal | int | None) -> str:
    return "nothing" if total is None else str(total)
