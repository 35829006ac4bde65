"""Whether others took the processor away from a run: from the generator, or from a target beside it. Pure.

What others use is all that the machine uses less the generator's and the targets' own. That alone says
nothing: a machine has room for others. It is starvation where a thread of the generator or a target was
ready to run and did not get a processor (its run queue's delay), and as far as it was others who ran
meanwhile: a server that waits for its own processes, or for the load that it is given, is not starved. What a
hypervisor took (steal), and a quota of our own control group (throttling), count by themselves.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from bench.core.clock import NS_PER_S
from bench.results.generator_records import OtherProcessesRecord
from bench.results.layout import GENERATOR, MACHINE, Cell, ResourceRow

LEAST_SLICE_NS = 200_000_000
"""CPU is counted in ticks of 10 ms: shorter slices say too little."""
LEAST_WAIT = 0.1
"""Share of a slice: what waited for less than this of the time was not held up so that it shows."""
LEAST_WAIT_OF_WANTED = 0.25
"""Of the time in which a target wanted a processor. One of a hundred processes that wait for each other a
little add up to a lot."""
LEAST_STEAL = 0.1
WORTH_SHARE = 0.02
WORTH_CORES = 0.25
"""Of all cores: others that use as much are named, whether or not they held anybody up."""
PRESSING = ("cpu", "memory", "io")
"""Faults that make the machine busy: what happens under them was asked for."""


@dataclass(frozen=True)
class Slice:
    """A piece of the run between two samples; ns from run zero."""

    start_ns: int
    end_ns: int
    cores: int
    """Of the machine."""
    others_cores: float
    """What others used."""
    held_up: float
    """Share of the slice in which the one that suffered most wanted a processor that others had."""
    who: str
    """The one that suffered most, and from what, for a sentence."""


@dataclass(frozen=True)
class Starvation:
    """What others did to a run in its measured time."""

    share: float
    """Of the measured time: in which a process was starved."""
    cores: int
    others_cores: float
    """On average, over the measured time."""
    held_up: float
    """Of the starved time: the share in which the one that suffered most waited, on average."""
    who: str

    def sentence(self, of: str = "the measured time") -> str:
        """What happened, in figures; `of`: the time that was looked at."""
        used = f"others used {self.others_cores:.2f} of this machine's {self.cores} cores"
        if not self.share:
            return used
        return (
            f"{used}; in {self.share * 100:.0f} % of {of} {self.who} "
            f"(for {self.held_up * 100:.0f} % of that time)"
        )

    def record(self) -> OtherProcessesRecord:
        """For run.json."""
        return OtherProcessesRecord(
            cores=self.cores,
            others_cores=round(self.others_cores, 3),
            starved_ratio=round(self.share, 4),
            held_up_ratio=round(self.held_up, 4),
            because=self.who,
        )

    @classmethod
    def of(cls, record: OtherProcessesRecord) -> Self:
        """What `record` made."""
        return cls(
            record.starved_ratio, record.cores, record.others_cores, record.held_up_ratio, record.because
        )

    @property
    def is_worth_a_word(self) -> bool:
        """Whether a reader of the figures should know of it."""
        return self.share >= WORTH_SHARE or self.others_cores >= WORTH_CORES * self.cores


UNDISTURBED = Starvation(0.0, 1, 0.0, 0.0, "nobody")


def starvation(
    rows: Iterable[Mapping[str, Cell]],
    spans: Sequence[tuple[int, int]],
    apart: Sequence[tuple[int, int]] = (),
) -> Starvation:
    """Of the rows of resources.csv, in the spans of the measured time, without what lies in `apart`."""
    total = Sum(spans, apart)
    for cut in slices(rows):
        total.add(cut)
    return total.result()


def slices(rows: Iterable[Mapping[str, Cell]]) -> Iterator[Slice]:
    """The pieces into which the rows of resources.csv cut a run, in their order."""
    cutter = Cutter()
    for at_ns, sample in _samples(map(ResourceRow.read, rows)):
        if (cut := cutter.add(at_ns, sample)) is not None:
            yield cut


class Sum:
    """What all slices of the measured time come to."""

    def __init__(self, spans: Sequence[tuple[int, int]], apart: Sequence[tuple[int, int]] = ()) -> None:
        self._spans, self._apart = spans, apart
        self._cores = 1
        self._measured_ns = self._starved_ns = self._used_ns = self._held_up_ns = 0.0
        self._reasons_ns: dict[str, float] = {}

    def add(self, cut: Slice) -> None:
        """Take the part of it that was measured."""
        size_ns = sum(max(min(cut.end_ns, end) - max(cut.start_ns, start), 0) for start, end in self._spans)
        if not size_ns or any(cut.start_ns < end and start < cut.end_ns for start, end in self._apart):
            return
        self._measured_ns += size_ns
        self._cores = cut.cores
        self._used_ns += cut.others_cores * size_ns
        if cut.held_up:
            self._starved_ns += size_ns
            self._held_up_ns += cut.held_up * size_ns
            self._reasons_ns[cut.who] = self._reasons_ns.get(cut.who, 0.0) + size_ns

    def result(self) -> Starvation:
        """So far."""
        if not self._measured_ns:
            return UNDISTURBED
        return Starvation(
            self._starved_ns / self._measured_ns,
            self._cores,
            self._used_ns / self._measured_ns,
            self._held_up_ns / self._starved_ns if self._starved_ns else 0.0,
            max(self._reasons_ns, key=lambda who: self._reasons_ns[who]) if self._reasons_ns else "nobody",
        )


class Cutter:
    """Cuts a run at its samples."""

    def __init__(self) -> None:
        self._before: Mapping[str, ResourceRow] | None = None
        self._before_ns = 0
        self._worst_s = 0.0

    def add(self, at_ns: int, sample: Mapping[str, ResourceRow]) -> Slice | None:
        """The next sample, its rows by source; the slice that ends with it, where one does."""
        # Since the sample before, so of a longer slice it is a sum.
        self._worst_s += (sample[GENERATOR].run_queue_worst_s or 0.0) if GENERATOR in sample else 0.0
        before, worst_s = self._before, self._worst_s
        if before is not None and at_ns - self._before_ns < LEAST_SLICE_NS:
            return None
        begin_ns = self._before_ns
        self._before, self._before_ns, self._worst_s = sample, at_ns, 0.0
        if before is None or MACHINE not in sample or MACHINE not in before:
            return None
        return _slice(begin_ns, at_ns, before, sample, worst_s)


def _samples(rows: Iterable[ResourceRow]) -> Iterator[tuple[int, dict[str, ResourceRow]]]:
    """Rows of one moment together."""
    now: int | None = None
    sample: dict[str, ResourceRow] = {}
    for row in rows:
        if now is not None and row.at_ns != now:
            yield now, sample
            sample = {}
        now = row.at_ns
        sample[row.source] = row
    if now is not None:
        yield now, sample


def _slice(
    start_ns: int,
    end_ns: int,
    before: Mapping[str, ResourceRow],
    after: Mapping[str, ResourceRow],
    worst_s: float,
) -> Slice:
    length_s = (end_ns - start_ns) / NS_PER_S

    def gained(source: str, column: str) -> float:
        first = getattr(before.get(source), column, None)
        last = getattr(after.get(source), column, None)
        return max(last - first, 0.0) if first is not None and last is not None else 0.0

    targets = [name for name in after if name not in (MACHINE, GENERATOR)]
    used = {name: gained(name, "cpu_s") / length_s for name in (GENERATOR, *targets)}
    busy = gained(MACHINE, "cpu_s") / length_s
    cores = after[MACHINE].cores or 1.0
    others = min(max(busy - sum(used.values()), 0.0), cores)  # ticks are counted a little late
    # Who runs while one of ours waits: everybody but itself.
    found = [(_by_others(worst_s / length_s, others, busy), "the generator waited for a processor")]
    for name in targets:
        waited = gained(name, "run_queue_s") / length_s
        # The processes of one target wait for each other, too.
        is_alone = (after[name].processes or 1) == 1
        part = _by_others(1.0, others, busy - used[name] if is_alone else busy)
        of_wanted = waited / (waited + used[name]) if waited else 0.0
        if of_wanted * part >= LEAST_WAIT_OF_WANTED:
            found.append((min(waited * part, of_wanted * part), f"{name} waited for a processor"))
    found.append((gained(GENERATOR, "throttled_s") / length_s, "a CPU quota stopped the generator"))
    steal = gained(MACHINE, "steal_s") / length_s / cores
    if steal >= LEAST_STEAL:
        found.append((steal, "the hypervisor ran others in this machine's place"))
    held_up, who = max(found)
    return Slice(start_ns, end_ns, int(cores), others, held_up if held_up >= LEAST_WAIT else 0.0, who)


def _by_others(waited: float, others: float, running: float) -> float:
    """The part of a wait that was others' doing: as large as their part of what ran."""
    return min(waited, 1.0) * min(others / running, 1.0) if running > 0 else 0.0
