"""Where things stand in the loop's arrays: column numbers, shapes, and who writes them.

The loop's state is a handful of integer tables instead of objects, because compiled code must not
touch Python objects and a row of one lane then sits in two cache lines. Every table has exactly one
writer: the loop, except `control` and `offers`, which only the control plane writes, and the first row
of `queue`, which the threads of one workload share. Readers copy.
Aligned 64-bit stores are atomic on the machines numba supports, so a live copy can be off by the
operations in flight but never torn; after the loop has returned it is exact.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.core.jit import int64

# --- lanes[lane, column] int64 ---------------------------------------------------------------------------
# FD: descriptor or -1. QUEUED: 1 while in the ring of free lanes. HEAD, COUNT: ring of requests in
# flight. OUT_START, OUT_END: unsent bytes in drafts[lane]. STEP_SENT: when the round trip at the head
# was sent. LAST_SERVICE: service time of its last answer. CREDIT: time that arrivals which were never
# sent would have kept it busy (bench.engine.wire.lateness).
# ADOPTED: generation of the last connection taken over. LOST: connections lost so far; a lane wants
# another when it has lost as many as it was offered. POLITE: of one closed after an answer, the gauge
# that counts why. STEP: round trip that is out, a row of steps. UNDOING: 1 while a ROLLBACK is out.
# RETRYING: 1 when the operation starts again after it. TRIES: retries so far. STALE: 1 + the step whose
# statement is to be prepared again, 0 when there is none. PREPARING: 1 while that is out. SESSION: of
# OpenSSL, or 0. LEAVING: once its server has said that it takes no writes, or does not serve the slot, the
# gauge that counts it. GROUP: of a cluster, whose primary it is connected to. MOVED: replies to the request
# at the head that said so.
FD, QUEUED, HEAD, COUNT, OUT_START, OUT_END, STEP_SENT, ADOPTED, LOST, REPLIES_LEFT, FAILED, READY = range(12)
POLITE, STEP, UNDOING, RETRYING, TRIES, LAST_SERVICE, CREDIT, STALE, PREPARING, SESSION, LEAVING = range(
    12, 23
)
GROUP, MOVED = range(23, 25)
LANE_COLUMNS = 32

# --- flights[lane, slot, column] int64: requests sent and not yet answered; times from run zero ----------
# IDEAL: when it would have been sent had the generator never been late. UNREAD: how long its answers lay
# unread because the generator stood still. IDEAL_FREE: of the slot, when its last request would have been
# answered; it outlives the request. HOPS: of a cluster, twice the redirections so far, and 1 more where the
# next node is to be asked with ASKING.
PLANNED, SENT, ARRIVAL, ROW, IDEAL, KEY, UNREAD, HOPS = range(8)
RECORDED_COLUMNS = 7
"""Those that recording needs, of any engine."""
FLIGHT_COLUMNS = 8
IDEAL_FREE = FLIGHT_COLUMNS
SLOT_COLUMNS = 9

# --- waiting[slot, column] int64: arrivals taken from the plan and not yet sent --------------------------
# The same columns as a flight, then the operation. IDEAL: when it could have been sent at the earliest, had
# the generator never been late. SENT: -1, or of one that was redirected when it was sent first.
OPERATION = FLIGHT_COLUMNS
WAITING_COLUMNS = 9

# --- groups[group, column] int64: a primary of a cluster and its replicas ----------------------------------
# A ring of free lanes in group_ring[group], one of arrivals dealt out to it in parked[group]. G_CONNECTED:
# lanes with a connection. G_CURSOR: in a closed loop, the last number of the plan that was looked at for it.
# G_NEXT_LANE: as NEXT_LANE, of its own lanes.
G_RING_HEAD, G_RING_COUNT, G_PARKED_HEAD, G_PARKED_COUNT, G_CONNECTED, G_CURSOR, G_NEXT_LANE = range(7)
GROUP_COLUMNS = 8

# --- operations[operation, column] int64 -----------------------------------------------------------------
# Its round trips are steps[STEP_FIRST:STEP_END]; UNDO: the step that ends a failed one, or -1.
STEP_FIRST, STEP_END, UNDO = range(3)
OPERATION_COLUMNS = 3

# --- steps[step, column] int64: one round trip: bytes in `template`, replies, fields ---------------------
# T_LOOKUP: where in `lookups` stands what its first reply counts as. T_PREPARE: the step that prepares its
# statement again, or -1. T_NEEDLE_START, T_NEEDLE_END: text in `needles` that the answer must contain.
# T_HEAD_ONLY: 1 where the answer has no body (HTTP HEAD). T_WANT_FIRST, T_WANT_END: rows of `wants`.
# T_NAME: the name, of those of the program, that its figures go to; -1: it is not counted by itself.
T_START, T_SIZE, T_REPLIES, T_FIELD_FIRST, T_FIELD_END, T_LOOKUP, T_PREPARE = range(7)
T_NEEDLE_START, T_NEEDLE_END, T_HEAD_ONLY, T_WANT_FIRST, T_WANT_END, T_NAME = range(7, 13)
STEP_COLUMNS = 13

# --- lookups[reply] uint8: what a reply of a step counts as ----------------------------------------------
# Nothing; one lookup, missed where no value came; one for each value, missed where it is null.
NO_LOOKUP, LOOKUP_ONE, LOOKUP_EACH = range(3)

# --- answers[row, column] int64: what answers brought (bench.core.answers has the columns) ------------------

# --- fields[field, column] int64: what to write into a rendered template ---------------------------------
# The number is BASE more than its source gives. FROM_SIZE: how many bytes the TEXT fields among the next
# VARIABLE ones take.
F_OFFSET, F_WIDTH, F_SOURCE, F_VARIABLE, F_BASE, F_FORM = range(6)
FIELD_COLUMNS = 6
# Sources of a field's number.
FROM_VARIABLE, FROM_ARRIVAL, FROM_PUBLISHER, FROM_SEQUENCE, FROM_PLANNED, FROM_RUN, FROM_SIZE = range(7)
FROM_CAPTURE = 7  # the number of a cell of the lane
# Forms of a number: zero-padded and space-padded have a fixed width, natural is as long as it is, BIG_ENDIAN
# has four bytes. As text: of its row in `cells`; LETTERS and UUID, which it starts off, have a fixed width.
ZERO_PADDED, SPACE_PADDED, NATURAL, BIG_ENDIAN, TEXT, LETTERS, UUID = range(7)
# Of what was captured: as it is; in a path, where some bytes are written with %; inside a string of JSON;
# as a value of JSON, a text in quotes.
CAPTURED, IN_PATH, IN_JSON, AS_JSON = range(7, 11)

# --- cells[row, column] int64: texts to choose from, in `cell_bytes` --------------------------------------
CELL_START, CELL_SIZE = range(2)
CELL_COLUMNS = 2

# --- control[column] int64: written by the control plane, read by the loop -------------------------------
# STOP: 1 no further arrivals, 2 give up what is in flight too. START_NS: run zero on CLOCK_MONOTONIC.
# RUN_LABEL: a number that no other run has, for requests that must be unique over runs.
# SLOTS_VERSION: grows when slots have other owners than before.
STOP, START_NS, RUN_LABEL, SLOTS_VERSION = range(4)
CONTROL_COLUMNS = 8
STOP_ARRIVALS, STOP_AT_ONCE = 1, 2

# --- offers[lane, column] int64: written by the control plane, read by the loop --------------------------
# OFFERED: generation << 32 | descriptor. OFFERED_SESSION: of OpenSSL, or 0 on a plain connection.
OFFERED, OFFERED_SESSION = range(2)
OFFER_COLUMNS = 2

# --- gauges[column] int64: written by the loop -----------------------------------------------------------
(
    HEARTBEAT,  # time of the last turn, ns from run zero
    IN_FLIGHT,  # requests sent and not yet ended
    CONNECTED,  # lanes with a connection
    IDLE_NS,  # time with nothing to do: slept, or polled in vain
    ELAPSED_NS,  # time since the loop was entered
    TURNS,
    BYTES_SENT,
    BYTES_RECEIVED,
    BROKEN_REPLIES,  # bytes that are no reply of the protocol
    STRAY_REPLIES,  # replies that nothing had asked for
    SATURATED,  # values above the histogram's range, recorded at its end
    NULL_REPLIES,
    LOG_LENGTH,  # records in the operation log
    LOG_FULL,  # operations that found it full
    TAKEN,  # arrivals taken from the plan
    DELIVERED,
    DUPLICATES,
    REORDERED,
    MISSING_LENGTH,
    MISSING_FULL,
    UNCERTAIN_LENGTH,
    UNCERTAIN_FULL,
    STRAY_MESSAGES,
    LOST_CONNECTIONS,
    FINISHED,
    REQUEST_LANES,  # request lanes with a connection
    LONGEST_STALL_NS,
    BUSY_NS,  # sum of service times inside the plan's duration: the time that lanes were busy
    CLOSED_AFTER_ANSWER,  # connections that the server closed after a complete answer
    ROWS_RECEIVED,
    SERIALIZATION_FAILURES,  # SQLSTATE 40001
    DEADLOCKS,  # SQLSTATE 40P01
    RETRIES_DONE,  # operations started again after one of them
    STEPS_SENT,  # round trips
    LOST_SUBSCRIBERS,  # connections of subscribers among those lost
    RUN_DELAY_NS,  # time that the thread waited for a processor, where the thread itself looks
    UNAUTHORIZED,  # connections that were closed to log in again
    LEFT_READ_ONLY,  # connections closed because their server takes no writes
    REDIRECTS,  # answers of a cluster that named another node, which was asked then
    LEFT_MOVED,  # connections closed because their server serves the slots no more
) = range(40)
GAUGE_COLUMNS = 40

# --- state[column] int64 and places[column] float64: the loop's own --------------------------------------
(
    NEXT_INDEX,  # number of the arrival at the head of the plan
    NEXT_PLANNED,
    NEXT_STRETCH,  # the row of the pacing table in which the head arrival lies
    PLAN_ENDED,
    WAITING,  # arrivals in `waiting`
    RING_HEAD,
    RING_COUNT,
    NEXT_SWEEP,  # when to look for expired requests
    DRAIN_UNTIL,
    LAST_SENT,  # when the loop last sent anything
    STALL_FROM,  # the stall whose answers are still to be read (bench.engine.wire.lateness)
    STALL_TO,  # its end; 0: none
    RUN_DELAY,  # time that this thread has waited for a processor, as last read
    NOW_STRETCH,  # the row of the pacing table in which the loop is
    NEXT_LANE,  # the lane that would have had the next arrival that was never sent
    PARKED,  # arrivals dealt out to groups and not yet sent, in all
    SLOTS_SEEN,  # SLOTS_VERSION when the cursors of a closed loop were compared last
) = range(17)
STATE_COLUMNS = 24

# --- settings[column] int64: fixed for the run -----------------------------------------------------------
(
    SEED,
    LANES_IN_ALL,  # of the workload, over all segments: arrival i is the turn of lane i % LANES_IN_ALL
    SEGMENT,
    SEGMENTS,
    THREAD,
    THREADS,
    SHARED,  # 1 where the segment's threads take their arrivals from one queue
    FIRST_LANE,  # the number that the operation log gives to this thread's first lane
    POISSON,
    CLOSED,
    DEADLINE_NS,
    SPIN_NS,
    PIPELINE,
    DURATION_NS,
    OPERATION_COUNT,
    EPOLL,
    WAKE_FD,
    NOTIFY_FD,
    LANES,  # request lanes; the lanes above are subscribers
    CHANNELS,
    LOGGING,
    KEY_VARIABLE,
    PROTOCOL,
    CHANNEL_VARIABLE,
    RETRIES,  # how often an operation may start again
    SCHEDSTAT,  # descriptor of this thread's schedstat in /proc, or -1
    LOGS_IN,  # 1 where a lane logs in, and again behind an answer that it is not
    GROUPS,  # of a cluster: primaries, each with lanes of its own; 0 of anything else
) = range(28)
SETTING_COLUMNS = 32
RESP, NOTHING, POSTGRES, HTTP = range(4)
HIGHEST_STATUS = 600

# --- queue[row, column] int64: shared by the threads of a segment (see arrivals) -----------------------
# Row 0 belongs to all of them and changes by compare-and-swap alone. QUEUE_HEAD: the first number of the
# plan that none has taken. QUEUE_LOGGED: records given out in the operation log. Row 1 + thread has one
# writer: FREE_LANES, CONNECTED_LANES as of the thread's last turn. A row is two cache lines.
QUEUE_HEAD, QUEUE_LOGGED = 0, 8
FREE_LANES, CONNECTED_LANES = range(2)
QUEUE_COLUMNS = 16

# --- counts[row, kind, outcome, bucket], row = phase * operations + operation ----------------------------
RESPONSE, SERVICE, LAG, LATENESS, NET, SERVICE_NET = (int64(kind) for kind in range(6))
KIND_NAMES = ("response", "service", "lag", "late", "net", "service_net")
KIND_COUNT = 6

# --- operation log ---------------------------------------------------------------------------------------
LOG_RECORD = np.dtype(
    [
        ("planned_ns", "<i8"),
        ("sent_ns", "<i8"),
        ("done_ns", "<i8"),
        ("arrival", "<i8"),
        ("key", "<i8"),
        ("operation", "<i2"),
        ("phase", "<i2"),
        ("lane", "<i2"),
        ("outcome", "<i2"),
    ]
)
"""One finished arrival, 48 bytes; times in ns from run zero, sent_ns is -1 for one never sent."""


class Tables(NamedTuple):
    """Everything one engine thread reads and writes; shapes are given above."""

    settings: NDArray[np.int64]
    control: NDArray[np.int64]
    offers: NDArray[np.int64]
    """offers[lane, column]: a connection for the loop to take over. OFFERED is written last, in one store."""
    pacing: NDArray[np.float64]
    shares: NDArray[np.float64]
    """Cumulative shares of the operations."""
    operations: NDArray[np.int64]
    steps: NDArray[np.int64]
    lookups: NDArray[np.uint8]
    expected: NDArray[np.uint8]
    """expected[step, status]: 1 where an HTTP answer of that status is OK."""
    needles: NDArray[np.uint8]
    """Texts that answers must contain, one after the other."""
    needle_links: NDArray[np.int64]
    """For each byte of `needles`, where the search goes on when the next byte differs."""
    wants: NDArray[np.int64]
    """What steps want of their answers, and its parts, texts and links (bench.protocols.wants.state)."""
    want_parts: NDArray[np.int64]
    want_texts: NDArray[np.uint8]
    want_links: NDArray[np.int64]
    fields: NDArray[np.int64]
    variables: NDArray[np.float64]
    cells: NDArray[np.int64]
    cell_bytes: NDArray[np.uint8]
    template: NDArray[np.uint8]
    lanes: NDArray[np.int64]
    flights: NDArray[np.int64]
    scans: NDArray[np.int64]
    texts: NDArray[np.uint8]
    """texts[lane]: the head of an error line or of a message."""
    progress: NDArray[np.int64]
    """progress[lane]: how far its answer was searched for what is wanted."""
    captured: NDArray[np.uint8]
    """captured[lane, cell]: values of its answers."""
    captured_facts: NDArray[np.int64]
    """captured_facts[lane, cell]: their class and size."""
    drafts: NDArray[np.uint8]
    """drafts[lane]: bytes that the kernel did not take yet; touched only then."""
    ring: NDArray[np.int64]
    """Free lanes in the order in which they became free."""
    waiting: NDArray[np.int64]
    state: NDArray[np.int64]
    places: NDArray[np.float64]
    """places[0]: place of the head arrival on the axis of expected arrivals."""
    received: NDArray[np.uint8]
    rendered: NDArray[np.uint8]
    events: NDArray[np.int32]
    scratch: NDArray[np.int64]
    words: NDArray[np.int32]
    counts: NDArray[np.int64]
    tallies: NDArray[np.int64]
    """tallies[row, outcome]: arrivals that ended so."""
    taken: NDArray[np.int64]
    """taken[row]: arrivals taken from the plan."""
    answers: NDArray[np.int64]
    """answers[row, column]: what answers brought."""
    gauges: NDArray[np.int64]
    phase_idle_ns: NDArray[np.int64]
    """phase_idle_ns[phase]: time in each phase, its rests left out, in which the loop had nothing to do."""
    errors: NDArray[np.uint8]
    """errors[slot]: the kinds of error texts (bench.core.answers) that were met, NUL-padded."""
    examples: NDArray[np.uint8]
    """examples[slot]: the first text of that kind."""
    bodies: NDArray[np.uint8]
    """bodies[slot]: the beginning of the answer that had that error first, where one did."""
    varied: NDArray[np.uint8]
    """varied[slot]: 1 once a text of that kind differed from the first."""
    kind_text: NDArray[np.uint8]
    """The kind of the text that is being counted."""
    error_counts: NDArray[np.int64]
    """error_counts[slot, operation]."""
    log: NDArray[np.int64]
    """The operation log as int64 words, LOG_WORDS to a record."""
    queue: NDArray[np.int64]
    """The only table with several writers: see above."""
    sequences: NDArray[np.int64]
    """sequences[publisher, channel]: messages published so far."""
    seen: NDArray[np.int64]
    """seen[subscriber, publisher, channel, word]: word 0 the next number, then a bitmap of the last ones."""
    missing: NDArray[np.int64]
    """missing[n]: (subscriber, publisher, channel, sequence) that never came."""
    published: NDArray[np.int64]
    """published[publisher, channel, number % REMEMBERED]: IDEAL and SENT of the last messages."""
    groups: NDArray[np.int64]
    group_ring: NDArray[np.int64]
    """Free lanes of each group in the order in which they became free."""
    parked: NDArray[np.int64]
    """parked[group, slot]: a row of `waiting`, dealt out to that group."""
    key_words: NDArray[np.int64]
    """key_words[step]: which word of its first command is the key, from 0; -1: it has none."""
    slots: NDArray[np.int16]
    """slots[slot]: the group that serves it. Written by the control plane, as the next two are."""
    member_names: NDArray[np.uint8]
    """member_names[node]: its host:port as redirections have it, NUL-padded."""
    member_groups: NDArray[np.int64]
    """member_groups[node]: the group that it belongs to."""
    uncertain: NDArray[np.int64]
    """uncertain[n]: (publisher, channel, sequence) whose publish was not acknowledged."""


LOG_WORDS = LOG_RECORD.itemsize // 8
