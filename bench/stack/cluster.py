"""A Redis Cluster as one of its nodes sees it: who serves which hash slots, and who has whose data.

Asked with CLUSTER NODES (Redis, "Redis cluster specification"), which every version answers and which alone
has flags. A node that was cut off, or starts again after a failover that it missed, has an old view: the view
of a node counts first that sees most of the primaries.
"""

from __future__ import annotations

import binascii
import re
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from bench.stack.sentinel import Endpoint, NotLocated, answers, words_of

SLOTS = 16_384
LONGEST_VIEW_BYTES = 4 * 1024 * 1024
FAILED, SUSPECTED = "fail", "fail?"
_ADDRESS = re.compile(r"(?P<host>.*):(?P<port>\d+)(@\d+)?(,(?P<hostname>[^,]*))?")


def slot_of(key: bytes) -> int:
    """The hash slot of a key: of what stands in its first braces, if something does, else of all of it."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1) if start >= 0 else -1
    tagged = key[start + 1 : end] if end > start + 1 else key
    return binascii.crc_hqx(tagged, 0) % SLOTS  # CRC16/XMODEM


@dataclass(frozen=True)
class ClusterNode:
    """One node in the view of one of them."""

    name: str
    """The cluster's own: 40 hexadecimal digits."""
    host: str
    port: int
    hostname: str
    """Empty where it announces none."""
    flags: frozenset[str]
    """As CLUSTER NODES has them: master, slave, myself, fail?, fail, handshake, noaddr."""
    primary: str
    """The name of the one that it follows; empty of a primary."""
    is_linked: bool
    """Whether the asked node has a connection to it."""
    slots: tuple[tuple[int, int], ...] = ()
    """First and last of each range that it serves."""

    @property
    def endpoint(self) -> Endpoint:
        """Where clients connect to it."""
        return self.host, self.port

    @property
    def serves(self) -> bool:
        """Whether it is the primary of some slots."""
        return bool(self.slots) and "master" in self.flags

    @property
    def is_sound(self) -> bool:
        """Whether the asked node sees nothing wrong with it."""
        return not self.flags & {FAILED, SUSPECTED, "noaddr"} and (self.is_linked or "myself" in self.flags)


@dataclass(frozen=True)
class ClusterView:
    """All nodes that one of them knows."""

    nodes: tuple[ClusterNode, ...]

    @property
    def primaries(self) -> list[ClusterNode]:
        """Those that serve slots, in the order of these."""
        return sorted((node for node in self.nodes if node.serves), key=lambda node: node.slots)

    @property
    def replicas(self) -> list[ClusterNode]:
        """Those that follow a primary."""
        return [node for node in self.nodes if "slave" in node.flags]

    @property
    def sees_most(self) -> bool:
        """Whether most primaries are sound from there."""
        primaries = self.primaries
        return 2 * sum(node.is_sound for node in primaries) > len(primaries)

    @property
    def uncovered(self) -> int:
        """How many slots nobody serves who has not failed."""
        sound = [node for node in self.primaries if FAILED not in node.flags]
        return SLOTS - sum(last - first + 1 for node in sound for first, last in node.slots)

    def owner_of(self, slot: int) -> ClusterNode | None:
        """The primary that serves a slot."""
        return next(
            (node for node in self.nodes if node.serves and any(a <= slot <= b for a, b in node.slots)), None
        )


def view_of(text: str, asked: str) -> ClusterView:
    """What CLUSTER NODES says; asked: the host of the node that said it, which may not know its own.

    Raises ValueError for anything else.
    """
    nodes = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 8 or (found := _ADDRESS.fullmatch(words[1])) is None:
            raise ValueError(line)
        nodes.append(
            ClusterNode(
                name=words[0],
                host=found["host"].strip("[]") or asked,
                port=int(found["port"]),
                hostname=found["hostname"] or "",
                flags=frozenset(words[2].split(",")),
                primary="" if words[3] == "-" else words[3],
                is_linked=words[7] == "connected",
                slots=tuple(_range(word) for word in words[8:] if not word.startswith("[")),
            )
        )
    if not nodes:
        raise ValueError("no nodes")
    return ClusterView(tuple(nodes))


def _range(word: str) -> tuple[int, int]:
    first, _, last = word.partition("-")
    return int(first), int(last or first)


class ClusterLocator:
    """Asks the nodes, over one connection that is kept. Safe to use from several threads."""

    def __init__(self, seeds: Iterable[Endpoint], username: str | None, password: str | None) -> None:
        self._order = list(seeds)
        self._login: Sequence[str] = () if password is None else ([username] if username else []) + [password]
        self._connection: socket.socket | None = None
        self._lock = threading.Lock()

    def view(self, timeout_s: float) -> ClusterView:
        """The cluster now, and its nodes are asked too from then on. Raises NotLocated."""
        until = time.monotonic() + timeout_s
        failures, partial = [], None
        with self._lock:
            for number, address in enumerate(list(self._order)):
                left_s = max(until - time.monotonic(), 0.001) / (len(self._order) - number)
                try:
                    seen = self._ask(address, left_s)
                except (OSError, ValueError) as error:
                    self.close()
                    why = words_of(error) if isinstance(error, OSError) else "an answer that no cluster gives"
                    failures.append(f"{address[0]}:{address[1]}: {why}")
                    continue
                if seen.sees_most:
                    self._ask_first(address, seen)
                    return seen
                self.close()
                partial = partial or seen
        if partial is not None:
            return partial
        raise NotLocated(f"no node that knows the cluster ({'; '.join(failures)})")

    def close(self) -> None:
        """End the connection; the next question opens another. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask_first(self, address: Endpoint, seen: ClusterView) -> None:
        """Whoever answered is asked first, then those that it sees well, then the others that we know."""
        sound = [node.endpoint for node in seen.nodes if node.is_sound]
        self._order = list(dict.fromkeys([address, *sound, *self._order]))

    def _ask(self, address: Endpoint, timeout_s: float) -> ClusterView:
        commands: list[tuple[str, ...]] = [("CLUSTER", "NODES")]
        if self._connection is None or self._connection.getpeername()[:2] != address:
            self.close()
            self._connection = socket.create_connection(address, timeout_s)
            if self._login:
                commands.insert(0, ("AUTH", *self._login))
        self._connection.settimeout(timeout_s)
        reply = answers(self._connection, commands, LONGEST_VIEW_BYTES)[-1]
        if not isinstance(reply, bytes):
            raise ValueError(reply)  # noqa: TRY004 - what a server sent, not what a caller gave
        return view_of(reply.decode(errors="replace"), address[0])
