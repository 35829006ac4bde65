"""The API's container goes through proxies of ours to the containers behind it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from bench.stack.docker.stack import DockerStack
from bench.stack.probes.health import probe
from chaos.proxy.paths import PathProxies
from tests.helpers.waiting import eventually

S = 1_000_000_000
PATHS = [("api", "redis"), ("api", "postgres")]


@pytest.fixture(scope="module")
def paths() -> Iterator[PathProxies]:
    with PathProxies(PATHS) as proxies:
        yield proxies


@pytest.fixture(scope="module")
def stack(images: Any, paths: PathProxies, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerStack]:
    stack = DockerStack({"api"}, tmp_path_factory.mktemp("logs"))
    stack.detours = paths
    with stack:
        yield stack


def component(stack: DockerStack, name: str) -> dict[str, Any]:
    """What the API says of what is behind it."""
    with urllib.request.urlopen(f"{stack.targets()['api'].url}/health", timeout=10) as page:
        found: dict[str, Any] = json.load(page)["components"][name]
    return found


@pytest.mark.parametrize(("client", "target"), PATHS)
def test_what_the_api_asks_goes_through_the_proxy(
    stack: DockerStack, paths: PathProxies, client: str, target: str
) -> None:
    proxy = paths.between(client, target)
    stats = proxy.stats()
    assert stats.connected > 0
    assert stats.up_bytes > 0
    assert stats.down_bytes > 0
    assert not proxy.address[0].startswith("127.")  # a container has another loopback


def test_redis_is_away_for_the_api_alone_and_back_afterwards(stack: DockerStack, paths: PathProxies) -> None:
    proxy = paths.between("api", "redis")
    eventually(lambda: component(stack, "redis")["breaker"] == "closed", "the API has its Redis")
    slow = proxy.add("latency", {"delay": 10 * S, "direction": "down"})
    eventually(lambda: component(stack, "redis")["breaker"] == "open", "the API does without it")
    assert proxy.effects(slow).count > 0
    assert probe(stack.targets()["redis"], 5.0).state == "up"
    eventually(lambda: component(stack, "postgres")["state"] == "up", "Postgres is another way")
    proxy.remove(slow)
    eventually(lambda: component(stack, "redis")["state"] == "up", "the API has found Redis again")
    assert proxy.active() == []
