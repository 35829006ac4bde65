"""How faults are undone, by anyone, from what stands in the journal.

An undo is a JSON object with the name of a way and what that way needs. Undoing twice is harmless, and
so is undoing what never happened: the entry is written before the fault.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.core.clock import NS_PER_S, WallLabel
from bench.stack.docker.client import ADDRESS, engine_host
from bench.stack.supervisor.processes import ProcessIdentity
from chaos.container_view import Endpoint
from chaos.processes import STOPPED_STATES, family, state_of, wait_until

CONTINUED_S = 2.0
ENDED_S = 5.0
ORDER_S = 0.5
"""How long an order to the engine may be under way when who gave it is gone."""

Undo = dict[str, Any]


def continue_processes(processes: list[ProcessIdentity]) -> Undo:
    """Let stopped processes go on, and all that descend from them by then."""
    return {"way": "continue_processes", "processes": [asdict(process) for process in processes]}


def end_processes(processes: list[ProcessIdentity]) -> Undo:
    """Kill processes of our own."""
    return {"way": "end_processes", "processes": [asdict(process) for process in processes]}


def remove_file(path: Path) -> Undo:
    """Remove a file of our own."""
    return {"way": "remove_file", "path": str(path)}


def nothing() -> Undo:
    """Nothing can be left: it ends with the harness, or is over when it has happened."""
    return {"way": "nothing"}


def unpause_container(container: str) -> Undo:
    """Let a paused container go on."""
    return _on_engine("unpause_container", container)


def start_container(container: str, grace_s: float = 0.0) -> Undo:
    """Start a container again that was stopped or killed. grace_s: how long its end may take."""
    return given_later(_on_engine("start_container", container), grace_s)


def connect_container(container: str, endpoints: Sequence[Endpoint]) -> Undo:
    """Connect a container to its networks again, to each as it was."""
    entry = _on_engine("connect_container", container)
    return entry | {"endpoints": [one.to_json() for one in endpoints]}


def _on_engine(way: str, container: str) -> Undo:
    """settled_at, in seconds since the epoch: from then on no order of who is gone is still under way."""
    return {
        "way": way,
        "container": container,
        "engine": engine_host(),
        "settled_at": WallLabel.read().wall_ns / NS_PER_S + ORDER_S,
    }


def given_later(entry: Undo, seconds: float) -> Undo:
    """The same for a fault that may be made so much later than it is noted."""
    return entry | ({"settled_at": entry["settled_at"] + seconds} if "settled_at" in entry else {})


def undo(entry: Undo) -> str | None:
    """Undo it and look whether that worked; None when it did, else what is still wrong.

    Whatever goes wrong here is told and not raised: the next entry is to be undone too.
    """
    name = entry.get("way") if isinstance(entry, dict) else None
    way = _WAYS.get(str(name))
    if way is None:
        return f"this version does not know how to undo '{name}'"
    try:
        return way(entry)
    except (KeyError, TypeError, ValueError):
        return f"its entry for '{name}' is damaged"
    except Exception as error:  # noqa: BLE001 - of any library that a way goes through
        return f"{type(error).__name__}: {error}"


def nothing_left(entry: Undo) -> str | None:
    """Why there is nothing to undo, asked before `undo`; None where there may be something."""
    if not isinstance(entry, dict) or entry.get("way") not in ("continue_processes", "end_processes"):
        return None
    try:
        processes = _processes(entry)
    except (TypeError, ValueError):
        return None
    if not processes or any(process.is_alive() for process in processes):
        return None
    numbers = ", ".join(str(process.pid) for process in processes)
    if len(processes) == 1:
        return f"process {numbers} has ended, and its number may be another's by now"
    return f"processes {numbers} have ended, and their numbers may be others' by now"


def _processes(entry: Undo) -> list[ProcessIdentity]:
    found = (ProcessIdentity.from_json(one) for one in entry.get("processes", ()))
    return [process for process in found if process is not None]


def _continue(entry: Undo) -> str | None:
    roots = _processes(entry)
    # A child that was forked between the note and the fault was stopped too. Children first.
    found = [one for root in roots if root.is_alive() for one in family(root.pid)]
    processes = list(dict.fromkeys([*reversed(found), *roots]))
    refused = _send_each(processes, signal.SIGCONT)

    def stopped() -> list[int]:
        return [process.pid for process in processes if (state_of(process) or "-") in STOPPED_STATES]

    if wait_until(lambda: not stopped(), CONTINUED_S):
        return None
    return f"processes {', '.join(map(str, stopped()))} are still stopped{refused}"


def _end(entry: Undo) -> str | None:
    processes = _processes(entry)
    refused = _send_each(processes, signal.SIGKILL)
    left = [process.pid for process in processes if not process.wait(ENDED_S)]
    return f"processes {', '.join(map(str, left))} are still there{refused}" if left else None


def _send_each(processes: Sequence[ProcessIdentity], number: signal.Signals) -> str:
    """Send each the signal, whatever becomes of the others; what the kernel said where it did not."""
    refused: dict[str, None] = {}
    for process in processes:
        try:
            process.send(number)
        except OSError as error:  # another user's, say
            refused[f": {error.strerror}"] = None
    return "".join(refused)


def _remove(entry: Undo) -> str | None:
    try:
        Path(str(entry.get("path"))).unlink(missing_ok=True)
    except OSError as error:
        return f"{entry.get('path')} is still there: {error.strerror}"
    return None


def _unpause(entry: Undo) -> str | None:
    from chaos import containers

    return _elsewhere(entry) or containers.undo_pause(str(entry["container"]), _settled_at(entry))


def _start(entry: Undo) -> str | None:
    from chaos import containers

    return _elsewhere(entry) or containers.undo_stop(str(entry["container"]), _settled_at(entry))


def _connect(entry: Undo) -> str | None:
    from chaos import containers

    if wrong := _elsewhere(entry):
        return wrong
    container = str(entry["container"])
    known = (
        tuple(Endpoint.from_json(one) for one in entry["endpoints"])
        if "endpoints" in entry
        else (_endpoint_of_before(entry),)
    )
    return containers.undo_disconnect(container, known, _settled_at(entry))


def _endpoint_of_before(entry: Undo) -> Endpoint:
    """Older versions noted one network and the names there; the address stood in a label of ours."""
    from docker.errors import NotFound

    from chaos import container_view

    try:
        labels = container_view.engine().inspect_container(str(entry["container"]))["Config"].get("Labels")
    except NotFound:
        labels = None
    return Endpoint.from_json(entry | {"ipv4": (labels or {}).get(ADDRESS, "")})


def _elsewhere(entry: Undo) -> str | None:
    """Another engine does not know the container, which must not pass for one that was removed."""
    made_on = str(entry.get("engine") or engine_host())
    if made_on == engine_host():
        return None
    return (
        f"it was done to a container of the engine {made_on}, and DOCKER_HOST now leads to {engine_host()}; "
        f"run: DOCKER_HOST={made_on} bench heal"
    )


def _settled_at(entry: Undo) -> float:
    return float(entry.get("settled_at", 0.0))


_WAYS: dict[str, Callable[[Undo], str | None]] = {
    "nothing": lambda _: None,
    "continue_processes": _continue,
    "end_processes": _end,
    "remove_file": _remove,
    "unpause_container": _unpause,
    "start_container": _start,
    "connect_container": _connect,
}
