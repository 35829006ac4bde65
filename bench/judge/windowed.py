"""A run in pieces: what each window shows, and the run cut down to some of its faults or of its time.

Windows are in the order of time, every moment of the measured time in one of them, also those in which
nothing ended: they have no line in the log. What was measured and ended after it, in the drain, counts in the
last one.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import NS_PER_S
from bench.judge.measures import LATENCIES, observe
from bench.judge.observation import Unmeasurable
from bench.results.load_records import PhaseRecord
from bench.results.logs import Tag, WindowSamples
from bench.results.reader import Run
from bench.scenario.rules.grammar import Metric
from bench.statistics.evidence import Figures, RatioEvidence, ShareEvidence, ratio_evidence, share_evidence

GAP = 1.5
"""Times the usual length of a window: where none ended for so long, nothing ended in some."""


class Windows:
    """The windows of a run's measured time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._spans = np.array(run.measured_spans, dtype=np.int64).reshape(-1, 2)
        starts, ends = self._spans.T
        self._before_ns = np.concatenate([[0], np.cumsum(ends - starts)]).astype(np.int64)
        """Measured time before each phase, and all of it."""
        self._edges_ns = self._ends_of_windows(run.samples("response"))
        self.lengths_s: Figures = np.diff(np.concatenate([[0.0], self._edges_ns])) / NS_PER_S
        """Of each window, in seconds."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._edges_ns)

    def of_share(self, kind: str, wanted: Callable[[Tag], bool], bucket: int = 0) -> Figures:
        """How many measured samples of the wanted tags each window has, in this bucket or above it."""
        samples = self._run.samples(kind)
        chosen = samples.of_tags(lambda tag: tag.measured and wanted(tag))
        return self._sum(samples, samples.samples_from(bucket), chosen)

    def sums_ns(self, kind: str, wanted: Callable[[Tag], bool]) -> Figures:
        """The sum of these samples in each window."""
        samples = self._run.samples(kind)
        chosen = samples.of_tags(lambda tag: tag.measured and wanted(tag))
        return self._sum(samples, samples.sums_ns(), chosen)

    def ended_inside(self, wanted: Callable[[Tag], bool]) -> Figures:
        """How many arrivals of the wanted tags ended in each window, whatever phase they were planned in."""
        samples = self._run.samples("response")
        chosen = samples.of_tags(wanted) & (self._phase_of(samples) >= 0)
        return self._sum(samples, samples.samples_from(), chosen)

    def disturbed(self) -> NDArray[np.bool_]:
        """Which windows a fault of the plan reached, from its start until all was as before it."""
        found = np.zeros(self.count, dtype=np.bool_)
        begins = np.concatenate([[0.0], self._edges_ns[:-1]])
        for start_ns, end_ns in faults_of(self._run):
            start, end = (self._offset_ns(np.array([at]))[0] for at in (start_ns, end_ns))
            found |= (begins < end) & (self._edges_ns > start)
        return found

    def _sum(self, samples: WindowSamples, values: Figures, chosen: NDArray[np.bool_]) -> Figures:
        middles = self._offset_ns((samples.start_ns + samples.end_ns) // 2)
        place = np.minimum(np.searchsorted(self._edges_ns, middles, "right"), self.count - 1)
        found = np.bincount(place[chosen], weights=values[chosen], minlength=self.count)
        return found.astype(np.float64)

    def _phase_of(self, samples: WindowSamples) -> NDArray[np.int64]:
        """The measured phase that has the middle of each window; -1 for none."""
        middles = (samples.start_ns + samples.end_ns) / 2
        phase = np.searchsorted(self._spans[:, 0], middles, "right") - 1
        return np.where((phase >= 0) & (middles < self._spans[phase, 1]), phase, -1)

    def _offset_ns(self, at_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Measured time before a moment, its phases put together."""
        phase = np.searchsorted(self._spans[:, 0], at_ns, "right") - 1
        inside = np.minimum(at_ns, self._spans[phase, 1]) - self._spans[phase, 0] + self._before_ns[phase]
        return np.where(phase < 0, 0, inside).astype(np.float64)

    def _ends_of_windows(self, samples: WindowSamples) -> Figures:
        """As offsets in the measured time, with those in which nothing ended."""
        total_ns = float(self._before_ns[-1])
        inside = self._phase_of(samples) >= 0
        if not inside.any():
            return np.array([total_ns] if total_ns else [], dtype=np.float64)
        ends = np.unique(np.append(self._offset_ns(samples.end_ns[inside]), total_ns))
        ends = ends[ends > 0]
        lengths = np.diff(np.concatenate([[0.0], ends]))
        usual = float(np.median((samples.end_ns - samples.start_ns)[inside]))
        filled: list[float] = []
        for end, length in zip(ends, lengths, strict=True):
            missing = max(round(length / usual), 1) if usual and length > GAP * usual else 1
            filled += [end - length + length * number / missing for number in range(1, missing + 1)]
        return np.array(filled)


@lru_cache(maxsize=1)
def windows_of(run: Run) -> Windows:
    """The windows of a run; its rules are judged one after the other. Raises ResultError."""
    return Windows(run)


def faults_of(run: Run) -> list[tuple[int, int]]:
    """From when to when each fault that took effect was felt, by its heal and by all recoveries from it."""
    found = []
    for fault in run.record.faults:
        if not fault.took_effect or fault.effective_ns is None:
            continue
        begin_ns = min(at for at in (fault.asked_ns, fault.effective_ns) if at is not None)
        mine = [recovery for recovery in run.record.recoveries if recovery.fault == fault.number]
        ends_ns = [fault.healed_ns or (run.record.duration_ns if fault.healed is not True else begin_ns)]
        for recovery in mine:
            stamps = (recovery.first_success_ns, recovery.stable_ns, recovery.full_ns, recovery.drained_ns)
            ends_ns += [at for at in stamps if at is not None]
            is_back = recovery.first_failure_ns is None or recovery.stable_ns is not None
            ends_ns += [] if is_back else [recovery.until_ns]
        found.append((begin_ns, max(ends_ns)))
    return found


def is_of_latency(run: Run, metric: Metric) -> Callable[[Tag], bool]:
    """Whether a tag's samples are among those of a latency metric, as `Run.histogram` would add them up."""
    _, outcomes = LATENCIES[metric.name]
    is_end_to_end = metric.name == "end_to_end"

    def wanted(tag: Tag) -> bool:
        if metric.workload not in (None, tag.workload) or (outcomes and tag.outcome not in outcomes):
            return False
        if metric.operation is not None:
            return tag.operation == metric.operation
        return run.arrives(tag.workload, tag.operation) != is_end_to_end

    return wanted


def percentile_evidence(run: Run, metric: Metric, level: int, *others: int) -> ShareEvidence:
    """Of the samples in bucket `level` or above it; `others`: levels that may show how they come."""
    windows, wanted = windows_of(run), is_of_latency(run, metric)
    kind = LATENCIES[metric.name][0]
    beyond = [windows.of_share(kind, wanted, bucket) for bucket in (level, *others)]
    return share_evidence(beyond[0], windows.of_share(kind, wanted), windows.disturbed(), beyond[1:])


def losses_evidence(run: Run, metric: Metric) -> ShareEvidence:
    """Of the arrivals that did not end OK."""
    windows = windows_of(run)
    of_all = windows.of_share("response", lambda tag: run.is_of(tag, metric.workload, metric.operation))
    lost = windows.of_share(
        "response", lambda tag: tag.outcome != "ok" and run.is_of(tag, metric.workload, metric.operation)
    )
    return share_evidence(lost, of_all, windows.disturbed())


def throughput_evidence(run: Run, metric: Metric) -> RatioEvidence | None:
    """Of OK arrivals per second; None for too few windows."""
    windows = windows_of(run)
    done = windows.ended_inside(
        lambda tag: tag.outcome == "ok" and run.is_of(tag, metric.workload, metric.operation)
    )
    return ratio_evidence(done, windows.lengths_s, windows.disturbed())


def mean_evidence(run: Run, metric: Metric) -> RatioEvidence | None:
    """Of the mean of a latency in ns; None for too few windows."""
    windows, wanted = windows_of(run), is_of_latency(run, metric)
    kind = LATENCIES[metric.name][0]
    sums, sizes = windows.sums_ns(kind, wanted), windows.of_share(kind, wanted)
    return ratio_evidence(sums, sizes, windows.disturbed())


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
