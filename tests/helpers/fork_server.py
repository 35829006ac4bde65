"""A process that has imported all of the product and forks others: python -m tests.helpers.fork_server FD.

To start Python with numba, pandas and the compiled engine costs two seconds of a processor, and the tests
start hundreds of processes. What is forked here has all of that already. It is a process like any other:
it runs `bench` as `python -m bench` does and ends as Python ends, with the arguments, environment, folder
and standard streams of its order. Through two forks it becomes a child of the tests' process (`prepared.py`
makes that a subreaper for the moment), which waits for it and signals it as any other.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO

from pydantic import BaseModel

LONGEST_ORDER = 1 << 20
LEFT_OUT = ("bench.swarm", "bench.stack.images", "bench.reference_api")
"""Locust patches whatever runs beside it; images are built by scripts; the API is a separate program."""


@dataclass(frozen=True)
class Order:
    """What a new process is to be."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str


def import_everything() -> None:
    """Import what the commands import when they are called, and load the compiled engine."""
    import bench
    import chaos

    for package in (bench, chaos):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.startswith(LEFT_OUT) and not found.name.endswith("__main__"):
                with contextlib.suppress(ImportError):  # an exporter whose library is not installed
                    importlib.import_module(found.name)
    build(BaseModel)
    from bench.drivers.redis.replies import compile_scanner
    from bench.run.calibration.measure import self_measurement

    compile_scanner()  # numba is ready after its first call, and not before
    self_measurement(None, 8)  # in threads that have ended when it returns


def build(model: type[BaseModel]) -> None:
    """Build the validators of all models now; each process would build those that it uses."""
    for kind in model.__subclasses__():
        kind.model_rebuild(raise_errors=False)
        build(kind)


def serve(channel: socket.socket) -> tuple[Order, list[int]] | None:
    """Fork for each order and answer with the process id; returns in the forked process, and at the end."""
    while True:
        text, streams, _, _ = socket.recv_fds(channel, LONGEST_ORDER, 3)
        if not text:
            return None
        read, write = os.pipe()
        between = os.fork()
        if between == 0:
            between = os.getpid()
            if pid := os.fork():
                os.write(write, str(pid).encode())
                os._exit(0)
            os.close(read)
            os.close(write)
            while os.getppid() == between:
                time.sleep(0.0001)
            return Order(**json.loads(text)), streams
        os.waitpid(between, 0)
        channel.send(os.read(read, 32))
        for descriptor in (read, write, *streams):
            os.close(descriptor)


def become(order: Order, streams: list[int]) -> None:
    """Be the process that was ordered, to its end."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = _as_opened(sys.stdin, "r")
    sys.stdout = _as_opened(sys.stdout, "w")
    sys.stderr = _as_opened(sys.stderr, "w", in_lines=True)
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.folder)
    tempfile.tempdir = None  # which depends on the environment, and is remembered
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = order.arguments
    runpy.run_module("bench", run_name="__main__", alter_sys=True)


def _as_opened(before: TextIO, mode: str, *, in_lines: bool = False) -> TextIO:
    """A standard stream as Python opens it for what its descriptor is now."""
    number = before.fileno()
    buffered = open(number, f"{mode}b", closefd=False)  # noqa: SIM115 - a descriptor that stays open
    is_in_lines = in_lines or os.isatty(number)
    return TextIOWrapper(buffered, before.encoding, before.errors, line_buffering=is_in_lines)


def main() -> None:
    """Serve whoever has the other end of the descriptor that is named."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the tests
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        import_everything()
        gc.collect()
        gc.freeze()  # what is there already stays in shared pages
        forked = serve(channel)
    if forked is not None:
        become(*forked)


if __name__ == "__main__":
    main()
