"""What each driver asks of a workload. Adding a driver to scenario files is one entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverFacts:
    """What a workload of this driver may and must say."""

    target: str | None
    """The one target it can talk to; None: any name, nothing is contacted."""
    engines: tuple[str, ...]
    own_operations: tuple[str, ...] = ()
    """Operations that the driver defines itself; a scenario may then not define any."""
    default_operation: str | None = None
    """The operation of a workload that defines none."""
    is_pubsub: bool = False


DRIVERS = {
    "redis": DriverFacts(target="redis", engines=("wire", "client")),
    "redis_pubsub": DriverFacts(
        target="redis", engines=("wire",), own_operations=("publish", "deliver"), is_pubsub=True
    ),
    "noop": DriverFacts(target=None, engines=("wire",), default_operation="noop"),
}

# Named in the design, so that "did you mean" does not send a reader away from them.
LATER_DRIVERS = ("postgres", "http", "locust")
