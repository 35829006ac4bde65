"""Which programs and packages a run on this machine would use."""

import os
import platform
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

from bench.core.child_environment import for_program
from bench.core.errors import TargetError
from bench.registry import url_variables
from bench.stack.background.daemon import background_stack
from bench.stack.external import named_by_the_user, url_in
from bench.stack.machine import Finding, Value
from bench.stack.services.programs import account_for_servers, find_postgres, find_server_binary

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
    words = [word.removeprefix("v=") for word in _version_words(binary.path) if word.startswith("v=")]
    release = words[0] if words else None
    advice = None if release else "it does not report its version: is it a redis-server or a valkey-server?"
    text = f"{binary.path.name} {release or 'of unknown version'}, from {binary.origin}: {binary.path}"
    values = {"program": str(binary.path), "origin": binary.origin, "version": release}
    return Finding("redis server", text, {**values}, advice)


def postgres_18() -> Finding:
    """The PostgreSQL 18 that the embedded stack would start."""
    return _postgres("postgres", "postgres 18")


def postgres_16() -> Finding:
    """The PostgreSQL 16 that the embedded stack would start."""
    return _postgres("postgres_16", "postgres 16")


def postgres_client() -> Finding:
    """psycopg and the libpq in it, which log in to Postgres."""
    release = _version("psycopg")
    values: dict[str, Value] = {"psycopg": release, "implementation": None, "libpq": None}
    if release is None:
        return Finding("libpq", "psycopg missing", values, "pip install holdfast, which brings psycopg")
    try:
        from psycopg import pq
    except ImportError as error:
        found = str(error).strip().splitlines()[0]
        advice = "pip install 'psycopg[binary]', or install the system's libpq"
        return Finding("libpq", f"psycopg {release} without libpq ({found})", values, advice)
    libpq = f"{pq.version() // 10_000}.{pq.version() % 10_000}"
    values |= {"implementation": pq.__impl__, "libpq": libpq}
    return Finding("libpq", f"{libpq}, in psycopg {release} ({pq.__impl__})", values)


def default_stack() -> Finding:
    """Which stack `bench run` takes by default."""
    named: dict[str, Value] = {}
    for name, variable in url_variables().items():
        if url_in(name):
            try:
                named[variable] = named_by_the_user(name).address
            except TargetError as error:
                text = f"external, but {variable} cannot be used"
                return Finding("stack", text, {"kind": "external"}, str(error))
    if named:
        names = ", ".join(f"{variable} names {address}" for variable, address in named.items())
        return Finding("stack", f"external: {names}", {"kind": "external", **named})
    background = background_stack()
    if background is not None:
        names = ", ".join(target.name for target in background.targets)
        text = f"{background.kind}, up since bench stack up: {names}"
        return Finding("stack", text, {"kind": background.kind, "is_up": True})
    text = "embedded (no stack is up, no URL is set)"
    return Finding("stack", text, {"kind": "embedded", "is_up": False})


def docker_engine() -> Finding:
    """Whether a Docker engine answers, and what killed harnesses have left in it."""
    host = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_DOCKER_SOCKET}"
    parts = urlsplit(host)
    needed_for = "only --stack docker and compose need one"
    try:
        with _connected(parts.scheme, parts.path, parts.hostname, parts.port) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answers = b" 200 " in engine.recv(64)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding("docker", f"no engine ({reason.lower()}); {needed_for}", {"engine": False})
    if not answers:
        return Finding(
            "docker", f"something answers there, but no Docker engine; {needed_for}", {"engine": False}
        )
    if parts.scheme != "unix":
        text = "engine answers, but not behind unix://, so --stack docker and compose cannot use it"
        return Finding("docker", text, {"engine": True, "usable": False})
    return _usable_engine()


def _usable_engine() -> Finding:
    from bench.stack.docker.cleanup import left_overs
    from bench.stack.docker.client import connect_engine

    try:
        engine = connect_engine()
        release, left = str(engine.version()["Version"]), left_overs(engine)
    except TargetError as error:
        text = "engine answers, but cannot be used"
        return Finding("docker", text, {"engine": True, "usable": False}, str(error))
    values: dict[str, Value] = {"engine": True, "usable": True, "version": release, "left_over": len(left)}
    text = f"engine {release}, for --stack docker and compose"
    if not left:
        return Finding("docker", text, values)
    advice = "the next run with --stack docker removes what a killed run has left"
    return Finding("docker", f"{text}; {len(left)} things of killed runs are in it", values, advice)


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


def _postgres(name: str, label: str) -> Finding:
    try:
        programs = find_postgres(name)
    except TargetError as error:
        return Finding(label, "none", {"program": None, "origin": None, "version": None}, str(error))
    program = programs.bin / "postgres"
    words = _version_words(program)
    release = words[2] if len(words) > 2 else None
    advice = None if release else "it does not report its version: is it a postgres?"
    account = account_for_servers()
    run_as = f", run as {account.name}" if account else ""
    text = f"{release or 'of unknown version'}, from {programs.origin}{run_as}: {programs.bin}"
    values: dict[str, Value] = {"program": str(program), "origin": programs.origin, "version": release}
    return Finding(label, text, values, advice)


def _version_words(program: Path) -> list[str]:
    """What a program prints when it is asked for its version."""
    done = subprocess.run(
        [str(program), "--version"],
        env=for_program(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=VERSION_DEADLINE_S,
        check=False,
        text=True,
    )
    return done.stdout.split()


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
