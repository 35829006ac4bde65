"""Fixtures of the reference API's tests: one Redis and one Postgres for all, one API for each module."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.stack.embedded import EmbeddedStack
from tests.reference_api.api_process import Api, Servers


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    log_dir: Path = tmp_path_factory.mktemp("logs")
    with EmbeddedStack({"redis", "postgres"}, log_dir) as stack:
        yield Servers(stack)


@pytest.fixture(scope="module")
def shared_api(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Api]:
    """A module may set ENVIRONMENT for it."""
    api = Api(servers.environment | getattr(request.module, "ENVIRONMENT", {}))
    try:
        yield api
    finally:
        said = api.close()
    assert "Traceback" not in said, said


@pytest.fixture
def api(shared_api: Api) -> Api:
    """The module's API, with all that it needs up."""
    shared_api.until_up()
    return shared_api


@pytest.fixture
def start_api(servers: Servers) -> Iterator[Callable[..., Api]]:
    """Start an API of the test's own; variables beside the usual ones are given by name."""
    with contextlib.ExitStack() as cleanup:

        def start(**environment: str) -> Api:
            api = Api(servers.environment | environment)
            cleanup.callback(api.close)
            return api

        yield start
