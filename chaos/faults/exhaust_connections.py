"""Taking nearly all connections that a target gives."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import socket
import time
from typing import TYPE_CHECKING, Any

from bench.core.clock import monotonic_ns
from bench.stack.target import Target
from chaos.faults.fault import Fault, stamped
from chaos.faults.pressure import Pressure
from chaos.processes import HEALED_POLL_S, wait_until
from chaos.schedule import Proof, Timestamps

if TYPE_CHECKING:
    import psycopg

DEFAULT_KEEP = 5
REFUSED_IN_A_ROW = 3
UNANSWERED_PAUSE_S = 0.01
SPARE_DESCRIPTORS = 50
"""What a process needs beside those that it holds."""
MARGIN = 8
"""One process may be quicker than another; and the last one must be refused."""
MOST_HOLDERS = 8


def exhaustion(plan: Any, context: Any) -> Fault:
    """By the target: each refuses in its own words, and only these words are a proof.

    Redis refuses after the first command, Postgres after the log-in. Who does not answer at all may
    have room.
    """
    if context.targets[plan.target].kind == "postgres":
        return ExhaustPostgres(plan, context)
    return ExhaustRedis(plan, context)


class _Exhaustion(Fault):
    def healed(self, deadline_s: float) -> Proof:
        """One more is taken again."""
        if wait_until(lambda: self.context.answers(self.plan.target), deadline_s, HEALED_POLL_S):
            return Proof(True, "it takes connections again")
        return Proof(False, "it takes no connection after ours were closed")


class ExhaustRedis(_Exhaustion, Pressure):
    """Processes of ours hold idle connections: a Redis may give more than one process can hold."""

    def check(self) -> None:
        """It must be a Redis that reports its limit, which we can reach."""
        target = self.context.targets[self.plan.target]
        if target.kind != "redis" or target.tls:
            raise self.refuse(
                "a Redis or Postgres without TLS, which says when it takes no more connections",
                f"{target.kind} over TLS" if target.tls else target.kind,
                "use {refuse: " + target.name + "}, which refuses new connections",
            )
        self._holders, self._most_each = self._split(self._limit(target))
        if self._holders > MOST_HOLDERS:
            raise self.refuse(
                f"a limit that {MOST_HOLDERS} processes of ours can reach",
                f"{self._holders * self._most_each} connections",
                "lower its maxclients, or raise the limit of open files (ulimit -n)",
            )

    def _limit(self, target: Target) -> int:
        from bench.stack.probes.connection import ProbeError
        from bench.stack.probes.redis import ErrorReply, RespClient

        found = "an answer without maxclients"
        try:
            with RespClient.logged_in(target, 1.0) as server:
                for line in str(server.ask("INFO", "clients")).splitlines():
                    if line.startswith("maxclients:"):
                        return int(line.partition(":")[2])
        except (ProbeError, ErrorReply) as fact:
            found = str(fact)
        raise self.refuse("its limit of connections in INFO clients", found, "let the user read INFO")

    def _split(self, limit: int) -> tuple[int, int]:
        """How many processes, and how many connections each: evenly, so that each has some to give back."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        each = max(limit, 1) if hard == resource.RLIM_INFINITY else max(hard - SPARE_DESCRIPTORS - MARGIN, 1)
        holders = max(math.ceil(limit / each), 1)
        return holders, math.ceil(limit / holders)

    def _commands(self) -> list[list[str]]:
        target = self.context.targets[self.plan.target]
        keep = int(self.plan.settings.get("keep", DEFAULT_KEEP))
        wait_s = (self.plan.for_ns or 0) / 1e9
        # At the same time: who comes last finds it full, and all then give back their share of `keep`.
        shares = [keep // self._holders + (number < keep % self._holders) for number in range(self._holders)]
        return [
            [
                "connections",
                target.socket_file or target.host,
                str(target.port),
                str(self._most_each + MARGIN),
                str(share),
                str(wait_s),
            ]
            for share in shares
        ]

    def took_effect(self) -> Proof:
        """It refused each of our processes at last."""
        words = [line.decode().split() for line in self._said]
        ends = [one[2] for one in words if len(one) == 3]
        opened = sum(int(one[1]) for one in words if len(one) == 3)
        why = "we could open no more ourselves" if "ours" in ends else "time was over"
        return _exhausted("full" in ends, opened, why)

    @property
    def how(self) -> str:
        """What was done."""
        return f"idle connections held by {len(self._running)} processes of ours, then closed"


class ExhaustPostgres(_Exhaustion):
    """Sessions of ours: logged in, idle, and without a client library that keeps them alive."""

    def check(self) -> None:
        """We must be able to open so many."""
        needed = self._limit() + SPARE_DESCRIPTORS * 20
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if resource.RLIM_INFINITY not in (soft, hard) and hard < needed:
            raise self.refuse(
                f"{needed} open files for this process, to hold that many sessions",
                f"at most {hard}",
                f"raise the limit (ulimit -n {needed}), or lower the target's own",
            )
        if soft != resource.RLIM_INFINITY and soft < needed:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

    def aim(self) -> None:
        """Nothing is held yet; what is held ends with the harness, so no other process has to heal it."""
        self._held: list[socket.socket] = []
        self._was_full = False

    def inject(self) -> Timestamps:
        """Open and hold."""
        asked = monotonic_ns()
        refused = 0
        deadline = time.monotonic() + (self.plan.for_ns or 0) / 1e9
        while refused < REFUSED_IN_A_ROW and time.monotonic() < deadline:
            refused = 0 if self._one_more() else refused + 1
        self._was_full = refused >= REFUSED_IN_A_ROW
        self._opened = len(self._held)
        for connection in self._held[: int(self.plan.settings.get("keep", DEFAULT_KEEP))]:
            connection.close()
        return stamped(asked)

    def _limit(self) -> int:
        """How many sessions the target gives, by its own word."""
        import psycopg

        try:
            with contextlib.closing(self._log_in()) as connection:
                row = connection.execute("SHOW max_connections").fetchone()
                return int(row[0]) if row else 0
        except psycopg.Error as error:
            found = str(error).strip().partition("\n")[0]
            raise self.refuse("its limit of connections", found, "see whether it is up") from None

    def _one_more(self) -> bool:
        """Whether the target did not refuse."""
        import psycopg

        try:
            with contextlib.closing(self._log_in()) as connection:
                held = socket.socket(fileno=os.dup(connection.fileno()))
                here, there = socket.socketpair()
                with here, there:  # libpq's goodbye must not reach the server
                    os.dup2(here.fileno(), connection.fileno())
        except psycopg.OperationalError as error:
            if "FATAL" in str(error):
                return False
            time.sleep(UNANSWERED_PAUSE_S)  # neither taken nor refused: there is no answer at all
            return True
        self._held.append(held)
        return True

    def _log_in(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg

        from bench.stack.probes.postgres import conninfo

        return psycopg.connect(conninfo(self.context.targets[self.plan.target], connect_timeout="2"))

    def took_effect(self) -> Proof:
        """The target had none left when we stopped."""
        return _exhausted(self._was_full, self._opened, "time was over")

    def heal(self) -> Timestamps | None:
        """Close them all."""
        asked = monotonic_ns()
        for connection in self._held:
            with contextlib.suppress(OSError):
                connection.close()
        return stamped(asked)

    @property
    def how(self) -> str:
        """What was done."""
        return f"{self._opened} idle sessions of ours held, then closed"


def _exhausted(is_full: bool, opened: int, why_not: str) -> Proof:
    said = "until it took no more" if is_full else f"and it still took more when {why_not}"
    return Proof(is_full, f"{opened} connections were opened {said}")
