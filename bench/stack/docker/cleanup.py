"""Removes what a run has made in the engine: containers, then networks, then volumes.

    python -P -m bench.stack.docker.cleanup RUN HARNESS_PID

is the reaper, a process that does so when the harness is gone, however it ended. It prints "ready"
when it watches. Then it waits for the end of its stdin, or of the harness's process, and removes what
carries the run's label. Signals of a terminal do not reach it, for it has its own session; SIGTERM
makes it remove everything too. Should it be killed together with the harness, the next start sweeps.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bench.core.child_process import HelperProcess, for_python
from bench.stack.docker.client import HARNESS, RUN, connect_engine, is_left_over, no_engine

if TYPE_CHECKING:
    from docker import APIClient


AT_ONCE = 8
DEADLINE_S = 20.0
_GONE = (404, 409)
"""Not there any more, or just being removed by someone else: the next look shows which."""


def remove_run(engine: APIClient, run: str, deadline_s: float = DEADLINE_S) -> list[str]:
    """Remove all that carries the run's label; return the names of what is still there. Idempotent.

    Asked until nothing is found: the engine may finish a request of a harness that is gone already.
    """
    deadline = time.monotonic() + deadline_s
    while left := _look(engine, f"{RUN}={run}"):
        _remove(engine, left)
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return [name for _, name, _ in left]


def sweep(engine: APIClient) -> list[str]:
    """Remove what harnesses have left that are gone; return the runs."""
    runs = {
        labels[RUN]
        for _, _, labels in _look(engine, HARNESS)
        if RUN in labels and is_left_over(labels.get(HARNESS, ""))
    }
    for run in sorted(runs):
        remove_run(engine, run)
    return sorted(runs)


def left_overs(engine: APIClient) -> list[str]:
    """The names of what a sweep would remove."""
    return [name for _, name, labels in _look(engine, HARNESS) if is_left_over(labels.get(HARNESS, ""))]


Found = tuple[str, str, dict[str, str]]
"""(what: container, network or volume; its name or id; its labels)."""


def _look(engine: APIClient, label: str) -> list[Found]:
    filters = {"label": label}
    found: list[Found] = [
        ("container", entry["Id"], entry.get("Labels") or {})
        for entry in engine.containers(all=True, filters=filters)
    ]
    networks = engine.networks(filters=filters)
    found += [("network", entry["Id"], entry.get("Labels") or {}) for entry in networks]
    volumes = engine.volumes(filters=filters).get("Volumes") or []
    found += [("volume", entry["Name"], entry.get("Labels") or {}) for entry in volumes]
    return found


def _remove(engine: APIClient, found: Iterable[Found]) -> None:
    ways: dict[str, Callable[[str], Any]] = {
        "container": lambda name: engine.remove_container(name, v=True, force=True),
        "network": engine.remove_network,
        "volume": lambda name: engine.remove_volume(name, force=True),
    }
    entries = list(found)
    for what, way in ways.items():  # in this order: what is in use cannot be removed
        names = [name for kind, name, _ in entries if kind == what]
        if names:
            with ThreadPoolExecutor(min(len(names), AT_ONCE)) as threads:
                list(threads.map(lambda name, way=way: _quietly(way, name), names))


def _quietly(way: Callable[[str], Any], name: str) -> None:
    from docker.errors import APIError

    try:
        way(name)
    except APIError as error:
        # A network whose containers are just going is "in use" (403): asked again.
        if error.status_code not in (*_GONE, 403, 500):
            raise


READY_DEADLINE_S = 20.0
END_DEADLINE_S = 40.0
LAST_LOOK_AFTER_S = 1.0
IN_ORDER = b"end"


class Reaper:
    """The harness's side of it."""

    def __init__(self, run: str) -> None:
        self._helper = HelperProcess(["-P", "-m", __name__, run, str(os.getpid())], for_python())
        self.pid = self._helper.pid

    def wait_until_ready(self) -> None:
        """Return when it watches; from then on nothing that is made stays behind. Raises TargetError."""
        said = self._helper.process.stdout
        assert said is not None
        ready, _, _ = select.select([said], [], [], READY_DEADLINE_S)
        if not ready or self._helper.first_line() != b"ready\n":
            expected = "a reaper that watches over the containers"
            raise no_engine(
                expected, "one that did not come up", "start it again when the engine is less busy"
            )

    def end(self) -> None:
        """Let it remove what is left, and wait for its end. Idempotent."""
        if self._helper.process.returncode is None:
            self._helper.write_line(IN_ORDER)
        self._helper.end(END_DEADLINE_S)  # where the engine hangs, the next start sweeps


def main() -> None:
    """Be the reaper."""
    run, harness_pid = sys.argv[1], int(sys.argv[2])
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    engine = connect_engine()
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLIN)
    poll.register(reading, select.POLLIN)
    is_gone = False
    try:
        # A fork of the harness may hold the pipe open for longer than the harness lives.
        poll.register(os.pidfd_open(harness_pid), select.POLLIN)
    except OSError:
        is_gone = os.getppid() != harness_pid
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not is_gone:
        poll.poll()
    remove_run(engine, run)
    if not _ended_in_order():
        # The engine may still be at work on what the harness asked for just before its end.
        time.sleep(LAST_LOOK_AFTER_S)
        remove_run(engine, run)


def _ended_in_order() -> bool:
    os.set_blocking(sys.stdin.fileno(), False)
    with contextlib.suppress(BlockingIOError):
        return os.read(sys.stdin.fileno(), len(IN_ORDER)) == IN_ORDER
    return False


if __name__ == "__main__":
    main()
