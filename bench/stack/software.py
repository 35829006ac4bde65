"""Which programs and packages a run on this machine would use."""

import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from urllib.parse import urlsplit

from bench.errors import TargetError
from bench.stack.machine import Finding
from bench.stack.server_binary import find_server_binary
from bench.stack.target import Target

DOCKER_DEADLINE_S = 2.0
VERSION_DEADLINE_S = 5.0
DEFAULT_DOCKER_SOCKET = "/var/run/docker.sock"


def python() -> Finding:
    """The interpreter and this package."""
    release = platform.python_version()
    ours = _version("holdfast")
    text = (
        f"{platform.python_implementation()} {release}, holdfast {ours or 'not installed (run from source)'}"
    )
    values = {"version": release, "holdfast": ours, "executable": sys.executable}
    return Finding("python", text, {**values})


def compiler() -> Finding:
    """numba, which compiles the engine; read from its metadata, since an import takes a second."""
    release = _version("numba")
    is_off = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
    advice = None
    if release is None:
        advice = "pip install numba: the wire engine is compiled with it"
    elif is_off:
        advice = "unset NUMBA_DISABLE_JIT before measuring: the engine is hundreds of times slower without"
    text = "numba missing" if release is None else f"numba {release}{', switched off' if is_off else ''}"
    return Finding("compiler", text, {"numba": release, "is_off": is_off}, advice)


def redis_server() -> Finding:
    """The server that the embedded stack would start."""
    try:
        binary = find_server_binary()
    except TargetError as error:
        return Finding("redis server", "none", {"program": None, "origin": None, "version": None}, str(error))
    command = [str(binary.path), "--version"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=VERSION_DEADLINE_S,
        check=False,
        text=True,
    )
    words = [word.removeprefix("v=") for word in done.stdout.split() if word.startswith("v=")]
    release = words[0] if words else None
    advice = None if release else "it does not tell its version: is it a redis-server or a valkey-server?"
    text = f"{binary.path.name} {release or 'of unknown version'}, from {binary.origin}: {binary.path}"
    values = {"program": str(binary.path), "origin": binary.origin, "version": release}
    return Finding("redis server", text, {**values}, advice)


def default_stack() -> Finding:
    """Which stack `bench run` takes when it is not told."""
    url = os.environ.get("REDIS_URL", "")
    if not url:
        return Finding("stack", "embedded (REDIS_URL is not set)", {"kind": "embedded", "address": None})
    try:
        address = Target.from_url(url).address
    except TargetError as error:
        return Finding("stack", "external, but REDIS_URL cannot be used", {"kind": "external"}, str(error))
    return Finding("stack", f"external: REDIS_URL names {address}", {"kind": "external", "address": address})


def docker_engine() -> Finding:
    """Whether a Docker engine answers; nothing in this version needs one."""
    host = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_DOCKER_SOCKET}"
    parts = urlsplit(host)
    try:
        with _connected(parts.scheme, parts.path, parts.hostname, parts.port) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answers = b" 200 " in engine.recv(64)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding("docker", f"no engine ({reason.lower()}); not needed", {"engine": False})
    if not answers:
        return Finding(
            "docker", "something answers there, but no Docker engine; not needed", {"engine": False}
        )
    return Finding("docker", "engine answers", {"engine": True})


def _connected(scheme: str, path: str, host: str | None, port: int | None) -> socket.socket:
    if scheme == "tcp" and host and port:
        return socket.create_connection((host, port), DOCKER_DEADLINE_S)
    if scheme != "unix":
        raise ValueError("DOCKER_HOST is neither unix:// nor tcp://")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(DOCKER_DEADLINE_S)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
