"""Faults on containers: kill, crash, stop, start, restart, pause, and the way off the network and back.

Each act gives its times and its proof. When it took effect is the engine's own word, an event with
a stamp in ns, or the kernel's where that is earlier: the engine reports a death some 30 ms late. What the
engine does differently than one expects:

- `docker kill` counts as a stop by hand, so the restart policy does not act: it must be started again;
- a process that is killed from the host is a crash to the engine, and the restart policy acts;
- an inspected `Health` says unhealthy as soon as a container is paused or dead, without any check.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bench.core.clock import NS_PER_S, WallLabel, monotonic_ns
from bench.core.errors import TargetError
from bench.stack.docker.client import explanation
from bench.stack.docker.container_facts import is_frozen
from bench.stack.docker.events import awaited_events, wall_text
from chaos.container_view import Endpoint, engine, missing_or_different, off, on, victim, view
from chaos.processes import ExitWatcher, wait_until
from chaos.schedule import Proof, Timestamps

EVENT_S = 3.0
"""How long to wait for the engine's event of an act that has returned."""
GRACE_S = 5
"""How long an ordered end may take before the engine kills; its own default is 10."""
POLL_S = 0.005
SETTLE_POLL_S = 0.05
MOST_SETTLE_S = 20.0
"""Longer than any order to the engine is under way, whatever the wall clock says."""
ON_ALL = "on all its networks, as it was"
_SO_ALREADY = (304, 409)
"""What was asked for is so already, or has just become so by itself."""


@dataclass(frozen=True)
class ContainerAct:
    """One act on a container."""

    times: Timestamps
    proof: Proof
    pid_before: int | None
    """Its first process when the act began."""


def kill(container: str) -> ContainerAct:
    """`docker kill`: SIGKILL by the engine. Only `start` starts it again."""
    # Nothing outlives this signal: when the engine has sent it, the process is gone.
    return _ending(container, lambda: engine().kill(container, "SIGKILL"), ("kill", "die"))


def crash(container: str) -> ContainerAct:
    """SIGKILL to the container's first process from the host; the restart policy acts.

    Raises TargetError when that process cannot be reached from here: see why_no_crash.
    """
    hit = victim(container, running=True)
    identity = hit.host_process()
    if isinstance(identity, str):
        advice = "use kill, which the engine does, or run bench as root on the engine's machine"
        raise hit.refusal("a process that may be killed from here", identity, advice)
    return _ending(container, lambda: identity.send(signal.SIGKILL), ("die",))


def stop(container: str, grace_s: int = GRACE_S) -> ContainerAct:
    """The signal that the image says, then SIGKILL after the grace. It stays down until `start`."""
    return _ending(container, lambda: engine().stop(container, timeout=grace_s), ("die",))


def restart(container: str, grace_s: int = GRACE_S) -> ContainerAct:
    """`stop` and `start` by the engine in one go; took effect when the old process ended."""
    return _ending(container, lambda: engine().restart(container, timeout=grace_s), ("die",))


def start(container: str) -> ContainerAct:
    """Start it, if it does not run. Took effect when the engine had started it; that it answers is more."""
    before = view(container)
    if before.is_running and not before.is_restarting:
        return _so_already(f"it runs already as process {before.pid}", before.pid)
    times, _ = _timed(container, [lambda: engine().start(container)], ("start",))
    pid = view(container).pid
    proof = Proof(pid is not None, f"process {pid} was started" if pid else "it has no process")
    return ContainerAct(times, proof, None)


def pause(container: str) -> ContainerAct:
    """Freeze all its processes: its port stays open, and nothing answers."""
    pid = victim(container, running=True).pid
    times, _ = _timed(container, [lambda: engine().pause(container)], ("pause",))
    frozen = wait_until(lambda: is_frozen(pid) is not False, EVENT_S, POLL_S)
    after = view(container)
    words = {True: ", its processes are frozen", False: ", but its processes run", None: ""}
    proof = Proof(after.is_paused and frozen, f"the engine says {after.status}{words[is_frozen(pid)]}")
    return ContainerAct(times, proof, pid)


def unpause(container: str) -> ContainerAct:
    """Let it go on, if it is paused."""
    before = view(container)
    if not before.is_paused:
        return _so_already("it is not paused", before.pid)
    times, _ = _timed(container, [lambda: engine().unpause(container)], ("unpause",))
    after = view(container)
    proof = Proof(not after.is_paused, f"the engine says {after.status}")
    return ContainerAct(times, proof, before.pid)


def disconnect(container: str) -> tuple[ContainerAct, tuple[Endpoint, ...]]:
    """Take it off all its networks; what comes back is needed for `connect`."""
    hit = victim(container, running=True)
    if (why := hit.why_no_disconnect) is not None:
        advice = "use pause, or a fault on the network path"
        raise hit.refusal("a container with a network of its own", why, advice)
    known = hit.endpoints
    steps = [partial(off, container, one) for one in known]
    times, _ = _timed(container, steps, ("disconnect",), known[-1].network)
    left = [one.name for one in view(container).endpoints]
    names = ", ".join(one.name for one in known)
    proof = Proof(not left, f"still on {', '.join(left)}" if left else f"off {names}")
    return ContainerAct(times, proof, hit.pid), known


def connect(container: str, known: tuple[Endpoint, ...]) -> ContainerAct:
    """Connect it to networks again where it is not connected as it was, each with all that was asked for.

    Every one is tried, whatever became of the others. Raises TargetError where one was refused.
    """
    before = view(container)
    now, pid = before.endpoints, before.pid
    waiting = [one for one in known if missing_or_different([one], now)]
    if not waiting:
        return _so_already(ON_ALL, pid)
    steps = []
    for one in waiting:
        if any(one.is_same_network(other) for other in now):  # another has connected it, without the rest
            steps.append(partial(off, container, one))
        steps.append(partial(on, container, one))
    times, _ = _timed(container, steps, ("connect",), waiting[-1].network)
    wrong = endpoints_that_differ(container, known)
    proof = Proof(wrong is None, wrong or ON_ALL)
    return ContainerAct(times, proof, pid)


def endpoints_that_differ(container: str, known: tuple[Endpoint, ...]) -> str | None:
    """How its networks differ from what was asked for; None when all is as it was."""
    return "; ".join(missing_or_different(known, view(container).endpoints)) or None


def healed(container: str, heal: Callable[[], ContainerAct], settled_at: float = 0.0) -> str | None:
    """Heal it, and again until nothing can be under way any more that would break it after all.

    None when the act's proof holds, or the container is not there any more; else what is wrong.
    settled_at: seconds since the epoch until which an order of a process that is gone may still take effect.
    """
    from docker.errors import APIError, DockerException, NotFound

    left_s = settled_at - WallLabel.read().wall_ns / NS_PER_S
    deadline = time.monotonic() + min(left_s, MOST_SETTLE_S)
    try:
        engine().inspect_container(container)
        while (act := heal()).proof.holds and time.monotonic() < deadline:
            time.sleep(SETTLE_POLL_S)
    except NotFound:
        return None  # removed with all that was wrong with it
    except TargetError as error:
        return str(error)
    except (APIError, DockerException, OSError) as error:
        return f"container {container[:12]}: {explanation(error)}"
    return None if act.proof.holds else f"container {container[:12]}: {act.proof.text}"


def _ending(container: str, act: Callable[[], Any], events: Sequence[str]) -> ContainerAct:
    """An act that ends the container's process. events: all that say that it has ended, `die` the last."""
    hit = victim(container, running=True)
    pid, identity = hit.pid, hit.seen_process
    death = ExitWatcher(identity) if identity is not None else None
    times, reported = _timed(container, [act], events)
    died_ns = death.moment() if death is not None else None
    # Each of them comes after the death: the earliest is the nearest to it.
    effective = min((at_ns for at_ns in (died_ns, *reported.values()) if at_ns is not None), default=None)
    after = view(container)
    seen = f"process {pid} is gone" if died_ns is not None else f"process {pid} is not to be seen from here"
    later = "the engine reported no death"
    if "die" in reported and effective is not None:
        later = f"the engine reported its death {(reported['die'] - effective) / 1e6:.0f} ms later"
    code = f" with exit code {after.exit_code}" if not after.is_running else ""
    proof = Proof(
        "die" in reported and after.pid != pid, f"{seen}, {later} and now says {after.status}{code}"
    )
    return ContainerAct(replace(times, effective_ns=effective), proof, pid)


def _timed(
    container: str, steps: Sequence[Callable[[], Any]], events: Sequence[str], network: str | None = None
) -> tuple[Timestamps, dict[str, int]]:
    """Take every step, and wait for the engine's events of the last; effective is the last of them.

    Raises TargetError with all that the engine refused.
    """
    from docker.errors import APIError

    before, asked = wall_text(), monotonic_ns()
    refused = []
    for step in steps:
        try:
            step()
        except APIError as error:
            if error.status_code not in _SO_ALREADY:
                refused.append(explanation(error))
    if refused:
        expected = f"an engine that does what ends in the event {events[-1]}"
        raise TargetError(
            container[:12], "the Docker engine", expected, "; ".join(refused), "look at the engine's log"
        )
    returned = monotonic_ns()
    reported = awaited_events(engine(), container, events, before, EVENT_S, network)
    return Timestamps(asked, returned, reported.get(events[-1])), reported


def _so_already(text: str, pid: int | None) -> ContainerAct:
    now = monotonic_ns()
    return ContainerAct(Timestamps(now, now), Proof(True, text), pid)
