"""Dockerfiles and the compose file agree with the rest of the project."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from bench.registry import SERVICES
from bench.stack.docker.services import IMAGES

ROOT = IMAGES.parents[2]
NAMED_BY_COMPOSE = ("redis", "postgres", "api", "edge")


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_dockerfile_with_its_base_as_an_argument(service: str) -> None:
    text = (IMAGES / (SERVICES[service].image_folder or service) / "Dockerfile").read_text()
    assert re.search(r"^ARG BASE=\S+\nFROM \$\{BASE\}$", text, re.MULTILINE)
    assert "HEALTHCHECK --interval=1s --timeout=1s" in text


def test_the_apis_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {*project["dependencies"], *project["optional-dependencies"]["embedded"]}
    assert set((IMAGES / "api" / "requirements.txt").read_text().split()) <= declared


def test_the_compose_file_opts_in_restarts_and_publishes_fixed_ports_on_loopback() -> None:
    services = yaml.safe_load((IMAGES / "compose.yaml").read_text())["services"]
    assert tuple(services) == NAMED_BY_COMPOSE
    for service in services.values():
        assert service["labels"] == {"bench.chaos": "allow"}
        assert service["restart"] == "always"
        assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port) for port in service["ports"])


@pytest.mark.parametrize("path", sorted(IMAGES.rglob("*.sh")), ids=lambda path: path.name)
def test_scripts_say_what_runs_them(path: Path) -> None:
    assert path.read_text().startswith("#!/bin/sh\n")
