"""The wire engine: a workload's shards, their connections, and their results added up."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.answers import OTHERS, Answers, ErrorCount, ErrorKinds
from bench.core.clock import NS_PER_S
from bench.core.histogram import bucket_of
from bench.core.messages import Event
from bench.core.outcome import Outcome
from bench.core.sanitize import beginning
from bench.core.units import often
from bench.engine.api import (
    EngineResult,
    EngineStats,
    LaneLogIn,
    LoggedIn,
    WireDriver,
    counted_anomalies,
    kept_waiting,
    moved,
    reconnected,
)
from bench.engine.board import AnswerReader, BoardReader, Change, lag_medians_ns, open_log, sum_of
from bench.engine.wire import layout
from bench.engine.wire.cluster import ClusterMap, check_lanes
from bench.engine.wire.connector import Connector
from bench.engine.wire.dialler import Dialler, Stream
from bench.engine.wire.shard import Shard, new_queue
from bench.engine.wire.subscriber import DELIVER, settle_messages
from bench.plan.plan import Plan, WorkloadPlan
from bench.protocols.wants.state import CELL
from bench.registry import DRIVERS, LOGIN, contacts_a_target, load
from bench.stack.target import Target

SUBSCRIBE_S = 10.0
ENDING_S = 5.0
PROTOCOL_COUNTERS = {
    "postgres": {
        "round_trips": layout.STEPS_SENT,
        "rows_received": layout.ROWS_RECEIVED,
        "serialization_failures": layout.SERIALIZATION_FAILURES,
        "deadlocks": layout.DEADLOCKS,
        "retries": layout.RETRIES_DONE,
    },
    "http": {"closed_after_answer": layout.CLOSED_AFTER_ANSWER},
}
"""Counters that only one protocol has, and the gauges that hold them."""
LONG_STALL_NS = 100_000_000
"""A stall of the generator that is worth a note, whatever it did to the figures."""


class WireEngine:
    """Runs one workload with compiled loops, one thread for each shard."""

    def __init__(
        self, plan: Plan, workload: WorkloadPlan, target: Target | None, log_folder: Path | None = None
    ) -> None:
        self._target = target
        self._driver: WireDriver = load(DRIVERS[workload.workload.driver].module)
        # Made again with the target: an HTTP request names its host.
        program = self._driver.program(workload.workload, workload.seed, target)
        self.plan = workload = replace(workload, program=program)
        wanted = workload.workload
        threads, segment = wanted.threads, plan.segment
        assert segment.count == 1 or not wanted.subscribers, "a subscriber knows all publishers"
        lanes = share_of(wanted.lanes, segment.count, segment.number)
        cluster: ClusterMap | None = None
        if target is not None and target.nodes and DRIVERS[wanted.driver].follows_slots:
            cluster = ClusterMap(target, self._driver.key_words(wanted))
        self._is_cluster = cluster is not None
        self._is_first = segment.number == 0
        self.logs: list[Path] = []
        self._shards: list[Shard] = []
        # A closed loop has no queue, and noop no lanes to wait for.
        contacts = contacts_a_target(wanted.driver)
        is_shared = threads > 1 and not workload.is_closed and contacts and cluster is None
        self._queue = new_queue(threads) if is_shared else None
        log, first_lane = None, 0
        for number in range(threads):
            if plan.operation_log and log_folder is not None and (log is None or not is_shared):
                path, log = open_log(plan, workload, number, 1 if is_shared else threads, log_folder)
                self.logs.append(path)
            thread_lanes = share_of(lanes, threads, number)
            if target is not None and cluster is not None:
                check_lanes(target, thread_lanes, cluster.tables.group_count)
            self._shards.append(
                Shard(
                    workload,
                    duration_ns=plan.duration_ns,
                    number=segment.number,
                    count=segment.count,
                    lanes=thread_lanes,
                    thread=number,
                    threads=threads,
                    first_lane=first_lane,
                    queue=self._queue,
                    subscribers=share_of(wanted.subscribers or 0, threads, number),
                    log=log,
                    cluster=cluster.tables if cluster is not None else None,
                )
            )
            first_lane += thread_lanes
        if cluster is not None:
            cluster.watch(self._shards)
        self._reader = BoardReader([shard.board for shard in self._shards])
        self._answers = AnswerReader([shard.board for shard in self._shards])
        self._connector: Connector | None = None
        self._log_in: LaneLogIn | None = None
        if target is not None and contacts:
            if wanted.login is not None:
                self._log_in = self._driver.log_in(target, workload, plan.run_label, self._on_logged_in)
            log_in = self._log_in_lane if self._log_in is not None else None
            deadline_s = wanted.deadline_ns / NS_PER_S
            self._connector = Connector(target, self._shards, self._connect, deadline_s, log_in, cluster)
        self._measured = [phase.measured for phase in plan.phases]

    async def _connect(self, dial: Dialler, subscriber: bool) -> Stream:
        assert self._target is not None
        return await self._driver.connect(dial, self._target, self.plan.workload, subscriber=subscriber)

    async def _log_in_lane(self, number: int, lane: int) -> None:
        """Log a lane in and give it what was captured; the loop does not look there until it is connected."""
        assert self._log_in is not None
        tables = self._shards[number].tables
        local = int(tables.settings[layout.FIRST_LANE]) + lane
        segments, segment = (int(tables.settings[column]) for column in (layout.SEGMENTS, layout.SEGMENT))
        found = await self._log_in.log_in(local * segments + segment)
        for cell in found.wants[:, CELL]:
            tables.captured[lane, cell] = found.cells[cell]
            tables.captured_facts[lane, cell] = found.facts[cell]

    def _on_logged_in(self, one: LoggedIn) -> None:
        """Count a log-in; nobody else writes its rows."""
        board, names = self._shards[0].board, self.plan.program.names
        at_ns = max(one.done_ns - int(self._shards[0].tables.control[layout.START_NS]), 0)
        row = self.plan.phase_at(at_ns) * len(names) + names.index(LOGIN)
        bucket = bucket_of(max(one.done_ns - one.began_ns, 0))
        for kind in (layout.SERVICE, layout.SERVICE_NET):
            board.counts[row, kind, one.outcome, bucket] += 1
        board.tallies[row, one.outcome] += 1
        board.answers[row, one.status] += one.status > 0

    def prepare(self) -> None:
        """Compile, preload, connect, and wait until every subscriber hears its channels."""
        if self._connector is not None and self._is_first:  # once for all segments
            assert self._target is not None
            self._driver.prepare(self._target, self.plan.workload, self.plan.seed)
        if self._connector is not None:
            self._connector.open_all()
        for shard in self._shards:
            shard.launch()
        self._await_ready()

    def _await_ready(self) -> None:
        """The loop has turned (so it is compiled), adopted its lanes, and its subscriptions are confirmed."""
        lanes = sum(shard.lanes + shard.subscribers for shard in self._shards) if self._connector else 0
        channels = self.plan.workload.channels or 1
        deadline: float | None = None
        while True:
            self._raise_failures()
            if not all(shard.is_running for shard in self._shards):
                raise RuntimeError("an engine thread ended before the run began")
            turned = all(shard.gauge(layout.TURNS) > 0 for shard in self._shards)
            ready = all(
                (shard.tables.lanes[shard.lanes :, layout.READY] >= channels).all() for shard in self._shards
            )
            if turned and ready and self._sum(layout.CONNECTED) >= lanes:
                return
            if turned and deadline is None:
                deadline = time.monotonic() + SUBSCRIBE_S
            if deadline is not None and time.monotonic() > deadline:
                assert self._target is not None
                raise self._target.error(
                    f"{lanes} lanes connected and subscribed",
                    f"{self._sum(layout.CONNECTED)} after {SUBSCRIBE_S:.0f} s",
                    "look into the target's log: it closes connections",
                )
            time.sleep(0.002)

    def begin(self, start_ns: int, run_label: int = 0) -> None:
        """Set run zero and the run's label for every shard."""
        for shard in self._shards:
            shard.begin(start_ns, run_label)

    def is_running(self) -> bool:
        """Whether any shard still runs."""
        self._raise_failures()
        return any(shard.is_running for shard in self._shards)

    def _raise_failures(self) -> None:
        for shard in self._shards:
            if shard.failure is not None:
                raise shard.failure
        if self._connector is not None and self._connector.failure is not None:
            raise self._connector.failure

    def changes(self) -> Iterator[Change]:
        """What the histograms gained since the last call."""
        return self._reader.changes()

    def live(self) -> EngineStats:
        """The shards' gauges added up; idle and elapsed of the busiest one."""
        busiest = min(self._shards, key=lambda shard: shard.gauge(layout.IDLE_NS))
        outcomes = sum_of([shard.board.tallies for shard in self._shards])[self.plan.planned_rows].sum(axis=0)
        return EngineStats(
            taken=self._sum(layout.TAKEN),
            outcomes=tuple(int(count) for count in outcomes),
            in_flight=self._sum(layout.IN_FLIGHT),
            connected=self._sum(layout.CONNECTED),
            idle_ns=busiest.gauge(layout.IDLE_NS),
            elapsed_ns=busiest.gauge(layout.ELAPSED_NS),
            lost_connections=self._sum(layout.LOST_CONNECTIONS),
            reconnections=self._connector.reconnection_count if self._connector else 0,
            run_delay_ns=max(shard.run_delay_ns for shard in self._shards),
            answers=Answers.total(self._answers.answers().values()),
        )

    def _charged_row(self) -> int:
        """Board row that lost messages are charged to: `deliver` in the longest phase that is measured."""
        lengths = self.plan.phase_load_ns
        longest = max(range(len(lengths)), key=lambda n: (self._measured[n], lengths[n]))
        return longest * len(self.plan.program.names) + int(DELIVER)

    def _sum(self, column: int) -> int:
        return sum(shard.gauge(column) for shard in self._shards)

    def events(self) -> list[Event]:
        """Reconnections since the last call."""
        events: list[Event] = []
        notes = self._connector.reconnections if self._connector else None
        while notes:
            events.append(reconnected(self.plan.name, notes.popleft()))
        return events

    def stop(self, *, at_once: bool) -> None:
        """Pass the stop on to every shard."""
        for shard in self._shards:
            shard.stop(at_once=at_once)

    def finish(self) -> EngineResult:
        """Add the shards up; settle which messages were lost."""
        for shard in self._shards:
            if not shard.join(ENDING_S):
                raise RuntimeError("the engine's loop did not end")
        self._raise_failures()
        counters = {
            "lost_connections": self._sum(layout.LOST_CONNECTIONS),
            "reconnects": self._connector.reconnection_count if self._connector else 0,
            "null_replies": self._sum(layout.NULL_REPLIES),
            **({"redirects": self._sum(layout.REDIRECTS)} if self._is_cluster else {}),
            **self._protocol_counters(),
            **(self._connector.own_limits.counters() if self._connector else {}),
            **(self._log_in.made.counters() if self._log_in else {}),
            "bytes_sent": self._sum(layout.BYTES_SENT),
            "bytes_received": self._sum(layout.BYTES_RECEIVED),
        }
        anomalies = self._anomalies() + self._stalls() + self._refusals() + self._own_limits()
        if self._log_in is not None:
            anomalies += self._log_in.made.anomalies(self.plan.name, self._sum(layout.UNAUTHORIZED))
        if self.plan.workload.subscribers:
            for shard in self._shards:
                found, more = settle_messages(
                    shard.tables, shard.board, self._charged_row(), self.plan.workload.deadline_ns
                )
                anomalies += more
                for name, count in found.items():
                    counters[name] = counters.get(name, 0) + count
            anomalies += self._lost_subscribers()
        return EngineResult(
            taken=sum_of([shard.board.taken for shard in self._shards]),
            tallies=sum_of([shard.board.tallies for shard in self._shards]),
            idle_ratio=min(shard.idle_ratio for shard in self._shards),
            run_delay_ns=max(shard.run_delay_ns for shard in self._shards),
            phase_idle_ratios=self._phase_idle_ratios(),
            phase_lag_p50_ns=lag_medians_ns([shard.board for shard in self._shards], self.plan.phase_count),
            busy_ns=float(self._sum(layout.BUSY_NS))
            if contacts_a_target(self.plan.workload.driver)
            else None,
            answers=self._answers.answers(),
            counters=counters,
            errors=self._errors(),
            anomalies=anomalies,
        )

    def _protocol_counters(self) -> dict[str, int]:
        """What only one protocol has."""
        columns = PROTOCOL_COUNTERS.get(DRIVERS[self.plan.workload.driver].protocol or "", {})
        return {name: self._sum(column) for name, column in columns.items()}

    def _phase_idle_ratios(self) -> list[float]:
        """Of the busiest thread in each phase."""
        lengths = self.plan.phase_load_ns
        return [
            float(min(shard.tables.phase_idle_ns[phase] for shard in self._shards) / lengths[phase])
            for phase in range(len(lengths))
        ]

    def _errors(self) -> list[ErrorCount]:
        kinds = ErrorKinds()
        for shard in self._shards:
            tables = shard.tables
            for slot, counts in enumerate(tables.error_counts):
                example = _words(tables.examples[slot])
                text = _words(tables.errors[slot]) if tables.varied[slot] else example
                body = beginning(tables.bodies[slot].tobytes().rstrip(b"\0"), self._secrets())
                for name, count in zip(self.plan.program.names, counts, strict=True):
                    if count:
                        kinds.add(name, text, int(count), example, body)
        return kinds.entries()

    def _secrets(self) -> list[str | None]:
        """What no text of an answer may repeat."""
        captured = self._log_in.made.secrets if self._log_in is not None else ()
        return [self._target.password if self._target is not None else None, *captured]

    def _anomalies(self) -> list[tuple[str, ...]]:
        counts = {
            "broken_replies": self._sum(layout.BROKEN_REPLIES),
            "stray_replies": self._sum(layout.STRAY_REPLIES),
            "stray_messages": self._sum(layout.STRAY_MESSAGES),
            "saturated_histogram": self._sum(layout.SATURATED),
            "operation_log_full": self._sum(layout.LOG_FULL),
            "left_read_only": self._sum(layout.LEFT_READ_ONLY),
        }
        addresses = self._connector.addresses if self._connector else {}
        timeouts = sum(int(shard.board.tallies[:, Outcome.TIMEOUT].sum()) for shard in self._shards)
        waited = kept_waiting(self._target, self.plan.name, self.plan.workload.lanes, timeouts)
        return counted_anomalies(self.plan.name, counts) + moved(self.plan.name, addresses) + waited

    def _stalls(self) -> list[tuple[str, ...]]:
        """A stall of the generator as long as a deadline ends arrivals that the target never saw."""
        longest = max(shard.gauge(layout.LONGEST_STALL_NS) for shard in self._shards)
        deadline = self.plan.workload.deadline_ns
        if longest < min(deadline, LONG_STALL_NS):
            return []
        text = f"{self.plan.name}: the generator itself stood still for {longest / 1e6:.0f} ms"
        if longest < deadline:
            return [("generator_stalled", "note", text)]
        text += f", past its deadline of {deadline / 1e6:g} ms; free the machine of other work (bench doctor)"
        return [("generator_stalled", "invalid", text)]

    def _lost_subscribers(self) -> list[tuple[str, str, str]]:
        """What is published while a subscriber is away never reaches it."""
        count = self._sum(layout.LOST_SUBSCRIBERS)
        if not count:
            return []
        connections = "a subscriber connection" if count == 1 else f"{count} subscriber connections"
        text = f"{self.plan.name}: the server closed {connections}"
        return [
            ("subscribers_lost", "note", f"{text}; what was published until they were back is lost to them")
        ]

    def _refusals(self) -> list[tuple[str, ...]]:
        """Why lanes stayed away while the target was there: a table that is gone, say."""
        connector = self._connector
        found: list[tuple[str, ...]] = []
        if connector is not None and connector.last_refusal is not None:
            count, last = connector.refusal_count, connector.last_refusal
            text = f"{self.plan.name}: a lost lane was refused {often(count)}, the last time by {last}"
            found.append(("reconnections_refused", "note", text))
        if connector is not None and connector.lanes_away and connector.last_failure is not None:
            text = f"{connector.lanes_away} lanes had no connection at the end: {connector.last_failure}"
            found.append(("lanes_away", "note", f"{self.plan.name}: {text}"))
            if connector.unfinished_count:
                text = (
                    f"logging in was given up {often(connector.unfinished_count)} after "
                    f"{connector.patience_s:.1f} s although the target answered other lanes meanwhile"
                )
                advice = (
                    "find out why it accepts no log-in, or set a longer deadline: a log-in gets four of them"
                )
                found.append(("log_in_given_up", "invalid", f"{self.plan.name}: {text}", advice))
        return found

    def _own_limits(self) -> list[tuple[str, ...]]:
        """What this machine could not give; arrivals that never found a connection may be its doing."""
        if self._connector is None:
            return []
        tallies = sum_of([shard.board.tallies for shard in self._shards])
        lost = tallies[:, [Outcome.REFUSED, Outcome.DROPPED]].sum()
        return self._connector.own_limits.anomalies(self.plan.name, int(lost))

    def raw_logs(self) -> list[tuple[Path, int]]:
        """The operation logs, each with its number of records: one for every thread, or for all that share
        a queue; none where it is off.
        """
        if self._queue is not None:
            return [(path, int(self._queue[0, layout.QUEUE_LOGGED])) for path in self.logs]
        return [
            (path, shard.gauge(layout.LOG_LENGTH))
            for path, shard in zip(self.logs, self._shards, strict=False)
        ]

    def close(self) -> None:
        """End what still runs and release everything."""
        if self._connector is not None:
            self._connector.close()
        for shard in self._shards:
            if shard.is_running:
                shard.stop(at_once=True)
                shard.join(ENDING_S)
            if not shard.is_running and not shard.is_closed:
                shard.close()


def _words(text: np.ndarray[Any, np.dtype[np.uint8]]) -> str:
    """A NUL-padded text; the last slot of all has none."""
    return text.tobytes().rstrip(b"\0").decode(errors="replace") or OTHERS


def share_of(total: int, parts: int, number: int) -> int:
    """Part `number` of a total cut into nearly equal parts."""
    return total // parts + (1 if number < total % parts else 0)
