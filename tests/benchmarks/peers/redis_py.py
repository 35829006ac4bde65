"""redis-py's asyncio client under uvloop, replies parsed by hiredis: what a fast Python application uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.benchmarks.peers.python_client import run_program, versions_of

if TYPE_CHECKING:
    from tests.benchmarks.peers.contestant import Result
    from tests.benchmarks.peers.key_space import KeySpace


class RedisPy:
    """One process, one task and one connection per lane."""

    name = "redis-py uvloop"

    def __init__(self, keys: KeySpace) -> None:
        self._keys = keys

    def available(self) -> str:
        """The versions of its three parts."""
        return versions_of(("redis", "hiredis", "uvloop"))

    def run(self, seconds: float) -> Result:
        """One turn in a fresh interpreter."""
        keys = self._keys
        task = {
            "host": keys.target.host,
            "port": keys.target.port,
            "connections": keys.connections,
            "prefix": keys.prefix,
            "key_count": keys.key_count,
            "seed": keys.seed,
        }
        return run_program("redis_py_process.py", task, seconds)
