"""Connections for the loop: opened, greeted and handed over; opened again when the loop loses one.

Runs an asyncio loop in a separate thread, so that no dial waits for another. While a target is
unreachable only one lane, the scout, dials it, every RETRY_S; when the scout is let in, all others follow,
HEAD_START_S later. So the first success after an outage is seen within about a millisecond, and an
outage of a thousand lanes does not become a storm of connection attempts.
"""

import asyncio
import contextlib
import os
import ssl
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from bench.core.clock import monotonic_ns
from bench.core.errors import TargetError
from bench.core.machine_limits import OwnLimits, limit_in, refusal_of
from bench.core.outcome import Outcome
from bench.core.threads import ask_for_turns_of
from bench.engine.board import Reconnection
from bench.engine.wire import layout
from bench.engine.wire.cluster import ClusterMap, GroupPlaces
from bench.engine.wire.dialler import Dialler, PendingDials, Stream
from bench.engine.wire.shard import Shard
from bench.stack.addresses import ATTEMPT_S, Place, patience_s
from bench.stack.target import Target
from bench.stack.tls import failure_of

Connect = Callable[[Dialler, bool], Awaitable[Stream]]

LogInLane = Callable[[int, int], Awaitable[None]]
"""Called with a shard's number and a lane of it before each connection of that lane."""

RETRY_S = 0.0002
QUICK_LOOKS = 20
"""Of the scout where nobody listens, one every RETRY_S, before it asks again where its target is."""
HEAD_START_S = 0.001
"""The scout's first request is answered before the log-ins of all others keep the server busy."""
TURN_NS = 400_000
"""Of a processor: about what a dial takes."""
TURN_S = 0.0001
"""How long a thread of Python may keep the interpreter from the others. A dial takes several turns, and at
the usual 5 ms each of them could wait so long while the session writes a window."""
PATIENT_AFTER_NS = 10_000_000_000
PATIENT_RETRY_S = 0.005
"""After a target was away for so long, its return is no longer a matter of a millisecond."""
START_S = 10.0
DIALS_AT_ONCE = 200
SILENCE = "no answer in time"
NOT_THERE = "start it, check the port, or raise its limit of clients"
TOO_SLOW = (
    "see what keeps it from letting so many in (a pooler before it may have fewer connections), and whether "
    "this machine is busy with other work (bench doctor)"
)
KEPT_NOTES = 100_000


class Side:
    """What lanes have in common that connect to the same place: the target, or one group of a cluster."""

    def __init__(self, dialler: Dialler) -> None:
        self.dialler = dialler
        # One scout at a time dials a target that is unreachable; the others wait for its success.
        self.scout: asyncio.Task[None] | None = None
        self.back: asyncio.Event | None = None

    def note_away(self) -> None:
        """The target is unreachable: the first task that finds out becomes the scout."""
        if self.back is None:
            self.back = asyncio.Event()
            self.scout = asyncio.current_task()

    def note_back(self) -> None:
        """Somebody was let in, or the scout gave up: everybody may dial."""
        if self.back is not None:
            self.back.set()
        self.scout, self.back = None, None


class Connector:
    """Keeps every lane of a workload's shards connected to one target."""

    def __init__(
        self,
        target: Target,
        shards: list[Shard],
        connect: Connect,
        deadline_s: float = ATTEMPT_S,
        log_in: LogInLane | None = None,
        cluster: ClusterMap | None = None,
    ) -> None:
        """cluster: whose groups the lanes belong to in turn, as the loops have them."""
        self._target = target
        self._cluster = cluster
        self._moved_seen = 0
        self._log_in = log_in
        self._deadline_s = deadline_s
        self._slowest_s = 0.0
        """How long the slowest log-in before the run took."""
        self._shards = shards
        self._connect = connect
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[tuple[int, int]] = set()
        self._places: dict[tuple[int, int], Place | None] = {}
        """Where each lane was connected last."""
        places = (
            [GroupPlaces(cluster, number) for number in range(cluster.tables.group_count)] if cluster else []
        )
        self._sides = [Side(Dialler(target, place)) for place in places] or [Side(Dialler(target))]
        self.reconnections: deque[Reconnection] = deque(maxlen=KEPT_NOTES)
        self.reconnection_count = 0
        self.failure: Exception | None = None
        """What ended a reconnection that should not have ended it."""
        self.refusal_count = 0
        self.last_refusal: TargetError | None = None
        """What a target that is there said when it did not let a lane in again."""
        self.last_failure: str | None = None
        """Why a lost lane could not connect last, in the system's words."""
        self.addresses: Counter[str] = Counter()
        """How many connections were opened to each, the first one first."""
        self.unfinished_count = 0
        """Dials that we gave up although the target answered other lanes meanwhile."""
        self.own_limits = OwnLimits()
        """What of this machine's own kept lanes away."""
        self._gate = asyncio.Semaphore(DIALS_AT_ONCE)
        self._is_closed = False

    def open_all(self) -> None:
        """Connect every lane and hand it over; TargetError when one cannot be within START_S.

        From then on lost lanes are connected again until `close`.
        """
        if self._is_closed:
            raise RuntimeError("the connector is closed")
        sys.setswitchinterval(min(sys.getswitchinterval(), TURN_S))
        started = threading.Event()
        failures: list[BaseException] = []
        self._thread = threading.Thread(
            target=self._serve, args=(started, failures), name="connector", daemon=True
        )
        self._thread.start()
        started.wait()
        if failures:
            self._thread.join()
            self._thread = None
            raise failures[0]

    def close(self) -> None:
        """Stop connecting. Idempotent."""
        self._is_closed = True
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(loop.stop)
        thread.join()
        self._thread = None
        for side in self._sides:
            side.dialler.close()
        if self._cluster is not None:
            self._cluster.close()

    def _side_of(self, lane: int) -> Side:
        return self._sides[lane % len(self._sides)]

    # --- in the connector's thread ------------------------------------------------------------------

    def _serve(self, started: threading.Event, failures: list[BaseException]) -> None:
        ask_for_turns_of(TURN_NS)
        # The plain selector loop: uvloop is for load, and here it would only be one more moving part.
        loop = asyncio.SelectorEventLoop()
        self._loop = loop
        try:
            loop.run_until_complete(self._open_first())
            for number, shard in enumerate(self._shards):
                loop.add_reader(shard.notify_fd, self._on_notice, number)
            started.set()
            loop.run_forever()
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits for the start
            failures.append(failure)
        finally:
            loop.run_until_complete(_cancel_others())
            loop.close()
            started.set()

    async def _open_first(self) -> None:

        async def open_one(number: int, lane: int) -> None:
            async with self._gate:
                begun = time.monotonic()
                stream = await self._dial(number, lane, ATTEMPT_S * 5)
                self._slowest_s = max(self._slowest_s, time.monotonic() - begun)
                self._offer(number, lane, stream)

        lanes = [
            (number, lane)
            for number, shard in enumerate(self._shards)
            for lane in range(shard.lanes + shard.subscribers)
        ]
        try:
            async with asyncio.timeout(START_S), asyncio.TaskGroup() as group:
                for number, lane in lanes:
                    group.create_task(open_one(number, lane))
        # Not except*: what is raised in such a block comes out within another group.
        except (BaseExceptionGroup, OSError) as failed:
            reason = _first(failed, TargetError, OSError)
            if not isinstance(reason, OSError):
                raise reason from None
            if (limit := limit_in(reason)) is not None:
                raise refusal_of(limit, f"{len(lanes)} connections to {self._target.name}") from None
            found = f"{reason}" if str(reason) else "no answer in time"
            raise self._target.error(
                f"{len(lanes)} connections",
                found,
                TOO_SLOW if isinstance(reason, TimeoutError) else NOT_THERE,
            ) from None

    def _offer(self, number: int, lane: int, stream: Stream) -> None:
        self._places[number, lane] = stream.place
        self._shards[number].offer(lane, *stream.detach())

    def _on_notice(self, number: int) -> None:
        shard = self._shards[number]
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(shard.notify_fd)
        now = monotonic_ns()
        self._look_at_slots()
        for lane in range(shard.lanes + shard.subscribers):
            if (number, lane) not in self._busy and shard.wants(lane):
                self._busy.add((number, lane))
                if shard.left_read_only(lane) and (place := self._places.get((number, lane))) is not None:
                    self._side_of(lane).dialler.left(place)
                task = asyncio.ensure_future(self._reconnect(number, lane, now))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _look_at_slots(self) -> None:
        """Have the table of slots corrected where a node has said that it is out of date."""
        if self._cluster is None:
            return
        moved = sum(shard.gauge(layout.REDIRECTS) for shard in self._shards)
        if moved != self._moved_seen:
            self._moved_seen = moved
            task = asyncio.ensure_future(self._correct_slots(self._cluster))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _correct_slots(self, cluster: ClusterMap) -> None:
        with contextlib.suppress(OSError):  # then the next redirection, or dial, asks again
            await cluster.ask()

    async def _reconnect(self, number: int, lane: int, lost_ns: int) -> None:
        attempts, side = 0, self._side_of(lane)

        def hand_over(stream: Stream) -> None:
            # A server that closes after each answer would fill the run with what is no outage.
            if attempts > 1 or not self._shards[number].was_polite(lane):
                self.reconnections.append(Reconnection(number, lane, lost_ns, monotonic_ns(), attempts))
                self.reconnection_count += 1
            self._offer(number, lane, stream)
            # From here on it can be lost again, and a new task has to find it again.
            self._busy.discard((number, lane))

        dials = PendingDials(hand_over)
        try:
            while True:
                await self._wait_for_turn(side, dials, lost_ns)
                if dials.is_over():
                    break
                attempts += 1
                async with self._gate:
                    dials.start(partial(self._dial, number, lane, self.patience_s))
                    failures = await dials.first(ATTEMPT_S)
                self._note_failures(failures)
                if dials.is_over():
                    break
                side.note_away()
            dials.close()
            if side.scout is asyncio.current_task():
                await asyncio.sleep(HEAD_START_S)
        except Exception as failure:  # noqa: BLE001 - reported to the session; the lane stays down
            self._busy.discard((number, lane))
            self.failure = failure
        finally:
            dials.close()
            # Whatever happened, the lanes behind a scout must not wait for it any more.
            side.note_back()

    def _note_failures(self, failures: list[BaseException]) -> None:
        """Remember why dials failed; raises what no dial should fail with."""
        for failed in failures:
            if isinstance(failed, TargetError):
                # Not the end: a Redis that still loads its data refuses every command for a while.
                self.last_refusal = failed
                self.refusal_count += 1
            elif isinstance(failed, OSError):
                self.own_limits.note(failed)
                # asyncio's own words for it name no reason.
                code = failed.errno
                self.last_failure = os.strerror(code).lower() if code else str(failed) or SILENCE
            else:
                raise failed

    @property
    def patience_s(self) -> float:
        """How long a lost lane's dial may take."""
        return patience_s(self._slowest_s, self._deadline_s)

    @property
    def lanes_away(self) -> int:
        """Lanes that were lost and have no connection yet."""
        return len(self._busy)

    async def _wait_for_turn(self, side: Side, dials: PendingDials, lost_ns: int) -> None:
        """Wait until this lane may dial, or until an earlier dial of it is let in after all."""
        if side.back is None:
            return
        if side.scout is asyncio.current_task():
            if monotonic_ns() - lost_ns > PATIENT_AFTER_NS:
                await asyncio.sleep(PATIENT_RETRY_S)
                return
            for _ in range(QUICK_LOOKS):
                # The loop's own timers have steps of a millisecond and end late; whatever else it could
                # do meanwhile can wait for so long.
                time.sleep(RETRY_S)
                if not side.dialler.is_refused():
                    return
            return
        back = side.back
        while not dials.is_over() and not back.is_set():
            self._note_failures(await dials.first(None, back))

    async def _dial(self, number: int, lane: int, timeout_s: float) -> Stream:
        before, subscriber = self._answered(), lane >= self._shards[number].lanes
        try:
            async with asyncio.timeout(timeout_s):
                if self._log_in is not None:
                    await self._log_in(number, lane)
                stream = await self._connect(self._side_of(lane).dialler, subscriber)
        except ssl.SSLError as error:
            found = failure_of(error)
            assert found is not None
            raise self._target.error("TLS on which both sides agree", *found) from None
        except TimeoutError:
            # More than what was under way: the target answered others while it kept this one waiting.
            if self._answered() - before > sum(shard.tables.flights[..., 0].size for shard in self._shards):
                self.unfinished_count += 1
            raise
        if stream.place is not None:
            self.addresses[str(stream.place)] += 1
        return stream

    def _answered(self) -> int:
        return sum(int(shard.board.tallies[:, Outcome.OK].sum()) for shard in self._shards)


async def _cancel_others() -> None:
    """Cancel every other task and wait until it has closed its socket."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0)  # so that what is called at their end is called


def _first(failed: BaseException, *kinds: type[BaseException]) -> BaseException:
    """The first of the kind that counts most, of all that one group holds; else the first at all."""
    every = list(_leaves(failed))
    return next((one for kind in kinds for one in every if isinstance(one, kind)), every[0])


def _leaves(failed: BaseException) -> Iterator[BaseException]:
    if isinstance(failed, BaseExceptionGroup):
        for one in failed.exceptions:
            yield from _leaves(one)
    else:
        yield failed
