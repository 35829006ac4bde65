"""A container's endpoint on a network: what is noted of it, and what counts as a difference."""

from __future__ import annotations

from typing import Any

import pytest

from chaos.container_view import Endpoint, endpoints_of, missing_or_different

ID = "c" * 64
FULL = {
    "NetworkID": "n1",
    "IPAMConfig": {
        "IPv4Address": "172.29.7.10",
        "IPv6Address": "fd00:7::10",
        "LinkLocalIPs": ["169.254.7.7"],
    },
    "Links": ["db:store"],
    "Aliases": ["cache", "redis", ID[:12]],
    "DriverOpts": {"com.example.queue": "2", "com.example.a": "1"},
    "MacAddress": "02:00:00:00:00:07",
    "IPAddress": "172.29.7.10",
    "GwPriority": 7,
    "EndpointID": "assigned anew each time",
}
ASKED = Endpoint(
    network="n1",
    name="back",
    aliases=("cache", "redis"),
    links=("db:store",),
    ipv4="172.29.7.10",
    ipv6="fd00:7::10",
    link_local=("169.254.7.7",),
    driver_options=(("com.example.a", "1"), ("com.example.queue", "2")),
    hardware_address="02:00:00:00:00:07",
    gateway_priority=7,
)


def inspected(entry: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"Id": ID, "Config": config, "NetworkSettings": {"Networks": {"back": entry}}}


def test_the_whole_endpoint_is_noted_and_read_again() -> None:
    (found,) = endpoints_of(inspected(FULL), "1.48")
    assert found == ASKED
    assert Endpoint.from_json(found.to_json()) == found


def test_what_the_engine_chose_is_not_noted() -> None:
    chosen = {"NetworkID": "n1", "IPAMConfig": None, "IPAddress": "172.29.7.2", "Aliases": None}
    made_of_it = chosen | {"MacAddress": "02:42:ac:1d:07:02"}
    assert endpoints_of(inspected(made_of_it), "1.48") == (Endpoint("n1", "back"),)


@pytest.mark.parametrize(
    ("version", "config", "noted"),
    [
        ("1.41", {}, False),  # such an engine takes none at a connection
        ("1.41", {"MacAddress": "02:00:00:00:00:07"}, True),  # asked for when the container was made
        ("1.44", {}, True),
        ("", {}, False),
    ],
)
def test_a_hardware_address_is_noted_where_it_was_asked_for_or_can_be_kept(
    version: str, config: dict[str, Any], noted: bool
) -> None:
    (found,) = endpoints_of(inspected(FULL, **config), version)
    assert found.hardware_address == ("02:00:00:00:00:07" if noted else "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"IPAMConfig": {}}, "ipv4 none instead of 172.29.7.10"),
        ({"IPAMConfig": {"IPv4Address": "172.29.7.10"}}, "ipv6 none instead of fd00:7::10"),
        ({"Links": None}, "links none instead of db:store"),
        ({"Aliases": ["redis"]}, "aliases redis instead of cache, redis"),
        ({"DriverOpts": None}, "driver options none"),
        ({"MacAddress": "02:00:00:00:00:08"}, "hardware address 02:00:00:00:00:08"),
        ({"GwPriority": 0}, "gateway priority 0 instead of 7"),
    ],
)
def test_whatever_was_asked_for_and_is_not_so_is_told(change: dict[str, Any], words: str) -> None:
    (text,) = missing_or_different([ASKED], endpoints_of(inspected(FULL | change), "1.48"))
    assert text.startswith("on back with ")
    assert words in text


def test_the_order_of_names_is_no_difference_and_a_network_that_was_made_anew_is_known_by_its_name() -> None:
    anew = FULL | {"NetworkID": "n2", "Aliases": ["redis", "cache"]}
    assert missing_or_different([ASKED], endpoints_of(inspected(anew), "1.48")) == []
    assert missing_or_different([ASKED], []) == ["off back"]


@pytest.mark.parametrize("entry", [{}, {"network": "n", "aliases": "text"}, {"network": "n", "links": 7}])
def test_a_damaged_note_is_refused(entry: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Endpoint.from_json(entry)
