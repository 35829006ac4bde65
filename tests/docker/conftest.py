"""An engine, and images of this machine's programs; where there is no engine the tests say so and skip."""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench
from bench.core.errors import TargetError
from bench.stack.docker.client import connect_engine
from bench.stack.docker.stack import DockerStack
from bench.stack.images.build import build_image

ROOT = Path(bench.__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "engine" in getattr(item, "fixturenames", ()) and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    try:
        found = connect_engine()
    except TargetError as error:
        pytest.skip(f"no Docker engine: {error}")
    yield found
    found.close()


@pytest.fixture(scope="session")
def images(engine: Any) -> Any:
    """The engine, with an image of each service that the tests use."""
    for service in ("redis", "postgres", "api"):
        build_image(engine, service)
    return engine


@pytest.fixture(scope="session")
def edge_image(images: Any) -> Any:
    if shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None:
        pytest.skip("no nginx on this machine to make the image of")
    build_image(images, "edge")
    return images


@pytest.fixture(scope="module")
def redis_stack(images: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerStack]:
    with DockerStack({"redis"}, tmp_path_factory.mktemp("logs")) as stack:
        yield stack


@pytest.fixture
def temporary_container(images: Any) -> Iterator[Callable[..., str]]:
    """Start a container of the Redis image; it is removed afterwards."""
    with contextlib.ExitStack() as cleanup:

        def start(**options: Any) -> str:
            host = images.create_host_config(
                port_bindings=options.pop("port_bindings", {}),
                restart_policy={"Name": options.pop("restart", "no")},
            )
            command = ["redis-server", "--save", "", "--protected-mode", "no"]
            name = f"test-{uuid.uuid4().hex[:10]}"
            image = options.pop("image", "holdfast/redis:here")
            made = images.create_container(image, command, name=name, host_config=host, **options)
            cleanup.callback(lambda: images.remove_container(made["Id"], v=True, force=True))
            images.start(made["Id"])
            return str(made["Id"])

        yield start


@pytest.fixture
def harness(images: Any, tmp_path: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """A process with a docker stack of a Redis; it says its run's label, then does as told."""
    with contextlib.ExitStack() as cleanup:

        def start(body: str) -> "subprocess.Popen[str]":
            program = (
                "import os, signal, sys\nfrom pathlib import Path\n"
                "from bench.stack.docker.stack import DockerStack\n"
                # A shell that runs the tests in the background has it ignored, and that is inherited.
                "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
                "stack = DockerStack({'redis'}, Path('logs'))\n"
                "with stack:\n"
                "    print(stack._run, stack._reaper.pid, flush=True)\n"
            ) + "".join(f"    {line}\n" for line in body.splitlines())
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
                start_new_session=True,
            )
            cleanup.enter_context(process)
            cleanup.callback(process.kill)
            return process

        yield start
