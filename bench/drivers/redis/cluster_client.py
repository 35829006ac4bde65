"""Redis Cluster as an application uses it: redis-py's asyncio RedisCluster, which knows who serves which
slot.

It keeps connections to every node and bounds them at each, so the bound over all is ours: an arrival waits
for one of `pool` connections, and no longer than its deadline. Redirections (MOVED, ASK) are followed and
counted. What else a cluster refuses (CLUSTERDOWN, TRYAGAIN) is an error of the arrival: redis-py would sleep
and ask again.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MovedError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as BrokenConnection
from redis.exceptions import TimeoutError as SocketTimeoutError

from bench.core.clock import NS_PER_S
from bench.drivers.redis import wire as redis
from bench.drivers.redis.client import START_S, TOO_SLOW, RedisApplication
from bench.drivers.redis.replies import ScannedReplies
from bench.engine.client.pool import (
    CONNECTING,
    CURRENT,
    NEVER,
    RETURNING,
    SENT,
    PendingRequest,
    PoolMonitor,
    RunClock,
    limit_s,
)
from bench.plan.plan import WorkloadPlan
from bench.stack.probes.redis import probe_redis
from bench.stack.target import Target

MOST_REDIRECTIONS = 5
REFRESH_EVERY = 5
"""Slots that moved one by one before all are asked for again; redis-py's own figure."""


def check(target: Target, plan: WorkloadPlan) -> None:
    """Log in once, to name what is wrong while it is easy to name; then write the keys."""
    probe_redis(target)
    redis.prepare(target, plan.workload, plan.seed)


def application(target: Target, plan: WorkloadPlan, watch: PoolMonitor, clock: RunClock) -> RedisApplication:
    """The client that the target needs, not yet open."""
    if target.nodes:
        return ClusterApplication(target, plan, watch, clock)
    return RedisApplication(target, plan, watch, clock)


@dataclass
class Connections:
    """All of one client, and who follows them."""

    watch: PoolMonitor
    clock: RunClock
    made: list["NodeConnection"] = field(default_factory=list)
    is_closing: bool = False


class NodeConnection(Connection):
    """A connection to one node, which a PoolMonitor follows."""

    def __init__(self, among: Connections, **options: Any) -> None:
        self._among, self._watch, self._clock = among, among.watch, among.clock
        self._number = len(among.made)
        among.made.append(self)
        super().__init__(**options)
        # Set here and not by the option `parser_class`, so that we have it: it counts.
        self.parser = self._parser = ScannedReplies(self._socket_read_size)

    async def connect(self) -> None:
        """Open it; what is sent to greet the node is not the arrival's."""
        if self.is_connected:
            return
        token = CURRENT.set(None)
        try:
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py's
        except BaseException:
            self._watch.on_lost(self._number)
            raise
        finally:
            CURRENT.reset(token)
        self._watch.on_address(self._writer.transport if self._writer else None)
        self._watch.on_opened(self._number)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Write a command; an arrival's first one is sent from now on."""
        await self.connect()
        ticket = CURRENT.get()
        if ticket is not None and ticket.stage == CONNECTING:
            ticket.sent_ns = self._clock.now_ns()
            ticket.stage = SENT
        await super().send_packed_command(command, check_health)

    async def disconnect(self, *arguments: Any, **options: Any) -> None:
        """Close it. redis-py does so itself with all that are open when it has asked for the nodes anew."""
        if self.is_connected and not self._among.is_closing:
            is_ours = self.should_reconnect()  # type: ignore[no-untyped-call]  # redis-py's
            (self._watch.on_parted if is_ours else self._watch.on_lost)(self._number)
        await super().disconnect(*arguments, **options)


class SlotClient(RedisCluster):
    """redis-py's client, of which what follows an answer is ours."""

    redirects = 0
    begin_with: Sequence[Sequence[str]] = ()

    async def on_connect(self, connection: Any) -> None:
        """Greet a node. Nothing is read from replicas: one that answers for a slot says MOVED."""
        await connection.on_connect()
        for index, words in enumerate(self.begin_with):
            await connection.send_command(*words)
            try:
                await connection.read_response()
            except ResponseError as error:
                raise ResponseError(f"connect[{index}] ({words[0]}): {error}") from None

    async def initialize(self, *arguments: Any, **options: Any) -> RedisCluster:
        """Ask for the nodes; that is no request of the arrival that needs them."""
        token = CURRENT.set(None)
        try:
            return await super().initialize(*arguments, **options)
        finally:
            CURRENT.reset(token)

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        """Ask one node, and whom it names instead."""
        node, is_asking, hops = target_node, False, 0
        while True:
            try:
                if is_asking:
                    return await self._ask_anyway(node, *args, **kwargs)
                return await node.execute_command(*args, **kwargs)
            except BusyLoadingError:  # redis-py takes it for a broken connection
                raise
            except (BrokenConnection, SocketTimeoutError, OSError):
                node.update_active_connections_for_reconnect()
                await node.disconnect_free_connections()
                self.nodes_manager.move_node_to_end_of_cached_nodes(node.name)
                self._initialize = True
                raise
            except ClusterDownError:
                self._initialize = True
                raise
            except AskError as redirection:  # also MOVED, which is one of its kind
                hops += 1
                if hops > MOST_REDIRECTIONS or self._is_late():
                    raise
                self.redirects += 1
                is_asking = not isinstance(redirection, MovedError)
                node = await self._named_by(redirection)

    async def _named_by(self, redirection: AskError) -> ClusterNode:
        """The node that serves the slot from now on (MOVED), or for one request (ASK)."""
        nodes = self.nodes_manager
        if isinstance(redirection, MovedError):
            await nodes.move_slot(redirection)
            self.reinitialize_counter += 1
            if self.reinitialize_counter % REFRESH_EVERY == 0:
                self._initialize = True
        found = nodes.get_node(host=redirection.host, port=redirection.port)
        if found is None:
            found = ClusterNode(redirection.host, redirection.port, **nodes.connection_kwargs)
            nodes.set_nodes(nodes.nodes_cache, {found.name: found})
        return found

    async def _ask_anyway(self, node: ClusterNode, *args: Any, **kwargs: Any) -> Any:
        """ASKING holds for the next command of its connection: redis-py may send that on another."""
        connection = node.acquire_connection()
        try:
            await connection.send_packed_command(connection.pack_commands([("ASKING",), args]))
            await connection.read_response()
            return await node.parse_response(connection, args[0], **kwargs)
        finally:
            node.release(connection)

    deadline_ns = 0
    clock: RunClock | None = None

    def _is_late(self) -> bool:
        """Whether the arrival has had its time."""
        ticket = CURRENT.get()
        if ticket is None or self.clock is None or ticket.sent_ns == NEVER:
            return False
        return self.clock.now_ns() - ticket.sent_ns >= self.deadline_ns


class ClusterApplication(RedisApplication):
    """One RedisCluster, and room for as many arrivals at a time as the pool has connections."""

    def _make(self, plan: WorkloadPlan, watch: PoolMonitor) -> None:
        workload, target = plan.workload, self._target
        deadline_s = workload.deadline_ns / NS_PER_S
        self._watch, self._deadline_ns = watch, workload.deadline_ns
        self._connections = Connections(watch, self._clock)
        self._client = client = SlotClient(
            startup_nodes=[ClusterNode(host, port) for host, port in target.nodes],
            require_full_coverage=False,
            max_connections=watch.size,
            username=target.username,
            password=target.password,
            protocol=workload.resp,
            socket_timeout=deadline_s,
            socket_connect_timeout=deadline_s,
            retry=Retry(NoBackoff(), 0),
            client_name=f"holdfast-{workload.name}",
        )
        client.begin_with, client.deadline_ns, client.clock = (
            workload.first_commands,
            workload.deadline_ns,
            self._clock,
        )
        options = client.nodes_manager.connection_kwargs
        options["connection_class"] = partial(NodeConnection, self._connections)
        client.nodes_manager.startup_nodes = {
            node.name: node for node in (ClusterNode(*place, **options) for place in target.nodes)
        }
        self._room = asyncio.Semaphore(watch.size)
        self._free = deque(watch.on_created() for _ in range(watch.size))

    async def open(self) -> None:
        """Find the nodes, and open the pool's share of connections at each primary."""
        wanted = self._watch.size
        try:
            async with asyncio.timeout(START_S):
                await self._client.initialize()
                primaries = self._client.get_primaries()
                each = -(-wanted // max(len(primaries), 1))
                for node in primaries:
                    held = [node.acquire_connection() for _ in range(each)]
                    try:
                        await asyncio.gather(*(connection.connect() for connection in held))
                    finally:
                        for connection in held:
                            node.release(connection)
        except (TimeoutError, SocketTimeoutError):
            raise self._unopened(wanted, f"{self._watch.opened} after {START_S:.0f} s", TOO_SLOW) from None
        except (RedisError, OSError) as error:
            raise self._unopened(wanted, self.text_of(error), "see how its nodes are") from None

    async def call(self, ticket: PendingRequest) -> None:
        """The same once there is room."""
        left_ns = self._deadline_ns - (self._clock.now_ns() - ticket.planned_ns)
        async with asyncio.timeout(limit_s(left_ns)):
            await self._room.acquire()
        ticket.lane = self._free.popleft()
        ticket.stage = CONNECTING
        self._watch.on_acquired()
        try:
            await super().call(ticket)
        finally:
            if ticket.stage == SENT:
                ticket.stage = RETURNING
            self._free.append(ticket.lane)
            self._watch.on_returned()
            self._room.release()

    async def _replies(self, commands: list[list[str | bytes]]) -> list[Any]:
        if len(commands) == 1:
            return [await self._client.execute_command(*commands[0])]
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies

    def counters(self) -> dict[str, int]:
        """Redirections that were followed, too."""
        return {**super().counters(), "redirects": self._client.redirects}

    async def close(self) -> None:
        """Close every connection to every node."""
        made, self._connections.is_closing = self._connections.made, True
        self._watch.broken_replies += sum(connection.parser.broken for connection in made)
        await self._client.aclose()
        # Nodes that were found first, and those that it has forgotten, keep theirs.
        await asyncio.gather(*(connection.disconnect() for connection in made), return_exceptions=True)
