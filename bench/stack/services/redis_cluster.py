"""A Redis Cluster of our own: its servers, made to know each other, given hash slots and replicas.

Every server keeps what it knows of the cluster in its directory: one that is started again joins by itself,
as a replica of whoever has its slots by then.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.cluster import SLOTS
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.health import ask
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.services.base import PROBE_DEADLINE_S, GivenUp, StackService
from bench.stack.services.loopback_port import free_loopback_port
from bench.stack.services.redis_replication import MEMBER_SETTINGS, NS_PER_MS
from bench.stack.services.servers import HOST_OPTIONS, ManagedRedis
from bench.stack.supervisor.supervised import ServiceCommand, StackEvent
from bench.stack.target import Target, TargetDescription

FORMED_S = 30.0
"""Nodes tell each other of the others once a second."""
POLL_S = 0.02


class ManagedClusterNode(ManagedRedis):
    """One server of a cluster, which knows of no other yet."""

    def __init__(
        self, log_dir: Path, settings: Mapping[str, str] | None, name: str, *, down_after_ns: int
    ) -> None:
        super().__init__(log_dir, settings, name, ())
        self._down_after_ms = down_after_ns // NS_PER_MS
        self._bus_port = 0

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        self._bus_port = free_loopback_port()
        options = {
            "port": str(target.port),
            "cluster-port": str(self._bus_port),
            "dir": str(directory),
            **HOST_OPTIONS,
            **self._settings(),
        }
        words = (word for key, value in options.items() for word in (f"--{key}", value))
        return ServiceCommand(self.name, (str(self._binary.path), *words), str(directory), str(log))

    def _settings(self) -> dict[str, str]:
        ours = {
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            "cluster-node-timeout": str(self._down_after_ms),
        }
        return {**MEMBER_SETTINGS, **ours, **super()._settings()}

    @property
    def bus_port(self) -> int:
        """Where the other nodes connect to it."""
        return self._bus_port


class ManagedCluster(StackService):
    """What clients know by one name: no process, but all of its servers."""

    def __init__(self, name: str, servers: Sequence[ManagedClusterNode], primaries: int) -> None:
        self.name = name
        self.behind = tuple(server.name for server in servers)
        self.target: Target | None = None
        self._servers, self._primaries = servers, primaries

    def start(self, others: Mapping[str, Target], given_up: threading.Event) -> None:
        """Return when every server serves, or follows one that does. Raises TargetError."""
        targets = [others[name] for name in self.behind]
        try:
            self._form(targets, given_up)
        except (ProbeError, ErrorReply) as failed:
            raise self._unformed(targets[0], str(failed)) from None
        nodes = tuple((target.host, target.port) for target in targets)
        first, port = nodes[0]
        self.target = Target(self.name, "redis", first, port, managed=True, nodes=nodes)
        self._until(lambda: self._is_whole(targets), given_up, targets[0])

    def _form(self, targets: Sequence[Target], given_up: threading.Event) -> None:
        """Have them meet, share out the slots, and follow their primaries."""
        clients = [RespClient.of(target, FORMED_S) for target in targets]
        try:
            names = [str(client.ask("CLUSTER", "MYID")) for client in clients]
            for number, client in enumerate(clients):
                client.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
                if number < self._primaries:
                    first, end = (SLOTS * edge // self._primaries for edge in (number, number + 1))
                    client.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
            for target, server in zip(targets[1:], self._servers[1:], strict=True):
                clients[0].ask("CLUSTER", "MEET", target.host, str(target.port), str(server.bus_port))
            self._until(lambda: all(_knows(client, names) for client in clients), given_up, targets[0])
            for number, client in enumerate(clients[self._primaries :]):
                client.ask("CLUSTER", "REPLICATE", names[number % self._primaries])
        finally:
            for client in clients:
                client.close()

    def _is_whole(self, targets: Sequence[Target]) -> bool:
        """Every server says so, every replica is connected, and the whole answers."""
        try:
            for number, target in enumerate(targets):
                with RespClient.of(target, PROBE_DEADLINE_S) as client:
                    if "cluster_state:ok" not in str(client.ask("CLUSTER", "INFO")):
                        return False
                    role = client.ask_list("ROLE")
                    if number >= self._primaries and "connected" not in role:
                        return False
            assert self.target is not None
            state, _ = ask(self.target, PROBE_DEADLINE_S).health()
        except (ProbeError, ErrorReply, TargetError):
            return False
        return state == "up"

    def _until(self, is_reached: Callable[[], bool], given_up: threading.Event, first: Target) -> None:
        until = time.monotonic() + FORMED_S
        while not is_reached():
            if given_up.is_set():
                raise GivenUp
            if time.monotonic() > until:
                raise self._unformed(first, f"some that are not after {FORMED_S:g} s")
            time.sleep(POLL_S)

    def _unformed(self, first: Target, found: str) -> TargetError:
        expected = f"a cluster of {len(self._servers)} servers that know each other and serve every slot"
        advice = "read their logs in the folder of the run"
        return TargetError(self.name, first.address, expected, found, advice)

    def describe(self) -> TargetDescription | None:
        """The cluster as a target; its servers have their own descriptions. None before the start."""
        if self.target is None:
            return None
        try:
            state, _ = ask(self.target, PROBE_DEADLINE_S).health()
        except TargetError:
            state = "down"
        return TargetDescription(
            name=self.name,
            kind=self.target.kind,
            address=self.target.address,
            server="Redis Cluster",
            version="",
            started_by=f"{len(self._servers)} servers, {self._primaries} of them primaries at first",
            state="down" if state == "down" else "up",
        )

    def events(self) -> list[StackEvent]:
        """None of its own."""
        return []

    def stop(self) -> None:
        """Nothing runs that would be its own."""


def redis_cluster(
    log_dir: Path,
    name: str,
    settings: Mapping[str, str],
    *,
    servers: Sequence[str],
    primaries: int,
    down_after_ns: int,
) -> Iterator[StackService]:
    """The processes of a cluster, the first `primaries` of them with slots, and the target itself."""
    nodes = [ManagedClusterNode(log_dir, settings, server, down_after_ns=down_after_ns) for server in servers]
    yield from nodes
    yield ManagedCluster(name, nodes, primaries)


def _knows(client: RespClient, names: Sequence[str]) -> bool:
    """Whether a node has a connection to each of these."""
    lines = [line.split() for line in str(client.ask("CLUSTER", "NODES")).splitlines()]
    linked = {line[0] for line in lines if line[7] == "connected" or "myself" in line[2]}
    return linked.issuperset(names)
