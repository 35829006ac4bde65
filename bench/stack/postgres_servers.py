"""What the servers of a Postgres with standbys say of themselves, and what is asked of them, each with a
deadline: one that is paused takes connections and never answers.
"""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from bench.core.threads import StillRunning, Work
from bench.stack.target import SESSION_ATTRIBUTE, Target

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

Row = tuple[str | None, ...]

_STATE = b"""
SELECT pg_is_in_recovery()::int,
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery()
                            THEN greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
                            ELSE pg_current_wal_lsn() END, '0/0')
"""
"""The timeline only of a primary: a standby names that of its last checkpoint, which may be an old one."""
MARGIN_S = 0.2


class NoAnswer(ConnectionError):  # noqa: N818 - the state of the system, as a refused connection is
    """A server that cannot be reached, does not answer in time, or refuses; the text has what it said."""


@dataclass(frozen=True)
class ServerState:
    """What a server said of itself."""

    is_primary: bool
    timeline: int | None
    """Of a primary: it grows with each promotion."""
    log_bytes: int
    """How much of the write-ahead log it has."""


class ServerConnection:
    """A connection to one server, and the answers that came on it within their deadlines."""

    def __init__(self, server: Target, timeout_s: float) -> None:
        """Raises NoAnswer."""
        from psycopg import pq

        from bench.stack.probes.postgres import conninfo

        until = time.monotonic() + timeout_s
        self._name = server.name
        self._session: PGconn = pq.PGconn.connect_start(
            conninfo(server, **{SESSION_ATTRIBUTE: "any"}).encode()
        )
        try:
            self._establish(until)
        except BaseException:
            self.close()
            raise

    def _establish(self, until: float) -> None:
        from psycopg import pq

        while (step := self._session.connect_poll()) != pq.PollingStatus.OK:
            if step == pq.PollingStatus.FAILED:
                raise self._no_answer(self._session.error_message)
            self._wait(until, is_writing=step == pq.PollingStatus.WRITING)
        self._session.nonblocking = 1

    def rows(self, question: bytes, timeout_s: float) -> list[Row]:
        """The rows of one statement, each value as its text. Raises NoAnswer; nothing can be asked then."""
        import psycopg
        from psycopg import pq

        until, found = time.monotonic() + timeout_s, list[Row]()
        try:
            self._session.send_query(question)
            while self._session.flush():
                self._wait(until, is_writing=True)
            while True:
                while self._session.is_busy():
                    self._wait(until)
                    self._session.consume_input()
                result = self._session.get_result()
                if result is None:
                    return found
                if result.status not in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK):
                    raise self._no_answer(result.error_message)
                for row in range(result.ntuples):
                    values = (result.get_value(row, column) for column in range(result.nfields))
                    found.append(tuple(None if value is None else value.decode() for value in values))
        except psycopg.Error as error:
            raise self._no_answer(str(error).encode()) from None

    def state(self, timeout_s: float) -> ServerState:
        """What it is now. Raises NoAnswer."""
        ((in_recovery, timeline, log_bytes),) = self.rows(_STATE, timeout_s)
        return ServerState(
            in_recovery == "0", None if timeline is None else int(timeline), int(log_bytes or 0)
        )

    def close(self) -> None:
        """Hang up. Idempotent."""
        with suppress(Exception):
            self._session.finish()

    def _wait(self, until: float, *, is_writing: bool = False) -> None:
        left_s = until - time.monotonic()
        line = [self._session.socket]
        ready = select.select([] if is_writing else line, line if is_writing else [], [], max(left_s, 0))
        if not any(ready):
            raise self._no_answer(b"no answer in time")

    def _no_answer(self, said: bytes) -> NoAnswer:
        return NoAnswer(f"{self._name}: {' '.join(said.decode(errors='replace').split()) or 'closed'}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def states_of(servers: Mapping[str, Target], timeout_s: float) -> dict[str, ServerState]:
    """What each of them says, all asked at the same time; one that does not answer is left out."""

    def ask(server: Target) -> ServerState | None:
        try:
            with ServerConnection(server, timeout_s) as connection:
                return connection.state(timeout_s)
        except (NoAnswer, OSError):
            return None

    asked = {name: Work(f"ask-{name}", lambda server=server: ask(server)) for name, server in servers.items()}  # type: ignore[misc]  # mypy: a lambda with a default
    for work in asked.values():
        work.start()
    until, found = time.monotonic() + timeout_s + MARGIN_S, dict[str, ServerState]()
    for name, work in asked.items():
        with suppress(StillRunning):
            state = work.result(max(until - time.monotonic(), 0))
            if state is not None:
                found[name] = state
    return found


def primary_among(states: Mapping[str, ServerState]) -> str | None:
    """The primary; of several that say so the one of the newest timeline, which an old one does not know."""
    primaries = [name for name, state in states.items() if state.is_primary]
    return max(primaries, key=lambda name: states[name].timeline or 0, default=None)
