"""The agent of a Locust process: a plain child that does what a patched process cannot."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.queue import Queue
from gevent.subprocess import PIPE, Popen

from bench.core.child_environment import for_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)


class AgentProcess:
    """One child: `bench agent`. Orders go in, what it says comes out, in order.

    on_say: called for each object that it says. on_end: called once with its exit code, after the last.
    A signal to our terminal does not reach it; the end of its input does, also when we are killed.
    """

    def __init__(
        self,
        on_say: Callable[[dict[str, Any]], None],
        on_end: Callable[[int], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._on_say, self._on_end = on_say, on_end
        self._orders: Queue = Queue()
        self._gone = Event()
        self._process = Popen(
            [sys.executable, "-m", "bench", "agent"],
            stdin=PIPE,
            stdout=PIPE,
            env=for_run(environment),
            start_new_session=True,
        )
        self.pid: int = self._process.pid
        gevent.spawn(self._write)
        gevent.spawn(self._read)

    def tell(self, order: Mapping[str, Any]) -> None:
        """Hand an order over; returns at once."""
        self._orders.put(json.dumps(order).encode() + b"\n")

    def let_go(self) -> None:
        """Close its input: it undoes what it did, and ends."""
        self._orders.put(None)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end; whether it has ended."""
        return bool(self._gone.wait(seconds))

    def _write(self) -> None:
        try:
            while (line := self._orders.get()) is not None:
                self._process.stdin.write(line)
                self._process.stdin.flush()
            self._process.stdin.close()
        except OSError:
            pass  # it has ended; its exit code says why

    def _read(self) -> None:
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                logger.warning("the agent wrote something that is no JSON: %.200r", line)
                continue
            try:
                self._on_say(said)
            except Exception:
                # What is shown may then be wrong, but the run goes on and its folder is right.
                # Not its content: what goes to a worker may hold a target's password.
                logger.exception("what the agent said could not be shown: %r", said.get("say"))
        self._process.stdout.close()
        code = self._process.wait()
        self._orders.put(None)
        self._gone.set()
        self._on_end(code)
