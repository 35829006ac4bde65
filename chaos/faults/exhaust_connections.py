"""Taking nearly all connections that a target gives."""

from __future__ import annotations

import contextlib
import socket
import time

from bench.clock import monotonic_ns
from chaos.faults.fault import Fault, stamped
from chaos.stamps import Proof, Stamps

MOST = 30_000
CONNECT_S = 0.5
DEFAULT_KEEP = 5
REFUSED_IN_A_ROW = 3


class ExhaustConnections(Fault):
    """Opens idle connections until the target takes no more, then gives `keep` of them back.

    What a server refuses it refuses in its own way: Redis and HTTP servers close the connection,
    Postgres counts one only when it has logged in, so there a log-in is done.
    """

    def inject(self) -> Stamps:
        """Open and hold."""
        asked = monotonic_ns()
        self._held: list[socket.socket] = []
        refused = 0
        deadline = time.monotonic() + (self.plan.for_ns or 0) / 1e9
        while len(self._held) < MOST and refused < REFUSED_IN_A_ROW and time.monotonic() < deadline:
            connection = self._open()
            if connection is None:
                refused += 1
            else:
                refused = 0
                self._held.append(connection)
        self._was_full = refused >= REFUSED_IN_A_ROW
        for connection in self._held[: int(self.plan.settings.get("keep", DEFAULT_KEEP))]:
            connection.close()
        return stamped(asked)

    def _open(self) -> socket.socket | None:
        target = self.around.targets[self.plan.target]
        if target.kind == "postgres":
            return self._log_in()
        try:
            connection = socket.create_connection((target.host, target.port), timeout=CONNECT_S)
            if target.kind == "redis":
                connection.sendall(b"PING\r\n")
                if not connection.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                    connection.close()
                    return None
        except OSError:
            return None
        return connection

    def _log_in(self) -> socket.socket | None:
        import os

        import psycopg
        from psycopg.conninfo import make_conninfo

        from bench.stack.libpq import libpq_parameters

        parameters = {**libpq_parameters(self.around.targets[self.plan.target]), "connect_timeout": "2"}
        try:
            with contextlib.closing(psycopg.connect(make_conninfo(**parameters))) as connection:
                held = socket.socket(fileno=os.dup(connection.fileno()))
                here, there = socket.socketpair()
                with here, there:  # libpq's goodbye must not reach the server
                    os.dup2(here.fileno(), connection.fileno())
        except psycopg.Error:
            return None
        return held

    def took_effect(self) -> Proof:
        """The target had none left when we stopped."""
        return Proof(self._was_full, f"{len(self._held)} connections were opened until it took no more")

    def heal(self) -> Stamps | None:
        """Close them all."""
        asked = monotonic_ns()
        for connection in self._held:
            with contextlib.suppress(OSError):
                connection.close()
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:
        """One more is taken again."""
        limit = time.monotonic() + deadline_s
        while time.monotonic() < limit:
            if self.around.answers(self.plan.target):
                return Proof(True, "it takes connections again")
        return Proof(False, "it takes no connection after ours were closed")

    @property
    def how(self) -> str:
        """What was done."""
        return f"{len(self._held)} idle connections held by us, then closed"
