"""The embedded stack: services of our own on loopback, with their data in temporary directories."""

from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.errors import TargetError
from bench.stack.managed_redis import ManagedRedis
from bench.stack.supervised import StackEvent
from bench.stack.target import Target

SERVICES = {"redis": ManagedRedis}


class EmbeddedStack:
    """Starts what is needed; when one service does not come up, none stays behind."""

    kind = "embedded"

    def __init__(self, needed: AbstractSet[str], log_dir: Path) -> None:
        for name in sorted(needed - SERVICES.keys()):
            raise TargetError(
                name,
                "the embedded stack",
                f"a target that it can start: {', '.join(sorted(SERVICES))}",
                f"'{name}'",
                "change the target in the scenario",
            )
        self._services = [SERVICES[name](log_dir) for name in sorted(needed)]

    def start(self) -> None:
        """Start every service and return when all have answered. Raises TargetError."""
        try:
            for service in self._services:
                service.start()
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise

    def targets(self) -> dict[str, Target]:
        """The targets that have been started."""
        return {service.name: service.target for service in self._services if service.target is not None}

    def describe(self) -> list[dict[str, Any]]:
        """What runs, for the run's record."""
        return [entry for service in self._services for entry in service.describe()]

    def events(self) -> list[StackEvent]:
        """Starts, deaths and restarts of the services, oldest first."""
        events = [event for service in self._services for event in service.events()]
        return sorted(events, key=lambda event: event.at_ns)

    def stop(self) -> None:
        """End the services and remove their data; their logs stay. Again is harmless."""
        for service in self._services:
            service.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
