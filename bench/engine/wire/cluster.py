"""Who serves which hash slot of a cluster, for the loops: asked before each connection, and when slots move.

A group is a primary with its replicas as they were at the start; it keeps its lanes when one of them takes
over. The table of slots follows the cluster. A primary that joins during the run has no lanes: what moves to
it ends with the answer that says so.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import TargetError
from bench.engine.wire.shard import MEMBER_BYTES, MEMBERS, Cluster, Shard
from bench.stack.addresses import LOCATE_S, Place, places_written
from bench.stack.cluster import SLOTS, ClusterView
from bench.stack.sentinel import Endpoint, NotLocated
from bench.stack.target import Target, address_of

START_S = 5.0


class ClusterMap:
    """Follows one cluster. Written in one event loop once the run is prepared."""

    def __init__(self, target: Target, key_words: Sequence[int]) -> None:
        """Raises TargetError where no node answers, or some slots are not served."""
        self._locator = target.cluster_locator()
        try:
            view = self._locator.view(START_S)
        except NotLocated as error:
            advice = "check the addresses of the nodes"
            raise target.error("a node that knows the cluster", str(error), advice) from None
        finally:
            self._locator.close()  # it is asked again from the loop of the connector
        primaries = view.primaries
        if view.uncovered:
            found = f"{view.uncovered} that nobody serves"
            raise target.error(f"all {SLOTS} slots to be served", found, "see CLUSTER NODES")
        self._groups = {node.name: number for number, node in enumerate(primaries)}
        self._places: list[Endpoint] = [node.endpoint for node in primaries]
        self._shards: list[Shard] = []
        self._asking: asyncio.Future[None] | None = None
        self.tables = Cluster(
            group_count=len(primaries),
            key_words=np.array(key_words, dtype=np.int64),
            slots=np.zeros(SLOTS, dtype=np.int16),
            member_names=np.zeros((MEMBERS, MEMBER_BYTES), dtype=np.uint8),
            member_groups=np.full(MEMBERS, -1, dtype=np.int64),
        )
        self._names: dict[str, int] = {}
        """host:port -> its row of member_names."""
        self._note(view)

    def watch(self, shards: Sequence[Shard]) -> None:
        """The loops that read the tables."""
        self._shards = list(shards)

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._locator.close()

    async def place_of(self, group: int) -> Endpoint:
        """Where a group's primary is now. Raises OSError."""
        await self.ask()
        return self._places[group]

    async def ask(self) -> None:
        """Look at the cluster; who asks at the same time shares the answer. Raises NotLocated."""
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._on_asked)
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        self._note(await asyncio.to_thread(self._locator.view, LOCATE_S))

    def _on_asked(self, asked: asyncio.Future[None]) -> None:
        self._asking = None
        if not asked.cancelled():
            asked.exception()

    def _note(self, view: ClusterView) -> None:
        """Take over who is what. A node that has failed keeps its slots until another has them."""
        for node in view.nodes:
            group = self._groups.get(node.primary or node.name)
            if group is not None:
                self._groups[node.name] = group
        slots: NDArray[np.int16] = self.tables.slots.copy()
        for node in view.primaries:
            group = self._groups.get(node.name)
            if group is None:
                continue
            self._places[group] = node.endpoint
            for first, last in node.slots:
                slots[first : last + 1] = group
        for node in view.nodes:
            for host in filter(None, (node.host, node.hostname)):
                self._register(address_of(host, node.port), self._groups.get(node.name, -1))
        if (slots != self.tables.slots).any():
            self.tables.slots[:] = slots
            for shard in self._shards:
                shard.slots_moved()

    def _register(self, name: str, group: int) -> None:
        text = name.encode()[:MEMBER_BYTES]
        if name not in self._names and len(self._names) < MEMBERS:
            row = self._names[name] = len(self._names)
            self.tables.member_names[row, : len(text)] = np.frombuffer(text, dtype=np.uint8)
        if name in self._names:
            self.tables.member_groups[self._names[name]] = group


class GroupPlaces:
    """Where lanes of one group connect to; stands in for `bench.stack.addresses.Places`."""

    def __init__(self, cluster: ClusterMap, group: int) -> None:
        self._cluster, self._group = cluster, group

    async def now(self) -> list[Place]:
        """The primary's, at least one. Raises OSError where there is none."""
        endpoint = await self._cluster.place_of(self._group)
        if found := places_written(endpoint):
            return found
        loop = asyncio.get_running_loop()
        entries = await loop.getaddrinfo(*endpoint, type=socket.SOCK_STREAM)
        return [Place(*endpoint, str(address[0]), int(family)) for family, _, _, _, address in entries]

    def took(self, place: Place) -> None:
        """A connection was opened there; the next one asks again."""

    def left(self, place: str) -> None:
        """A server there did not answer: its cluster will say who serves its slots."""

    def close(self) -> None:
        """The map is closed by whoever made it."""


def check_lanes(target: Target, lanes: int, groups: int) -> None:
    """Raise TargetError where a thread has fewer lanes than the cluster has primaries."""
    if lanes < groups:
        raise TargetError(
            target.name,
            target.address,
            f"at least {groups} lanes in each thread, one for each primary",
            str(lanes),
            "give the workload more lanes, or fewer threads",
        )
