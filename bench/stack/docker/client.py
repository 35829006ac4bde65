"""The Docker engine of this machine: the connection to it, the labels of what is ours, a run's network.

Labels mark things of ours in the engine: which run and which harness made them, so that they can be
removed when that one is gone, and never while another one is using them.
"""

from __future__ import annotations

import ipaddress
import json
import os
import random
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import TargetError
from bench.stack.supervisor.processes import ProcessIdentity, fate_of, own_entry

if TYPE_CHECKING:
    from docker import APIClient


DEFAULT_HOST = "unix:///var/run/docker.sock"
TIMEOUT_S = 60.0
KNOCK_S = 2.0
START = "start Docker (systemctl start docker, or dockerd as root)"
WITHOUT = "or use --stack embedded, which needs no engine"


def engine_host() -> str:
    """The URL of the engine that is to be used."""
    return os.environ.get("DOCKER_HOST") or DEFAULT_HOST


def connect_engine(timeout_s: float = TIMEOUT_S) -> APIClient:
    """A client of the engine, which has answered. Raises TargetError where there is none.

    Only an engine behind a socket file will do: ports are published on this machine's loopback, stamps
    are of this machine's clock, and a crash is a signal to a process of this machine.
    """
    host = engine_host()
    if not host.startswith("unix://"):
        raise no_engine(
            "a Docker engine on this machine, behind unix://",
            f"DOCKER_HOST with {host.partition('://')[0]}://",
            f"unset DOCKER_HOST to use {DEFAULT_HOST}, {WITHOUT}",
        )
    try:
        from docker import APIClient
        from docker.errors import DockerException
    except ImportError:
        raise no_engine(
            "the docker package", "none in this Python", f"pip install docker, {WITHOUT}"
        ) from None
    _knock(host.removeprefix("unix://"))
    try:
        return APIClient(base_url=host, version="auto", timeout=timeout_s)  # which asks for the version
    except (DockerException, OSError) as error:
        raise no_engine("a Docker engine that answers", explanation(error), f"{START}, {WITHOUT}") from None


def no_engine(expected: str, found: str, advice: str) -> TargetError:
    """The error of an engine that cannot be used."""
    return TargetError("docker", engine_host(), expected, found, advice)


def explanation(error: Exception) -> str:
    """What the engine said, in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())


def _knock(path: str) -> None:
    """See that something listens: the kernel's reasons are clearer than the client's. Raises TargetError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(KNOCK_S)
        try:
            connection.connect(path)
        except OSError as error:
            advice = START
            match error:
                case FileNotFoundError():
                    found = "no such socket"
                case PermissionError():
                    found = "no permission to use it"
                    advice = "add this user to the group docker and log in anew"
                case ConnectionRefusedError():
                    found = "a socket that nothing listens to"
                case _:
                    found = error.strerror or str(error)
            raise no_engine("a Docker engine that answers", found, f"{advice}, {WITHOUT}") from None


RUN = "holdfast.run"
HARNESS = "holdfast.harness"
SERVICE = "holdfast.service"
ADDRESS = "holdfast.address"
"""On a container: the address in the run's network that it has at every connection."""
CONTENT = "holdfast.content"
"""On an image that was built here: the digest of what is in it."""
BASE = "holdfast.base"
"""On such an image: the base that was named for it; empty where it was made of this machine's programs."""
CHAOS = "bench.chaos"
ALLOW = "allow"
"""The value of CHAOS that opts a container in for faults."""


def labels_of(run: str) -> dict[str, str]:
    """The labels that mark something as this run's, made by this process."""
    return {RUN: run, HARNESS: harness_text()}


def harness_text() -> str:
    """This process, as a label: its identity, its machine and its name space of process numbers."""
    return json.dumps(own_entry())


def is_left_over(text: str) -> bool:
    """Whether the harness of a label is surely gone; False for one that cannot be judged from here."""
    try:
        entry = json.loads(text)
    except ValueError:
        return False
    if ProcessIdentity.from_json(entry) is None or not {"host", "pids"} <= entry.keys():
        return False
    return fate_of(entry) == "gone"


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
            last = explanation(error)
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
