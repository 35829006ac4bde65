"""The keys that every contestant reads, and the server's own count of reads that found none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.drivers.redis import wire
from bench.scenario.model import Scenario
from bench.stack.probes.redis import RespClient

if TYPE_CHECKING:
    from bench.stack.target import Target

KEY_DIGITS = 12
"""redis-benchmark writes its random keys as key: and twelve digits; the others follow it."""

ASK_S = 10.0


@dataclass(frozen=True)
class KeySpace:
    """GET on `key_count` keys of `value_bytes` each over `connections`, closed loop, at one server.

    The defaults are redis-benchmark's own: one key of three bytes.
    """

    target: Target
    connections: int = 50
    key_count: int = 1
    value_bytes: int = 3
    seed: int = 1

    @property
    def prefix(self) -> str:
        """What stands before the digits that vary."""
        return "key:" + "0" * (KEY_DIGITS - len(str(self.key_count - 1)))

    def scenario(self, seconds: float, *, preload: bool = False) -> Scenario:
        """The task as a scenario of ours: one engine thread, one request in flight on each lane."""
        return Scenario.model_validate(
            {
                "scenario": "peers_redis_get",
                "purpose": "Redis GET, closed loop, side by side with other tools",
                "seed": self.seed,
                "workloads": [
                    {
                        "name": "get",
                        "target": "redis",
                        "driver": "redis",
                        "lanes": self.connections,
                        "keys": {"count": self.key_count, "prefix": self.prefix, "preload": preload},
                        "value": {"bytes": self.value_bytes},
                        "operations": {"get": {"command": ["GET", "{key}"]}},
                        "arrivals": "closed",
                    }
                ],
                "phases": [{"name": "turn", "for": f"{seconds:.3f}s"}],
            }
        )

    def preload(self) -> None:
        """Write every key once. Raises TargetError."""
        workload = self.scenario(1, preload=True).workloads[0]
        wire.prepare(self.target, workload, self.seed)

    def misses(self) -> int:
        """Reads of keys that were not there, since the server's start. Raises ProbeError."""
        with RespClient(self.target.host, self.target.port, ASK_S) as server:
            return misses_of(str(server.ask("INFO", "stats")))

    def to_json(self) -> dict[str, Any]:
        """For the record: the task, not the place."""
        return {
            "command": "GET",
            "connections": self.connections,
            "key_count": self.key_count,
            "value_bytes": self.value_bytes,
        }


def misses_of(info: str) -> int:
    """keyspace_misses in the answer to INFO stats. Raises ValueError where there is none."""
    for line in info.splitlines():
        name, _, value = line.partition(":")
        if name == "keyspace_misses":
            return int(value)
    raise ValueError("the server's statistics have no keyspace_misses")
