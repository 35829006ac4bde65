"""What a Redis says about its own memory and clients (INFO)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.stack.probes.connection import ProbeError
from bench.stack.probes.resp import ErrorReply, RespClient

if TYPE_CHECKING:
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
    """Asks over a connection of its own, a new one each time: a server that was away needs no other care."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def ask(self) -> dict[str, float]:
        """The columns; none while the server is away, or will not tell this user."""
        target = self._target
        try:
            with RespClient(target.host, target.port, DEADLINE_S) as server:
                if target.password is not None:
                    server.ask("AUTH", *([target.username] if target.username else []), target.password)
                told = [server.ask("INFO", section) for section in SECTIONS]
        except (ProbeError, ErrorReply):
            return {}
        return columns_of("\n".join(str(text) for text in told))

    def abort(self) -> None:
        """Nothing to do: no question outlasts its deadline."""


def columns_of(info: str) -> dict[str, float]:
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
