"""Drivers, services and kinds of targets: one entry each, from which every table of the product is derived.

Data only, and imported by everything. What an entry needs from elsewhere it names as a dotted path,
"package.module" or "package.module:name", which `load` imports when it is first used. So naming Postgres
here does not import asyncpg.

A new driver is an entry of `DRIVERS`, a new service of the stacks one of `SERVICES`; see
docs/adding-a-driver.md. A plug-in announces its entries by entry points, or calls `register`.
"""

import importlib
from typing import Any

from bench.registry.drivers import (
    DRIVERS,
    LOGIN,
    OF,
    OTHER,
    STEPS,
    DriverSpec,
    contacts_a_target,
    is_planned,
    kind_of_answers,
    received_by,
    step_name,
)
from bench.registry.services import (
    INSTANCE,
    KINDS,
    PRIMARY,
    REPLICA,
    ROLES,
    SENTINEL,
    SERVICES,
    SHIPPED_STACKS,
    STANDBY,
    STARTED,
    Scheme,
    ServiceSpec,
    TargetKind,
    TargetOutline,
    Topology,
    dependents_of,
    instances_of,
    path_name,
    proxy_name,
    reachable_targets,
    reader_of,
    roles_of,
    shipped_topology,
    url_variables,
    with_dependencies,
    with_instances,
)

__all__ = [
    "DRIVERS",
    "INSTANCE",
    "KINDS",
    "LOGIN",
    "OF",
    "OTHER",
    "PRIMARY",
    "REPLICA",
    "ROLES",
    "SENTINEL",
    "SERVICES",
    "SHIPPED_STACKS",
    "STANDBY",
    "STARTED",
    "STEPS",
    "DriverSpec",
    "Scheme",
    "ServiceSpec",
    "TargetKind",
    "TargetOutline",
    "Topology",
    "contacts_a_target",
    "dependents_of",
    "instances_of",
    "is_planned",
    "kind_of_answers",
    "load",
    "path_name",
    "proxy_name",
    "reachable_targets",
    "reader_of",
    "received_by",
    "register",
    "roles_of",
    "shipped_topology",
    "step_name",
    "url_variables",
    "with_dependencies",
    "with_instances",
]


def register(entry: DriverSpec | ServiceSpec) -> None:
    """Add an entry to this process, before a scenario that names it is read.

    Raises ValueError for a name that is taken.
    """
    if isinstance(entry, DriverSpec):
        DRIVERS.register(entry.name, entry)
    else:
        SERVICES.register(entry.name, entry)


def load(path: str) -> Any:
    """What a dotted path names: "package.module", or "package.module:name"."""
    module, _, name = path.partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, name) if name else loaded
