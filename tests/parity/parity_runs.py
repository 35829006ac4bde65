"""One run through an engine for a group of cases, and what came of each."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.outcome import Outcome
from bench.engine.api import EngineResult
from bench.engine.wire.engine import WireEngine
from bench.stack.target import Target
from bench.stack.tls import TlsSettings
from tests.helpers.client_runs import client, plan_of, run
from tests.parity import raw_servers
from tests.parity.cases import BROKEN_OFF, Case, Group
from tests.parity.raw_servers import RawServer

ENGINES = ("wire", "client")
LANES = 24
ASKED_EACH = 8
"""So often is each case asked, more or less: operations are drawn."""


@dataclass(frozen=True)
class Found:
    """How the arrivals of one case ended, and in what words."""

    outcomes: dict[Outcome, int]
    texts: frozenset[str]

    def without_crossed(self) -> Found:
        """Without the few that were lost to the end of a connection which had done its duty."""
        crossed = self.outcomes.get(Outcome.RESET, 0)
        if crossed * 2 > sum(self.outcomes.values()):
            return self
        left = {outcome: count for outcome, count in self.outcomes.items() if outcome != Outcome.RESET}
        return Found(left, self.texts.difference(BROKEN_OFF))

    def without_waiting(self) -> Found:
        """Without the few that waited for a lane until their deadline and never met the bytes."""
        dropped = self.outcomes.get(Outcome.DROPPED, 0)
        if dropped * 2 > sum(self.outcomes.values()):
            return self
        left = {outcome: count for outcome, count in self.outcomes.items() if outcome != Outcome.DROPPED}
        return Found(left, self.texts)

    @property
    def summary(self) -> str:
        """In a few words."""
        ends = ", ".join(outcome.name for outcome in sorted(self.outcomes))
        return ends + "".join(f": {text}" for text in sorted(self.texts))


class Encryption(NamedTuple):
    """What a raw server over TLS shows, and what its clients trust."""

    server: ssl.SSLContext
    client: TlsSettings


Look = Callable[[Group, Case, str, int], Found]


def run_group(
    group: Group,
    engine: str,
    cut: int,
    backend: Target | None,
    tls: Encryption | None = None,
    folder: Path | None = None,
) -> EngineResult:
    """One run with an operation for every case; `folder`: for a socket file instead of a port."""
    answers = {case.name: case.answer for case in group.cases}
    kind = TARGETS[group.driver]
    if backend is None:
        serve = SERVERS[group.driver](answers)
        target = Target(kind, group.driver, str(folder / "raw.sock") if folder else "127.0.0.1", 0)
    else:
        serve = raw_servers.postgres(answers, (backend.host, backend.port))
        target = replace(backend, host=str(folder) if folder else "127.0.0.1")
    server = RawServer(
        serve,
        cut=cut,
        tls=tls and tls.server,
        asks_first=tls is not None and backend is not None,
        file=target.socket_file,
    )
    if folder is None:
        target = replace(target, port=server.port)
    if tls is not None:
        target = replace(target, tls=tls.client)
    seconds = ASKED_EACH * len(group.cases) / group.rate
    workload: dict[str, Any] = {
        "driver": group.driver,
        "target": kind,
        "engine": engine,
        "lanes": LANES,
        "pool": LANES,
        "keys": None,
        "operations": {case.name: OPERATIONS[group.driver](case) for case in group.cases},
        "rate": f"{group.rate}/s",
        "deadline": group.deadline,
        "phases": {"steady": f"{seconds * 1000:.0f}ms"},
    }
    plan = plan_of(**(workload | group.workload))
    try:
        made = client(plan, target) if engine == "client" else WireEngine(plan, plan.workloads[0], target)
        return run(made).result
    finally:
        server.close()


TARGETS = {"http": "api", "redis": "redis", "postgres": "postgres"}
SERVERS = {"http": raw_servers.http, "redis": raw_servers.redis}
OPERATIONS: dict[str, Callable[[Case], dict[str, Any]]] = {
    "http": lambda case: {"request": {"path": f"/{case.name}"} | case.operation},
    "postgres": lambda case: {"sql": f"SELECT 'x'::text AS case_{case.name}"},
    "redis": lambda case: case.operation or {"command": ["GET", f"case:{case.name}"]},
}
