"""Whose something is that a harness has left a note of: a process, of one machine and one name space.

A state folder or an engine may be shared by machines and containers. A process of another one looks
dead from here, so a note says where its process is, and what cannot be judged from here is left alone.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any, Literal

from bench.stack.supervisor.process_identity import ProcessIdentity

Fate = Literal["alive", "gone", "unknown"]


def own_entry() -> dict[str, Any]:
    """This process: its identity, its machine and its name space of process numbers."""
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    return {**identity.to_json(), "host": platform.node(), "pids": _name_space()}


def fate_of(entry: Any) -> Fate:
    """What became of the process of an entry; unknown where that cannot be judged from here."""
    identity, ours = ProcessIdentity.from_json(entry), ProcessIdentity.of(os.getpid())
    if identity is None or ours is None:
        return "unknown"
    host, name_space = entry.get("host"), entry.get("pids")
    if host is not None and host != platform.node():
        return "unknown"
    if identity.boot_id != ours.boot_id:
        # The same machine before it was started anew. Without a host it may be any machine.
        return "unknown" if host is None else "gone"
    if identity.is_alive():
        return "alive"
    # From another name space a living process looks like none.
    return "gone" if name_space in (None, _name_space()) else "unknown"


def place_of(entry: Any) -> str:
    """Where the process of an entry is or was, in words."""
    if not isinstance(entry, dict) or entry.get("host") is None:
        return "another machine, or this one before it was started anew"
    if entry["host"] != platform.node():
        return f"the machine {entry['host']}"
    return "another container or name space of process numbers of this machine"


def _name_space() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0
