"""What the proxy says of a toxic and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Applied:
    """A toxic that was brought into force. Times in ns on CLOCK_MONOTONIC."""

    number: int
    kind: str
    settings: Mapping[str, Any]
    asked_ns: int
    effective_ns: int
    """From then on no byte of any connection, live or new, passed by the old rules."""
    applied_ns: int
    """Every live connection had been dealt with: reset, say, which takes some 30 us each."""
    returned_ns: int
    connections: int
    """How many were live then."""


@dataclass(frozen=True)
class ProxyStats:
    """What the proxy has done since its start, and what it holds at `at_ns`."""

    at_ns: int
    accepted: int
    connected: int
    """Of the accepted, so many were given a connection to upstream."""
    upstream_refused: int
    """Clients that were reset because upstream refused."""
    dials_timed_out: int
    dials_failed: int
    """Clients that were reset because the proxy had no descriptor or port left."""
    resets_passed_on: int
    up_bytes: int
    """From clients to upstream."""
    down_bytes: int
    connections: int
    """Live ones."""
    waiting: int
    """Clients without a connection to upstream yet."""
    held_up_bytes: int
    """Read and not sent on yet."""
    held_down_bytes: int
    unread_up_bytes: int
    """Held by a black hole in the kernel."""
    unread_down_bytes: int
    is_listening: bool
    upstream_refuses: bool
    refused_ns: int | None
    """When upstream was last found to refuse."""
    back_ns: int | None
    """When upstream was last found to listen again."""
    relay: str
    """Of the compiled loop: "running", "standing still" under a toxic, "loading", or why there is none."""
    in_force: tuple[int, ...]
    effects: Mapping[int, Mapping[str, int]]
    """What each toxic in force has done: {"count", "bytes"} by its number."""

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> ProxyStats:
        """From the proxy's answer."""
        values = {one.name: answer[one.name] for one in fields(cls)}
        values["in_force"] = tuple(answer["in_force"])
        values["effects"] = {int(number): effect for number, effect in answer["effects"].items()}
        return cls(**values)
