"""Old rows of a watch rolled up into hours and days, so that the journal stays small. Pure."""

from collections.abc import Iterable, Sequence
from itertools import groupby

from bench.core import histogram
from bench.core.units import NS
from bench.results.logs import Encoder, decode
from bench.watch.history import UNKNOWN, WATCHED, RowRecord, TallyRecord

SEGMENTS_KEPT_NS = 7 * NS["h"]
"""So long every segment has a row: longer than the longest window of a burn rate."""
HOURS_KEPT_NS = 100 * NS["d"]
DAYS_KEPT_NS = 400 * NS["d"]


def rolled(rows: Sequence[RowRecord], now_ns: int) -> list[RowRecord]:
    """The rows with the same sums in fewer: hours of what is no longer new, days of what is old.

    A row belongs to the hour and the day in which it began. What is older than `DAYS_KEPT_NS` goes.
    """

    def belongs_to(row: RowRecord) -> tuple[int, int]:
        age_ns = now_ns - row.until_ns
        if age_ns < SEGMENTS_KEPT_NS:
            return 0, row.first
        each_ns = NS["h"] if age_ns < HOURS_KEPT_NS else NS["d"]
        return each_ns, row.from_ns // each_ns

    kept = (row for row in rows if now_ns - row.until_ns < DAYS_KEPT_NS)
    return [
        joined(group) if len(group) > 1 else group[0]
        for group in (list(group) for _, group in groupby(kept, belongs_to))
    ]


def joined(rows: Sequence[RowRecord]) -> RowRecord:
    """Rows that follow each other as one. Segments that say nothing leave their time only."""
    counted = [row for row in rows if row.kind != UNKNOWN]
    names = dict.fromkeys(name for row in counted for name in row.workloads)
    return RowRecord(
        first=rows[0].first,
        last=rows[-1].last,
        from_ns=rows[0].from_ns,
        until_ns=rows[-1].until_ns,
        kind=WATCHED if counted else UNKNOWN,
        because=None if counted else rows[-1].because,
        workloads={
            name: _sum(row.workloads[name] for row in counted if name in row.workloads) for name in names
        },
        watched_ns=sum(row.watched_ns for row in rows),
    )


def _sum(tallies: Iterable[TallyRecord]) -> TallyRecord:
    found = list(tallies)
    return TallyRecord(
        planned=sum(one.planned for one in found),
        ok=sum(one.ok for one in found),
        response=encoded(merged(one.response for one in found)),
    )


def merged(payloads: Iterable[str | None]) -> histogram.Counts:
    """The samples of several histograms together."""
    total = histogram.empty()
    for payload in payloads:
        if payload is not None:
            total += decode(payload)
    return total


def encoded(counts: histogram.Counts) -> str | None:
    """As rows have it; None for no samples."""
    return Encoder().encode(counts) if counts.any() else None
