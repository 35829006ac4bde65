"""The logs of a run: windows.hlog with histograms, operations.npy with every arrival, activity.jsonl.

windows.hlog is an HdrHistogram V2 log with tags, readable by any HdrHistogram tool. The package
`hdrhistogram` encodes and decodes the histograms. The lines around them are made here because its log
writer cannot write tags, and its log reader skips a damaged line silently.

operations.npy exists where the scenario asks for it. The engines write raw logs during the run
(memory-mapped, records of fixed size); here they become one array, which `numpy.load` reads.

activity.jsonl is what servers report about themselves: no key, no value, and no literal of a statement.

A window's histogram in full takes 270 KB, and a run has thousands. Its buckets in use, ten bytes each, are a
few hundred.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.core import histogram
from bench.core.clock import NS_PER_S, WallLabel
from bench.core.histogram import Counts
from bench.core.machine_limits import reserve
from bench.core.outcome import OUTCOMES
from bench.core.sanitize import all_visible
from bench.results.model import Number, Record, Whole

KINDS = ("response", "service", "lag", "late", "net", "service_net", "pool_wait")
OUTCOME_LABELS = tuple(outcome.label for outcome in OUTCOMES)
UNMEASURED = "unmeasured:"

NAME = re.compile(r"[A-Za-z0-9_.:-]+")
# 0.000000000,1.000000000,5.123,HISTFAAA... with a tag before it
LINE = re.compile(r"Tag=([^,\s]+),(\d+\.\d+),(\d+\.\d+),\d+\.\d+,([A-Za-z0-9+/]+=*)")


@dataclass(frozen=True, order=True)
class Tag:
    """What a histogram holds: `workload/operation/kind/outcome`, with `unmeasured:` before it in warm-up."""

    workload: str
    operation: str
    kind: str
    outcome: str
    measured: bool = True

    def __str__(self) -> str:
        prefix = "" if self.measured else UNMEASURED
        return f"{prefix}{self.workload}/{self.operation}/{self.kind}/{self.outcome}"

    @classmethod
    def parse(cls, text: str) -> Tag:
        """The tag written as `text`. Raises ValueError that says which part is wrong."""
        measured = not text.startswith(UNMEASURED)
        parts = text.removeprefix(UNMEASURED).split("/")
        if len(parts) != 4:
            raise ValueError(f"expected a tag workload/operation/kind/outcome, found {text!r}")
        workload, operation, kind, outcome = parts
        for name in (workload, operation):
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"expected a name of letters, digits and _ . : - in {text!r}, found {name!r}"
                )
        for word, known in ((kind, KINDS), (outcome, OUTCOME_LABELS)):
            if word not in known:
                raise ValueError(f"expected one of {', '.join(known)} in {text!r}, found {word!r}")
        return cls(workload, operation, kind, outcome, measured)


@dataclass(frozen=True)
class Window:
    """The samples of one tag in one slice of the run; times in ns since run zero."""

    tag: Tag
    start_ns: int
    end_ns: int
    counts: Counts


def header(zero: WallLabel) -> str:
    """The lines above the histograms. Times in the log are seconds since `zero`."""
    seconds = zero.wall_ns / NS_PER_S
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {seconds:.3f} (seconds since epoch), {zero.utc:%Y-%m-%dT%H:%M:%SZ}]\n"
        f"#[BaseTime: {seconds:.3f} (seconds since epoch)]\n"
        "#[Values in nanoseconds; Interval_Max in milliseconds]\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


class Encoder:
    """Encodes one histogram after the other in the same memory.

    A histogram of the package holds a reference to itself and 270 KB, so a new one per line would
    make the harness grow until Python's collector comes by.
    """

    def __init__(self) -> None:
        self._hdr = histogram.to_hdr(histogram.empty())
        self._cells = histogram.cells_of(self._hdr)

    def encode(self, counts: Counts) -> str:
        """The V2 payload of `counts`, which must hold a sample."""
        lowest, highest = histogram.used_buckets(counts)
        used = slice(highest + 1)  # whatever stands above is not encoded
        self._cells[used] = counts[used]
        self._hdr.total_count, self._hdr.min_value, self._hdr.max_value = 0, sys.maxsize, 0
        self._hdr.set_internal_tacking_values(lowest, highest, int(counts[used].sum()))
        return str(self._hdr.encode(), "ascii")

    @property
    def highest_ns(self) -> int:
        """The upper edge of the highest bucket that was encoded last."""
        return int(self._hdr.max_value)


def line_of(window: Window, encoder: Encoder) -> str:
    """The line that holds `window`, which has a sample and starts at 0 or later."""
    assert 0 <= window.start_ns <= window.end_ns
    payload = encoder.encode(window.counts)
    start_s = window.start_ns / NS_PER_S
    length_s = (window.end_ns - window.start_ns) / NS_PER_S
    highest_ms = encoder.highest_ns / 1e6
    return f"Tag={window.tag},{start_s:.9f},{length_s:.9f},{highest_ms:.3f},{payload}\n"


def window_of(line: str) -> Window | None:
    """The window on `line`, or None for a header line. Raises ValueError for a damaged line."""
    if line.startswith(("#", '"')):
        return None
    match = LINE.fullmatch(line.rstrip("\n"))
    if match is None:
        raise ValueError("expected Tag=...,start,length,max,histogram")
    start_ns = round(float(match[2]) * NS_PER_S)
    length_ns = round(float(match[3]) * NS_PER_S)
    return Window(Tag.parse(match[1]), start_ns, start_ns + length_ns, decode(match[4]))


def decode(payload: str) -> Counts:
    """The counts of one encoded histogram. Raises ValueError for anything else."""
    import zlib

    from hdrh.codec import HdrCookieException, HdrHistogramEncoder, HdrLengthException

    try:
        return histogram.from_payload(HdrHistogramEncoder.decode(payload))
    except (HdrCookieException, HdrLengthException, zlib.error, TypeError, IndexError) as error:
        raise ValueError(f"the histogram cannot be decoded ({error or type(error).__name__})") from error


OPERATION = np.dtype(
    [
        ("planned_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("done_ns", "<i8"),
        ("arrival", "<i8"),
        ("key", "<i8"),
        ("workload", "<i2"),
        ("operation", "<i2"),
        ("phase", "<i2"),
        ("lane", "<i2"),
        ("outcome", "<i2"),
    ]
)
"""One arrival: times in ns from run zero, sent_ns and lane -1 where it was never sent, key -1 where it has
none; workload, operation and phase are positions in run.json's lists, outcome is that of bench.core.outcome.
"""

CHUNK = 1 << 18
HEADER_BYTES = 4096
"""More than the header of a .npy file takes."""


@dataclass(frozen=True)
class RawLog:
    """What one engine thread wrote: the first `length` records of `path`, of dtype `record`."""

    workload: int
    path: Path
    length: int
    first_key: int = 0
    """Engines count keys from 0; what is added to each."""


def merge(logs: list[RawLog], record: np.dtype[Any], to: Path) -> int:
    """Write all records to `to` and delete the raw logs; return how many there are. Memory stays small.

    Raises ResultError where the disk has no room for them.
    """
    total = sum(log.length for log in logs)
    reserve(to, HEADER_BYTES + total * OPERATION.itemsize)
    merged = np.lib.format.open_memmap(to, mode="w+", dtype=OPERATION, shape=(total,))
    reserve(to, to.stat().st_size)  # numpy has cut the file to nothing and let it grow again
    at = 0
    for log in logs:
        if log.length:
            raw = np.memmap(log.path, dtype=record, mode="r")[: log.length]
            for first in range(0, log.length, CHUNK):
                part = raw[first : first + CHUNK]
                into = merged[at : at + len(part)]
                for name in record.names or ():
                    into[name] = part[name]
                into["workload"] = log.workload
                into["key"][into["key"] >= 0] += log.first_key
                at += len(part)
        log.path.unlink()
    merged.flush()
    return total


SLOW_COMMAND, SLOW_STATEMENT = "slow_command", "slow_statement"
BUSY_COMMAND, BUSY_STATEMENT = "busy_command", "busy_statement"
FORK, SNAPSHOT, LATENCY_EVENT = "fork", "snapshot", "latency_event"
LOCK_WAIT, WAIT, CHECKPOINT = "lock_wait", "wait", "checkpoint"
GC_PAUSE = "gc_pause"
UNKNOWN_HOLDER = "holder unknown"
"""Of a lock that was free again when it was asked who held it."""
LEFT_OUT = "left_out"
"""What could not be asked, and why: reported once."""

MOST_LINES = 20_000
"""Of one run; later ones are left out."""


class ActivityRecord(Record):
    """One thing that a service did or suffered; times in ns from run zero."""

    at_ns: Whole
    """When it was reported: it had happened, or was under way."""
    since_ns: Whole
    """The earliest that it can have begun."""
    target: str
    kind: str
    text: str = ""
    """What or who: a command's name, a statement without its literals."""
    count: Whole = 1
    """How many of them: commands, waiting sessions, pauses."""
    took_ns: Whole | None = None
    """The longest of them, or how long it has lasted."""
    share: Number | None = None
    """Of the time between two looks that it took."""

    @classmethod
    def read(cls, value: object) -> ActivityRecord:
        """As `Record.read`, with every text that others wrote made visible."""
        return super().read(all_visible(value))


class WindowSamples:
    """The windows of one kind in the order of the log; a window is known by its number."""

    def __init__(self, windows: Iterable[Window]) -> None:
        """Take over `windows`, of which only one is in memory at a time."""
        self.tags: list[Tag] = []
        starts: list[int] = []
        ends: list[int] = []
        buckets: list[NDArray[np.uint16]] = []
        counts: list[NDArray[np.int64]] = []
        for window in windows:
            used = histogram.buckets_in_use(window.counts)
            self.tags.append(window.tag)
            starts.append(window.start_ns)
            ends.append(window.end_ns)
            buckets.append(used.astype(np.uint16))
            counts.append(window.counts[used])
        self.start_ns: NDArray[np.int64] = np.array(starts, dtype=np.int64)
        self.end_ns: NDArray[np.int64] = np.array(ends, dtype=np.int64)
        self._first: NDArray[np.int64] = np.cumsum([0, *map(len, buckets)], dtype=np.int64)
        """Where each window's buckets begin."""
        self._bucket = np.concatenate(buckets) if buckets else np.zeros(0, dtype=np.uint16)
        self._count = np.concatenate(counts) if counts else np.zeros(0, dtype=np.int64)

    def __iter__(self) -> Iterator[Window]:
        """Every window with its counts in full, one at a time."""
        for number, tag in enumerate(self.tags):
            counts = histogram.empty()
            part = slice(self._first[number], self._first[number + 1])
            counts[self._bucket[part]] = self._count[part]
            yield Window(tag, int(self.start_ns[number]), int(self.end_ns[number]), counts)

    def of_tags(self, wanted: Callable[[Tag], bool]) -> NDArray[np.bool_]:
        """Which windows have a tag of that sort."""
        known = {tag: wanted(tag) for tag in set(self.tags)}
        return np.array([known[tag] for tag in self.tags], dtype=np.bool_)

    def entries(
        self, chosen: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Each bucket in use of the chosen windows: the window's number, the bucket, and its samples."""
        number = np.repeat(np.arange(len(self.tags), dtype=np.int64), np.diff(self._first))
        kept = chosen[number] if len(number) else np.zeros(0, dtype=np.bool_)
        return number[kept], self._bucket[kept].astype(np.int64), self._count[kept]

    def samples_from(self, bucket: int = 0) -> NDArray[np.float64]:
        """How many samples of each window lie in this bucket or above it."""
        return self._per_window(np.where(self._bucket >= bucket, self._count, 0))

    def sums_ns(self) -> NDArray[np.float64]:
        """The sum of the samples of each window in ns, by the middles of their buckets."""
        used, place = np.unique(self._bucket, return_inverse=True)
        return self._per_window(self._count * histogram.middles_ns(used)[place])

    def _per_window(self, values: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.float64]:
        upto = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
        return np.asarray(upto[self._first[1:]] - upto[self._first[:-1]])
