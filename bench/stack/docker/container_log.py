"""A copy of what a container says, in a file, over all its lives."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.stack.docker.events import close_stream
from bench.stack.services.log_files import new_log_file

if TYPE_CHECKING:
    from docker import APIClient

LOOK_AGAIN_S = 0.05
END_DEADLINE_S = 2.0


class ContainerLog:
    """Follows one container's output in a thread of its own."""

    def __init__(
        self, engine: APIClient, container: str, folder: Path, service: str, *, from_now: bool = False
    ) -> None:
        self.path = new_log_file(folder, service, ".log")
        self._engine = engine
        self._container = container
        self._last = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode() if from_now else b""
        """The engine's stamp of the last line that was written; as text they sort by time."""
        self._is_running: Callable[[], bool] = lambda: True
        self._stream: Any = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"log of {service}", daemon=True)

    def start(self, is_running: Callable[[], bool]) -> None:
        """Begin. `is_running` tells whether the container has a process at the moment."""
        self._is_running = is_running
        self._thread.start()

    def end(self) -> None:
        """Stop following, when all that was said has been written. The container has ended, for good."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(END_DEADLINE_S)

    def let_go(self) -> None:
        """Stop following a container that runs on. Again is harmless."""
        self._ended.set()
        if self._stream is not None:
            close_stream(self._stream)
        if self._thread.is_alive():
            self._thread.join(END_DEADLINE_S)

    def _follow(self) -> None:
        # The container, or the engine, is gone: what has been written stays.
        with contextlib.suppress(Exception), self.path.open("ab", buffering=0) as file:
            while True:
                self._copy(file.write)
                if self._ended.is_set():
                    return
                # The stream ends with each of the container's lives.
                while not self._is_running() and not self._ended.wait(LOOK_AGAIN_S):
                    pass

    def _copy(self, write: Callable[[bytes], int]) -> None:
        since = {"since": _seconds(self._last)} if self._last else {}
        self._stream = self._engine.logs(self._container, stream=True, follow=True, timestamps=True, **since)
        for frame in self._stream:
            for line in bytes(frame).splitlines(keepends=True):
                stamp, space, text = line.partition(b" ")
                if space and stamp > self._last:
                    self._last = stamp
                    write(text)


def _seconds(stamp: bytes) -> int:
    """Whole seconds of a stamp such as 2025-01-31T12:00:00.123456789Z."""
    return int(datetime.fromisoformat(f"{stamp[:19].decode()}+00:00").timestamp())
