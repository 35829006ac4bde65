"""Both ends of a connection through the proxy, and what tests do with them."""

import contextlib
import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

DEADLINE_S = 30.0  # far above what anything here takes: only a hang ever meets it
MS = 1_000_000


def is_running(pid: int) -> bool:
    """Whether the process lives; a zombie that nobody collects does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes in which any loss, repeat or swap shows."""
    return random.Random(seed).randbytes(size)


def opened(address: tuple[str, int]) -> socket.socket:
    """A client's connection."""
    stream = socket.create_connection(address, DEADLINE_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def received(stream: socket.socket, size: int) -> bytes:
    """So many bytes, or what there was before the end."""
    parts = []
    while size:
        part = stream.recv(min(size, 1 << 16))
        if not part:
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def rest(stream: socket.socket) -> bytes:
    """Everything up to the end."""
    return received(stream, 1 << 40)


def break_off(stream: socket.socket) -> None:
    """Close with a TCP reset."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


def was_reset(stream: socket.socket) -> bool:
    """Read up to the end; whether it was a reset."""
    try:
        rest(stream)
    except ConnectionResetError:
        return True
    return False


def is_turned_away(address: tuple[str, int]) -> bool:
    """Connect; whether that ends in a reset, be it as early as in the connect."""
    try:
        with opened(address) as client:
            return was_reset(client)
    except ConnectionResetError:
        return True


def is_silent(stream: socket.socket, for_s: float = 0.15) -> bool:
    """Whether neither bytes nor an end come for a while."""
    stream.settimeout(for_s)
    try:
        stream.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    except OSError:
        return False
    finally:
        stream.settimeout(DEADLINE_S)
    return False


@contextlib.contextmanager
def sending(stream: socket.socket, data: bytes, *, then_end: bool = False) -> Iterator[threading.Thread]:
    """Send in the background; done at the end of the block."""

    def send() -> None:
        with contextlib.suppress(OSError):  # broken by the test, which looks at the other end
            stream.sendall(data)
            if then_end:
                stream.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def carries(sender: socket.socket, receiver: socket.socket, size: int, seed: int = 1) -> None:
    """Assert that random bytes arrive unchanged."""
    data = noise(size, seed)
    with sending(sender, data):
        assert received(receiver, size) == data


def descriptor_limit() -> int:
    """Descriptors that this process may have."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def open_descriptors(pid: int) -> int:
    """How many a process has."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
