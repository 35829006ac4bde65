"""What a Redis reports about itself: memory and clients."""

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.redis import ErrorReply, RespClient
from bench.stack.target import Target

DEADLINE_S = 1.0
SECTIONS = ("memory", "clients", "stats")
COLUMNS = {
    "used_memory": "used_memory_bytes",
    "used_memory_rss": "used_memory_rss_bytes",
    "mem_fragmentation_ratio": "fragmentation_ratio",
    "connected_clients": "clients",
    "evicted_keys": "evicted_keys",
}
"""Field of INFO -> column of resources.csv."""


class RedisInfo:
    """Asks over a new connection each time: a server that was unreachable needs no other care."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def ask(self) -> dict[str, float]:
        """The columns; none while the server is unreachable, or does not allow this user to ask."""
        try:
            with RespClient.logged_in(self._target, DEADLINE_S) as server:
                sections = [server.ask("INFO", section) for section in SECTIONS]
        except (ProbeError, ErrorReply):
            return {}
        return redis_columns("\n".join(str(text) for text in sections))

    def abort(self) -> None:
        """Nothing to do: no question outlasts its deadline."""


def redis_columns(info: str) -> dict[str, float]:
    """The columns that stand in a text of INFO; our own connection is not among the clients."""
    found: dict[str, float] = {}
    for line in info.split("\n"):
        name, _, text = line.partition(":")
        if name in COLUMNS:
            try:
                found[COLUMNS[name]] = float(text)
            except ValueError:
                continue
    if "clients" in found:
        found["clients"] = max(found["clients"] - 1, 0)
    return found
