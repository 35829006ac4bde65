"""A free TCP port on loopback that a service can keep over its restarts."""

import random
import socket
import sys
from pathlib import Path

from bench.stack.supervisor.processes import stat_of

LOWEST_PORT = 10_000
_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LISTEN = "0A"


def free_loopback_port() -> int:
    """A port that nothing listens on, below the range that the kernel gives to clients.

    A port inside that range could be handed to a client while the service is down between two
    lives. Worse, a client that keeps trying to reconnect is itself given such a port one day,
    and is then connected to itself.
    """
    highest = _first_ephemeral_port() - 1
    while True:
        port = random.randint(LOWEST_PORT, highest)  # noqa: S311 - nothing here is a secret
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As servers do: a connection of an earlier run in TIME_WAIT is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _first_ephemeral_port() -> int:
    default = 32_768
    try:
        first = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return default
    # A machine may give nearly all ports to clients; then there is nothing to stay clear of.
    return first if first > LOWEST_PORT + 1_000 else default


def is_listener(pid: int, port: int) -> bool | None:
    """Whether the process lives and listens on 127.0.0.1 there; None where we may not see that."""
    # An address is shown as the machine's own integer.
    address = f"{int.from_bytes(socket.inet_aton('127.0.0.1'), sys.byteorder):08X}:{port:04X}"
    try:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        sockets = {f"socket:[{row[9]}]" for row in rows if row[1] == address and row[3] == _LISTEN}
        opened = {_where(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    except FileNotFoundError:
        return False
    except OSError:
        return None if _is_running(pid) else False  # a zombie's files are shown to root alone
    return bool(sockets & opened) if sockets or not _is_running(pid) else None


def _is_running(pid: int) -> bool:
    try:
        return stat_of(pid)[0] not in "ZX"
    except OSError:
        return False


def _where(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""  # closed since the look
