"""The drivers, one entry each, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.core.plugins import Table
from bench.registry.services import Topology

OTHER = "other"
"""The operation of all that a user's own program asks for and no operation of the workload names."""

STEPS = ("setup", "teardown", "connect")
"""Keys of a workload with what is done around its load and on each of its connections."""


@dataclass(frozen=True)
class DriverSpec:
    """What a workload of this driver may say, and the modules that carry it out."""

    name: str
    kind: str | None
    """Of the targets that it can talk to; None: any name, nothing is contacted."""
    module: str
    """It fulfils WireDriver (bench.engine.api); other engines use no more of it than `program`."""
    engines: tuple[str, ...] = ("wire",)
    """Those that can run it; a workload need not name one where there is no choice."""
    client: str | None = None
    """A module that fulfils ClientModule (bench.engine.api)."""
    protocol: str | None = None
    """What the wire engine reads: a key of PROTOCOLS in bench/engine/wire/shard.py."""
    forms: tuple[str, ...] = ()
    """Keys of an operation, of which each has exactly one."""
    settings: tuple[str, ...] = ()
    """Keys of a workload that only some drivers have, and this one has."""
    own_operations: tuple[str, ...] = ()
    """Operations that the driver defines itself; a scenario may then not define any."""
    receives: str | None = None
    """The one among them that is no planned arrival: what the server sends by itself, as pub/sub does."""
    default_operation: str | None = None
    """The operation of a workload that defines none."""
    asks_by_itself: bool = False
    """Whether a user's own program decides what is asked and when: the lanes are its users, the load of a
    phase says how many of them run, and what it asks for beyond the operations ends in `OTHER`."""
    follows_slots: bool = False
    """Whether its requests go to the node of a Redis Cluster that serves their key."""
    pipelines: bool = True
    """Whether several requests may be in flight on one lane of the wire engine."""
    answers: Literal["lookups", "rows", "statuses"] | None = None
    """What its answers bring beside their outcome: found or not, rows or none, an HTTP status."""
    integrity: frozenset[str] = frozenset()
    """Checks of the data that its workloads can have."""
    capacity: str | None = None
    """The capacity of `bench assess` that its runs show."""

    def operation_names(self, written: Iterable[str]) -> tuple[str, ...]:
        """The operations of a workload that writes these: in their order, or those of the driver."""
        if self.own_operations:
            return self.own_operations
        default = (self.default_operation,) if self.default_operation else ()
        return (tuple(written) or default) + ((OTHER,) if self.asks_by_itself else ())

    def targets_in(self, topology: Topology) -> tuple[str, ...]:
        """The targets of a stack that its workloads may name."""
        return tuple(
            name for name, outline in topology.items() if outline.kind == self.kind and "#" not in name
        )


_DRIVERS = (
    DriverSpec(
        "redis",
        "redis",
        "bench.drivers.redis.wire",
        engines=("wire", "client"),
        client="bench.drivers.redis.cluster_client",
        protocol="resp",
        forms=("command", "commands"),
        settings=("keys", "value", "parameters", "feeds", "resp", "pipeline", *STEPS),
        follows_slots=True,
        answers="lookups",
        integrity=frozenset(("acknowledged_writes", "registers")),
        capacity="redis",
    ),
    DriverSpec(
        "redis_pubsub",
        "redis",
        "bench.drivers.redis.pubsub",
        protocol="resp",
        settings=("value", "resp", "channels", "subscribers", *STEPS),
        own_operations=("publish", "deliver"),
        receives="deliver",
        integrity=frozenset(("messages",)),
        capacity="pubsub",
    ),
    DriverSpec(
        "postgres",
        "postgres",
        "bench.drivers.postgres.wire",
        engines=("wire", "client"),
        client="bench.drivers.postgres.client",
        protocol="postgres",
        forms=("sql", "transaction"),
        settings=("value", "parameters", "feeds", "dataset", "session", "retries", *STEPS),
        pipelines=False,
        answers="rows",
        integrity=frozenset(("acknowledged_writes", "registers", "transfers")),
        capacity="postgres",
    ),
    DriverSpec(
        "http",
        "http",
        "bench.drivers.http.wire",
        engines=("wire", "client"),
        client="bench.drivers.http.client",
        protocol="http",
        forms=("request", "steps"),
        settings=("value", "parameters", "feeds", "headers", "login", "setup", "teardown"),
        pipelines=False,
        answers="statuses",
        integrity=frozenset(("acknowledged_writes",)),
        capacity="api",
    ),
    DriverSpec(
        "locust",
        "http",
        "bench.drivers.no_requests",
        engines=("locust",),
        forms=("locust",),
        settings=("locustfile", "user_classes", "arguments"),
        asks_by_itself=True,
        answers="statuses",
        capacity="api",
    ),
    DriverSpec("noop", None, "bench.drivers.no_requests", default_operation="noop"),
)
DRIVERS = Table(
    "driver",
    "holdfast.drivers",
    {driver.name: driver for driver in _DRIVERS},
    lambda entry: isinstance(entry, DriverSpec),
)


def contacts_a_target(driver: str) -> bool:
    """Whether workloads of this driver talk to their target."""
    known = DRIVERS.usable(driver)
    return known is None or known.kind is not None


def kind_of_answers(driver: str) -> str | None:
    """What the answers to a driver bring beside their outcome; None for an unknown driver too."""
    known = DRIVERS.usable(driver)
    return known.answers if known is not None else None


def received_by(driver: str) -> str | None:
    """The operation of a driver that is no planned arrival; None for an unknown driver too."""
    known = DRIVERS.usable(driver)
    return known.receives if known is not None else None


def is_planned(driver: str, operation: str) -> bool:
    """Whether an operation is a planned arrival: no message that the server sends by itself, no step."""
    return operation != received_by(driver) and OF not in operation


OF = "."
"""In the names of what is a part of something else: of a step, `checkout.step_1`."""


LOGIN = f"login{OF}request"
"""What the log-ins of lanes are counted as."""


def step_name(operation: str, number: int) -> str:
    """What step `number` (from 0) of an operation is called."""
    return f"{operation}{OF}step_{number + 1}"
