"""What all connections share: the loop, one buffer, the toxics' paths and the accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.proxy.composition import Path
from chaos.proxy.lending import Lending
from chaos.proxy.toxic import DOWN, UP

if TYPE_CHECKING:
    from chaos.proxy.connection import Connection
    from chaos.proxy.loop import Loop

READ_BYTES = 65_536
"""At most so much of one connection in one turn."""


class Accounts:
    """Counts since the start, of what the toxics did not do."""

    def __init__(self) -> None:
        self.accepted = 0
        self.connected = 0
        """Of these, so many were given a connection to upstream."""
        self.upstream_refused = 0
        """Clients that were reset because upstream refused."""
        self.dials_timed_out = 0
        """Clients that were reset because upstream did not answer."""
        self.dials_failed = 0
        """Clients that were reset because we had no descriptor or port left."""
        self.resets_passed_on = 0
        self.up_bytes = 0
        self.down_bytes = 0
        """Sent on by connections that are over."""


class Traffic:
    """One writer: the loop's thread."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.buffer = bytearray(READ_BYTES)
        self.view = memoryview(self.buffer)
        self.accounts = Accounts()
        self.connections: dict[int, Connection] = {}
        """Live ones by their number."""
        self.generation = 0
        """Changes with the paths; what has another one asks for its path first."""
        self.paths = {direction: Path(0, direction, ()) for direction in (UP, DOWN)}
        self.lending = Lending(loop)

    @property
    def is_plain(self) -> bool:
        """Whether bytes go in both directions as they come."""
        return all(path.is_plain for path in self.paths.values())
