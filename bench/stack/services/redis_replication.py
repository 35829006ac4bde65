"""A Redis of several servers: a primary, replicas that follow it, Sentinels that make one of them the new
primary where the old one is gone.

Every server has a configuration file, as whoever runs it would: Sentinels write into it what they have
changed (CONFIG REWRITE), so that one which is started again knows where it belongs.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.core.errors import TargetError
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.sentinel import NotLocated, Sentinels
from bench.stack.services.base import PROBE_DEADLINE_S, GivenUp, StackService
from bench.stack.services.servers import HOST_OPTIONS, ManagedRedis
from bench.stack.supervisor.supervised import ServiceCommand, StackEvent
from bench.stack.target import Target, TargetDescription

MEMBER_SETTINGS = {"repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"}
"""A replica that comes back is not kept waiting for others."""
FAILOVER_TIMEOUTS = 3
"""The failover timeout of Sentinels, in times of what they take for being down."""
AGREEMENT_S = 30.0
"""Sentinels tell each other of themselves every two seconds."""
POLL_S = 0.05
NS_PER_MS = 1_000_000


class ManagedRedisMember(ManagedRedis):
    """One server of several: the primary, or a replica of the one that it is started behind."""

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        options = {"port": str(target.port), "dir": str(directory), **HOST_OPTIONS, **self._settings()}
        lines = [f"{key} {_word(value)}" for key, value in options.items()]
        lines += [f"replicaof {primary.host} {primary.port}" for primary in self._needed]
        file = directory / "redis.conf"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return ServiceCommand(self.name, (str(self._binary.path), str(file)), str(directory), str(log))

    def _settings(self) -> dict[str, str]:
        return {**MEMBER_SETTINGS, **super()._settings()}


class ManagedSentinel(ManagedRedis):
    """One Sentinel of a group, started behind the servers of which the first is the primary."""

    ready_means = "a Sentinel that answers PING with PONG"

    def __init__(
        self, log_dir: Path, name: str, behind: Sequence[str], *, group: str, quorum: int, down_after_ns: int
    ) -> None:
        super().__init__(log_dir, None, name, behind)
        self._group, self._quorum, self._down_after_ms = group, quorum, down_after_ns // NS_PER_MS

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        primary = self._needed[0]
        lines = [f"{key} {_word(value)}" for key, value in HOST_OPTIONS.items()]
        lines += [f"port {target.port}", f"dir {directory}"]
        lines += [
            f"sentinel monitor {self._group} {primary.host} {primary.port} {self._quorum}",
            f"sentinel down-after-milliseconds {self._group} {self._down_after_ms}",
            f"sentinel failover-timeout {self._group} {FAILOVER_TIMEOUTS * self._down_after_ms}",
        ]
        file = directory / "sentinel.conf"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        words = (str(self._binary.path), str(file), "--sentinel")
        return ServiceCommand(self.name, words, str(directory), str(log))

    def _settings(self) -> dict[str, str]:
        return {}


class SentinelGroup(StackService):
    """What clients know by one name: no process, but where its Sentinels say that the primary is."""

    def __init__(self, name: str, servers: Sequence[str], sentinels: Sequence[str]) -> None:
        self.name = name
        self.behind = (*servers, *sentinels)
        self.target: Target | None = None
        self._servers, self._sentinels = servers, sentinels
        self._members: dict[str, Target] = {}

    def start(self, others: Mapping[str, Target], given_up: threading.Event) -> None:
        """Return when every Sentinel knows every server and the other Sentinels. Raises TargetError.

        Before that, nothing would follow the death of the primary.
        """
        self._members = {name: others[name] for name in self.behind}
        places = tuple((others[name].host, others[name].port) for name in self._sentinels)
        until = time.monotonic() + AGREEMENT_S
        missing = list(self._sentinels)
        while missing:
            if given_up.is_set():
                raise GivenUp
            if time.monotonic() > until:
                raise TargetError(
                    self.name,
                    others[missing[0]].address,
                    f"Sentinels that know all {len(self._servers)} servers and each other",
                    f"{missing[0]}, which does not after {AGREEMENT_S:g} s",
                    "read its log in the folder of the run",
                )
            missing = [name for name in missing if not self._knows_all(others[name])]
            time.sleep(POLL_S if missing else 0)
        who = Sentinels(places, self.name)
        self.target = Target(self.name, "redis", host="", port=0, managed=True, sentinels=who)

    def _knows_all(self, sentinel: Target) -> bool:
        wanted = {"status": "ok", "slaves": len(self._servers) - 1, "sentinels": len(self._sentinels)}
        try:
            with RespClient.of(sentinel, PROBE_DEADLINE_S) as client:
                found = watched_by(str(client.ask("INFO", "sentinel")), self.name)
        except (ProbeError, ErrorReply):
            return False
        return all(found.get(key) == str(value) for key, value in wanted.items())

    def describe(self) -> TargetDescription | None:
        """The group as a target; its members have their own descriptions. None before the start."""
        if self.target is None:
            return None
        try:
            located, state = self.target.located(PROBE_DEADLINE_S).address, "up"
        except NotLocated:
            located, state = self.target.address, "down"
        counts = f"{len(self._servers)} servers and {len(self._sentinels)} Sentinels"
        return TargetDescription(
            name=self.name,
            kind=self.target.kind,
            address=located,
            server="Redis behind Sentinels",
            version="",
            started_by=counts,
            state=state,
        )

    def events(self) -> list[StackEvent]:
        """None of its own."""
        return []

    def stop(self) -> None:
        """Nothing runs that would be its own."""


def redis_group(
    log_dir: Path,
    name: str,
    settings: Mapping[str, str],
    *,
    servers: Sequence[str],
    sentinels: Sequence[str],
    down_after_ns: int,
) -> Iterator[StackService]:
    """The processes of a target with replicas, the first server being the primary, and the target itself.

    servers, sentinels: the names that they get.
    """
    primary, *replicas = servers
    yield ManagedRedisMember(log_dir, settings, primary, ())
    for replica in replicas:
        yield ManagedRedisMember(log_dir, settings, replica, (primary,))
    for sentinel in sentinels:
        yield ManagedSentinel(
            log_dir,
            sentinel,
            servers,
            group=name,
            quorum=len(sentinels) // 2 + 1,
            down_after_ns=down_after_ns,
        )
    yield SentinelGroup(name, servers, sentinels)


def watched_by(info: str, name: str) -> dict[str, str]:
    """What a Sentinel says of a primary in its INFO: status, address, slaves, sentinels; empty if nothing."""
    for line in info.splitlines():
        key, _, facts = line.partition(":")
        pairs = dict(fact.split("=", 1) for fact in facts.split(",") if "=" in fact)
        if key.startswith("master") and pairs.get("name") == name:
            return pairs
    return {}


def _word(value: str) -> str:
    """A value of a configuration file; the empty one needs its quotes."""
    return f'"{value}"' if not value or " " in value else value
