"""Taking a container off one network, and on it again with its whole endpoint."""

from __future__ import annotations

from typing import Any

from chaos.container_view import engine
from chaos.endpoint import Endpoint


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
    asked: dict[str, Any] = {
        "aliases": list(one.aliases),
        "links": [tuple(link.split(":", 1)) for link in one.links],
        "ipv4_address": one.ipv4 or None,
        "ipv6_address": one.ipv6 or None,
        "link_local_ips": list(one.link_local) or None,
        "driver_opt": dict(one.driver_options) or None,
        "mac_address": one.hardware_address or None,
    }
    if not one.gateway_priority:
        client.connect_container_to_network(container, network, **asked)
        return
    # The client does not know this one; the engine does, or it would not have told it.
    config = {**client.create_endpoint_config(**asked), "GwPriority": one.gateway_priority}
    data = {"Container": container, "EndpointConfig": config}
    client._raise_for_status(client._post_json(client._url("/networks/{0}/connect", network), data=data))
