"""What a subscriber sees: each message timed from its planned publish, and its number checked off.

A message's payload begins with fixed-width decimals: publisher, channel, sequence number, planned
time (ns from run zero). Sequence numbers count per publisher (one connection, so the server keeps
their order) and channel. For every (subscriber, publisher, channel) the next number and a bitmap
of the last WINDOW numbers are kept: a set bit seen again is a duplicate, an unset one below the
highest is reordered, and one that leaves the window unset is missing. Memory does not grow with the
run. Missing numbers are listed, because one whose publish was never acknowledged is not lost.
"""

from __future__ import annotations

from bench.core.jit import inner, int64
from bench.engine.wire.lateness import unread_by_stall
from bench.engine.wire.layout import (
    CHANNELS,
    DELIVERED,
    DUPLICATES,
    DURATION_NS,
    LANES,
    MISSING_FULL,
    MISSING_LENGTH,
    NET,
    NOW_STRETCH,
    OPERATION_COUNT,
    READY,
    REORDERED,
    RESPONSE,
    STRAY_MESSAGES,
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
