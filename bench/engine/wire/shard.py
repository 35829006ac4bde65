"""One engine thread: its tables, its operating-system thread, and the connections handed to it."""

import os
import select
import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core.clock import monotonic_ns
from bench.core.jit import PLAIN
from bench.core.threads import ask_for_turns_of
from bench.engine.board import Board
from bench.engine.wire import layout, openssl
from bench.engine.wire.layout import Tables
from bench.engine.wire.subscriber import REMEMBERED, SEEN_WORDS
from bench.engine.wire.syscalls import EPOLL_CTL_ADD, EPOLLIN, EVENT_WORDS, epoll_change
from bench.plan.pacing import P_RATE_FROM, P_RATE_TO
from bench.plan.plan import WorkloadPlan
from bench.protocols import state as wire_state
from bench.protocols.http.state import BODY_BYTES
from bench.protocols.wants.state import CELL_ROOM, PROGRESS_COLUMNS
from bench.registry import DRIVERS
from bench.resources.generator import RunDelay

TURN_NS = 100_000
"""Of a processor, for the loop: some arrivals and answers."""
SPIN_NS = 60_000
"""How long before a planned arrival the loop stops sleeping. A sleep with sharpened timers ended within
about 30 µs on the machines measured; the rest is margin."""

PROTOCOLS = {None: layout.NOTHING, "resp": layout.RESP, "postgres": layout.POSTGRES, "http": layout.HTTP}
"""What the compiled loop calls the protocols of `bench.registry`."""
RECEIVE_BYTES = 262_144
EVENTS_AT_ONCE = 512
ERROR_SLOTS = 16
LISTED_MESSAGES = 1 << 20
FAR_AHEAD_NS = 1 << 60


@dataclass(frozen=True)
class Cluster:
    """What the loops know of a cluster; shapes as in `layout.Tables`. The control plane writes into it."""

    group_count: int
    key_words: NDArray[np.int64]
    slots: NDArray[np.int16]
    member_names: NDArray[np.uint8]
    member_groups: NDArray[np.int64]


MEMBERS, MEMBER_BYTES = 128, 64
NO_CLUSTER = Cluster(
    0,
    np.zeros(0, np.int64),
    np.zeros(0, np.int16),
    np.zeros((0, MEMBER_BYTES), np.uint8),
    np.zeros(0, np.int64),
)
PARKED_AT_LEAST = 1024
ASKING_BYTES = 16


def new_queue(threads: int) -> NDArray[np.int64]:
    """What the threads of a segment share of its plan."""
    return np.zeros((1 + threads, layout.QUEUE_COLUMNS), dtype=np.int64)


class Shard:
    """Runs one thread of segment `number` of `count` of a workload's plan, on its share of the lanes.

    `queue` is shared by the threads of the segment (see `arrivals`); None where each goes by itself.
    """

    def __init__(
        self,
        plan: WorkloadPlan,
        *,
        duration_ns: int,
        number: int = 0,
        count: int = 1,
        lanes: int,
        thread: int = 0,
        threads: int = 1,
        first_lane: int = 0,
        queue: NDArray[np.int64] | None = None,
        subscribers: int = 0,
        log: NDArray[np.int64] | None = None,
        spin_ns: int = SPIN_NS,
        protocol: int | None = None,
        cluster: Cluster | None = None,
    ) -> None:
        self._cluster = cluster if cluster is not None else NO_CLUSTER
        self.lanes = lanes
        self.subscribers = subscribers
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.notify_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._run_delay: RunDelay | None = None
        self._delay_zero_ns = 0
        self.failure: BaseException | None = None
        self.is_closed = False
        self.board = Board.empty(plan.phase_count * len(plan.program.names), layout.KIND_NAMES)
        self.tables = self._allocate(plan, log, queue if queue is not None else new_queue(threads))
        settings = self.tables.settings
        workload, program = plan.workload, plan.program
        settings[layout.SEED] = plan.seed
        settings[layout.LANES_IN_ALL] = workload.lanes
        settings[layout.SEGMENT], settings[layout.SEGMENTS] = number, count
        settings[layout.THREAD], settings[layout.THREADS] = thread, threads
        settings[layout.SHARED] = queue is not None
        settings[layout.FIRST_LANE] = first_lane
        settings[layout.POISSON] = workload.arrivals == "poisson"
        settings[layout.CLOSED] = plan.is_closed
        settings[layout.DEADLINE_NS] = workload.deadline_ns
        settings[layout.SPIN_NS] = spin_ns
        settings[layout.PIPELINE] = workload.pipeline
        settings[layout.DURATION_NS] = duration_ns
        settings[layout.OPERATION_COUNT] = len(program.names)
        settings[layout.EPOLL] = self._epoll.fileno()
        settings[layout.WAKE_FD], settings[layout.NOTIFY_FD] = self._wake_fd, self.notify_fd
        settings[layout.LANES] = lanes
        settings[layout.CHANNELS] = (workload.channels or 1) if subscribers else 0
        settings[layout.LOGGING] = log is not None
        settings[layout.KEY_VARIABLE] = program.key_variable
        settings[layout.CHANNEL_VARIABLE] = program.channel_variable
        settings[layout.RETRIES] = workload.retries
        settings[layout.LOGS_IN] = workload.login is not None
        if protocol is None:
            protocol = PROTOCOLS[DRIVERS[workload.driver].protocol]
        settings[layout.PROTOCOL] = protocol
        settings[layout.SCHEDSTAT] = -1
        settings[layout.GROUPS] = groups = self._cluster.group_count
        if groups:
            self.tables.lanes[:, layout.GROUP] = np.arange(len(self.tables.lanes)) % groups
        self.tables.groups[:, layout.G_CURSOR] = -1
        self.tables.control[layout.START_NS] = monotonic_ns() + FAR_AHEAD_NS
        epoll_change(self._epoll.fileno(), EPOLL_CTL_ADD, self._wake_fd, EPOLLIN, -1, self.tables.words)

    def _allocate(
        self, plan: WorkloadPlan, log: NDArray[np.int64] | None, queue: NDArray[np.int64]
    ) -> Tables:
        """All memory the loop will ever use; untouched pages cost nothing."""
        workload, program, wants = plan.workload, plan.program, plan.program.wants
        lanes, depth = self.lanes + self.subscribers, workload.pipeline
        channels = (workload.channels or 1) if self.subscribers else 0
        out_bytes = max((program.largest_bytes + ASKING_BYTES) * depth, 1)
        listed = LISTED_MESSAGES if self.subscribers else 0
        body_bytes = BODY_BYTES if DRIVERS[workload.driver].protocol == "http" else 0

        groups = self._cluster.group_count
        highest = (
            float(plan.pacing[:, [P_RATE_FROM, P_RATE_TO]].max()) if groups and not plan.is_closed else 0.0
        )
        parked = 2 * int(highest * workload.deadline_ns) + PARKED_AT_LEAST + (lanes + 1) * depth

        def integers(*shape: int) -> NDArray[np.int64]:
            return np.zeros(shape, dtype=np.int64)

        tables = Tables(
            settings=integers(layout.SETTING_COLUMNS),
            control=integers(layout.CONTROL_COLUMNS),
            offers=integers(lanes, layout.OFFER_COLUMNS),
            pacing=plan.pacing,
            shares=program.shares,
            operations=program.operations,
            steps=program.steps,
            lookups=program.lookups,
            expected=program.expected,
            needles=program.needles,
            needle_links=program.needle_links,
            wants=wants.wants,
            want_parts=wants.parts,
            want_texts=wants.texts,
            want_links=wants.links,
            fields=program.fields,
            variables=program.variables,
            cells=program.cells,
            cell_bytes=program.cell_bytes,
            template=program.template,
            lanes=integers(lanes, layout.LANE_COLUMNS),
            flights=integers(self.lanes, depth, layout.SLOT_COLUMNS),
            scans=integers(lanes, wire_state.STATE_COLUMNS),
            texts=np.zeros((lanes, wire_state.TEXT_BYTES + body_bytes), dtype=np.uint8),
            progress=integers(self.lanes, PROGRESS_COLUMNS if wants.cells else 0),
            captured=np.zeros((self.lanes, wants.cells, CELL_ROOM), dtype=np.uint8),
            captured_facts=integers(self.lanes, wants.cells, 2),
            drafts=np.zeros((self.lanes, out_bytes), dtype=np.uint8),
            ring=integers(lanes),
            waiting=integers(depth + 1, layout.WAITING_COLUMNS),
            state=integers(layout.STATE_COLUMNS),
            places=np.zeros(2),
            received=np.zeros(RECEIVE_BYTES, dtype=np.uint8),
            rendered=np.zeros(out_bytes, dtype=np.uint8),
            events=np.zeros(EVENTS_AT_ONCE * EVENT_WORDS, dtype=np.int32),
            scratch=integers(4),
            words=np.zeros(4, dtype=np.int32),
            counts=self.board.counts,
            tallies=self.board.tallies,
            taken=self.board.taken,
            answers=self.board.answers,
            gauges=integers(layout.GAUGE_COLUMNS),
            phase_idle_ns=integers(plan.phase_count),
            errors=np.zeros((ERROR_SLOTS, wire_state.TEXT_BYTES), dtype=np.uint8),
            examples=np.zeros((ERROR_SLOTS, wire_state.TEXT_BYTES), dtype=np.uint8),
            bodies=np.zeros((ERROR_SLOTS, BODY_BYTES), dtype=np.uint8),
            varied=np.zeros(ERROR_SLOTS, dtype=np.uint8),
            kind_text=np.zeros(wire_state.TEXT_BYTES, dtype=np.uint8),
            error_counts=integers(ERROR_SLOTS, len(program.names)),
            log=log if log is not None else integers(0, layout.LOG_WORDS),
            queue=queue,
            sequences=integers(self.lanes if channels else 0, channels),
            seen=integers(self.subscribers, self.lanes, channels, SEEN_WORDS),
            missing=integers(listed, 4),
            published=integers(self.lanes if channels else 0, channels, REMEMBERED, 2),
            groups=integers(groups, layout.GROUP_COLUMNS),
            group_ring=integers(groups, lanes),
            parked=integers(groups, parked if groups else 0, layout.WAITING_COLUMNS),
            key_words=self._cluster.key_words,
            slots=self._cluster.slots,
            member_names=self._cluster.member_names,
            member_groups=self._cluster.member_groups,
            uncertain=integers(listed, 3),
        )
        tables.lanes[:, layout.FD] = -1
        return tables

    # --- control plane ---------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the loop; it waits for `begin`."""
        if self.is_closed:
            raise RuntimeError("the shard is closed")
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        # The loop's module is heavy: it is imported, and compiled, only where a shard runs.
        from bench.engine.wire.loop import run_loop

        ask_for_turns_of(TURN_NS)
        delay = self._run_delay = RunDelay()
        self.tables.settings[layout.SCHEDSTAT] = delay.fd
        try:
            if PLAIN:
                with np.errstate(over="ignore"):
                    run_loop(self.tables)
            else:
                run_loop(self.tables)
        except BaseException as failure:  # noqa: BLE001 - a thread's failure is the session's to tell
            self.failure = failure
        delay.ns()  # the last look: nothing is told of a thread that has ended

    def begin(self, start_ns: int, run_label: int = 0) -> None:
        """Set run zero, on CLOCK_MONOTONIC, and what `{run}` stands for.

        Raises ValueError when run zero does not lie ahead.
        """
        if start_ns <= monotonic_ns():
            raise ValueError("run zero lies in the past")
        self.tables.control[layout.RUN_LABEL] = run_label
        if self._run_delay is not None:
            self._delay_zero_ns = self._run_delay.ns()
        self.tables.control[layout.START_NS] = start_ns
        self._wake()

    def offer(self, lane: int, fd: int, session: int = 0) -> None:
        """Hand a connected non-blocking descriptor to the loop, and its session of OpenSSL where it is over
        TLS. The loop owns and closes both from now on.
        """
        if self.is_closed:
            _close(fd, session)
            raise RuntimeError("the shard is closed")
        offer = self.tables.offers[lane]
        offer[layout.OFFERED_SESSION] = session
        offer[layout.OFFERED] = ((offer[layout.OFFERED] >> 32) + 1) << 32 | fd
        self._wake()

    def wants(self, lane: int) -> bool:
        """Whether every connection offered to this lane was lost. One number of the loop's and one of ours:
        there is no moment in between at which it could be wrong.
        """
        return bool(self.tables.lanes[lane, layout.LOST] == self._offered(lane))

    def _offered(self, lane: int) -> int:
        return int(self.tables.offers[lane, layout.OFFERED]) >> 32

    def was_polite(self, lane: int) -> bool:
        """Whether the server closed this lane's last connection after an answer, as it had said."""
        return bool(self.tables.lanes[lane, layout.POLITE])

    def left_read_only(self, lane: int) -> bool:
        """Whether this lane's last connection was closed because its server takes no writes."""
        return bool(self.tables.lanes[lane, layout.POLITE] == layout.LEFT_READ_ONLY)

    def slots_moved(self) -> None:
        """Slots have other owners than before."""
        self.tables.control[layout.SLOTS_VERSION] += 1

    def stop(self, *, at_once: bool = False) -> None:
        """Plan no further arrivals; `at_once` also gives up what is in flight."""
        self.tables.control[layout.STOP] = layout.STOP_AT_ONCE if at_once else layout.STOP_ARRIVALS
        self._wake()

    def _wake(self) -> None:
        if not self.is_closed:
            os.eventfd_write(self._wake_fd, 1)

    @property
    def is_running(self) -> bool:
        """Whether the loop's thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def join(self, timeout_s: float) -> bool:
        """Wait for the loop to end; False when it has not."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_running

    @property
    def run_delay_ns(self) -> int:
        """How long the loop's thread has waited for a processor since `begin`; 0 where nobody tells."""
        return max(self._run_delay.ns() - self._delay_zero_ns, 0) if self._run_delay is not None else 0

    @property
    def idle_ratio(self) -> float:
        """Share of the time in which the loop had nothing to do; none of it is waiting for a processor."""
        elapsed_ns = max(self.gauge(layout.ELAPSED_NS), 1)
        return min(self.gauge(layout.IDLE_NS), max(elapsed_ns - self.run_delay_ns, 0)) / elapsed_ns

    def gauge(self, column: int) -> int:
        """One live gauge of the loop."""
        return int(self.tables.gauges[column])

    def close(self) -> None:
        """Release the descriptors; only after the loop has ended."""
        self.is_closed = True
        self._epoll.close()
        for lane in range(self.lanes + self.subscribers):
            if self._offered(lane) != self.tables.lanes[lane, layout.ADOPTED]:  # and it never took that over
                offer, session = map(int, self.tables.offers[lane])
                _close(offer & 0xFFFFFFFF, session)
                self.tables.lanes[lane, layout.ADOPTED] = self._offered(lane)
        os.close(self._wake_fd)
        os.close(self.notify_fd)
        if self._run_delay is not None:
            self._run_delay.close()


def _close(fd: int, session: int) -> None:
    if session:
        openssl.free(session)
    os.close(fd)
