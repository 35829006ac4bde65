"""The service `kv`: how its URL is written, how it is started, asked for its health and for its figures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.clock import monotonic_ns
from bench.registry import Scheme, ServiceSpec, TargetKind
from bench.stack.probes.connection import ProbeError, probe_error
from bench.stack.probes.health import Facts
from bench.stack.probes.redis import RespClient
from bench.stack.services.base import ManagedService
from bench.stack.services.programs import ServerBinary
from bench.stack.supervisor.supervised import ServiceCommand
from bench.stack.target import Target

if TYPE_CHECKING:
    from typing import ClassVar

PROGRAM = Path(__file__).parent / "kv_server.py"

KIND = TargetKind(
    name="kv",
    schemes={"kv": Scheme(port=7070)},
    url_form="kv://host[:port]",
    example="kv://host:port",
    probe=f"{__name__}:probe_kv",
    after_host="nothing",
    has_login=False,
)
SERVICE = ServiceSpec(
    name="kv", kind=KIND, port=7070, url_variable="KV_URL", embedded=f"{__name__}:ManagedKv"
)


def probe_kv(target: Target, deadline_s: float = 5.0) -> Facts:
    """PING it. Raises TargetError within `deadline_s`."""
    begin = monotonic_ns()
    try:
        with RespClient(target.host, target.port, deadline_s) as server:
            server.ask("PING")
    except ProbeError as error:
        raise probe_error(target, "a server that answers PING", str(error)) from None
    return Facts(server="kv", version="1", answer_ns=monotonic_ns() - begin)


class ManagedKv(ManagedService):
    """A server of our own, under a supervisor."""

    service: ClassVar[str] = "kv"
    ready_deadline_s: ClassVar[float] = 20.0
    ready_means: ClassVar[str] = "a server that answers PING"

    def find_program(self) -> ServerBinary:
        """This Python."""
        return ServerBinary(Path(sys.executable), "this Python")

    def _target_on(self, port: int) -> Target:
        return Target(self.name, KIND.name, "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        command = (sys.executable, "-I", str(PROGRAM), str(target.port))
        return ServiceCommand(self.name, command, str(directory), str(log))
