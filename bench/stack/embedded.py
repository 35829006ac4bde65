"""The embedded stack: services of our own on loopback, with their data in temporary directories."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Self

from bench.registry import SERVICES, load, with_dependencies
from bench.stack.services.base import ManagedService, StackService
from bench.stack.services.files import sweep_data_directories
from bench.stack.stack import Stack, check_names, start_in_turns
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target, TargetDescription

LOOPBACK = "127.0.0.1"


class EmbeddedStack(Stack):
    """Starts what is needed, and what that needs; when one does not come up, none stays behind."""

    kind = "embedded"

    def __init__(
        self,
        needed: AbstractSet[str],
        log_dir: Path,
        settings: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """`settings`: service -> settings of its server, before those that we choose ourselves."""
        known = {service.name: service.embedded for service in SERVICES.values() if service.embedded}
        check_names(needed, known, "the embedded stack", "that it can start")
        given = settings or {}
        self._services: list[StackService] = [
            load(known[name])(log_dir, given.get(name)) for name in with_dependencies(needed)
        ]
        self._others: Mapping[str, Target] = {}

    @classmethod
    def of(cls, services: Iterable[StackService], others: Mapping[str, Target]) -> Self:
        """Services that a stack file describes; `others` run already, and may be needed by them."""
        stack = cls(set(), Path())
        stack._services, stack._others = list(services), others
        return stack

    def start(self) -> None:
        """Start every service and return when all have answered. Raises TargetError."""
        for service in self._services:
            service.find_program()  # what is missing is reported before anything runs
        if self._services:
            sweep_data_directories()
        try:
            start_in_turns(
                self._services,
                lambda service, given_up: service.start(
                    self.seen_by(service.name, {**self._others, **self.targets()}, LOOPBACK), given_up
                ),
            )
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise

    def targets(self) -> dict[str, Target]:
        """The targets that have been started."""
        return {service.name: service.target for service in self._services if service.target is not None}

    def describe(self) -> list[TargetDescription]:
        """What runs, for the run's record."""
        return [description for service in self._services if (description := service.describe()) is not None]

    def events(self) -> list[StackEvent]:
        """Starts, deaths and restarts of the services, oldest first."""
        events = [event for service in self._services for event in service.events()]
        return sorted(events, key=lambda event: event.at_ns)

    def service(self, name: str) -> ManagedService | None:
        """The process that is the target of that name."""
        found = (service for service in self._services if service.name == name)
        return next((service for service in found if isinstance(service, ManagedService)), None)

    def stop(self) -> None:
        """End the services, those first that need others, and remove their data; their logs stay.

        Idempotent.
        """
        for service in reversed(self._services):
            service.stop()
