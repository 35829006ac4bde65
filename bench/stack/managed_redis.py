"""A Redis server of our own: started on a free loopback port, kept running, removed without a trace."""

import os
import time
from pathlib import Path
from typing import Any

from bench.errors import TargetError
from bench.stack.data_directory import DataDirectory, sweep_data_directories
from bench.stack.log_files import last_lines, new_log_file
from bench.stack.loopback_port import free_loopback_port
from bench.stack.probe import RedisFacts, probe_redis
from bench.stack.server_binary import ServerBinary, find_server_binary
from bench.stack.supervised import ServiceCommand, StackEvent, Supervised
from bench.stack.target import Target

READY_DEADLINE_S = 10.0
PORT_ATTEMPTS = 5
MAX_CLIENTS = 20_000  # two workloads with the 10,000 lanes that a scenario may ask for
POLL_S = 0.003
LOG_TAIL_LINES = 4


class _PortTaken(Exception):  # noqa: N818 - never leaves this module
    """Someone took the port between our look and the server's bind."""


class ManagedRedis:
    """valkey-server, or the user's redis-server, under the supervisor. Its log stays in `log_dir`."""

    name = "redis"

    def __init__(self, log_dir: Path) -> None:
        self.target: Target | None = None
        self._log_dir = log_dir
        self._log: Path | None = None
        self._data: DataDirectory | None = None
        self._supervised: Supervised | None = None
        self._binary: ServerBinary | None = None
        self._facts: RedisFacts | None = None
        self._past_events: list[StackEvent] = []
        self._owner_pid = 0

    def start(self) -> None:
        """Start the server and return when it answers. Raises TargetError with the end of its log."""
        if self._supervised is not None:
            return
        self._owner_pid = os.getpid()
        self._binary = find_server_binary()
        sweep_data_directories()
        try:
            for _ in range(PORT_ATTEMPTS):
                try:
                    self._start_on(free_loopback_port())
                except _PortTaken:
                    self.stop()
                else:
                    return
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise
        raise TargetError(
            self.name,
            "127.0.0.1",
            "a free port",
            f"a port taken by others between the look and the start, {PORT_ATTEMPTS} times",
            "look for a program that opens and closes many ports on this machine",
        )

    def describe(self) -> list[dict[str, Any]]:
        """What runs, for the run's record: one entry, none before the start."""
        if self.target is None or self._facts is None or self._binary is None:
            return []
        pid = self._supervised.service_pid(self.name) if self._supervised else None
        return [
            {
                "name": self.name,
                "kind": self.target.kind,
                "address": self.target.address,
                "server": self._facts.server,
                "version": self._facts.version,
                "started_by": f"supervisor; the program is from {self._binary.origin}",
                "program": str(self._binary.path),
                "pid": pid,
                "supervisor_pid": self._supervised.pid if self._supervised else None,
                "state": "down" if pid is None else "up",
                "log": str(self._log),
            }
        ]

    def events(self) -> list[StackEvent]:
        """Starts, deaths and restarts so far, oldest first; they can be read after the stop too."""
        return self._past_events if self._supervised is None else self._supervised.events()

    def stop(self) -> None:
        """End the server and remove its data. Again is harmless."""
        if os.getpid() != self._owner_pid:
            return  # a fork of the harness that ends: the server is still in use
        # Taken away only when done: a second Ctrl-C here leaves them for the next call.
        if self._supervised is not None:
            self._supervised.end()
            self._past_events = self._supervised.events()
            self._supervised = None
        if self._data is not None:
            self._data.remove()
            self._data = None

    def _start_on(self, port: int) -> None:
        assert self._binary is not None
        self._log = new_log_file(self._log_dir, "redis", ".log")
        events = new_log_file(self._log_dir, "redis-events", ".jsonl")
        self._data = _data_directory()
        command = _server_command(self._binary.path, port, self._data.path)
        service = ServiceCommand(self.name, command, str(self._data.path), str(self._log))
        self._supervised = Supervised(events)
        self._supervised.start([service], self._data)
        target = Target(self.name, "redis", "127.0.0.1", port, managed=True)
        self._facts = self._wait_until_ready(target)
        self.target = target

    def _wait_until_ready(self, target: Target) -> RedisFacts:
        deadline = time.monotonic() + READY_DEADLINE_S
        last = "it was not started"
        while (left_s := deadline - time.monotonic()) > 0:
            pid = self._living_pid(target)
            if pid is not None:
                try:
                    facts = probe_redis(target, left_s)
                except TargetError as error:
                    last = str(error)
                else:
                    if facts.process_id in (pid, None):
                        return facts
                    last = f"process {facts.process_id} answers there and is not ours"
            time.sleep(POLL_S)
        raise self._not_ready(target, f"no such answer within {READY_DEADLINE_S:g} s ({last})")

    def _living_pid(self, target: Target) -> int | None:
        """The server's process, None while it is not yet started.

        What the supervisor would mend later, by a restart, is an error while the server comes up.
        """
        assert self._supervised is not None
        is_alive = self._supervised.is_alive  # asked first: so its last words are among the events
        pid = None
        for event in self._supervised.events():
            if event.kind == "started":
                pid = event.pid
            elif event.kind == "died":
                if any("address already in use" in line.lower() for line in self._log_tail()):
                    raise _PortTaken
                found = f"a server that ended with status {event.status} before it answered"
                raise self._not_ready(target, found)
            elif event.kind == "failed":
                raise self._not_ready(target, f"a program that {event.text}")
        if not is_alive:
            raise self._not_ready(target, self._supervised.failure())
        return pid

    def _log_tail(self) -> list[str]:
        return [] if self._log is None else last_lines(self._log, LOG_TAIL_LINES)

    def _not_ready(self, target: Target, found: str) -> TargetError:
        tail = self._log_tail()
        said = f"; its log ends: {' | '.join(tail)}" if tail else "; its log is empty"
        return TargetError(
            target.name,
            target.address,
            "a server that answers PING with PONG",
            found + said,
            f"read {self._log}; the program was {self._binary.path if self._binary else '-'}",
        )


def _data_directory() -> DataDirectory:
    try:
        return DataDirectory()
    except OSError as error:
        raise TargetError(
            ManagedRedis.name,
            "the embedded stack",
            "a directory for temporary files",
            f"{error.strerror} ({error.filename})",
            "set TMPDIR to a directory with free space that this user may write to",
        ) from None


def _server_command(program: Path, port: int, directory: Path) -> tuple[str, ...]:
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "protected-mode": "yes",
        "daemonize": "no",
        "logfile": "",
        "dir": str(directory),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxclients": str(MAX_CLIENTS),
    }
    return (str(program), *(word for key, value in options.items() for word in (f"--{key}", value)))
