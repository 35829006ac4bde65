"""The subject "Redis GET": one embedded server, its keys, four contestants, and the criteria."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.stack.probes.connection import ProbeError
from tests.benchmarks.peers.contestant import TurnFailed
from tests.benchmarks.peers.key_space import KeySpace
from tests.benchmarks.peers.locust_user import LocustUser
from tests.benchmarks.peers.ours import Ours
from tests.benchmarks.peers.redis_benchmark import RedisBenchmark
from tests.benchmarks.peers.redis_py import RedisPy
from tests.benchmarks.peers.subject import Opening, SubjectKind, servers_of
from tests.benchmarks.peers.verdict import AtLeastTimes, NoHiddenTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.stack.stack import Stack
    from tests.benchmarks.peers.contestant import Contestant, Result
    from tests.benchmarks.peers.verdict import Criterion

NAMES = (Ours.name, RedisBenchmark.name, RedisPy.name, LocustUser.name)
CRITERIA = (
    AtLeastTimes(RedisBenchmark.name, 1.5),
    AtLeastTimes(LocustUser.name, 20.0),
    NoHiddenTime(0.03),
)


class RedisGet:
    """The server is up and its keys are written."""

    criteria: Sequence[Criterion] = CRITERIA

    def __init__(self, stack: Stack, opening: Opening) -> None:
        self._stack = stack
        self._keys = keys = KeySpace(stack.targets()["redis"], seed=opening.seed)
        self.connections = keys.connections
        self.title = (
            f"Redis GET, {keys.connections} connections, closed loop, {keys.value_bytes}-byte values, "
            f"{keys.key_count:,} key{'' if keys.key_count == 1 else 's'}"
        )
        everyone: tuple[Contestant, ...] = (
            Ours(keys),
            RedisBenchmark(keys, may_install=opening.may_install),
            RedisPy(keys),
            LocustUser(keys),
        )
        self.contestants: Sequence[Contestant] = [one for one in everyone if one.name in opening.names]
        keys.preload()
        self._misses = keys.misses()

    def before_turn(self) -> None:
        """Reading changes nothing."""

    def after_turn(self, name: str, result: Result) -> Result:
        """Every GET since the last look found its key."""
        try:
            misses = self._keys.misses()
        except ProbeError as fact:
            raise TurnFailed(f"the server does not answer any more: {fact}") from None
        missed, self._misses = misses - self._misses, misses
        if missed:
            raise TurnFailed(f"{missed} reads found no key: not the task that the others do")
        return result

    def to_json(self) -> dict[str, Any]:
        """The task and the server."""
        return {"task": self._keys.to_json(), "servers": servers_of(self._stack)}


@contextmanager
def open_redis_get(opening: Opening) -> Iterator[RedisGet]:
    """Start a server of our own and put the keys in place; it is gone afterwards. Raises TargetError."""
    from bench.stack.stack import open_stack

    with open_stack("embedded", {"redis"}, opening.log_dir) as stack:
        yield RedisGet(stack, opening)


KIND = SubjectKind("redis_get", NAMES, open_redis_get)
