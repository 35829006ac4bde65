"""HdrHistogram's bucket layout for nanoseconds, with plain numpy arithmetic over it.

Layout (HdrHistogram 2.1, Gil Tene): 3 significant digits, lowest discernible value 1 ns, highest
trackable value 1 h. Values below 2048 ns have a bucket each; above, every power of two is cut
into 1024 buckets, so a bucket is never wider than 1/1024 of its value. A histogram is an int64
array of `BUCKET_COUNT` counts; adding and subtracting histograms is adding and subtracting arrays.

Percentiles are nearest-rank on the upper edge of a bucket: the value reported is one that at
least p % of the samples did not exceed. Nothing is interpolated.

`bucket_of` is in the subset of Python that the engine compiles, so judge and loop share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from hdrh.codec import HdrPayload
    from hdrh.histogram import HdrHistogram

Counts: TypeAlias = NDArray[np.int64]

LOWEST_NS = 1
HIGHEST_NS = 3_600_000_000_000
SIGNIFICANT_DIGITS = 3
SUB_BUCKETS = 2048
HALF = SUB_BUCKETS // 2
HALF_BITS = 10
# The smallest power-of-two count of full ranges above the first that covers HIGHEST_NS, plus that first.
RANGE_COUNT = (HIGHEST_NS // SUB_BUCKETS).bit_length() + 1
BUCKET_COUNT = (RANGE_COUNT + 1) * HALF


def bucket_of(value_ns: int) -> int:
    """Index of the bucket that holds `value_ns`, which must be within 0..HIGHEST_NS.

    The power of two is found by five comparisons instead of a count of leading zeros because this
    one source runs compiled and plain.
    """
    scaled = value_ns >> 11
    power = 0
    if scaled >= 1 << 16:
        power += 16
        scaled >>= 16
    if scaled >= 1 << 8:
        power += 8
        scaled >>= 8
    if scaled >= 1 << 4:
        power += 4
        scaled >>= 4
    if scaled >= 1 << 2:
        power += 2
        scaled >>= 2
    if scaled >= 2:
        power += 1
        scaled >>= 1
    power += scaled
    return (power << HALF_BITS) + (value_ns >> power)


def lower_edge_ns(bucket: int) -> int:
    """Smallest value that falls into `bucket`."""
    if bucket < SUB_BUCKETS:
        return bucket
    power = (bucket >> HALF_BITS) - 1
    return ((bucket & (HALF - 1)) + HALF) << power


def upper_edge_ns(bucket: int) -> int:
    """Largest value that falls into `bucket`."""
    return lower_edge_ns(bucket + 1) - 1


def middles_ns(buckets: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """The middle of each of these buckets, as a real number of ns."""
    return (_lower_edges_ns(buckets) + (_lower_edges_ns(buckets + 1) - 1)) / 2


def _lower_edges_ns(buckets: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    wide = buckets.astype(np.int64)
    powers = np.maximum((wide >> HALF_BITS) - 1, 0)
    return np.where(wide < SUB_BUCKETS, wide, ((wide & (HALF - 1)) + HALF) << powers)


def empty() -> Counts:
    """A histogram without samples."""
    return np.zeros(BUCKET_COUNT, dtype=np.int64)


def percentile_ns(counts: Counts, percent: float) -> int:
    """Nearest-rank percentile in ns, the upper edge of its bucket.

    Raises ValueError for a histogram without samples: nothing measured is not zero.
    """
    return percentiles_ns(counts, (percent,))[0]


def percentiles_ns(counts: Counts, percents: Sequence[float]) -> list[int]:
    """Several of them; adding the counts up is what each costs by itself."""
    upto = np.cumsum(counts)
    total = int(upto[-1])
    if total == 0:
        raise ValueError("a percentile of no samples does not exist")
    # The tiny subtraction keeps 99.9 % of 1000 at rank 999 in spite of binary fractions.
    ranks = [max(1, math.ceil(total * percent / 100 - 1e-9)) for percent in percents]
    return [upper_edge_ns(int(bucket)) for bucket in np.searchsorted(upto, ranks)]


def buckets_in_use(counts: Counts) -> NDArray[np.intp]:
    """All buckets with samples, lowest first.

    Of truth values, because numpy takes eight times as long to list those of integers.
    """
    return np.flatnonzero(counts != 0)


def used_buckets(counts: Counts) -> tuple[int, int]:
    """The lowest and the highest bucket in use; a tenth of the time of listing all of them.

    Raises ValueError for no samples.
    """
    is_used = counts != 0
    first = int(is_used.argmax())
    if not is_used[first]:
        raise ValueError("a range of no samples does not exist")
    return first, counts.size - 1 - int(is_used[::-1].argmax())


def max_ns(counts: Counts) -> int:
    """Upper edge of the highest bucket in use. Raises ValueError for no samples."""
    return upper_edge_ns(used_buckets(counts)[1])


def mean_ns(counts: Counts) -> float:
    """Mean in ns from bucket midpoints, off by at most 1/2048 of itself. Raises ValueError for no samples."""
    used, middle = _middles_ns(counts)
    return float(np.dot(middle, counts[used]) / counts[used].sum())


def deviation_ns(counts: Counts) -> float:
    """Standard deviation in ns from bucket midpoints. Raises ValueError for no samples."""
    used, middle = _middles_ns(counts)
    return float(np.sqrt(np.average((middle - mean_ns(counts)) ** 2, weights=counts[used])))


def _middles_ns(counts: Counts) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The buckets in use and the middle of each. Raises ValueError for no samples."""
    used = buckets_in_use(counts)
    if used.size == 0:
        raise ValueError("a mean of no samples does not exist")
    return used, middles_ns(used)


def to_hdr(counts: Counts) -> HdrHistogram:
    """The same samples as a histogram of the `hdrhistogram` package, for encoding."""
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
    if counts.any():
        cells_of(histogram)[:] = counts
        # Without this call encode() writes an empty histogram (measured with hdrhistogram 0.10.8).
        histogram.set_internal_tacking_values(*used_buckets(counts), int(counts.sum()))
    return histogram


def cells_of(histogram: HdrHistogram | HdrPayload) -> NDArray[np.uint64]:
    """The counts of a histogram of the package, in its own memory. Writing to them changes it, but not its
    totals: `set_internal_tacking_values` must follow.
    """
    return np.frombuffer(memoryview(histogram.counts).cast("B"), dtype=np.uint64)


def from_payload(read: HdrPayload) -> Counts:
    """The samples of a payload of this layout whose counts have not been read yet.

    A histogram of the package around it would take most of the time. Raises ValueError for another layout.
    """
    of = read.payload
    found = (of.lowest_trackable_value, of.highest_trackable_value, of.significant_figures)
    if found != (LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS):
        raise ValueError(f"expected values of 1 ns to 1 h with 3 digits, found {found}")
    read.init_counts(BUCKET_COUNT)
    return cells_of(read).view(np.int64)


def from_hdr(histogram: HdrHistogram) -> Counts:
    """The samples of a decoded histogram of this layout. Raises ValueError for another layout."""
    if histogram.counts_len != BUCKET_COUNT or histogram.unit_magnitude != 0:
        raise ValueError(f"expected {BUCKET_COUNT} buckets of 1 ns, found {histogram.counts_len}")
    return cells_of(histogram).astype(np.int64)
