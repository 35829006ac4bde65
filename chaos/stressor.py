"""A process that takes something away from the machine or a target for a stated time, then ends by itself.

Run by its path, standard library only:

    stressor.py cpu SECONDS SHARE
    stressor.py memory SECONDS BYTES
    stressor.py io SECONDS BYTES FOLDER
    stressor.py connections SECONDS HOST PORT MOST KEEP WAIT_SECONDS

It says "ready" when it holds what it is to hold. It ends when its stdin ends, when its parent
dies, and when its time is over, whatever comes first. Connections are those of a Redis: MOST at most,
opened within WAIT_SECONDS, and KEEP of them are given back when it takes no more.
"""

import contextlib
import ctypes
import errno
import os
import resource
import select
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
SLICE_S = 0.01
PAGE_BYTES = 4096
BLOCK_BYTES = 1 << 20
CONNECT_S = 0.5
BATCH = 64
REFUSED_IN_A_ROW = 3
GIVE_BACK_S = 0.2
"""Others of us may still be opening: what is given back too early would be taken by them."""
OUR_LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL)


def is_over(until: float) -> bool:
    """Whether to end: the time is over, or no process holds our stdin any more."""
    return time.monotonic() >= until or bool(select.select([0], [], [], 0)[0])


def burn_cpu(until: float, share: float) -> None:
    """Keep one processor busy for a share of every slice."""
    ready()
    while not is_over(until):
        begin = time.monotonic()
        while time.monotonic() < begin + SLICE_S * share:
            pass
        if share < 1:
            time.sleep(max(begin + SLICE_S - time.monotonic(), 0))


def hold_memory(until: float, size: int) -> None:
    """Hold memory that is really there: every page is written."""
    held = bytearray(size)
    for at in range(0, size, PAGE_BYTES):
        held[at] = 1
    ready()
    while not is_over(until):
        time.sleep(SLICE_S)


def write_blocks(until: float, size: int, folder: str) -> None:
    """Write a file again and again, each block on the disk before the next; never more than `size`.

    The file has no name, so that it is gone with this process, however that ends.
    """
    block = os.urandom(min(BLOCK_BYTES, size))
    fd = nameless_file(folder)
    at = 0
    os.pwrite(fd, block, at)  # a disk without room is reported before "ready"
    ready()
    while not is_over(until):
        os.pwrite(fd, block, at)
        os.fdatasync(fd)
        at = at + len(block) if at + 2 * len(block) <= size else 0


def nameless_file(folder: str) -> int:
    """A file in the folder that no name leads to."""
    try:
        return os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600)
    except OSError:  # not every file system can do that
        path = f"{folder}/holdfast-io-{os.getpid()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)  # noqa: PTH108 - started without site-packages, as quickly as can be
        return fd


def hold_connections(until: float, address: tuple[str, int], most: int, keep: int, wait_s: float) -> None:
    """Hold idle connections; says "ready COUNT free|full|ours", ours: we could open no more ourselves."""
    opening_until = min(until, time.monotonic() + wait_s)
    held: list[socket.socket] = []
    refused, found, batch = 0, "free", BATCH
    while found == "free" and len(held) < most and time.monotonic() < opening_until:
        try:
            new = answering_connections(address, min(batch, most - len(held)))
        except OSError as error:
            if error.errno in OUR_LIMITS:
                found = "ours"
            time.sleep(SLICE_S)  # neither taken nor refused: there is no answer at all
            continue
        held += new
        if new:
            refused = 0
        elif batch > 1:
            batch = 1
        else:
            refused += 1
            if refused == REFUSED_IN_A_ROW:
                found = "full"
    ready(f" {len(held)} {found}")
    if found == "full":
        time.sleep(GIVE_BACK_S)
        for connection in held[:keep]:
            connection.close()
    while not is_over(until):
        time.sleep(SLICE_S)


def answering_connections(address: tuple[str, int], count: int) -> "list[socket.socket]":
    """So many connections, or none where the Redis refused the last of them. Raises OSError.

    A server takes them in their order: when the last one is answered, all are taken.
    """
    opened: list[socket.socket] = []
    try:
        opened += (connected(address) for _ in range(count))
        opened[-1].sendall(b"PING\r\n")
        if opened[-1].recv(64).startswith((b"+PONG", b"-NOAUTH")):
            return opened
    except (BrokenPipeError, ConnectionResetError):
        pass  # it closed before it had read: that is a refusal too
    except OSError:
        close_all(opened)
        raise
    close_all(opened)
    return []


def connected(address: tuple[str, int]) -> "socket.socket":
    """A connection to a host, or to a socket file. Raises OSError."""
    if not address[0].startswith("/"):
        return socket.create_connection(address, timeout=CONNECT_S)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(address[0])
    except BaseException:
        connection.close()
        raise
    return connection


def close_all(connections: "list[socket.socket]") -> None:
    """Close each of them."""
    for connection in connections:
        connection.close()


def ready(more: str = "") -> None:
    """Report to the process that started us."""
    os.write(1, f"ready{more}\n".encode())


def main() -> None:
    """Do as the arguments say."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # Should memory run out after all, the kernel kills this process and no other.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - as above
        score.write("1000")
    kind, seconds = sys.argv[1], float(sys.argv[2])
    until = time.monotonic() + seconds
    if kind == "cpu":
        burn_cpu(until, float(sys.argv[3]))
    elif kind == "memory":
        hold_memory(until, int(sys.argv[3]))
    elif kind == "io":
        write_blocks(until, int(sys.argv[3]), sys.argv[4])
    else:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        address = (sys.argv[3], int(sys.argv[4]))
        hold_connections(until, address, int(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7]))


if __name__ == "__main__":
    main()
