"""What each driver asks of a workload. Adding a driver to scenario files is one entry here."""

from dataclasses import dataclass


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
    "noop": DriverFacts(targets=(), engines=("wire",), default_operation="noop"),
}

OPERATION_FORMS = ("command", "commands", "sql", "transaction", "request")
OWN_SETTINGS = ("parameters", "dataset", "session", "retries", "headers")
"""Settings of a workload that are refused where its driver does not have them."""

# Named in the design, so that "did you mean" does not send a reader away from them.
LATER_DRIVERS = ("locust",)
