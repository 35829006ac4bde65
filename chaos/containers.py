"""Faults on containers: kill, crash, stop, start, restart, pause, and the way off the network and back.

Each act gives its three times and its proof. When it took effect is the kernel's word for a death, which
the engine tells some 30 ms later, and the engine's own event with its stamp in ns for all else. What the
engine does differently than one expects:

- `docker kill` counts as a stop by hand, so the restart policy does not act: who kills must start;
- a process that is killed from the host is a crash to the engine, and the restart policy acts;
- an inspected `Health` says unhealthy as soon as a container is paused or dead, without any check.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.clock import monotonic_ns
from bench.errors import TargetError
from bench.stack.docker.container_facts import cgroup_of, is_frozen, is_opted_in, policy_of
from bench.stack.docker.engine import connect_engine, said
from bench.stack.docker.engine_events import awaited_event, wall_text
from bench.stack.docker.labels import ADDRESS, ALLOW, CHAOS
from bench.stack.process_identity import ProcessIdentity
from chaos.death_watch import DeathWatch
from chaos.processes import wait_until
from chaos.stamps import Proof, Stamps

if TYPE_CHECKING:
    from docker import APIClient

EVENT_S = 3.0
"""How long to wait for the engine's event of an act that has returned."""
STARTED_S = 10.0
GRACE_S = 5
"""How long an ordered end may take before the engine kills; its own default is 10."""
POLL_S = 0.005


@dataclass(frozen=True)
class ContainerAct:
    """One act on a container."""

    what: str
    container: str
    stamps: Stamps
    proof: Proof
    pid_before: int | None
    pid_after: int | None
    event_ns: int | None = None
    """When the engine says that it happened."""


@dataclass(frozen=True)
class Membership:
    """A container's place in one network, as it is needed to connect it again."""

    network: str
    aliases: tuple[str, ...]


# --- what breaks ------------------------------------------------------------------------------------


def kill(container: str) -> ContainerAct:
    """`docker kill`: SIGKILL by the engine. Nobody starts it again but who calls `start`."""
    return _ending("kill", container, lambda engine: engine.kill(container, "SIGKILL"))


def crash(container: str) -> ContainerAct:
    """SIGKILL to the container's first process from the host; the restart policy acts.

    Raises TargetError when that process cannot be reached from here: see why_no_crash.
    """
    engine = _engine()
    inspected = _victim(engine, container)
    identity = _host_process(inspected)
    if isinstance(identity, str):
        raise _refusal(inspected, "a process that may be killed from here", identity)
    return _ending("crash", container, lambda _: identity.send(signal.SIGKILL))


def stop(container: str, grace_s: int = GRACE_S) -> ContainerAct:
    """The signal that the image says, then SIGKILL after the grace. It stays down until `start`."""
    return _ending("stop", container, lambda engine: engine.stop(container, timeout=grace_s))


def restart(container: str, grace_s: int = GRACE_S) -> ContainerAct:
    """`stop` and `start` by the engine in one go; took effect when the old process ended."""
    return _ending("restart", container, lambda engine: engine.restart(container, timeout=grace_s))


def pause(container: str) -> ContainerAct:
    """Freeze all its processes: its port stays open, and nothing answers."""
    engine = _engine()
    inspected = _victim(engine, container)
    pid = _pid(inspected)
    stamps = _stamped(engine, container, "pause", lambda: engine.pause(container))
    frozen = wait_until(lambda: is_frozen(pid) is not False, EVENT_S, POLL_S)
    state = _state(engine, container)
    holds = bool(state["Paused"]) and frozen
    by_kernel = {True: ", its processes are frozen", False: ", but its processes run", None: ""}[
        is_frozen(pid)
    ]
    return ContainerAct(
        "pause", container, stamps, Proof(holds, f"the engine says {state['Status']}{by_kernel}"), pid, pid
    )


def disconnect(container: str) -> tuple[ContainerAct, tuple[Membership, ...]]:
    """Take it off all its networks; what comes back is needed for `connect`."""
    engine = _engine()
    inspected = _victim(engine, container)
    known = memberships(container)
    if not known:
        raise _refusal(inspected, "a container with a network of its own", "one without")
    asked, before = monotonic_ns(), wall_text()
    for one in known:
        engine.disconnect_container_from_network(container, one.network)
    returned = monotonic_ns()
    effective = awaited_event(engine, container, "disconnect", before, EVENT_S, network=known[-1].network)
    left = _networks(engine, container)
    text = f"off {', '.join(_network_name(engine, one.network) for one in known)}"
    proof = Proof(not left, text if not left else f"still on {', '.join(left)}")
    pid = _pid(inspected)
    return ContainerAct("disconnect", container, Stamps(asked, returned, effective), proof, pid, pid), known


# --- what mends -------------------------------------------------------------------------------------


def start(container: str) -> ContainerAct:
    """Start it, if it does not run. Took effect when the engine had started it; that it answers is more."""
    engine = _engine()
    before = _state(engine, container)
    if before["Running"] and not before["Restarting"]:
        now = monotonic_ns()
        pid = before["Pid"]
        return ContainerAct(
            "start", container, Stamps(now, now), Proof(True, f"it runs already: {pid}"), pid, pid
        )
    stamps = _stamped(engine, container, "start", lambda: engine.start(container))
    pid = _state(engine, container)["Pid"] or None
    proof = Proof(pid is not None, f"process {pid} was started" if pid else "it has no process")
    return ContainerAct("start", container, stamps, proof, None, pid)


def unpause(container: str) -> ContainerAct:
    """Let it go on, if it is paused."""
    engine = _engine()
    state = _state(engine, container)
    pid = state["Pid"] or None
    if not state["Paused"]:
        now = monotonic_ns()
        return ContainerAct("unpause", container, Stamps(now, now), Proof(True, "it is not paused"), pid, pid)
    stamps = _stamped(engine, container, "unpause", lambda: engine.unpause(container))
    state = _state(engine, container)
    return ContainerAct(
        "unpause",
        container,
        stamps,
        Proof(not state["Paused"], f"the engine says {state['Status']}"),
        pid,
        state["Pid"] or None,
    )


def connect(container: str, known: tuple[Membership, ...]) -> ContainerAct:
    """Connect it to networks again where it is not connected, under its names and with its address."""
    engine = _engine()
    asked, before = monotonic_ns(), wall_text()
    address = _labels(_inspect(engine, container)).get(ADDRESS)
    done = [one for one in known if one.network not in _networks(engine, container)]
    for one in done:
        engine.connect_container_to_network(
            container, one.network, aliases=list(one.aliases), ipv4_address=address
        )
    returned = monotonic_ns()
    effective = (
        awaited_event(engine, container, "connect", before, EVENT_S, network=done[-1].network)
        if done
        else None
    )
    missing = {one.network for one in known} - set(_networks(engine, container))
    pid = _pid(_inspect(engine, container))
    proof = Proof(not missing, "on all its networks" if not missing else f"off {', '.join(sorted(missing))}")
    return ContainerAct("connect", container, Stamps(asked, returned, effective), proof, pid, pid)


def undo_pause(container: str) -> str | None:
    """Unpause it; None when it is not paused, or not there, any more, else what is wrong."""
    return _undone(container, lambda: unpause(container))


def undo_stop(container: str) -> str | None:
    """Start it; None when it runs, or is not there any more, else what is wrong."""
    return _undone(container, lambda: start(container))


def undo_disconnect(container: str, network: str, aliases: list[str]) -> str | None:
    """Connect it; None when it is connected, or not there any more, else what is wrong."""
    return _undone(container, lambda: connect(container, (Membership(network, tuple(aliases)),)))


# --- what is known ----------------------------------------------------------------------------------


def check(container: str) -> None:
    """That faults may hit this container, and that it runs. Raises TargetError."""
    inspected = _victim(_engine(), container)
    if _pid(inspected) is None:
        raise _refusal(inspected, "a container that runs", f"one that is {inspected['State']['Status']}")


def why_no_crash(container: str) -> str | None:
    """Why its process cannot be killed from here; None when it can. Nothing is done."""
    found = _host_process(_inspect(_engine(), container))
    return found if isinstance(found, str) else None


def restart_policy(container: str) -> str:
    """The engine's name for what it does when the container dies: no, always, on-failure, unless-stopped."""
    return policy_of(_inspect(_engine(), container))


def memberships(container: str) -> tuple[Membership, ...]:
    """The networks that it is on, with the names that it has there."""
    networks = _inspect(_engine(), container)["NetworkSettings"]["Networks"]
    own = container[:12]
    return tuple(
        Membership(one["NetworkID"], tuple(name for name in one.get("Aliases") or () if name != own))
        for one in networks.values()
        if one.get("NetworkID")
    )


def pid_of(container: str) -> int | None:
    """Its first process as the host numbers it; None while it is down."""
    return _pid(_inspect(_engine(), container))


@cache
def _engine() -> APIClient:
    return connect_engine()


def _inspect(engine: APIClient, container: str) -> dict[str, Any]:
    from docker.errors import APIError

    try:
        found: dict[str, Any] = engine.inspect_container(container)
    except APIError as error:
        raise TargetError(
            container[:12], "the Docker engine", "a container", said(error), "start the stack again"
        ) from None
    return found


def _victim(engine: APIClient, container: str) -> dict[str, Any]:
    inspected = _inspect(engine, container)
    if not is_opted_in(inspected):
        raise _refusal(
            inspected, f"a container with the label {CHAOS}={ALLOW}", "one without, which no fault may hit"
        )
    return inspected


def _refusal(inspected: dict[str, Any], expected: str, found: str) -> TargetError:
    name = str(inspected.get("Name") or inspected["Id"][:12]).lstrip("/")
    advice = (
        f"give it the label {CHAOS}={ALLOW} if faults may hit it"
        if CHAOS in expected
        else "choose another fault, or run bench as root on the engine's own machine"
    )
    return TargetError(name, "the Docker engine", expected, found, advice)


def _ending(what: str, container: str, act: Callable[[APIClient], Any]) -> ContainerAct:
    """An act that ends the container's process."""
    engine = _engine()
    inspected = _victim(engine, container)
    pid = _pid(inspected)
    if pid is None:
        raise _refusal(inspected, "a container that runs", f"one that is {inspected['State']['Status']}")
    identity = _seen_process(inspected)
    death = DeathWatch(identity) if identity is not None else None
    stamps = _stamped(engine, container, "die", lambda: act(engine))
    died_ns = death.moment() if death is not None else None
    state = _state(engine, container)
    after = state["Pid"] or None
    told = stamps.effective_ns
    gone = f"process {pid} is gone" if died_ns else f"process {pid} is not to be seen from here"
    if told is not None:
        later = f" {(told - died_ns) / 1e6:.0f} ms later" if died_ns else ""
        gone += f", the engine told it{later}"
    code = f" with exit code {state['ExitCode']}" if not state["Running"] else ""
    return ContainerAct(
        what,
        container,
        Stamps(stamps.asked_ns, stamps.returned_ns, died_ns or told),
        Proof(told is not None and after != pid, f"{gone} and now says {state['Status']}{code}"),
        pid,
        after,
        told,
    )


def _stamped(engine: APIClient, container: str, event: str, act: Callable[[], Any]) -> Stamps:
    from docker.errors import APIError

    before, asked = wall_text(), monotonic_ns()
    try:
        act()
    except APIError as error:
        returned = monotonic_ns()
        if error.status_code not in (304, 409):  # it is so already, or has just become so by itself
            raise TargetError(
                container[:12],
                "the Docker engine",
                f"to {event} a container",
                said(error),
                "look at the engine",
            ) from None
    else:
        returned = monotonic_ns()
    return Stamps(asked, returned, awaited_event(engine, container, event, before, EVENT_S))


def _seen_process(inspected: dict[str, Any]) -> ProcessIdentity | None:
    """The container's first process; None where it is not to be seen from here.

    The engine may run in another machine or name space, where the number is another process's.
    """
    pid = _pid(inspected)
    identity = None if pid is None else ProcessIdentity.of(pid)
    return identity if inspected["Id"] in (cgroup_of(pid) or "") else None


def _host_process(inspected: dict[str, Any]) -> ProcessIdentity | str:
    """The container's first process, held by its identity; or why it is out of reach."""
    if _pid(inspected) is None:
        return f"a container that is {inspected['State']['Status']}"
    identity = _seen_process(inspected)
    if identity is None:
        return "an engine whose processes are not to be seen from here"
    try:
        os.kill(identity.pid, 0)
    except PermissionError:
        return "a process that this user may not signal"
    except ProcessLookupError:
        return "a process that has just ended"
    return identity


def _undone(container: str, mend: Callable[[], ContainerAct]) -> str | None:
    from docker.errors import APIError, NotFound

    try:
        _engine().inspect_container(container)
    except NotFound:
        return None  # removed with all that was wrong with it
    except (APIError, TargetError) as error:
        return said(error)
    try:
        act = mend()
    except (APIError, TargetError) as error:
        return said(error)
    return None if act.proof.holds else f"container {container[:12]}: {act.proof.text}"


def _pid(inspected: dict[str, Any]) -> int | None:
    return inspected["State"]["Pid"] or None


def _state(engine: APIClient, container: str) -> dict[str, Any]:
    found: dict[str, Any] = _inspect(engine, container)["State"]
    return found


def _labels(inspected: dict[str, Any]) -> dict[str, str]:
    return inspected["Config"].get("Labels") or {}


def _networks(engine: APIClient, container: str) -> list[str]:
    networks = _inspect(engine, container)["NetworkSettings"]["Networks"]
    return [one["NetworkID"] for one in networks.values() if one.get("NetworkID")]


def _network_name(engine: APIClient, network: str) -> str:
    from docker.errors import APIError

    try:
        return str(engine.inspect_network(network)["Name"])
    except APIError:
        return network[:12]
