"""The reference API as a service of our own, between a Redis and a Postgres of the same stack."""

import importlib.util
import platform
import sys
from dataclasses import replace
from pathlib import Path

from bench.core.child_environment import OF_THE_REFERENCE_API, for_python
from bench.core.errors import TargetError
from bench.stack.probes.health import Facts
from bench.stack.services.base import ManagedService
from bench.stack.services.programs import ServerBinary
from bench.stack.supervisor.supervised import ServiceCommand
from bench.stack.target import Target, url_of

MODULE = "bench.reference_api"
LIBRARIES = ("fastapi", "uvicorn", "httptools", "circuitbreaker", "redis", "asyncpg")


class ManagedApi(ManagedService):
    """`python -m bench.reference_api`, told by its environment where Redis and Postgres are."""

    service = "api"
    ready_deadline_s = 60.0  # it imports much, and fills its table
    poll_s = 0.02
    ready_means = "an API whose /health says that it and its components are up"

    def find_program(self) -> ServerBinary:
        """This Python, when it has the libraries. Raises TargetError."""
        missing = [library for library in LIBRARIES if importlib.util.find_spec(library) is None]
        if missing:
            raise TargetError(
                self.name,
                "the embedded stack",
                "the libraries of the reference API",
                f"no {', '.join(missing)} in this Python",
                "pip install 'holdfast[embedded]'",
            )
        return ServerBinary(Path(sys.executable), f"this Python {platform.python_version()}, -m {MODULE}")

    def _target_on(self, port: int) -> Target:
        return Target(self.name, "http", "127.0.0.1", port, managed=True)

    def _service_command(self, target: Target, directory: Path, log: Path) -> ServiceCommand:
        environment = {
            **for_python(OF_THE_REFERENCE_API),
            "API_HOST": target.host,
            "API_PORT": str(target.port),
            "REDIS_URL": url_of(self._others["redis"]),
            "DATABASE_URL": url_of(self._others["postgres"]),
        }
        command = (sys.executable, "-P", "-m", MODULE)
        return ServiceCommand(self.name, command, str(directory), str(log), environment=environment)

    def _probe(self, target: Target, deadline_s: float) -> Facts:
        facts = super()._probe(target, deadline_s)
        state, detail = facts.health()
        if state != "up":
            raise TargetError(self.name, target.address, "an API that is up", detail, "look into its log")
        return replace(facts, server="reference API")
