"""What is known of a container: may faults hit it, which process is it, and its endpoints on networks.

An endpoint is kept as it was asked for, so that it can be made again and compared. What the engine
hands out by itself (an address that it chose, ids, a hardware address made from the address) is
not part of it: that may be another one after a new connection.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.stack.docker.client import ALLOW, CHAOS, connect_engine, explanation
from bench.stack.docker.container_facts import Container, cgroup_of
from bench.stack.supervisor.processes import ProcessIdentity

if TYPE_CHECKING:
    from docker import APIClient


KEEPS_HARDWARE_ADDRESS = (1, 44)
"""The first version of the engine's API that takes a hardware address at a connection."""
MADE_OF_ADDRESS = "02:42:"
"""How a hardware address begins that an engine has made from the IPv4 address that follows."""


@dataclass(frozen=True)
class Endpoint:
    """One network and what was asked for there."""

    network: str
    """Its id; empty where the engine has reported only the name."""
    name: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Container:alias, as the engine has them."""
    ipv4: str = ""
    """Asked for; empty where the engine chose."""
    ipv6: str = ""
    link_local: tuple[str, ...] = ()
    driver_options: tuple[tuple[str, str], ...] = ()
    hardware_address: str = ""
    gateway_priority: int = 0

    def to_json(self) -> dict[str, Any]:
        """For the journal."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Endpoint:
        """What `to_json` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            network=str(entry["network"]),
            name=str(entry.get("name", "")),
            aliases=_texts(entry.get("aliases", ())),
            links=_texts(entry.get("links", ())),
            ipv4=str(entry.get("ipv4", "")),
            ipv6=str(entry.get("ipv6", "")),
            link_local=_texts(entry.get("link_local", ())),
            driver_options=tuple((str(key), str(value)) for key, value in entry.get("driver_options", ())),
            hardware_address=str(entry.get("hardware_address", "")),
            gateway_priority=int(entry.get("gateway_priority", 0)),
        )

    def is_same_network(self, other: Endpoint) -> bool:
        """By its id; by its name where one of the two has no id, or was made anew."""
        return bool(self.network and self.network == other.network) or bool(
            self.name and self.name == other.name
        )

    def differences(self, now: Endpoint) -> list[str]:
        """What was asked for and is not so now, one phrase each."""
        found = []
        for one in fields(self):
            asked, got = getattr(self, one.name), getattr(now, one.name)
            if one.name in ("network", "name") or (one.name == "hardware_address" and not asked):
                continue
            if isinstance(asked, tuple):
                asked, got = sorted(asked), sorted(got)
            if asked != got:
                found.append(f"{one.name.replace('_', ' ')} {_words(got)} instead of {_words(asked)}")
        return found


def endpoints_of(inspected: Mapping[str, Any], api_version: str = "") -> tuple[Endpoint, ...]:
    """The endpoints of a container; of one that is stopped, those that it will have."""
    networks = ((inspected.get("NetworkSettings") or {}).get("Networks")) or {}
    return tuple(_endpoint(name, entry or {}, inspected, api_version) for name, entry in networks.items())


def missing_or_different(asked: Iterable[Endpoint], now: Iterable[Endpoint]) -> list[str]:
    """What is not as it was asked for, one phrase for each network."""
    there = list(now)
    found = []
    for one in asked:
        match = next((other for other in there if one.is_same_network(other)), None)
        name = one.name or one.network[:12]
        if match is None:
            found.append(f"off {name}")
        elif differences := one.differences(match):
            found.append(f"on {name} with {', '.join(differences)}")
    return found


def _endpoint(
    name: str, entry: Mapping[str, Any], inspected: Mapping[str, Any], api_version: str
) -> Endpoint:
    asked = entry.get("IPAMConfig") or {}
    own = str(inspected.get("Id", ""))[:12]
    return Endpoint(
        network=str(entry.get("NetworkID") or ""),
        name=name,
        # The engine adds the container's own number, in some versions to the aliases.
        aliases=tuple(alias for alias in entry.get("Aliases") or () if alias != own),
        links=_texts(entry.get("Links") or ()),
        ipv4=str(asked.get("IPv4Address") or ""),
        ipv6=str(asked.get("IPv6Address") or ""),
        link_local=_texts(asked.get("LinkLocalIPs") or ()),
        driver_options=tuple(sorted((entry.get("DriverOpts") or {}).items())),
        hardware_address=_hardware_address(entry, inspected, api_version),
        gateway_priority=int(entry.get("GwPriority") or 0),
    )


def _hardware_address(entry: Mapping[str, Any], inspected: Mapping[str, Any], api_version: str) -> str:
    """The one that was asked for, or that the engine can be asked to keep.

    One that an engine has made from an address that it chose must not be kept: the next container
    that is given this address would have the same one.
    """
    found = str(entry.get("MacAddress") or "")
    if not found or found == (inspected.get("Config") or {}).get("MacAddress"):
        return found
    try:
        version = tuple(int(part) for part in api_version.split("."))
        made = MADE_OF_ADDRESS + ipaddress.IPv4Address(entry.get("IPAddress") or "0.0.0.0").packed.hex(":")  # noqa: S104 - none
    except ValueError:
        return ""
    return found if version >= KEEPS_HARDWARE_ADDRESS and found != made else ""


def _texts(values: Any) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError("expected a list of texts")
    return tuple(str(value) for value in values)


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join("=".join(one) if isinstance(one, tuple) else one for one in value) or "none"
    return str(value) or "none"


@cache
def engine() -> APIClient:
    """This process's client of the engine. Raises TargetError where there is none."""
    return connect_engine()


@dataclass(frozen=True)
class ContainerView:
    """What the engine reports of a container, as far as faults need it."""

    id: str
    name: str
    status: str
    is_running: bool
    is_restarting: bool
    is_paused: bool
    exit_code: int
    pid: int | None
    """Its first process as the host numbers it; None while it is down."""
    is_opted_in: bool
    restart_policy: str
    """The engine's name for what it does when the container dies: no, always, on-failure, unless-stopped."""
    network_mode: str
    endpoints: tuple[Endpoint, ...]
    """The networks that it is on, each with all that was asked for there."""

    @classmethod
    def read(cls, inspected: Mapping[str, Any], api_version: str) -> ContainerView:
        """From the engine's answer."""
        state, known = inspected["State"], Container.read(inspected)
        return cls(
            id=known.id,
            name=str(inspected.get("Name") or known.id[:12]).lstrip("/"),
            status=str(state["Status"]),
            is_running=bool(state["Running"]),
            is_restarting=bool(state["Restarting"]),
            is_paused=bool(state["Paused"]),
            exit_code=int(state["ExitCode"]),
            pid=known.pid,
            is_opted_in=known.is_opted_in,
            restart_policy=known.restart_policy,
            network_mode=str((inspected.get("HostConfig") or {}).get("NetworkMode") or ""),
            endpoints=endpoints_of(inspected, api_version),
        )

    def refusal(self, expected: str, found: str, advice: str) -> TargetError:
        """That an act is not possible on this container."""
        return TargetError(self.name, "the Docker engine", expected, found, advice)

    @property
    def seen_process(self) -> ProcessIdentity | None:
        """The container's first process; None where it is not to be seen from here.

        The engine may run in another machine or name space, where the number is another process's.
        """
        identity = None if self.pid is None else ProcessIdentity.of(self.pid)
        return identity if self.id in (cgroup_of(self.pid) or "") else None

    def host_process(self) -> ProcessIdentity | str:
        """The container's first process, ready to be signalled; or why it is out of reach."""
        if self.pid is None:
            return f"a container that is {self.status}"
        identity = self.seen_process
        if identity is None:
            return "an engine whose processes are not to be seen from here"
        try:
            os.kill(identity.pid, 0)
        except PermissionError:
            return "a process that this user may not signal"
        except ProcessLookupError:
            return "a process that has just ended"
        return identity

    @property
    def why_no_crash(self) -> str | None:
        """Why its process cannot be killed from here; None when it can. Nothing is done."""
        process = self.host_process()
        return process if isinstance(process, str) else None

    @property
    def why_no_disconnect(self) -> str | None:
        """Why it cannot be taken off its networks; None when it can. Nothing is done."""
        if self.network_mode == "host":
            return "one on the host's own network"
        if self.network_mode.startswith("container:"):
            return "one on the network of another container"
        return None if self.network_mode != "none" and self.endpoints else "one without"


def view(container: str) -> ContainerView:
    """What the engine reports of a container now. Raises TargetError when it is not there."""
    from docker.errors import APIError

    try:
        inspected = engine().inspect_container(container)
    except APIError as error:
        raise TargetError(
            container[:12], "the Docker engine", "a container", explanation(error), "start the stack again"
        ) from None
    return ContainerView.read(inspected, str(getattr(engine(), "api_version", "")))


def victim(container: str, *, running: bool = False) -> ContainerView:
    """A container that faults may hit. Raises TargetError for any other, or one that does not run."""
    found = view(container)
    if not found.is_opted_in:
        advice = f"give it the label {CHAOS}={ALLOW} if faults may hit it"
        raise found.refusal(f"a container with the label {CHAOS}={ALLOW}", "one without", advice)
    if running and found.pid is None:
        advice = "start it, or let more time pass between faults"
        raise found.refusal("a container that runs", f"one that is {found.status}", advice)
    return found


def off(container: str, one: Endpoint) -> None:
    """Take a container off one network. Raises APIError."""
    engine().disconnect_container_from_network(container, one.network or one.name)


def on(container: str, one: Endpoint) -> None:
    """Connect it to a network with all that was asked for there. Raises APIError.

    By the network's id, by its name where that was made anew meanwhile.
    """
    from docker.errors import NotFound

    try:
        _connect_to(container, one.network or one.name, one)
    except NotFound:
        if not one.network or not one.name:
            raise
        _connect_to(container, one.name, one)


def _connect_to(container: str, network: str, one: Endpoint) -> None:
    client = engine()
    asked = client.create_endpoint_config(
        aliases=list(one.aliases),
        links=[tuple(link.split(":", 1)) for link in one.links],
        ipv4_address=one.ipv4 or None,
        ipv6_address=one.ipv6 or None,
        link_local_ips=list(one.link_local) or None,
        driver_opt=dict(one.driver_options) or None,
        mac_address=one.hardware_address or None,
    )
    # The client does not know a priority; an engine that has reported one does.
    config = {**asked, "GwPriority": one.gateway_priority} if one.gateway_priority else asked
    data = {"Container": container, "EndpointConfig": config}
    client._raise_for_status(client._post_json(client._url("/networks/{0}/connect", network), data=data))
