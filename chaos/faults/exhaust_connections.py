"""Taking nearly all connections that a target gives."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import time
from typing import TYPE_CHECKING, Any

from bench.clock import monotonic_ns
from bench.stack.target import Target
from chaos.faults.fault import Fault, stamped
from chaos.processes import wait_until
from chaos.stamps import Proof, Stamps

if TYPE_CHECKING:
    import psycopg

CONNECT_S = 0.5
DEFAULT_KEEP = 5
REFUSED_IN_A_ROW = 3
UNANSWERED_PAUSE_S = 0.01
SPARE_DESCRIPTORS = 1000
"""What the harness needs beside those that it holds: lanes, logs, pipes."""
OUR_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


class _OursIsTheLimit(Exception):  # noqa: N818 - never leaves this module
    """It is us who have no connection more; the target may have plenty."""


class ExhaustConnections(Fault):
    """Opens idle connections until the target takes no more, then gives `keep` of them back.

    A server refuses in its own words: Redis after the first command, Postgres after the log-in. Only
    these count; who does not answer at all may have room.
    """

    def check(self) -> None:
        """The target must have a limit that it tells, and we must be able to reach it."""
        target = self._target
        if target.kind not in ("redis", "postgres") or target.tls:
            found = f"{target.kind} over TLS" if target.tls else target.kind
            raise self.around.refuse(
                target.name,
                "a Redis or Postgres without TLS, which says when it takes no more connections",
                found,
                "use {refuse: " + target.name + "}, which refuses new connections",
            )
        needed = self._limit() + SPARE_DESCRIPTORS
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft != resource.RLIM_INFINITY and soft < needed:
            if hard != resource.RLIM_INFINITY and hard < needed:
                raise self.around.refuse(
                    target.name,
                    f"{needed} open files for this process, to hold that many connections",
                    f"at most {hard}",
                    f"raise the limit (ulimit -n {needed}), or lower the target's own",
                )
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

    def aim(self) -> None:
        """Nothing is held yet; what is held ends with the harness, so nobody else has to undo it."""
        self._held: list[socket.socket] = []
        self._was_full = False
        self._is_ours = False

    def inject(self) -> Stamps:
        """Open and hold."""
        asked = monotonic_ns()
        refused = 0
        deadline = time.monotonic() + (self.plan.for_ns or 0) / 1e9
        try:
            while refused < REFUSED_IN_A_ROW and time.monotonic() < deadline:
                refused = 0 if self._one_more() else refused + 1
        except _OursIsTheLimit:
            self._is_ours = True
        self._was_full = refused >= REFUSED_IN_A_ROW
        self._opened = len(self._held)
        for connection in self._held[: int(self.plan.settings.get("keep", DEFAULT_KEEP))]:
            connection.close()
        return stamped(asked)

    @property
    def _target(self) -> Target:
        return self.around.targets[self.plan.target]

    def _limit(self) -> int:
        """How many connections the target gives, by its own word."""
        if self._target.kind == "postgres":
            with contextlib.closing(self._log_in()) as connection:
                row = connection.execute("SHOW max_connections").fetchone()
                return int(row[0]) if row else 0
        from bench.stack.connection import Unanswered
        from bench.stack.dialogue import Dialogue, ErrorReply

        target = self._target
        try:
            with Dialogue(target.host, target.port, CONNECT_S) as server:
                if target.password is not None:
                    server.ask("AUTH", *([target.username] if target.username else []), target.password)
                for line in str(server.ask("INFO", "clients")).splitlines():
                    if line.startswith("maxclients:"):
                        return int(line.partition(":")[2])
        except (Unanswered, ErrorReply) as fact:
            raise self.around.refuse(
                target.name, "its limit of connections", str(fact), "let the user read INFO"
            ) from None
        return 0

    def _one_more(self) -> bool:
        """Whether the target took one more connection, which is then held."""
        try:
            connection = self._postgres() if self._target.kind == "postgres" else self._redis()
        except OSError as error:
            if error.errno in OUR_LIMITS:
                raise _OursIsTheLimit from None
            time.sleep(UNANSWERED_PAUSE_S)
            return True  # neither taken nor refused: nobody answers at all
        if connection is not None:
            self._held.append(connection)
        return connection is not None

    def _redis(self) -> socket.socket | None:
        connection = socket.create_connection((self._target.host, self._target.port), timeout=CONNECT_S)
        try:
            connection.sendall(b"PING\r\n")
            if connection.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                return connection
        except (BrokenPipeError, ConnectionResetError):
            pass  # it closed before it had read: that is a refusal too
        except OSError:
            connection.close()
            raise
        connection.close()
        return None

    def _postgres(self) -> socket.socket | None:
        import psycopg

        try:
            with contextlib.closing(self._log_in()) as connection:
                held = socket.socket(fileno=os.dup(connection.fileno()))
                here, there = socket.socketpair()
                with here, there:  # libpq's goodbye must not reach the server
                    os.dup2(here.fileno(), connection.fileno())
                return held
        except psycopg.OperationalError as error:
            if "FATAL" in str(error):
                return None
            raise OSError(errno.EMFILE if "open files" in str(error) else errno.ETIMEDOUT, "") from None

    def _log_in(self) -> psycopg.Connection[tuple[Any, ...]]:
        import psycopg
        from psycopg.conninfo import make_conninfo

        from bench.stack.libpq import libpq_parameters

        parameters = {**libpq_parameters(self._target), "connect_timeout": "2"}
        return psycopg.connect(make_conninfo(**parameters))

    def took_effect(self) -> Proof:
        """The target had none left when we stopped."""
        if self._was_full:
            return Proof(True, f"{self._opened} connections were opened until it took no more")
        why = "we could open no more ourselves" if self._is_ours else "the time was over"
        return Proof(False, f"{self._opened} connections were opened and it still took more when {why}")

    def heal(self) -> Stamps | None:
        """Close them all."""
        asked = monotonic_ns()
        for connection in self._held:
            with contextlib.suppress(OSError):
                connection.close()
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:
        """One more is taken again."""
        if wait_until(lambda: self.around.answers(self.plan.target), deadline_s, 0.005):
            return Proof(True, "it takes connections again")
        return Proof(False, "it takes no connection after ours were closed")

    @property
    def how(self) -> str:
        """What was done."""
        return f"{self._opened} idle connections opened by us and held, then closed"
