"""What each driver asks of a workload. Adding a driver to scenario files is one entry here."""

from collections.abc import Iterable
from dataclasses import dataclass

OTHER = "other"
"""The operation of all that a user's own program asks for and no operation of the workload names."""


@dataclass(frozen=True)
class DriverFacts:
    """What a workload of this driver may and must say."""

    targets: tuple[str, ...]
    """The targets it can talk to; none: any name, nothing is contacted."""
    engines: tuple[str, ...]
    forms: tuple[str, ...] = ()
    """Keys of an operation, of which each has exactly one."""
    settings: tuple[str, ...] = ()
    """Keys of a workload that only some drivers have, and this one has."""
    own_operations: tuple[str, ...] = ()
    """Operations that the driver defines itself; a scenario may then not define any."""
    default_operation: str | None = None
    """The operation of a workload that defines none."""
    is_pubsub: bool = False
    asks_by_itself: bool = False
    """Whether a user's own program decides what is asked and when: the lanes are its users, the load of a
    phase says how many of them run, and what it asks for beyond the operations ends in `OTHER`."""

    def operation_names(self, written: Iterable[str]) -> tuple[str, ...]:
        """The operations of a workload that writes these: in their order, or those of the driver."""
        if self.own_operations:
            return self.own_operations
        default = (self.default_operation,) if self.default_operation else ()
        return (tuple(written) or default) + ((OTHER,) if self.asks_by_itself else ())


DRIVERS = {
    "redis": DriverFacts(
        targets=("redis",),
        engines=("wire", "client"),
        forms=("command", "commands"),
        settings=("keys", "value", "resp", "pipeline"),
    ),
    "redis_pubsub": DriverFacts(
        targets=("redis",),
        engines=("wire",),
        settings=("value", "resp", "channels", "subscribers"),
        own_operations=("publish", "deliver"),
        is_pubsub=True,
    ),
    "postgres": DriverFacts(
        targets=("postgres", "postgres_16"),
        engines=("wire", "client"),
        forms=("sql", "transaction"),
        settings=("value", "parameters", "dataset", "session", "retries"),
    ),
    "http": DriverFacts(
        targets=("api",),
        engines=("wire", "client"),
        forms=("request",),
        settings=("value", "parameters", "headers"),
    ),
    "locust": DriverFacts(
        targets=("api",),
        engines=("locust",),
        forms=("locust",),
        settings=("locustfile", "user_classes", "arguments"),
        asks_by_itself=True,
    ),
    "noop": DriverFacts(targets=(), engines=("wire",), default_operation="noop"),
}

OPERATION_FORMS = ("command", "commands", "sql", "transaction", "request", "locust")
OWN_SETTINGS = (
    *("parameters", "dataset", "session", "retries", "headers"),
    *("locustfile", "user_classes", "arguments"),
)
"""Settings of a workload that are refused where its driver does not have them."""

DEPENDENCIES = {"api": ("redis", "postgres")}
"""What another target does its work with, so that it can be hit, and is sampled, too."""


def reachable_targets(targets: Iterable[str]) -> tuple[str, ...]:
    """The targets of workloads, and those that they depend on; an empty name is none."""
    reached = [name for target in targets for name in (target, *DEPENDENCIES.get(target, ()))]
    return tuple(dict.fromkeys(filter(None, reached)))
