"""Agents as processes, and what relays between them: pipes instead of Locust."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.helpers.prepared import start_bench

PATIENCE_S = 180


class Agent:
    """One `bench agent`: orders go in, what it says is handed to `on_say` in a thread."""

    def __init__(
        self,
        folder: Path,
        on_say: Callable[[dict[str, Any]], None] | None = None,
        under: tuple[str, ...] = (),
    ) -> None:
        outside = ("REDIS_URL", "DATABASE_", "API_URL", "HOLDFAST_")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(outside)}
        clean["XDG_STATE_HOME"] = str(folder / "state")
        self._errors = (folder / f"agent-{time.monotonic_ns()}.err").open("w+b")
        self.process = start_bench(["agent"], clean, under=under, stdin=subprocess.PIPE, stderr=self._errors)
        self.said: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._on_say = on_say or self.said.put
        self._guard = threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, order: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with self._guard, contextlib.suppress(OSError, ValueError):
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()

    def let_go(self) -> None:
        assert self.process.stdin is not None
        with self._guard, contextlib.suppress(OSError):
            self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._on_say(json.loads(line))
        self.process.stdout.close()
        self.said.put(None)

    def next_said(self, what: str) -> dict[str, Any]:
        """The next of its kind; all before it are passed over. Fails when the agent ends before."""
        while (one := self.said.get(timeout=PATIENCE_S)) is not None:
            if one["say"] == what:
                return one
        raise AssertionError(f"the agent ended without saying {what}: {self.errors()}")

    def everything(self) -> list[dict[str, Any]]:
        """All that it says until its end."""
        found = []
        while (one := self.said.get(timeout=PATIENCE_S)) is not None:
            found.append(one)
        return found

    def errors(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode()

    def end(self) -> None:
        """Whatever became of it, it is gone afterwards, and so are our ends of its pipes."""
        self.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self.process.wait()
        self._errors.close()


class Swarm:
    """A coordinator and its workers, each a process."""

    def __init__(self, folder: Path, count: int, order: dict[str, Any]) -> None:
        self.workers = {
            name: Agent(folder, lambda one, name=name: self._from_worker(name, one))  # type: ignore[misc]
            for name in (f"w{number + 1}" for number in range(count))
        }
        self.coordinator = Agent(folder, self._from_coordinator)
        for worker in self.workers.values():
            worker.tell({"do": "host"})
        self.coordinator.tell({**order, "workers": list(self.workers)})

    def _from_worker(self, name: str, said: dict[str, Any]) -> None:
        self.coordinator.tell({"do": "relay", "from": name, "message": said["message"]})

    def _from_coordinator(self, said: dict[str, Any]) -> None:
        if said["say"] == "relay":
            self.workers[said["to"]].tell({"do": "relay", "from": "coordinator", "message": said["message"]})
        else:
            self.coordinator.said.put(said)

    def kill_worker(self, name: str) -> None:
        process = self.workers[name].process
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.coordinator.tell({"do": "worker_lost", "worker": name, "reason": "it quit"})

    def end(self) -> None:
        for agent in (self.coordinator, *self.workers.values()):
            agent.end()
