"""The run's own network: addresses that a service keeps over restarts and disconnections."""

from __future__ import annotations

import ipaddress
import random
from pathlib import Path
from typing import TYPE_CHECKING

from bench.stack.docker.client import no_engine, said

if TYPE_CHECKING:
    from docker import APIClient

ATTEMPTS = 20
POOL = ipaddress.ip_network("10.128.0.0/9")
PREFIX = 28
_ROUTES = Path("/proc/net/route")


def create_network(engine: APIClient, name: str, labels: dict[str, str]) -> ipaddress.IPv4Network:
    """Create a bridge on addresses that nothing here uses; return them. The first host is the gateway's.

    Raises TargetError when the engine refuses for another reason than addresses in use.
    """
    from docker.errors import APIError
    from docker.types import IPAMConfig, IPAMPool

    taken, last = _routed(), "none was free"
    for _ in range(ATTEMPTS):
        subnet = _any_subnet()
        if any(subnet.overlaps(other) for other in taken):
            continue
        pool = IPAMPool(subnet=str(subnet), gateway=str(subnet[1]))
        try:
            engine.create_network(
                name,
                driver="bridge",
                labels=labels,
                ipam=IPAMConfig(pool_configs=[pool]),
                check_duplicate=True,
            )
        except APIError as error:
            last = said(error)
            if "overlap" not in last.lower():
                break
        else:
            return subnet
    raise no_engine(
        "a network of its own for the run", last, "look at docker network ls, and prune what is old"
    )


def _any_subnet() -> ipaddress.IPv4Network:
    count = 2 ** (PREFIX - POOL.prefixlen)
    step = 2 ** (32 - PREFIX)
    start = int(POOL.network_address) + random.randrange(count) * step  # noqa: S311 - nothing secret
    return ipaddress.IPv4Network((start, PREFIX))


def _routed() -> list[ipaddress.IPv4Network]:
    """Where this machine has routes to, but the one that leads everywhere."""
    found = []
    try:
        rows = [line.split() for line in _ROUTES.read_text().splitlines()[1:]]
    except OSError:
        return []
    for row in rows:
        address, mask = (int.from_bytes(bytes.fromhex(row[column]), "little") for column in (1, 7))
        if mask:
            found.append(ipaddress.IPv4Network((address & mask, mask.bit_count())))
    return found
