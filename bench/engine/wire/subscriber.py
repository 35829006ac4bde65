"""What a subscriber sees: each message timed from its planned publish, and its number checked off.

A message's payload begins with fixed-width decimals: publisher, channel, sequence number, planned
time (ns from run zero). Sequence numbers count per publisher (one connection, so the server keeps
their order) and channel. For every (subscriber, publisher, channel) the next number and a bitmap
of the last WINDOW numbers are kept: a set bit seen again is a duplicate, an unset one below the
highest is reordered, and one that leaves the window unset is missing. Memory does not grow with the
run. Missing numbers are listed, because one whose publish was never acknowledged is not lost: after the run
`settle_messages` finds out which are.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.histogram import bucket_of
from bench.core.jit import inner, int64
from bench.core.outcome import Outcome
from bench.engine.board import Board
from bench.engine.wire.lateness import unread_by_stall
from bench.engine.wire.layout import (
    CHANNELS,
    DELIVERED,
    DUPLICATES,
    DURATION_NS,
    LANES,
    LOST_SUBSCRIBERS,
    MISSING_FULL,
    MISSING_LENGTH,
    NET,
    NOW_STRETCH,
    OPERATION_COUNT,
    READY,
    REORDERED,
    RESPONSE,
    STRAY_MESSAGES,
    UNCERTAIN_FULL,
    UNCERTAIN_LENGTH,
    Tables,
)
from bench.engine.wire.recording import OK, add_value
from bench.engine.wire.render import read_digits
from bench.plan.pacing import P_NUMBER, stretch_at

PUBLISHER_DIGITS, CHANNEL_DIGITS, SEQUENCE_DIGITS, PLANNED_DIGITS = (int64(n) for n in (5, 5, 12, 18))
HEAD_DIGITS = PUBLISHER_DIGITS + CHANNEL_DIGITS + SEQUENCE_DIGITS + PLANNED_DIGITS
START = int64(0)
PAYLOAD_ELEMENT = int64(2)
"""A message is the array: "message", channel, payload."""

WINDOW = 1024
WORD_BITS = 32
SEEN_WORDS = 1 + WINDOW // WORD_BITS

REMEMBERED = 64
"""Messages of a publisher and channel whose times of sending are remembered for their deliveries."""

DELIVER = 1
"""Number of the operation `deliver`; `publish` is 0."""


@inner
def note_missing(t: Tables, subscriber: int, publisher: int, channel: int, sequence: int) -> None:
    """List one number that never came."""
    length = t.gauges[MISSING_LENGTH]
    if length >= t.missing.shape[0]:
        t.gauges[MISSING_FULL] += 1
        return
    t.missing[length, 0] = subscriber
    t.missing[length, 1] = publisher
    t.missing[length, 2] = channel
    t.missing[length, 3] = sequence
    t.gauges[MISSING_LENGTH] = length + 1


@inner
def check_off(t: Tables, subscriber: int, publisher: int, channel: int, sequence: int) -> bool:
    """Note that a number came; return False for a duplicate.

    Word 0 of the row is one more than the highest number seen. A number that comes more than WINDOW
    messages late has been listed as missing by then; it counts as reordered and stays lost.
    """
    row = t.seen[subscriber, publisher, channel]
    if sequence >= row[0]:
        for number in range(row[0], sequence + 1):
            # This number's slot last stood for number - WINDOW: if that never came, it is missing now.
            word, bit = 1 + number % WINDOW // WORD_BITS, 1 << (number % WORD_BITS)
            if number >= WINDOW and row[word] & bit == 0:
                note_missing(t, subscriber, publisher, channel, number - WINDOW)
            row[word] &= ~bit
        row[0] = sequence + 1
        row[1 + sequence % WINDOW // WORD_BITS] |= 1 << (sequence % WORD_BITS)
        return True
    word, bit = 1 + sequence % WINDOW // WORD_BITS, 1 << (sequence % WORD_BITS)
    if sequence >= row[0] - WINDOW:
        if row[word] & bit != 0:
            t.gauges[DUPLICATES] += 1
            return False
        row[word] |= bit
    t.gauges[REORDERED] += 1
    return True


@inner
def own_lateness(t: Tables, publisher: int, channel: int, sequence: int) -> int:
    """What of a delivery's time is the generator's doing: published too late, read too late.

    Of a message that many others have followed nothing is known any more, and it is owed nothing.
    """
    if sequence < t.sequences[publisher, channel] - REMEMBERED:
        return 0
    remembered = t.published[publisher, channel, sequence % REMEMBERED]
    ideal, sent = remembered[0], remembered[1]
    return int(sent - ideal + unread_by_stall(t.state, sent))


@inner
def on_message(t: Tables, lane: int, size: int, now: int) -> None:
    """One push of a subscriber: the confirmation of a subscription, or a message."""
    text = t.texts[lane]
    if size == 0:
        t.lanes[lane, READY] += 1
        return
    publisher = read_digits(text, START, PUBLISHER_DIGITS)
    channel = read_digits(text, PUBLISHER_DIGITS, CHANNEL_DIGITS)
    sequence = read_digits(text, PUBLISHER_DIGITS + CHANNEL_DIGITS, SEQUENCE_DIGITS)
    planned = read_digits(text, PUBLISHER_DIGITS + CHANNEL_DIGITS + SEQUENCE_DIGITS, PLANNED_DIGITS)
    lanes, channels = t.settings[LANES], t.settings[CHANNELS]
    if size < HEAD_DIGITS or min(publisher, channel, sequence, planned) < 0:
        t.gauges[STRAY_MESSAGES] += 1
        return
    if publisher >= lanes or channel >= channels or planned > t.settings[DURATION_NS]:
        t.gauges[STRAY_MESSAGES] += 1
        return
    if sequence >= t.sequences[publisher, channel]:
        t.gauges[STRAY_MESSAGES] += 1  # not published by us, or not yet: another run uses our channels
        return
    if not check_off(t, lane - lanes, publisher, channel, sequence):
        return
    stretch = stretch_at(t.pacing, t.state[NOW_STRETCH], planned)
    row = int(t.pacing[stretch, P_NUMBER]) * t.settings[OPERATION_COUNT] + DELIVER
    add_value(t, row, RESPONSE, OK, now - planned)
    own = own_lateness(t, publisher, channel, sequence)
    add_value(t, row, NET, OK, now - planned - own)
    t.tallies[row, OK] += 1
    t.gauges[DELIVERED] += 1


def unseen(row: NDArray[np.int64], published: int) -> NDArray[np.int64]:
    """NDArray[np.int64] 0..published-1 that one (subscriber, publisher, channel) row still waits for.

    Those older than the window were listed by the loop as they left it.
    """
    ahead = int(row[0])
    recent = np.arange(max(0, ahead - WINDOW), ahead, dtype=np.int64)
    words = row[1 + recent % WINDOW // WORD_BITS]
    came = (words >> (recent % WORD_BITS)) & 1
    return np.concatenate([recent[came == 0], np.arange(ahead, published, dtype=np.int64)])


def missing_messages(t: Tables) -> NDArray[np.int64]:
    """Every (subscriber, publisher, channel, number) that never came, one row each."""
    listed = t.missing[: int(t.gauges[MISSING_LENGTH])]
    found = [listed]
    subscribers, publishers, channels, _ = t.seen.shape
    for subscriber in range(subscribers):
        for publisher in range(publishers):
            for channel in range(channels):
                published = int(t.sequences[publisher, channel])
                numbers = unseen(t.seen[subscriber, publisher, channel], published)
                if numbers.size:
                    rows = np.empty((numbers.size, 4), dtype=np.int64)
                    rows[:] = (subscriber, publisher, channel, 0)
                    rows[:, 3] = numbers
                    found.append(rows)
    return np.concatenate(found)


def settle_messages(
    t: Tables, board: Board, row: int, deadline_ns: int
) -> tuple[dict[str, int], list[tuple[str, str, str]]]:
    """Count what subscribers missed and charge it; return counters and anomalies. Once per run.

    A message whose publish was never acknowledged may be missing without being lost: the server may
    never have had it. A lost one is charged to `deliver` at the deadline, as DROPPED, in Board row
    `row`, so that losing messages cannot improve the end-to-end percentiles.
    """
    missing = missing_messages(t)
    uncertain = {tuple(map(int, entry)) for entry in t.uncertain[: int(t.gauges[UNCERTAIN_LENGTH])]}
    unacknowledged = sum(tuple(map(int, entry[1:])) in uncertain for entry in missing) if uncertain else 0
    overflow = int(t.gauges[MISSING_FULL])
    lost = len(missing) - unacknowledged + overflow
    for kind in (RESPONSE, NET):
        board.counts[row, kind, Outcome.DROPPED, bucket_of(deadline_ns)] += lost
    board.tallies[row, Outcome.DROPPED] += lost
    anomalies = []
    if overflow or int(t.gauges[UNCERTAIN_FULL]):
        text = (
            f"more messages were missing than can be listed ({len(missing)}); those beyond all count as lost"
        )
        anomalies.append(("missing_list_full", "note", text))
    counters = {
        "lost_messages": lost,
        "uncertain_messages": unacknowledged,
        "duplicate_messages": int(t.gauges[DUPLICATES]),
        "reordered_messages": int(t.gauges[REORDERED]),
        "delivered_messages": int(t.gauges[DELIVERED]),
        "lost_subscribers": int(t.gauges[LOST_SUBSCRIBERS]),
    }
    return counters, anomalies
