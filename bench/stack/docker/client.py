"""The Docker engine of this machine: one place that connects to it and says what is missing."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from bench.core.errors import TargetError

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
        raise no_engine("a Docker engine that answers", said(error), f"{START}, {WITHOUT}") from None


def no_engine(expected: str, found: str, advice: str) -> TargetError:
    """The error of an engine that cannot be used."""
    return TargetError("docker", engine_host(), expected, found, advice)


def said(error: Exception) -> str:
    """What the engine said, in one line."""
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())


def _knock(path: str) -> None:
    """See that somebody listens: the kernel's reasons are clearer than the client's. Raises TargetError."""
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
                    found = "nobody behind the socket"
                case _:
                    found = error.strerror or str(error)
            raise no_engine("a Docker engine that answers", found, f"{advice}, {WITHOUT}") from None
