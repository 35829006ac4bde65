"""Failover on request: the system itself is asked to make another of its servers the primary.

The Sentinels of a Redis are, or a replica in its cluster; of a Postgres without an agent of its own see
`chaos.faults.standby`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.sentinel import NotLocated
from bench.stack.target import Target, address_of
from chaos.faults.fault import Fault, stamped
from chaos.faults.standby import PostgresFailover
from chaos.processes import HEALED_POLL_S, wait_until
from chaos.schedule import Proof, Timestamps, drawn

if TYPE_CHECKING:
    from bench.stack.cluster import ClusterNode
    from bench.stack.sentinel import Endpoint
    from chaos.faults.fault import FaultContext
    from chaos.schedule import FaultPlan

ASK_S = 1.0
MOVE_S = 10.0
"""How long the system may take to choose another primary."""
POLL_S = 0.005


def failover(plan: FaultPlan, context: FaultContext) -> Fault:
    """By the kind of the target."""
    if context.targets[plan.target].kind == "postgres":
        return PostgresFailover(plan, context)
    if context.targets[plan.target].nodes:
        return ClusterFailover(plan, context)
    return SentinelFailover(plan, context)


class _AskedFor(Fault):
    """What comes after the request: nothing has to be undone, the new primary is to stay."""

    def healed(self, deadline_s: float) -> Proof:
        """The target answers."""
        answers = wait_until(lambda: self.context.answers(self.plan.target), deadline_s, HEALED_POLL_S)
        return Proof(answers, "it answers" if answers else "it does not answer")

    @property
    def healed_by(self) -> str:
        """Nobody has to."""
        return "nobody: the new primary is to stay"

    @property
    def _target(self) -> Target:
        return self.context.targets[self.plan.target]


class ClusterFailover(_AskedFor):
    """CLUSTER FAILOVER, asked of a replica of one primary: the two agree on the moment."""

    _answer = "nobody was asked"

    def check(self) -> None:
        """Some primary must have a replica that is sound."""
        self._pairs()

    def aim(self) -> None:
        """Choose the primary that is to be replaced, and its replica."""
        pairs = self._pairs()
        chosen = drawn([primary.name for primary, _ in pairs], self.plan.draw)
        self._before, self._after = next(pair for pair in pairs if pair[0].name == chosen)
        members = self.context.servers(self.plan.target).items()
        places = {(server.host, server.port): name for name, server in members}
        self.process = places.get(self._before.endpoint, self.plan.target)

    def _pairs(self) -> list[tuple[ClusterNode, ClusterNode]]:
        """Primaries with a replica each. Raises TargetError where there is none."""
        try:
            view = self._target.cluster_view(ASK_S)
        except NotLocated as error:
            raise self.refuse("a node that knows the cluster", str(error), "see how its nodes are") from None
        replicas = {node.primary: node for node in reversed(view.replicas) if node.is_sound}
        pairs = [(node, replicas[node.name]) for node in view.primaries if node.name in replicas]
        if not pairs:
            advice = "give it replicas: embedded: {cluster: {primaries: 3, replicas: 3}}"
            raise self.refuse("a primary with a replica that can take over", "none", advice)
        return pairs

    def inject(self) -> Timestamps:
        """Ask the replica."""
        asked = monotonic_ns()
        try:
            with RespClient.logged_in(self._target.at(*self._after.endpoint), ASK_S) as client:
                self._answer = str(client.ask("CLUSTER", "FAILOVER"))
        except (ProbeError, ErrorReply) as refused:
            self._answer = str(refused)
        return stamped(asked)

    def took_effect(self) -> Proof:
        """The replica serves the slots."""
        new, old = address_of(*self._after.endpoint), address_of(*self._before.endpoint)
        if self._answer != "OK":
            return Proof(False, f"{new} did not obey: {self._answer}")
        if wait_until(self._has_moved, MOVE_S, POLL_S):
            return Proof(True, f"{new} serves the slots of {old}")
        return Proof(False, f"{old} serves its slots still, {MOVE_S:g} s later")

    def _has_moved(self) -> bool:
        try:
            primaries = self._target.cluster_view(ASK_S).primaries
        except NotLocated:
            return False
        return self._after.name in {node.name for node in primaries}

    @property
    def how(self) -> str:
        """Who was asked."""
        return f"CLUSTER FAILOVER, asked of {address_of(*self._after.endpoint)}"


class SentinelFailover(_AskedFor):
    """SENTINEL FAILOVER, which needs no agreement of the Sentinels."""

    _asked: Endpoint | None = None
    """The Sentinel that obeyed."""
    _answer = "nobody was asked"

    def check(self) -> None:
        """There must be Sentinels to ask."""
        if self._target.sentinels is None:
            raise self.refuse(
                "a target that can be asked for another primary, as Sentinels can",
                f"a {self._target.kind} without Sentinels",
                "describe it with sentinel or cluster in a stack file, or start it with embedded",
            )
        self._before = self._located()

    def aim(self) -> None:
        """Note who is the primary now."""
        self.process = self.context.process(self.plan)
        self._before = self._located()

    def _located(self) -> Target:
        try:
            return self._target.located(ASK_S)
        except NotLocated as error:
            raise self.refuse("a primary that Sentinels know", str(error), "see how they are") from None

    def inject(self) -> Timestamps:
        """Ask the Sentinels, one after the other, until one obeys."""
        assert self._target.sentinels is not None
        asked = monotonic_ns()
        for address in self._target.sentinels.addresses:
            self._answer = self._ask(address)
            if self._answer == "OK":
                self._asked = address
                break
        return stamped(asked)

    def _ask(self, address: Endpoint) -> str:
        """What a Sentinel says to the request."""
        who = self._target.sentinels
        assert who is not None
        host, port = address
        sentinel = Target(self.plan.target, "redis", host, port, username=who.username, password=who.password)
        try:
            with RespClient.logged_in(sentinel, ASK_S) as client:
                return str(client.ask("SENTINEL", "FAILOVER", who.primary))
        except (ProbeError, ErrorReply) as refused:
            return str(refused)

    def took_effect(self) -> Proof:
        """Sentinels name another server. It takes a moment: the load goes on meanwhile."""
        if self._answer != "OK":
            return Proof(False, f"no Sentinel obeyed: {self._answer}")
        moved = wait_until(lambda: self._now() not in (None, self._before.address), MOVE_S, POLL_S)
        if not moved:
            return Proof(False, f"{self._before.address} is the primary still, {MOVE_S:g} s later")
        return Proof(True, f"{self._now()} is the primary, after {self._before.address}")

    def _now(self) -> str | None:
        try:
            return self._target.located(ASK_S).address
        except NotLocated:
            return None

    @property
    def how(self) -> str:
        """Who was asked."""
        if self._asked is None:
            return f"SENTINEL FAILOVER, asked in vain: {self._answer}"
        return f"SENTINEL FAILOVER, asked of {address_of(*self._asked)}"
