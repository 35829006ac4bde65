"""How far the standbys of a Postgres are behind, and whether they and their primary have each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.stack.postgres_servers import NoAnswer, Row, ServerConnection
from chaos.detectors.detection import REPLICATION, Observation
from chaos.detectors.polling import PollingDetector
from chaos.recovery.replication import PrimaryPosition, StandbyPosition

if TYPE_CHECKING:
    from bench.stack.target import Target

EVERY_NS = 25_000_000
DEADLINE_S = 1.0
STREAMING = "streaming"
_QUESTION = b"""
SELECT pg_is_in_recovery()::int,
       CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') END,
       (SELECT status FROM pg_stat_wal_receiver),
       standby.application_name,
       pg_wal_lsn_diff(standby.replay_lsn, '0/0'),
       (extract(epoch FROM standby.replay_lag) * 1e9)::bigint
FROM (SELECT) AS once
LEFT JOIN pg_stat_replication AS standby ON standby.state = 'streaming' AND standby.replay_lsn IS NOT NULL
"""


class ReplicationWatch(PollingDetector):
    """Asks one server every 25 ms, on one connection: a primary about its standbys, a standby the reverse."""

    detector = REPLICATION

    def __init__(self, server: Target, target: str) -> None:
        super().__init__(f"{REPLICATION}-{server.name}", EVERY_NS)
        self.positions: list[PrimaryPosition] = []
        self._server, self._target = server, target
        self._session: ServerConnection | None = None
        self._followed: set[str] = set()
        """The standbys that followed when it was asked last, or are missed since."""
        self._missed: set[str] = set()
        """Those of them that follow no more; the target's own name stands for the primary."""
        self._was_streaming = False

    def look(self) -> None:
        """Ask once. The stamp is when the answer was there."""
        try:
            if self._session is None:
                self._session = ServerConnection(self._server, DEADLINE_S)
            rows = self._session.rows(_QUESTION, DEADLINE_S)
        except NoAnswer:
            self._hang_up()
            return
        at_ns = monotonic_ns()
        in_recovery, log_bytes, receiver, *_ = rows[0]
        if in_recovery == "0":
            self._see_primary(at_ns, int(log_bytes or 0), rows)
        else:
            self._see_standby(at_ns, is_streaming=receiver == STREAMING)

    def stop(self) -> None:
        """Ask no more."""
        super().stop()
        self._hang_up()

    def _see_primary(self, at_ns: int, log_bytes: int, rows: list[Row]) -> None:
        standbys = {
            name: StandbyPosition(int(replayed or 0), None if lag is None else int(lag))
            for *_, name, replayed, lag in rows
            if name is not None
        }
        self.positions.append(PrimaryPosition(at_ns, self._server.name, log_bytes, standbys))
        self._note(at_ns, self._target, is_down=False, detail="is the primary itself")
        for name in self._followed - standbys.keys():
            self._note(at_ns, name, is_down=True, detail="no more among those that it streams to")
        for name in standbys:
            self._note(at_ns, name, is_down=False, detail="streams to it again")
        self._followed |= standbys.keys()

    def _see_standby(self, at_ns: int, *, is_streaming: bool) -> None:
        if is_streaming:
            self._note(at_ns, self._target, is_down=False, detail="receives from a primary again")
        elif self._was_streaming:
            self._note(at_ns, self._target, is_down=True, detail="receives nothing from its primary any more")
        self._was_streaming = is_streaming

    def _note(self, at_ns: int, about: str, *, is_down: bool, detail: str) -> None:
        """Note a change; what is so already is no news."""
        if is_down != (about in self._missed):
            (self._missed.add if is_down else self._missed.discard)(about)
            words = f"{self._server.name}: {detail}" + (f": {about}" if about != self._target else "")
            self.observations.append(Observation(REPLICATION, about, at_ns, is_down, words))

    def _hang_up(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
