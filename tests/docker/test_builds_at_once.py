"""Builds of one image by several processes at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import bench
from bench.stack.images.build import build_image, built_image, image_name

ROOT = Path(bench.__file__).parents[1]
SERVICE = "postgres_16"
"""No other test uses this one's image."""
BUILD = (
    "from bench.stack.docker.client import connect_engine\n"
    "from bench.stack.images.build import build_image, built_image\n"
    "engine = connect_engine()\n"
    "input()\n"
    f"print(build_image(engine, {SERVICE!r}), built_image(engine, {SERVICE!r}))\n"
)


def test_processes_that_build_one_image_at_once_all_have_it_afterwards(engine: Any) -> None:
    build_image(engine, SERVICE)  # its base stays: importing that is not what is raced for
    engine.remove_image(image_name(SERVICE))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", BUILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for _ in range(3)
    ]
    for builder in builders:
        assert builder.stdin is not None
        builder.stdin.write("\n")
        builder.stdin.flush()
    said = [builder.communicate(timeout=120)[0].split() for builder in builders]
    assert said == [[image_name(SERVICE)] * 2] * 3
    assert built_image(engine, SERVICE) == image_name(SERVICE)
