"""The truth server: answers after a delay that is known, and keeps its own account of it.

One compiled thread sleeps until a request comes or shortly before an answer is due and polls from then
on: it takes no processor from the generator that it measures. A request that finds it asleep waits until it
has woken, some tens of microseconds, and it may lose its core. So it does not only promise: it stamps
every request when it has read it and every answer when it sends it. A request carries its planned time, so
the server also knows, independently of the generator, the response time that it gave. What the
generator records beyond that is the generator's, the kernel's and the wire's.

Delays: fixed; bimodal (a share of requests is slow); stalls (every `stall_every_ns` the server does
nothing for `stall_ns`, as a process that was paused).
"""

from __future__ import annotations

import select
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.core.clock import NS_PER_S
from bench.core.histogram import BUCKET_COUNT, HIGHEST_NS
from bench.core.jit import PLAIN, entry, int64
from bench.engine.wire.recording import bucket_of
from bench.engine.wire.render import read_digits
from bench.engine.wire.syscalls import (
    EAGAIN,
    EINTR,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLLIN,
    EVENT_DATA,
    EVENT_WORDS,
    epoll_change,
    epoll_poll,
    epoll_sleep,
    now_ns,
    receive_bytes,
    send_bytes,
    sharpen_timers,
)
from bench.plan.draws import stream_key, unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PLANNED_DIGITS = 18
REQUEST = b"P" + b"0" * PLANNED_DIGITS
"""A request: its planned time, ns from run zero, as decimals after a letter."""
ANSWER = b"+OK\r\n"
ACCEPT_S = 10.0
"""Whatever stands in between has to connect first."""


@dataclass(frozen=True)
class Delays:
    """What the server does to requests; times in ns."""

    name: str
    fast_ns: int
    slow_ns: int = 0
    slow_share: float = 0.0
    stall_every_ns: int = 0
    stall_ns: int = 0


# control: STOP, START_NS (run zero). settings: the fields of Delays. lanes: RECEIVED, DUE, FD.
_STOP, _START = range(2)
_FAST, _SLOW, _EVERY, _STALL, _EPOLL = range(5)
_RECEIVED, _FD, _PLANNED, _SIZE = range(4)
_FAST_RING, _SLOW_RING = 0, 1
_AWAKE_NS = int64(60_000)
"""So long before an answer is due a sleep ends; that is the loop's own margin."""
_LONGEST_SLEEP_NS = int64(1_000_000)
"""After that it looks whether it is to stop."""
_START_AT, _ONE, _NONE, _DIGITS = (int64(n) for n in (0, 1, 0, PLANNED_DIGITS))


@entry
def serve(
    control: NDArray[np.int64],
    settings: NDArray[np.int64],
    slow_share: float,
    lanes: NDArray[np.int64],
    rings: NDArray[np.int64],
    ends: NDArray[np.int64],
    events: NDArray[np.int32],
    data: NDArray[np.uint8],
    answer: NDArray[np.uint8],
    scratch: NDArray[np.int64],
    words: NDArray[np.int32],
    response: NDArray[np.int64],
    service: NDArray[np.int64],
) -> int:
    """Answer until control[STOP]; return the number of answers.

    rings[class, slot] are lanes waiting for their answer, in order of arrival; all of one class wait
    equally long, so the head is due first. ends[class] = (head, count).
    """
    key = stream_key(1, _ONE)
    answered = 0
    asked = 0
    sharpen_timers()
    while control[_STOP] == 0:
        now = now_ns(scratch)
        if settings[_EVERY] > 0:
            since = (now - control[_START]) % settings[_EVERY]
            if now > control[_START] and since >= settings[_EVERY] - settings[_STALL]:
                continue
        sleep_ns = _LONGEST_SLEEP_NS
        for group in range(2):
            if ends[group, 1] > 0:
                delay = settings[_SLOW] if group == _SLOW_RING else settings[_FAST]
                due = lanes[rings[group, ends[group, 0]], _RECEIVED] + delay
                sleep_ns = min(sleep_ns, due - now - _AWAKE_NS)
        if sleep_ns > 0:
            ready = epoll_sleep(settings[_EPOLL], events, sleep_ns, scratch)
        else:
            ready = epoll_poll(settings[_EPOLL], events)
        for number in range(max(ready, 0)):
            lane: int = np.int64(events[number * EVENT_WORDS + EVENT_DATA])  # type: ignore[assignment]
            size = receive_bytes(lanes[lane, _FD], data)
            received = now_ns(scratch)
            if size <= 0:
                if size not in (-EAGAIN, -EINTR):
                    epoll_change(settings[_EPOLL], EPOLL_CTL_DEL, lanes[lane, _FD], _NONE, _NONE, words)
                continue
            # One request at a time on a lane, and far smaller than a segment: it comes whole.
            lanes[lane, _PLANNED] = read_digits(data, _ONE, _DIGITS)
            lanes[lane, _RECEIVED] = received
            group = _SLOW_RING if unit(key, asked) < slow_share else _FAST_RING
            asked += 1
            rings[group, (ends[group, 0] + ends[group, 1]) % rings.shape[1]] = lane
            ends[group, 1] += 1
        for group in range(2):
            delay = settings[_SLOW] if group == _SLOW_RING else settings[_FAST]
            while ends[group, 1] > 0:
                lane = rings[group, ends[group, 0]]
                now = now_ns(scratch)
                if now < lanes[lane, _RECEIVED] + delay:
                    break
                ends[group, 0] = (ends[group, 0] + 1) % rings.shape[1]
                ends[group, 1] -= 1
                service[bucket_of(min(max(now - lanes[lane, _RECEIVED], 0), HIGHEST_NS))] += 1
                response[
                    bucket_of(min(max(now - control[_START] - lanes[lane, _PLANNED], 0), HIGHEST_NS))
                ] += 1
                send_bytes(lanes[lane, _FD], answer, _START_AT, answer.size)
                answered += 1
    return answered


class TruthServer:
    """A truth server for `lanes` connections, in a thread of this process."""

    def __init__(self, delays: Delays, lanes: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=lanes)
        self._lanes = lanes
        self._connections: list[socket.socket] = []
        self._epoll = select.epoll()
        self._control = np.zeros(2, dtype=np.int64)
        self._control[_START] = 1 << 62
        self._settings = np.array(
            [delays.fast_ns, delays.slow_ns, delays.stall_every_ns, delays.stall_ns, self._epoll.fileno()],
            dtype=np.int64,
        )
        self._slow_share = float(delays.slow_share)
        self._table = np.zeros((lanes, 4), dtype=np.int64)
        self.response = np.zeros(BUCKET_COUNT, dtype=np.int64)
        """Histogram of reply sent minus planned, by the server's own reading."""
        self.service = np.zeros(BUCKET_COUNT, dtype=np.int64)
        """Histogram of reply sent minus request read."""
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    def connect(self, through: Callable[[str, int], tuple[str, int]] | None = None) -> list[int]:
        """Open every connection and start serving; return the clients' descriptors, non-blocking.

        through: given our address, that of something which passes connections on to it.
        """
        words = np.zeros(4, dtype=np.int32)
        address = self._listener.getsockname()
        if through is not None:
            address = through(*address)
            self._listener.settimeout(ACCEPT_S)
        clients = []
        for lane in range(self._lanes):
            client = socket.create_connection(address)
            accepted = self._accepted(client if through is None else None)
            for one in (client, accepted):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.setblocking(False)
            self._connections.append(accepted)
            self._table[lane, _FD] = accepted.fileno()
            epoll_change(self._epoll.fileno(), EPOLL_CTL_ADD, accepted.fileno(), EPOLLIN, lane, words)
            clients.append(client.detach())
        if through is None:
            self._listener.close()  # nobody else has business here
        self._thread = threading.Thread(target=self._serve, name="truth-server", daemon=True)
        self._thread.start()
        return clients

    def _accepted(self, client: socket.socket | None) -> socket.socket:
        """The other end of a connection of ours; a stranger's, which came before it, is closed.

        None: it comes through something else, and cannot be told from others.
        """
        while True:
            accepted, peer = self._listener.accept()
            if client is None or peer == client.getsockname():
                return accepted
            accepted.close()

    def begin(self, start_ns: int) -> None:
        """Set run zero; stalls count from it."""
        self._control[_START] = start_ns

    def _serve(self) -> None:
        arguments = (
            self._control,
            self._settings,
            self._slow_share,
            self._table,
            np.zeros((2, self._lanes), dtype=np.int64),
            np.zeros((2, 2), dtype=np.int64),
            np.zeros(EVENT_WORDS * 256, dtype=np.int32),
            np.zeros(4096, dtype=np.uint8),
            np.frombuffer(ANSWER, dtype=np.uint8).copy(),
            np.zeros(4, dtype=np.int64),
            np.zeros(4, dtype=np.int32),
            self.response,
            self.service,
        )
        try:
            if PLAIN:
                with np.errstate(over="ignore"):
                    serve(*arguments)
            else:
                serve(*arguments)
        except BaseException as failure:  # noqa: BLE001 - raised again in close()
            self._failure = failure

    def close(self) -> None:
        """Stop and release; raises what went wrong in the server's thread."""
        self._control[_STOP] = 1
        if self._thread is not None:
            self._thread.join()
        for connection in self._connections:
            connection.close()
        self._epoll.close()
        self._listener.close()
        if self._failure is not None:
            raise self._failure


FIXED = Delays("fixed 200 µs", fast_ns=200_000)
BIMODAL = Delays("bimodal 100 µs / 5 ms", fast_ns=100_000, slow_ns=5_000_000, slow_share=0.1)
STALLING = Delays("100 ms stall each second", fast_ns=100_000, stall_every_ns=NS_PER_S, stall_ns=100_000_000)
PROFILES = (FIXED, BIMODAL, STALLING)
