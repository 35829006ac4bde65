"""What every stack can do, and the choice between them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from bench.core.errors import TargetError, UsageError
from bench.registry import SHIPPED_STACKS, Topology, shipped_topology, with_instances
from bench.stack.probes.health import Patience, ServiceHealth, health_of
from bench.stack.supervisor.supervised import StackEvent
from bench.stack.target import Target, TargetDescription

if TYPE_CHECKING:
    from bench.stack.background.state import BackgroundStack
    from bench.stack.services.base import ManagedService
    from bench.stack.stack_file import StackFile


class Detours(Protocol):
    """Ways from a service that we start to one that it needs, other than the direct one."""

    def lead(self, client: str, target: Target, host: str) -> Target:
        """The target as the service `client` is to see it. host: an address of ours that it can reach."""


class Stack(ABC):
    """The services that a scenario needs, running while the stack is open."""

    kind: str
    """One of the shipped stacks, or the name that a stack file gives."""
    file: Path | None = None
    """The stack file that describes it."""
    reports_events: bool = True
    """Whether it sees its services end and start."""
    actions_allowed: bool = False
    """Whether the commands of scenarios may be run."""
    faults_allowed: Sequence[str] = ()
    """Targets that others run and that the user gives to be broken."""
    patience: Patience = Patience()
    """With targets that others run and that are not ready at the start."""
    detours: Detours | None = None
    """Set before the start, to stand between services that we start and what they need."""

    def seen_by(self, client: str, needed: Mapping[str, Target], host: str) -> dict[str, Target]:
        """The targets that a service of ours is to connect to, by name; host: see Detours."""
        if self.detours is None:
            return dict(needed)
        client = client.partition("#")[0]  # every instance goes the same way
        return {name: self.detours.lead(client, target, host) for name, target in needed.items()}

    def topology(self) -> Topology:
        """Every target that it knows, whether started or not, the instances that were found, and what each
        stands on.
        """
        return with_instances(shipped_topology(), self.targets())

    def service(self, name: str) -> ManagedService | None:  # noqa: ARG002 - most supervise none
        """The service of ours under its supervisor that is the target of that name."""
        return None

    @abstractmethod
    def start(self) -> None:
        """Bring every needed service up; return when each has answered. Raises TargetError."""

    @abstractmethod
    def targets(self) -> dict[str, Target]:
        """Target name -> where it listens, of those that have been started or found."""

    @abstractmethod
    def describe(self) -> list[TargetDescription]:
        """One entry per target, as it is now."""

    def health(self) -> list[ServiceHealth]:
        """How each target is, asked now."""
        return health_of(self.targets().values())

    def events(self) -> list[StackEvent]:
        """What happened to services that are ours so far, oldest first."""
        return []

    @abstractmethod
    def stop(self) -> None:
        """End what was started. Idempotent."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # a Ctrl-C too: nothing may stay behind
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def check_names(needed: AbstractSet[str], known: Iterable[str], stack: str, what: str) -> None:
    """Raise TargetError for the first target that a stack does not know; `what` it can do with the others."""
    for name in sorted(needed - set(known)):
        raise TargetError(
            name,
            stack,
            f"a target {what}: {', '.join(sorted(known))}",
            f"'{name}'",
            "change the target in the scenario",
        )


class Startable(Protocol):
    """A service that can be started when those that it needs have been."""

    @property
    def name(self) -> str:
        """Of its target."""

    @property
    def behind(self) -> Sequence[str]:
        """The targets that it needs."""


S = TypeVar("S", bound=Startable)


def start_in_turns(services: Iterable[S], start: Callable[[S, threading.Event], None]) -> None:
    """Start services, those together that need only what was started before them.

    What a service needs that is not among them is up already. When one does not come up, the others of its
    turn give up (the event); what it raised is raised when every thread has undone its own.
    """
    waiting, ready = list(services), set[str]()
    ours = {service.name for service in waiting}
    while waiting:
        turn = [service for service in waiting if ready.issuperset(ours.intersection(service.behind))]
        waiting = [service for service in waiting if service not in turn]
        ready.update(service.name for service in turn)
        given_up = threading.Event()
        if len(turn) == 1:
            start(turn[0], given_up)
            continue
        with ThreadPoolExecutor(len(turn)) as threads:
            try:
                for done in as_completed([threads.submit(start, service, given_up) for service in turn]):
                    done.result()
            except BaseException:
                given_up.set()
                raise


def open_stack(
    kind: str | StackFile | None,
    needed: AbstractSet[str],
    log_dir: Path,
    detours: Detours | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
) -> Stack:
    """Choose a stack for the targets named in `needed`; entering it starts it.

    detours: between its services, which a stack that is up already cannot have. settings: of the servers
    of the embedded stack, by service.

    kind: embedded (services that we start), docker (the same as containers), compose (the user's own
    project, which runs already), external, a stack file, or None for external where the environment names
    one of the targets, else the stack that is up if it has them all, else embedded. Where all that
    the environment names is that very stack, it is taken as such.
    Raises UsageError for a kind that does not exist, TargetError for a target it cannot give.
    """
    if kind == "embedded" and settings:
        from bench.stack.embedded import EmbeddedStack

        stack: Stack = EmbeddedStack(needed, log_dir, settings)
    else:
        stack = _chosen(kind, needed, log_dir, may_attach=detours is None)
    stack.detours = detours
    return stack


def _chosen(
    kind: str | StackFile | None, needed: AbstractSet[str], log_dir: Path, *, may_attach: bool
) -> Stack:
    from bench.stack.embedded import EmbeddedStack
    from bench.stack.external import ExternalStack, url_in

    if kind is not None and not isinstance(kind, str):
        from bench.stack.assembled import AssembledStack

        return AssembledStack(kind, needed, log_dir)
    if kind is None:
        background = _background_with(needed) if may_attach else None
        if background is not None:
            from bench.stack.background.stack import AttachedContainers, AttachedStack

            if background.kind == "docker":
                return AttachedContainers(background, needed, log_dir)
            return AttachedStack(background, needed)
        kind = "external" if any(url_in(name) for name in needed) else "embedded"
    if kind == "embedded":
        return EmbeddedStack(needed, log_dir)
    if kind == "external":
        return ExternalStack(needed)
    if kind == "docker":
        from bench.stack.docker.stack import DockerStack

        return DockerStack(needed, log_dir)
    if kind == "compose":
        from bench.stack.docker.compose import ComposeStack

        return ComposeStack(needed, log_dir)
    raise UsageError(
        f"--stack: expected {', '.join(SHIPPED_STACKS[:-1])} or {SHIPPED_STACKS[-1]}, found '{kind}'"
    )


def _background_with(needed: AbstractSet[str]) -> BackgroundStack | None:
    """The stack that is up, if it has all of these and the environment names no others."""
    from dataclasses import replace

    from bench.stack.background.daemon import background_stack
    from bench.stack.external import named_by_the_user, url_in

    background = background_stack() if needed else None
    if background is None:
        return None
    targets = {target.name: target for target in background.targets}
    if not needed <= targets.keys():
        return None
    named = [named_by_the_user(name) for name in needed if url_in(name)]
    is_ours = all(replace(target, managed=True) == targets[target.name] for target in named)
    return background if is_ours else None
