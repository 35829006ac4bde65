"""Which image a service runs from: the user's, one that was built here, or the official one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.core.errors import TargetError
from bench.stack.docker.client import said
from bench.stack.images.build import build_image, built_image, image_name, named_base

if TYPE_CHECKING:
    from docker import APIClient

OFFICIAL = {"redis": "redis:7", "postgres": "postgres:18", "postgres_16": "postgres:16", "edge": "nginx:1"}
"""There is none of the API: it is built on this machine."""
BUILD = "python -m bench.stack.images build"


@dataclass(frozen=True)
class ImageChoice:
    """An image by name, why that one, and whether the engine has it already."""

    name: str
    origin: str
    is_here: bool


def variable_of(service: str) -> str:
    """The variable that names another image for a service."""
    return f"HOLDFAST_IMAGE_{service.upper()}"


def chosen_image(engine: APIClient, service: str) -> ImageChoice:
    """The image for a service; nothing is fetched or built yet."""
    named = os.environ.get(variable_of(service), "").strip()
    if named:
        return ImageChoice(named, variable_of(service), _is_here(engine, named))
    if built_image(engine, service):
        return ImageChoice(image_name(service), "built on this machine", True)
    if service in OFFICIAL:
        return ImageChoice(OFFICIAL[service], "the official image", _is_here(engine, OFFICIAL[service]))
    return ImageChoice(image_name(service), "built on this machine", False)


def ready_image(engine: APIClient, service: str) -> tuple[ImageChoice, dict[str, Any]]:
    """The image for a service, fetched or built if need be, and what the engine knows of it.

    Raises TargetError when it cannot be had.
    """
    choice = chosen_image(engine, service)
    if choice.name == image_name(service):
        build_image(engine, service, named_base(engine, service))
    elif not choice.is_here:
        _fetch(engine, service, choice)
    inspected: dict[str, Any] = engine.inspect_image(choice.name)
    return choice, inspected


def _fetch(engine: APIClient, service: str, choice: ImageChoice) -> None:
    from docker.errors import APIError

    repository, _, tag = choice.name.partition("@")[0].rpartition(":")
    if not repository or "/" in tag:
        repository, tag = choice.name, "latest"
    if "@" in choice.name:
        repository, tag = choice.name.split("@", 1)
    try:
        for step in engine.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in step:
                raise _missing(service, choice, str(step["error"]))
    except APIError as error:
        raise _missing(service, choice, said(error)) from None


def _missing(service: str, choice: ImageChoice, reason: str) -> TargetError:
    return TargetError(
        service,
        "the docker stack",
        f"the image {choice.name} ({choice.origin}), here or from its registry",
        f"none here, and the registry gave none ({' '.join(reason.split())})",
        f"name another one in {variable_of(service)}, or make one without a registry: {BUILD} {service}",
    )


def _is_here(engine: APIClient, name: str) -> bool:
    from docker.errors import APIError

    try:
        engine.inspect_image(name)
    except APIError:
        return False
    return True
