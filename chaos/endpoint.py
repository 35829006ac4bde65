"""A container's endpoint on one network, as it was asked for, so that it can be made again and compared.

What the engine hands out by itself (an address of its own choice, ids, a hardware address made from the
address) is not part of it: that may be another one after a new connection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any

Inspected = dict[str, Any]

KEEPS_HARDWARE_ADDRESS = (1, 44)
"""The first version of the engine's API that takes a hardware address at a connection."""
MADE_OF_ADDRESS = "02:42:"
"""How a hardware address begins that an engine has made from the IPv4 address that follows."""


@dataclass(frozen=True)
class Endpoint:
    """One network and what was asked for there."""

    network: str
    """Its id; empty where the engine has told only the name."""
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
    def from_json(cls, entry: dict[str, Any]) -> Endpoint:
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


def endpoints_of(inspected: Inspected, api_version: str = "") -> tuple[Endpoint, ...]:
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


def _endpoint(name: str, entry: dict[str, Any], inspected: Inspected, api_version: str) -> Endpoint:
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


def _hardware_address(entry: dict[str, Any], inspected: Inspected, api_version: str) -> str:
    """The one that was asked for, or that the engine can be asked to keep.

    One that an engine has made from an address of its own choice must not be kept: the next container
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
