"""How faults are undone, by anyone, from what stands in the journal.

An undo is a JSON object with the name of a way and what that way needs. Undoing twice is harmless, and
so is undoing what never happened: the entry is written before the fault.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.stack.process_identity import ProcessIdentity
from chaos.processes import STOPPED_STATES, family, send_all, state_of, wait_until

CONTINUED_S = 2.0
ENDED_S = 5.0

Undo = dict[str, Any]


def continue_processes(processes: list[ProcessIdentity]) -> Undo:
    """Let stopped processes go on, and all that descend from them by then."""
    return {"way": "continue_processes", "processes": [process.to_json() for process in processes]}


def end_processes(processes: list[ProcessIdentity]) -> Undo:
    """Kill processes of our own."""
    return {"way": "end_processes", "processes": [process.to_json() for process in processes]}


def remove_file(path: Path) -> Undo:
    """Remove a file of our own."""
    return {"way": "remove_file", "path": str(path)}


def nothing() -> Undo:
    """Nothing can be left: it ends with the harness, or is over when it has happened."""
    return {"way": "nothing"}


def unpause_container(container: str) -> Undo:
    """Let a paused container go on."""
    return {"way": "unpause_container", "container": container}


def start_container(container: str) -> Undo:
    """Start a container again that was stopped or killed."""
    return {"way": "start_container", "container": container}


def connect_container(container: str, network: str, aliases: list[str]) -> Undo:
    """Connect a container to its network again."""
    return {"way": "connect_container", "container": container, "network": network, "aliases": aliases}


def undo(entry: Undo) -> str | None:
    """Undo it and look whether that worked; None when it did, else what is still wrong."""
    name = entry.get("way") if isinstance(entry, dict) else None
    way = _WAYS.get(str(name))
    if way is None:
        return f"this version does not know how to undo '{name}'"
    try:
        return way(entry)
    except (KeyError, TypeError, ValueError):
        return f"its entry for '{name}' is damaged"


def _processes(entry: Undo) -> list[ProcessIdentity]:
    found = (ProcessIdentity.from_json(one) for one in entry.get("processes", ()))
    return [process for process in found if process is not None]


def _continue(entry: Undo) -> str | None:
    roots = _processes(entry)
    # A child that was forked between the note and the fault was stopped too. Children first.
    found = [one for root in roots if root.is_alive() for one in family(root.pid)]
    processes = list(dict.fromkeys([*reversed(found), *roots]))
    send_all(processes, signal.SIGCONT)

    def stopped() -> list[int]:
        return [process.pid for process in processes if (state_of(process) or "-") in STOPPED_STATES]

    if wait_until(lambda: not stopped(), CONTINUED_S):
        return None
    return f"processes {', '.join(map(str, stopped()))} are still stopped"


def _end(entry: Undo) -> str | None:
    processes = _processes(entry)
    for process in processes:
        process.send(signal.SIGKILL)
    left = [process.pid for process in processes if not process.wait(ENDED_S)]
    return f"processes {left} are still there" if left else None


def _remove(entry: Undo) -> str | None:
    try:
        Path(str(entry.get("path"))).unlink(missing_ok=True)
    except OSError as error:
        return f"{entry.get('path')} is still there: {error.strerror}"
    return None


def _unpause(entry: Undo) -> str | None:
    from chaos import containers

    return containers.undo_pause(str(entry["container"]))


def _start(entry: Undo) -> str | None:
    from chaos import containers

    return containers.undo_stop(str(entry["container"]))


def _connect(entry: Undo) -> str | None:
    from chaos import containers

    return containers.undo_disconnect(str(entry["container"]), str(entry["network"]), list(entry["aliases"]))


_WAYS: dict[str, Callable[[Undo], str | None]] = {
    "nothing": lambda _: None,
    "continue_processes": _continue,
    "end_processes": _end,
    "remove_file": _remove,
    "unpause_container": _unpause,
    "start_container": _start,
    "connect_container": _connect,
}
