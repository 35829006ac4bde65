"""The two logs of a run: windows.hlog, histograms of each window, and operations.npy, every arrival.

windows.hlog is an HdrHistogram V2 log with tags, readable by any HdrHistogram tool. The package
`hdrhistogram` encodes and decodes the histograms. The lines around them are made here because its log
writer cannot write tags, and its log reader skips a damaged line silently.

operations.npy exists where the scenario asks for it. The engines write raw logs during the run
(memory-mapped, records of fixed size); here they become one array, which `numpy.load` reads.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.core import histogram
from bench.core.clock import NS_PER_S, WallLabel
from bench.core.histogram import Counts
from bench.core.machine_limits import reserve
from bench.core.outcome import OUTCOMES

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
