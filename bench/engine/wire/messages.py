"""After a pub/sub run: which messages are lost, which may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.core.histogram import bucket_of
from bench.core.outcome import Outcome
from bench.engine.wire import layout
from bench.engine.wire.subscriber import WINDOW, WORD_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.engine.wire.shard import Shard

    Numbers = NDArray[np.int64]


def unseen(row: Numbers, published: int) -> Numbers:
    """Numbers 0..published-1 that one (subscriber, publisher, channel) row still waits for.

    Those older than the window were listed by the loop as they left it.
    """
    ahead = int(row[0])
    recent = np.arange(max(0, ahead - WINDOW), ahead, dtype=np.int64)
    words = row[1 + recent % WINDOW // WORD_BITS]
    came = (words >> (recent % WORD_BITS)) & 1
    return np.concatenate([recent[came == 0], np.arange(ahead, published, dtype=np.int64)])


def missing_messages(shard: Shard) -> Numbers:
    """Every (subscriber, publisher, channel, number) that never came, one row each."""
    tables = shard.tables
    listed = tables.missing[: shard.gauge(layout.MISSING_LENGTH)]
    found = [listed]
    subscribers, publishers, channels, _ = tables.seen.shape
    for subscriber in range(subscribers):
        for publisher in range(publishers):
            for channel in range(channels):
                published = int(tables.sequences[publisher, channel])
                numbers = unseen(tables.seen[subscriber, publisher, channel], published)
                if numbers.size:
                    rows = np.empty((numbers.size, 4), dtype=np.int64)
                    rows[:] = (subscriber, publisher, channel, 0)
                    rows[:, 3] = numbers
                    found.append(rows)
    return np.concatenate(found)


def settle_messages(
    shard: Shard, row: int, deadline_ns: int
) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    """Count what subscribers missed and charge it; return counters and anomalies. Once per run.

    A message whose publish was never acknowledged may be missing without being lost: the server may
    never have had it. A lost one is charged to `deliver` at the deadline, as DROPPED, in Board row
    `row`, so that losing messages cannot improve the end-to-end percentiles.
    """
    tables = shard.tables
    missing = missing_messages(shard)
    uncertain = {tuple(map(int, entry)) for entry in tables.uncertain[: shard.gauge(layout.UNCERTAIN_LENGTH)]}
    unacknowledged = sum(tuple(map(int, entry[1:])) in uncertain for entry in missing) if uncertain else 0
    overflow = shard.gauge(layout.MISSING_FULL)
    lost = len(missing) - unacknowledged + overflow
    for kind in (layout.RESPONSE, layout.NET):
        shard.board.counts[row, kind, Outcome.DROPPED, bucket_of(deadline_ns)] += lost
    shard.board.tallies[row, Outcome.DROPPED] += lost
    anomalies = []
    if overflow or shard.gauge(layout.UNCERTAIN_FULL):
        text = (
            f"more messages were missing than can be listed ({len(missing)}); those beyond all count as lost"
        )
        anomalies.append(("missing_list_full", "note", text))
    counters = {
        "lost_messages": lost,
        "uncertain_messages": unacknowledged,
        "duplicate_messages": shard.gauge(layout.DUPLICATES),
        "reordered_messages": shard.gauge(layout.REORDERED),
        "delivered_messages": shard.gauge(layout.DELIVERED),
        "lost_subscribers": shard.gauge(layout.LOST_SUBSCRIBERS),
    }
    return counters, anomalies
