"""The compiled loop of the fault proxy: passes bytes on between pairs of sockets while no toxic is in force.

It owns the sockets in its table and touches no other. One read is sent on at once; what the kernel does
not take waits in a buffer of a small pool, and its source is read no further. Whatever is not plain (the
end of the bytes, a reset, a pool without room) it does not decide: it lets go of the pair and says why.

It never allocates and never touches a Python object, so it runs beside the Python loop of this process.
"""

import numpy as np
from numpy.typing import NDArray

from bench.core.histogram import HIGHEST_NS
from bench.core.jit import entry, inner, int64
from bench.engine.wire.recording import bucket_of
from bench.engine.wire.syscalls import (
    EAGAIN,
    EINTR,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EVENT_DATA,
    EVENT_WORDS,
    await_eventfd,
    copy_bytes,
    drain_eventfd,
    epoll_change,
    epoll_sleep,
    now_ns,
    receive_stamped,
    send_bytes,
    signal_eventfd,
    wall_ns,
)

TURNS, READS, SLEPT_NS, MOST_READY = range(4)
"""Gauges: turns of the loop, reads passed on, time with nothing to do, the most descriptors ready at once."""
PEER, PASSED, BUFFER, AT, LENGTH, SINCE = range(6)
"""Columns of the table, a row for each descriptor: where its bytes go (-1: not ours), how many went there,
the buffer with those that wait (-1: none do) and which of it; from when on, in wall time, waiting is ours."""
COLUMNS = 6
EPOLL, WAKE, RESUME, TOLD, PARK, PARKED, STOP, EVICTED = range(8)
"""Control: the loop's epoll; eventfds that wake it, let it go on, and say that it has let go of something;
whether it is to stand still, and does; whether it is to end; how many pairs it has let go of."""
CONTROLS = 8
LOOK, SOURCE_RESET, SINK_GONE = range(3)
"""Why it let go: see for yourself; reading said that its peer has reset it; its counterpart takes no more."""
REASONS = 2
POOL = 64
SLEEP_NS = int64(1_000_000_000)
_NONE, _ZERO = int64(0), int64(0)


@inner
def wanted(flows: NDArray[np.int64], fd: int) -> int:
    """What a descriptor is watched for."""
    mask = _ZERO
    if flows[fd, BUFFER] < 0:
        mask |= EPOLLIN
    if flows[flows[fd, PEER], BUFFER] >= 0:
        mask |= EPOLLOUT
    return mask


@inner
def watch(control: NDArray[np.int64], flows: NDArray[np.int64], fd: int, words: NDArray[np.int32]) -> None:
    """Watch both ends of the flow that begins at a descriptor for what they are to be watched for."""
    peer = flows[fd, PEER]
    epoll_change(control[EPOLL], EPOLL_CTL_MOD, fd, wanted(flows, fd), fd, words)
    epoll_change(control[EPOLL], EPOLL_CTL_MOD, peer, wanted(flows, peer), peer, words)


@inner
def let_go(
    control: NDArray[np.int64],
    flows: NDArray[np.int64],
    evicted: NDArray[np.int64],
    fd: int,
    reason: int,
    words: NDArray[np.int32],
    scratch: NDArray[np.int64],
) -> None:
    """The pair of a descriptor is not ours any more; what waits for either end stays in its buffer."""
    peer = flows[fd, PEER]
    flows[fd, PEER] = -1
    flows[peer, PEER] = -1
    epoll_change(control[EPOLL], EPOLL_CTL_DEL, fd, _NONE, _NONE, words)
    epoll_change(control[EPOLL], EPOLL_CTL_DEL, peer, _NONE, _NONE, words)
    place = control[EVICTED] % evicted.shape[0]
    evicted[place, 0] = fd
    evicted[place, 1] = reason
    control[EVICTED] += 1
    signal_eventfd(control[TOLD], scratch)


@inner
def free_buffer(owners: NDArray[np.int64]) -> int:
    """A buffer that nobody uses, or -1."""
    for number in range(owners.size):
        if owners[number] < 0:
            return number
    return -1


@inner
def flush(
    flows: NDArray[np.int64], owners: NDArray[np.int64], pool: NDArray[np.uint8], source: int, sink: int
) -> int:
    """Send what waits for `sink`; 1: all of it has gone, 0: not all, minus errno: it takes no more."""
    number, at, length = flows[source, BUFFER], flows[source, AT], flows[source, LENGTH]
    sent = send_bytes(sink, pool[number], at, length)
    if sent in (-EAGAIN, -EINTR):
        return 0
    if sent < 0:
        return sent
    flows[source, PASSED] += sent
    flows[source, AT] += sent
    flows[source, LENGTH] -= sent
    if flows[source, LENGTH] > 0:
        return 0
    flows[source, BUFFER] = -1
    owners[number] = -1
    return 1


@entry
def relay(
    control: NDArray[np.int64],
    flows: NDArray[np.int64],
    pool: NDArray[np.uint8],
    owners: NDArray[np.int64],
    evicted: NDArray[np.int64],
    gauges: NDArray[np.int64],
    lateness: NDArray[np.int64],
    events: NDArray[np.int32],
    data: NDArray[np.uint8],
    message: NDArray[np.int64],
    vector: NDArray[np.int64],
    stamp: NDArray[np.int64],
    scratch: NDArray[np.int64],
    words: NDArray[np.int32],
) -> int:
    """Pass on until control[STOP]; returns 0.

    lateness: a histogram of the time from a read's arrival in the kernel to its being sent on.
    """
    while control[STOP] == 0:
        if control[PARK] != 0:
            control[PARKED] = 1
            await_eventfd(control[RESUME], scratch)
            continue
        asked = now_ns(scratch)
        ready = epoll_sleep(control[EPOLL], events, SLEEP_NS, scratch)
        gauges[SLEPT_NS] += now_ns(scratch) - asked
        gauges[TURNS] += 1
        gauges[MOST_READY] = max(gauges[MOST_READY], ready)
        for place in range(max(ready, 0)):
            mask = events[place * EVENT_WORDS]
            fd: int = np.int64(events[place * EVENT_WORDS + EVENT_DATA])  # type: ignore[assignment]
            if fd == control[WAKE]:
                drain_eventfd(fd, scratch)
                continue
            peer = flows[fd, PEER]
            if peer < 0 or flows[peer, PEER] != fd:
                continue  # let go of earlier in this turn, or about to be ours
            if mask & EPOLLOUT and flows[peer, BUFFER] >= 0:
                done = flush(flows, owners, pool, peer, fd)
                if done < 0:
                    let_go(control, flows, evicted, peer, SINK_GONE, words, scratch)
                    continue
                if done:
                    # Its reader set the pace so far.
                    flows[peer, SINCE] = wall_ns(scratch)
                    watch(control, flows, peer, words)
            if mask & EPOLLIN and flows[fd, BUFFER] < 0:
                number = free_buffer(owners)
                if number < 0:
                    let_go(control, flows, evicted, fd, LOOK, words, scratch)
                    continue
                size = receive_stamped(fd, data, message, vector, stamp)
                if size in (-EAGAIN, -EINTR):
                    continue
                if size <= 0:
                    let_go(control, flows, evicted, fd, LOOK if size == 0 else SOURCE_RESET, words, scratch)
                    continue
                sent = send_bytes(peer, data, _ZERO, size)
                if sent in (-EAGAIN, -EINTR):
                    sent = 0
                if sent < 0:
                    let_go(control, flows, evicted, fd, SINK_GONE, words, scratch)
                    continue
                gauges[READS] += 1
                flows[fd, PASSED] += sent
                if stamp[0] > 0:
                    late = wall_ns(scratch) - max(stamp[0], flows[fd, SINCE])
                    lateness[bucket_of(min(max(late, 0), HIGHEST_NS))] += 1
                if sent < size:
                    copy_bytes(pool[number], _ZERO, data, sent, size - sent)
                    owners[number] = fd
                    flows[fd, BUFFER], flows[fd, AT], flows[fd, LENGTH] = number, 0, size - sent
                    watch(control, flows, fd, words)
            elif mask & (EPOLLERR | EPOLLHUP):
                let_go(control, flows, evicted, fd, LOOK, words, scratch)
    return 0
