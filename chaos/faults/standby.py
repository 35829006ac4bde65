"""A standby of a Postgres is made the primary: after the primary's death, in its place, or in order.

Whoever runs a Postgres without an agent such as Patroni does these steps by hand: choose the standby that has
most of the log, promote it, let the others follow it. What ran as the primary comes back as a copy of the
new one.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

from bench.core.clock import monotonic_ns
from bench.stack.postgres_servers import (
    NoAnswer,
    ServerConnection,
    ServerState,
    primary_among,
    states_of,
)
from bench.stack.services.postgres_replication import (
    ManagedPostgresMember,
    followers_of,
    wait_for_nobody,
    wait_for_standbys,
)
from bench.stack.supervisor.processes import ProcessIdentity
from bench.stack.target import Target
from chaos.faults.fault import EFFECT_S, Fault, stamped
from chaos.processes import wait_until
from chaos.schedule import Proof, Timestamps

ASK_S = 1.0
PROMOTION_S = 10.0
ORDERLY_END_S = 10.0
"""The primary first sends its standbys all that it has."""
POLL_S = 0.002


class Promote(Fault):
    """pg_promote of the standby that has most of the log.

    Where the primary still runs, `for` says how long both go on; then the old one is ended and comes back as
    a standby.
    """

    _session: ServerConnection | None = None
    """With the standby that is to be promoted."""
    _old: str | None = None
    """Who was the primary, if it runs."""
    _old_process: ProcessIdentity | None = None
    _new = ""
    _timeline: int | None = None
    _waits = False
    """Whether the commits of the new primary wait for standbys again, if they are to."""

    def check(self) -> None:
        """It must be a Postgres with standbys that we started."""
        servers = self.context.servers(self.plan.target)
        if self._target.kind != "postgres" or not servers:
            raise self.refuse(
                "a Postgres with standbys that the stack started",
                f"a {self._target.kind} that is not one",
                "describe it in a stack file with embedded: {standbys: 1}, or use an action of your own",
            )
        for name in servers:
            self._member(name)

    def aim(self) -> None:
        """Choose the standby, and connect to it: nothing is left to be done then but to ask."""
        states = self._states()
        self._old = primary_among(states) or self._paused()
        if self._old is not None:
            self._require_leave(self._old)
            pid = self.context.pid(self._old)
            self._old_process = None if pid is None else ProcessIdentity.of(pid)
        self._choose(states)

    def _require_leave(self, old: str) -> None:
        if self.plan.for_ns is None:
            raise self.refuse(
                "a primary that is gone",
                f"{old}, which still runs as one",
                "kill it first, use failover or switchover, or say with `for` how long both are to go on",
            )

    def inject(self) -> Timestamps:
        """Promote it; the others follow it."""
        asked = monotonic_ns()
        self._promote()
        return stamped(asked)

    def took_effect(self) -> Proof:
        """It takes no more from another, and says on which timeline it is."""
        try:
            wait_until(self._is_primary, EFFECT_S, POLL_S)
        except NoAnswer as error:
            return Proof(False, str(error))
        if self._timeline is None:
            return Proof(False, f"{self._new} is a standby still, {EFFECT_S:g} s later")
        return Proof(True, f"{self._new} is the primary, on timeline {self._timeline}")

    def heal(self) -> Timestamps | None:
        """Let an old primary that went on come back as a standby."""
        if self.plan.for_ns is None or self._old is None:
            return None
        asked = monotonic_ns()
        if self.context.pid(self._old) is not None:  # else whoever keeps it down starts it again
            self._member(self._old).hold()
            self._member(self._old).release()
        return stamped(asked)

    def healed(self, deadline_s: float) -> Proof:
        """All other servers follow the new primary, whose commits wait for them if they are to."""
        missing = set(self.context.servers(self.plan.target)) - {self._new}

        def all_follow() -> bool:
            nonlocal missing
            try:
                with ServerConnection(self._server(self._new), ASK_S) as session:
                    missing -= followers_of(session)
                    if not missing and not self._waits:
                        wait_for_standbys(session, self._members())
                        self._waits = True
            except NoAnswer:
                return False
            return not missing

        if wait_until(all_follow, deadline_s, 0.02):
            return Proof(True, f"all other servers follow {self._new}")
        return Proof(False, f"{', '.join(sorted(missing)) or 'nobody else'} does not follow {self._new} yet")

    @property
    def healed_by(self) -> str:
        """Who lets the old primary come back."""
        return "us" if self.plan.for_ns is not None else "whoever starts the old primary again"

    @property
    def how(self) -> str:
        """What was asked of whom."""
        beside = f" while {self._old} went on" if self._old is not None else ""
        return f"pg_promote, asked of {self._new}, which had most of the log{beside}"

    # --- the steps -------------------------------------------------------------------------------

    @property
    def _target(self) -> Target:
        return self.context.targets[self.plan.target]

    def _server(self, name: str) -> Target:
        return self.context.targets[name]

    def _member(self, name: str) -> ManagedPostgresMember:
        found = self.context.stack.service(name)
        if not isinstance(found, ManagedPostgresMember):
            raise self.refuse(
                f"{name} to be a server whose supervisor is ours",
                f"one of the {self.context.stack.kind} stack, which another process keeps",
                "let the run start the stack itself: --stack FILE without bench stack up",
            )
        return found

    def _members(self) -> list[ManagedPostgresMember]:
        return [self._member(name) for name in self.context.servers(self.plan.target)]

    def _states(self) -> dict[str, ServerState]:
        """Of those that can answer."""
        return states_of(self.context.awake(self.plan.target), ASK_S)

    def _paused(self) -> str | None:
        """A primary that cannot answer now, and may go on."""
        awake = self.context.awake(self.plan.target)
        names = [name for name in self.context.servers(self.plan.target) if name not in awake]
        alive = [name for name in names if self.context.pid(name) is not None]
        return next((name for name in alive if not self._member(name).is_standby()), None)

    def _choose(self, states: Mapping[str, ServerState]) -> None:
        standbys = {name: state for name, state in states.items() if not state.is_primary}
        if not standbys:
            raise self.refuse("a standby that answers", "none", "see why it is down, or come later")
        self._new = max(standbys, key=lambda name: standbys[name].log_bytes)
        try:
            self._session = ServerConnection(self._server(self._new), ASK_S)
        except NoAnswer as error:
            raise self.refuse("a standby that answers", str(error), "see its log") from None

    def _promote(self) -> None:
        """Raises NoAnswer."""
        assert self._session is not None
        others = [member for member in self._members() if member.name != self._new]
        following = [member for member in others if member.name in self.context.awake(self.plan.target)]
        following = [member for member in following if member.name != self._old and member.is_standby()]
        for member in others:
            if member not in following:  # first of all: it may be started again at any moment
                member.follow(self._server(self._new))
        with self._session:
            self._session.rows(b"SELECT pg_promote(true, %d)" % PROMOTION_S, PROMOTION_S + ASK_S)
            wait_for_nobody(self._session)
        for member in following:
            member.turn_to(self._server(self._new))

    def _is_primary(self) -> bool:
        with ServerConnection(self._server(self._new), ASK_S) as session:
            self._timeline = session.state(ASK_S).timeline
        return self._timeline is not None


class Replacement(Promote):
    """The primary is ended first, then a standby promoted: nobody can write on both sides."""

    ending: signal.Signals
    words: str

    def aim(self) -> None:
        """There must be a primary that runs."""
        super().aim()
        if self._old is None or self._old_process is None:
            raise self.refuse("a primary that runs", "none", "use promote after its death")
        self.process = self._old

    def _require_leave(self, old: str) -> None:
        """It is ended."""

    def inject(self) -> Timestamps:
        """End it, and see it end; then promote."""
        assert self._old is not None
        assert self._old_process is not None
        assert self._session is not None
        self._member(self._old).keep_down()
        asked = monotonic_ns()
        self._old_process.send(self.ending)
        ended = self._old_process.wait(ORDERLY_END_S)
        at_ns = monotonic_ns()
        if not ended:
            raise self.refuse(
                f"{self._old} to end", f"that it runs still after {ORDERLY_END_S:g} s", "see why"
            )
        self._promote()
        return stamped(asked, at_ns)

    def heal(self) -> Timestamps | None:
        """Start the old one again, now as a standby."""
        assert self._old is not None
        asked = monotonic_ns()
        self._member(self._old).release()
        return stamped(asked)

    @property
    def healed_by(self) -> str:
        """The old primary is started again at once."""
        return "us: the old primary is started as a standby"

    @property
    def how(self) -> str:
        """The signal and who was promoted."""
        return f"{self.words} of {self._old}, then pg_promote of {self._new}, which had most of the log"


class PostgresFailover(Replacement):
    """SIGKILL: the primary cannot be asked to end."""

    ending = signal.SIGKILL
    words = "SIGKILL"


class Switchover(Replacement):
    """A fast shutdown, in which the standbys get all that the primary has: nothing acknowledged is lost."""

    ending = signal.SIGINT
    words = "fast shutdown"
