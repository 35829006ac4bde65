"""A run cut down to some of its faults, or to a piece of its measured time, judged as if it were all."""

from collections.abc import Collection
from itertools import pairwise

from bench.judge.measures import observe
from bench.judge.observation import Unmeasurable
from bench.results.reader import Run
from bench.results.run_record import PhaseRecord
from bench.scenario.rules.grammar import Metric


def with_faults(run: Run, numbers: Collection[int]) -> Run:
    """The same run as if only these faults had been made."""
    record = run.record
    sections = {
        "faults": [fault for fault in record.faults if fault.number in numbers],
        "recoveries": [recovery for recovery in record.recoveries if recovery.fault in numbers],
        "detections": [detection for detection in record.detections if detection.fault in numbers],
    }
    return Run(run.path, record.model_copy(update=sections))


def tenths(run: Run, pieces: int = 10) -> list[Run]:
    """The run's measured phases in pieces of equal length, whole cycles where a phase has them.

    Fewer pieces where a phase has fewer cycles. Each piece has its samples of resources, no counts.
    """
    phases = [phase for phase in run.record.phases if phase.measured]
    if not phases:
        return []
    longest = max(phases, key=lambda phase: phase.end_ns - phase.start_ns)
    return [run.of_phases([piece]) for piece in _cut(longest, pieces)]


def _cut(phase: PhaseRecord, pieces: int) -> list[PhaseRecord]:
    start, length = phase.start_ns, phase.end_ns - phase.start_ns
    cycles = phase.cycles or 0
    pieces = min(pieces, cycles) if cycles else pieces
    edges = [cycles * number // pieces for number in range(pieces + 1)] if cycles else range(pieces + 1)
    whole = cycles or pieces
    return [
        phase.model_copy(
            update={
                "start_ns": start + length * first // whole,
                "end_ns": start + length * last // whole,
                "cycles": (last - first) if cycles else None,
            }
        )
        for first, last in pairwise(edges)
    ]


LEAST_SLICES = 5


def cpu_slices(run: Run, metric: Metric) -> list[float]:
    """The shares of CPU of ten slices of the longest measured phase; none for fewer than LEAST_SLICES."""
    shares = []
    for piece in tenths(run):
        try:
            shares.append(observe(piece, metric).value)
        except Unmeasurable:
            continue
    return shares if len(shares) >= LEAST_SLICES else []
